//! What a person is called: changed by themselves, by a service, or by others where the access model lets them.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::{
    app::call::error::Error,
    domain::{
        attributes::Attributes,
        error::Reason,
        phone::PhoneNumber,
        text::{DisplayName, Locale, PersonName, Username},
    },
    store::{StoreError, User},
};

/// The fields that change; `None` stays as it is, and an inner `None` is cleared.
#[derive(Debug, Clone, Default)]
pub(crate) struct ProfileChange {
    /// Given name.
    pub(crate) given_name: Option<PersonName>,
    /// Family name.
    pub(crate) family_name: Option<Option<PersonName>>,
    /// The name that people see, in place of the two above.
    pub(crate) display_name: Option<Option<DisplayName>>,
    /// The name to sign in with besides the address.
    pub(crate) username: Option<Option<Username>>,
    /// The language of messages.
    pub(crate) locale: Option<Option<Locale>>,
    /// How people reach the person besides by mail.
    pub(crate) phone_number: Option<Option<PhoneNumber>>,
    /// What services keep with the person.
    pub(crate) attributes: Option<Attributes>,
}

/// What a change of a profile has changed.
#[derive(Debug)]
pub(crate) struct ChangedProfile {
    /// The fields before and after: for the person's own record, and for no other.
    pub(crate) values: Value,
    any: bool,
    /// Those that rosters show: what organizations are told of (ab_39).
    shown: Vec<&'static str>,
}

impl ChangedProfile {
    /// Whether everything is what it was.
    pub(crate) fn nothing(&self) -> bool {
        !self.any
    }

    /// Whether rosters show anything of it.
    pub(crate) fn shows(&self) -> bool {
        !self.shown.is_empty()
    }

    /// What the record of an organization holds of it: which fields, and no value. The values would stay in its chain for ever.
    pub(crate) fn fields(&self) -> Value {
        json!({ "after": { "fields": self.shown } })
    }
}

/// The fields of a person that rosters show.
const SHOWN: [&str; 4] = ["given_name", "family_name", "display_name", "username"];

impl ProfileChange {
    /// Changes the user; answers with what is different.
    pub(crate) fn apply(&self, user: &mut User) -> ChangedProfile {
        let before = fields(user);
        if let Some(name) = &self.given_name {
            user.given_name = name.as_str().to_owned();
        }
        if let Some(name) = &self.family_name {
            user.family_name = name.as_ref().map_or_else(String::new, |name| name.as_str().to_owned());
        }
        if let Some(name) = &self.display_name {
            user.display_name = name.as_ref().map(|name| name.as_str().to_owned());
        }
        if let Some(name) = &self.username {
            user.username = name.as_ref().map(|name| name.as_str().to_owned());
        }
        if let Some(locale) = &self.locale {
            user.locale = locale.as_ref().map(|locale| locale.as_str().to_owned());
        }
        if let Some(number) = &self.phone_number {
            user.phone_number = number.as_ref().map(|number| number.as_str().to_owned());
        }
        if let Some(attributes) = &self.attributes {
            user.attributes = attributes.stored();
        }
        let after = fields(user);
        let changed = |side: &BTreeMap<&str, Value>, other: &BTreeMap<&str, Value>| -> Value {
            let differing = side.iter().filter(|(name, value)| other.get(*name) != Some(*value));
            differing.map(|(name, value)| ((*name).to_owned(), value.clone())).collect()
        };
        ChangedProfile {
            values: json!({ "before": changed(&before, &after), "after": changed(&after, &before) }),
            any: before != after,
            shown: SHOWN.into_iter().filter(|name| before.get(name) != after.get(name)).collect(),
        }
    }
}

fn fields(user: &User) -> BTreeMap<&'static str, Value> {
    BTreeMap::from([
        ("given_name", json!(user.given_name)),
        ("family_name", json!(user.family_name)),
        ("display_name", json!(user.display_name)),
        ("username", json!(user.username)),
        ("locale", json!(user.locale)),
        ("phone_number", json!(user.phone_number)),
        ("attributes", json!(user.attributes)),
    ])
}

/// What the record holds of an account that is new.
pub(crate) fn described(user: &User) -> Value {
    let profile = fields(user).into_iter();
    let account = [
        ("email", json!(user.email)),
        ("email_verified", json!(user.email_verify_time.is_some())),
        ("state", json!(user.state.as_str())),
    ];
    profile.chain(account).map(|(name, value)| (name.to_owned(), value)).collect()
}

/// The unique key that a profile can run into is the username.
pub(crate) fn username_taken(error: StoreError) -> Error {
    match error {
        StoreError::Duplicate(_) => Reason::UsernameTaken.into(),
        other => other.into(),
    }
}
