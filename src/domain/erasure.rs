//! Erasing what records hold of a person, without breaking their chains.
//!
//! The hash of an event covers its data, so that data cannot be taken out unseen. An event whose data is erased keeps its hash, which the next one covers, and what is left of it is told by a later event
//! of the same stream: its revision, and the hash that it has without its data. Whoever verifies the chain finds the one by the other (GDPR, Article 17; `docs/decisions/0053-erasure-keeps-the-chain.md`).

use std::collections::BTreeMap;

use data_encoding::HEXLOWER;
use serde_json::{Value, json};

/// By what data tells that something of it was erased.
const ERASED: &str = "erased";

/// The event of an account that was erased.
pub const USER_ERASED: &str = "user.erased";

/// The event of an organization whose record held something of a person who was erased.
pub const DATA_ERASED: &str = "organization.data_erased";

/// Under what these events name the entries whose data was erased.
const ENTRIES: &str = "erased_entries";

/// The fields by which events tell something of a person: who they are called, and how they are reached.
const PERSONAL: [&str; 11] = [
    "email",
    "given_name",
    "family_name",
    "display_name",
    "username",
    "phone_number",
    "locale",
    "attributes",
    "issuer",
    "subject",
    "ip_address",
];

/// The data of an event without what it tells of a person, at any depth; `None` where it tells nothing of one.
#[must_use]
pub fn without_person(data: &str) -> Option<String> {
    let mut data: Value = serde_json::from_str(data).ok()?;
    if !clear(&mut data) {
        return None;
    }
    data.as_object_mut()?.insert(ERASED.to_owned(), Value::Bool(true));
    Some(data.to_string())
}

/// Takes personal values out; answers whether there were any.
fn clear(value: &mut Value) -> bool {
    let clear_field = |(name, value): (&String, &mut Value)| match PERSONAL.contains(&name.as_str()) {
        true => !std::mem::take(value).is_null(),
        false => clear(value),
    };
    // Each is looked at, also behind one that was found.
    match value {
        Value::Object(fields) => fields.iter_mut().map(clear_field).fold(false, |any, this| any | this),
        Value::Array(items) => items.iter_mut().map(clear).fold(false, |any, this| any | this),
        _ => false,
    }
}

/// Whether something of an event's data was erased.
#[must_use]
pub fn is_erased(data: &str) -> bool {
    serde_json::from_str::<Value>(data).is_ok_and(|data| data.get(ERASED) == Some(&Value::Bool(true)))
}

/// What an event tells of entries whose data was erased: by revision, the hash that each has without it.
#[must_use]
pub fn named(entries: &BTreeMap<i64, Vec<u8>>) -> Value {
    let entries = entries.iter().map(|(revision, hash)| (revision.to_string(), json!(HEXLOWER.encode(hash))));
    json!({ ENTRIES: Value::Object(entries.collect()) })
}

/// The entries whose data was erased, as an event of this kind names them.
#[must_use]
pub fn read(kind: &str, data: &str) -> BTreeMap<i64, Vec<u8>> {
    if ![USER_ERASED, DATA_ERASED].contains(&kind) {
        return BTreeMap::new();
    }
    let data: Value = serde_json::from_str(data).unwrap_or_default();
    let entries = data.get(ENTRIES).and_then(Value::as_object).into_iter().flatten();
    let read = |(revision, hash): (&String, &Value)| {
        Some((revision.parse().ok()?, HEXLOWER.decode(hash.as_str()?.as_bytes()).ok()?))
    };
    entries.filter_map(read).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_names_somebody_or_tells_how_they_are_reached_is_taken_out_and_the_rest_stays() {
        for (data, left) in [
            (r#"{"email":"ada@example.com","roles":["member"]}"#, r#"{"email":null,"erased":true,"roles":["member"]}"#),
            (
                r#"{"after":{"given_name":"Bea"},"before":{"given_name":"Ada","state":"active"}}"#,
                r#"{"after":{"given_name":null},"before":{"given_name":null,"state":"active"},"erased":true}"#,
            ),
            (r#"{"after":[{"phone_number":"+49301234"}]}"#, r#"{"after":[{"phone_number":null}],"erased":true}"#),
        ] {
            assert_eq!(without_person(data).as_deref(), Some(left));
            assert!(is_erased(left) && !is_erased(data));
            assert_eq!(without_person(left), None);
        }
        for data in [
            r#"{"after":{"fields":["given_name"]}}"#,
            r#"{"after":{"email":null}}"#,
            r#"{"roles":["owner"]}"#,
            "not JSON",
        ] {
            assert_eq!(without_person(data), None, "{data}");
            assert!(!is_erased(data));
        }
    }

    #[test]
    fn what_an_event_names_is_read_from_events_of_these_kinds_only() {
        let entries = BTreeMap::from([(3, vec![1, 2]), (12, vec![255])]);
        let data = named(&entries).to_string();
        assert_eq!(read(USER_ERASED, &data), entries);
        assert_eq!(read(DATA_ERASED, &data), entries);
        assert_eq!(read("contact.updated", &data), BTreeMap::new());
        assert_eq!(read(USER_ERASED, r#"{"erased_entries":{"x":"01","2":3,"4":"zz"}}"#), BTreeMap::new());
    }
}
