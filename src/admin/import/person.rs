//! A person out of a line: an object of JSON with the fields of the contract's `UserToImport`, by their names there. What the values have to be, the server says.
//!
//! No flaw repeats a value: a line may hold a password hash.

use chrono::DateTime;
use serde::Serialize;
use serde_json::{Map, Value};

use crate::grpc::pb::{ImportedMembership, UserToImport};

/// Something that is wrong with a line.
#[derive(Debug, Serialize, PartialEq, Eq)]
pub(super) struct Flaw {
    field: String,
    description: String,
}

impl Flaw {
    pub(super) fn of(field: &str, description: impl Into<String>) -> Self {
        Self { field: field.to_owned(), description: description.into() }
    }
}

/// The person of a line.
///
/// # Errors
/// Everything that is wrong with it.
pub(super) fn read(text: &str, index: i64) -> Result<UserToImport, Vec<Flaw>> {
    let value: Value = serde_json::from_str(text).map_err(|error| {
        vec![Flaw::of("", format!("is not JSON: there is an error at character {}", error.column()))]
    })?;
    let Value::Object(object) = value else {
        return Err(vec![Flaw::of("", "is not an object of JSON")]);
    };
    let mut reader = Reader { flaws: Vec::new() };
    let mut user = UserToImport { index, ..UserToImport::default() };
    for (name, value) in &object {
        reader.field(&mut user, name, value);
    }
    match reader.flaws.is_empty() {
        true => Ok(user),
        false => Err(reader.flaws),
    }
}

struct Reader {
    flaws: Vec<Flaw>,
}

impl Reader {
    fn field(&mut self, user: &mut UserToImport, name: &str, value: &Value) {
        match name {
            "email" => user.email = self.text(name, value),
            "email_verified" => user.email_verified = self.flag(name, value),
            "given_name" => user.given_name = self.text(name, value),
            "family_name" => user.family_name = self.text(name, value),
            "display_name" => user.display_name = self.text(name, value),
            "username" => user.username = self.text(name, value),
            "locale" => user.locale = self.text(name, value),
            "phone_number" => user.phone_number = self.text(name, value),
            "password_hash" => user.password_hash = self.text(name, value),
            "suspended" => user.suspended = self.flag(name, value),
            "create_time" => user.create_time = self.time(name, value),
            "memberships" => user.memberships = self.memberships(name, value),
            _ => self.unknown(name),
        }
    }

    /// The name is the file's, and so of any length and content.
    fn unknown(&mut self, name: &str) {
        let name: String = name.chars().take(64).collect();
        self.flaws.push(Flaw::of(&name, "is no field of a person"));
    }

    fn flawed<T: Default>(&mut self, name: &str, description: &str) -> T {
        self.flaws.push(Flaw::of(name, description));
        T::default()
    }

    fn text(&mut self, name: &str, value: &Value) -> String {
        match value {
            Value::Null => String::new(),
            Value::String(text) => text.clone(),
            _ => self.flawed(name, "must be text"),
        }
    }

    fn flag(&mut self, name: &str, value: &Value) -> bool {
        match value {
            Value::Null => false,
            Value::Bool(flag) => *flag,
            _ => self.flawed(name, "must be true or false"),
        }
    }

    fn time(&mut self, name: &str, value: &Value) -> Option<prost_types::Timestamp> {
        let text = match value {
            Value::Null => return None,
            Value::String(text) => text.as_str(),
            _ => "",
        };
        match DateTime::parse_from_rfc3339(text) {
            Ok(time) => Some(prost_types::Timestamp {
                seconds: time.timestamp(),
                nanos: i32::try_from(time.timestamp_subsec_nanos().min(999_999_999)).unwrap_or_default(),
            }),
            Err(_) => self.flawed(name, "must be a time such as \"2021-04-01T12:00:00Z\""),
        }
    }

    fn memberships(&mut self, name: &str, value: &Value) -> Vec<ImportedMembership> {
        let list = match value {
            Value::Null => return Vec::new(),
            Value::Array(list) => list,
            _ => return self.flawed(name, "must be a list"),
        };
        let mut memberships = Vec::new();
        for (index, one) in list.iter().enumerate() {
            let path = format!("{name}[{index}]");
            match one {
                Value::Object(object) => memberships.push(self.membership(&path, object)),
                _ => self.flawed(&path, "must be an object"),
            }
        }
        memberships
    }

    fn membership(&mut self, path: &str, object: &Map<String, Value>) -> ImportedMembership {
        let mut membership = ImportedMembership::default();
        for (name, value) in object {
            let path = format!("{path}.{name}");
            match (name.as_str(), value) {
                ("organization_id", value) => membership.organization_id = self.text(&path, value),
                ("roles", Value::Null) => {}
                ("roles", Value::Array(roles)) => {
                    let read = |(index, role)| self.text(&format!("{path}[{index}]"), role);
                    membership.roles = roles.iter().enumerate().map(read).collect();
                }
                ("roles", _) => self.flawed(&path, "must be a list"),
                _ => self.unknown(&path),
            }
        }
        membership
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn flaws(text: &str) -> Vec<(String, String)> {
        let flaws = read(text, 0).unwrap_err();
        flaws.into_iter().map(|flaw| (flaw.field, flaw.description)).collect()
    }

    #[test]
    fn every_field_is_read_by_its_name() {
        let line = r#"{"email": "a@x.org", "email_verified": true, "given_name": "A", "family_name": "B", "display_name": "C", "username": "abc",
            "locale": "en", "phone_number": "+1", "password_hash": "$2b$04$x", "suspended": true, "create_time": "2001-09-09T03:46:40.5+02:00",
            "memberships": [{"organization_id": "o", "roles": ["r", "s"]}, {"organization_id": "p"}]}"#;
        let user = read(line, 41).unwrap();
        let membership = |organization: &str, roles: &[&str]| ImportedMembership {
            organization_id: organization.to_owned(),
            roles: roles.iter().map(|role| (*role).to_owned()).collect(),
        };
        let expected = UserToImport {
            index: 41,
            email: "a@x.org".to_owned(),
            email_verified: true,
            given_name: "A".to_owned(),
            family_name: "B".to_owned(),
            display_name: "C".to_owned(),
            username: "abc".to_owned(),
            locale: "en".to_owned(),
            phone_number: "+1".to_owned(),
            password_hash: "$2b$04$x".to_owned(),
            suspended: true,
            create_time: Some(prost_types::Timestamp { seconds: 1_000_000_000, nanos: 500_000_000 }),
            memberships: vec![membership("o", &["r", "s"]), membership("p", &[])],
        };
        assert_eq!(user, expected);
        let nothing = r#"{"email": null, "suspended": null, "create_time": null, "memberships": null}"#;
        assert_eq!(read(nothing, 0), Ok(UserToImport::default()));
    }

    #[test]
    fn everything_wrong_is_told_and_no_value_repeated() {
        let line = r#"{"email": ["s3cret"], "suspended": "s3cret", "create_time": "s3cret", "phone": "s3cret", "index": 3,
            "memberships": ["s3cret", {"roles": "s3cret"}, {"roles": [3], "state": "s3cret"}], "password_hash": 7}"#;
        let found = flaws(line);
        let fields: Vec<&str> = found.iter().map(|(field, _)| field.as_str()).collect();
        let expected = [
            "create_time",
            "email",
            "index",
            "memberships[0]",
            "memberships[1].roles",
            "memberships[2].roles[0]",
            "memberships[2].state",
            "password_hash",
            "phone",
            "suspended",
        ];
        assert_eq!(fields, expected);
        assert!(!format!("{found:?}").contains("s3cret"));
        for text in ["", "s3cret", "[]", "\"s3cret\"", "{\"email\": \"s3cret", "{\"email\": s3cret}", "{} {}"] {
            let found = flaws(text);
            assert_eq!((found.len(), found[0].0.as_str()), (1, ""), "{text}");
            assert!(!found[0].1.contains("s3cret"), "{found:?}");
        }
    }
}
