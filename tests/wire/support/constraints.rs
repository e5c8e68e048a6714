//! The `Constraints:` in the comments of the contract's request fields: what each term means, by values that break it and values that just keep it.

use chrono::{DateTime, Utc};
use prost_reflect::{DynamicMessage, FieldDescriptor, Kind, MapKey, Value};

use super::dynamic::{Place, field_comment, oneof_comment};
use super::models::document;

/// One term of a `Constraints:` comment.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Term {
    Required,
    Uuid,
    Email,
    /// "1 to N characters".
    Characters(usize),
    /// "at most N characters".
    AtMost(usize),
    /// "1 to N": a number.
    Count(i64),
    /// "at most N items".
    Items(usize),
    OneLine,
    /// "text": several lines.
    Text,
    Password,
    /// "password hash": one that can be compared with, and does not cost too much.
    PasswordHash,
    /// "access model": its document.
    AccessModel,
    Identifier,
    LanguageTag,
    Username,
    /// "telephone number": in international form.
    PhoneNumber,
    /// "0 or more".
    NotNegative,
    PageToken,
    /// "event cursor": one that the service has given.
    EventCursor,
    /// "token": at most 256 characters; what is no token is unknown, not invalid.
    Token,
    Scope,
    KnownValue,
    UpdateMask,
    FutureTime,
    /// "time": any that `google.protobuf.Timestamp` allows.
    Time,
    /// "past time": from 1970 until five minutes from now.
    PastTime,
    /// "custom role": an identifier that begins with `custom.`.
    CustomRole,
    /// "attributes": at most 20, by names of 1 to 64 lower case letters, digits, `.`, `_` and `-`, each 1 to 256 characters in one line.
    Attributes,
    /// "slug": 3 to 63 lower case letters, digits and hyphens, with a letter or digit at both ends.
    Slug,
    /// "domain": of addresses, such as `example.com`.
    Domain,
}

impl Term {
    fn read(term: &str) -> Option<Self> {
        let number = |prefix: &str, suffix: &str| term.strip_prefix(prefix)?.strip_suffix(suffix)?.parse().ok();
        let counted = number("1 to ", " characters")
            .map(Self::Characters)
            .or_else(|| number("at most ", " characters").map(Self::AtMost))
            .or_else(|| number("at most ", " items").map(Self::Items))
            .or_else(|| term.strip_prefix("1 to ")?.parse().ok().map(Self::Count));
        counted.or(match term {
            "required" => Some(Self::Required),
            "UUID" => Some(Self::Uuid),
            "e-mail address" => Some(Self::Email),
            "one line" => Some(Self::OneLine),
            "text" => Some(Self::Text),
            "password" => Some(Self::Password),
            "password hash" => Some(Self::PasswordHash),
            "access model" => Some(Self::AccessModel),
            "identifier" => Some(Self::Identifier),
            "language tag" => Some(Self::LanguageTag),
            "username" => Some(Self::Username),
            "telephone number" => Some(Self::PhoneNumber),
            "0 or more" => Some(Self::NotNegative),
            "page token" => Some(Self::PageToken),
            "event cursor" => Some(Self::EventCursor),
            "token" => Some(Self::Token),
            "scope" => Some(Self::Scope),
            "known value" => Some(Self::KnownValue),
            "update mask" => Some(Self::UpdateMask),
            "future time" => Some(Self::FutureTime),
            "time" => Some(Self::Time),
            "past time" => Some(Self::PastTime),
            "custom role" => Some(Self::CustomRole),
            "attributes" => Some(Self::Attributes),
            "slug" => Some(Self::Slug),
            "domain" => Some(Self::Domain),
            _ => None,
        })
    }

    /// The terms of a comment; none where it has no `Constraints:`.
    fn all_in(comment: &str) -> Result<Vec<Self>, String> {
        let Some((_, terms)) = comment.split_once("Constraints: ") else {
            return Ok(Vec::new());
        };
        let terms = terms.strip_suffix('.').ok_or_else(|| format!("no full stop behind the constraints: {comment}"))?;
        let read = |term: &str| Self::read(term).ok_or_else(|| format!("an unknown term: {term:?}"));
        terms.split("; ").map(read).collect()
    }

    /// The terms of a field.
    pub(crate) fn of_field(field: &FieldDescriptor) -> Result<Vec<Self>, String> {
        Self::all_in(&field_comment(field))
    }

    /// Whether the `oneof` that a field belongs to is required.
    pub(crate) fn of_oneof(field: &FieldDescriptor) -> Result<Option<Vec<Self>>, String> {
        field.containing_oneof().map(|oneof| Self::all_in(&oneof_comment(&oneof))).transpose()
    }

    /// Whether the term is about each item of a list, not about the list.
    fn is_of_item(&self) -> bool {
        !matches!(self, Self::Required | Self::Items(_) | Self::Attributes)
    }

    /// Values that break the term.
    fn breaking(&self, field: &FieldDescriptor, now: DateTime<Utc>) -> Vec<Value> {
        match self {
            // Absence is no value; counts depend on what is valid.
            Self::Required | Self::Items(_) => Vec::new(),
            Self::Uuid => texts(&[
                "not-a-uuid",
                "0197f0c07b1e7c3a9d2e3f4a5b6c7d8e",
                "{0197f0c0-7b1e-7c3a-9d2e-3f4a5b6c7d8e}",
                "urn:uuid:0197f0c0-7b1e-7c3a-9d2e-3f4a5b6c7d8e",
                " 0197f0c0-7b1e-7c3a-9d2e-3f4a5b6c7d8e",
                "0197f0c0-7b1e-7c3a-9d2e-3f4a5b6c7d8e0",
            ]),
            Self::Email => texts(&[
                "nobody",
                "a b@example.com",
                "Ada <ada@example.com>",
                "ada@localhost",
                "a@b@example.com",
                &format!("{}@example.com", "a".repeat(65)),
            ]),
            Self::Characters(most) => texts(&[&"x".repeat(most + 1), " ", "\u{3000}\t"]),
            Self::AtMost(most) => texts(&[&"x".repeat(most + 1), &"é".repeat(most + 1)]),
            Self::Token => Self::AtMost(256).breaking(field, now),
            Self::Slug => texts(&["ab", "-ab", "ab-", "a_b", "Abc", "a b", "\u{e4}bc", &"x".repeat(64)]),
            Self::Domain => texts(&[
                "example",
                "@example.com",
                "a@example.com",
                "exam ple.com",
                ".example.com",
                "*.example.com",
                "192.0.2.1",
                &format!("{}.example", "a".repeat(64)),
            ]),
            Self::Attributes => {
                let name = "n".repeat(65);
                let value = "x".repeat(257);
                let wrong = [
                    ("", "x"),
                    ("Plan", "x"),
                    ("a b", "x"),
                    (&name, "x"),
                    ("plan", ""),
                    ("plan", "a\nb"),
                    ("plan", &value),
                ];
                wrong.iter().map(|one| attributes(&[*one])).chain([numbered(21)]).collect()
            }
            Self::OneLine => texts(&["a\nb", "a\r\nb", "a\u{0}b", "a\u{202E}b", "a\u{200B}b"]),
            Self::Text => texts(&["a\u{0}b", "a\u{7}b", "a\u{202E}b", "a\nb\u{2066}c"]),
            Self::Password => texts(&[
                "violet tractor",
                "aaaaaaaaaaaaaaaaaaaaaaaa",
                "passwordpassword123",
                "violet tractor\u{0} under 9 moons",
                &"violet tractor under 9 moons ".repeat(9),
            ]),
            Self::PasswordHash => texts(&[
                "violet tractor under 9 moons",
                "$1$abcdefgh$irnCpbHcSoJjOYeJ4QxhO1",
                "$2b$15$Nfi7wvDw1xDSBJ3hJi7KN.8kTKFNh9Sb9FWtqj5rsCVJV0/KEkmMS",
                "$2b$10$Nfi7wvDw1xDSBJ3hJi7KN.8kTKFNh9Sb9FWtqj5rsCVJV0/KEkmM",
                "$scrypt$ln=18,r=8,p=1$c29tZXNhbHQ$CTFhFdXPJO1aFaMaO6Mm5c8y7cJHAph8ArZWb2GRPPc",
                &"x".repeat(100_000),
            ]),
            Self::AccessModel => texts(&[
                "id = \"acme\"",
                "no document",
                &document("Acme", &[]),
                &document("acme", &[("\"members.read\", ", "\"no.such\", ")]),
                &format!("{}#{}", document("acme", &[]), "x".repeat(131_072)),
            ]),
            Self::Identifier => {
                texts(&["Upper", "a..b", ".a", "a.", "a b", "1a", "a-b", "\u{430}dmin", &"x".repeat(65)])
            }
            Self::CustomRole => texts(&[
                "auditor",
                "custom",
                "custom.",
                "customs.auditor",
                "Custom.auditor",
                &format!("custom.{}", "x".repeat(58)),
            ]),
            Self::LanguageTag => texts(&["e", "english", "en_US", "en-", "en-US-US"]),
            Self::Username => texts(&["ab", "a b c", "ada@example.com", "ümit", ".ada", &"a".repeat(65)]),
            Self::PhoneNumber => texts(&["+", "020 7946 0018", "+123456", "+1234567890123456", "+44 20 x"]),
            Self::NotNegative => match field.kind() {
                Kind::Int64 => vec![Value::I64(-1), Value::I64(i64::MIN)],
                _ => vec![Value::I32(-1), Value::I32(i32::MIN)],
            },
            Self::EventCursor => texts(&["x", "not base64!", &"A".repeat(32), &"AgAA".repeat(20)]),
            Self::PageToken => texts(&["x", "not base64!", &"A".repeat(32), &"A".repeat(100)]),
            Self::Scope => texts(&["no.such.scope", "Operator", "operator ", "*"]),
            // Left out, it stands for a value of its own; among others, for nothing.
            Self::KnownValue if !field.is_list() => [-1, 999].map(Value::EnumNumber).to_vec(),
            Self::KnownValue => [0, -1, 999].map(Value::EnumNumber).to_vec(),
            Self::UpdateMask => ["nope", "organization_id", "organization.display_name", "display_name.x", ""]
                .map(|path| message(field, &[("paths", Value::List(texts(&[path])))]))
                .to_vec(),
            Self::FutureTime => {
                let now = now.timestamp();
                times(field, &[(now, 0), (0, 0), (i64::MIN, 0), (i64::MAX, 0), (now + 3600, -1)])
            }
            Self::PastTime => {
                let now = now.timestamp();
                times(field, &[(i64::MIN, 0), (i64::MAX, 0), (-1, 0), (now + 301, 0), (now, -1), (now, 1_000_000_000)])
            }
            Self::Count(most) => [0, -1, most + 1].map(Value::I64).to_vec(),
            Self::Time => {
                let now = now.timestamp();
                times(field, &[(i64::MIN, 0), (i64::MAX, 0), (253_402_300_800, 0), (now, -1), (now, 1_000_000_000)])
            }
        }
    }

    /// Values at the edge of what the term allows.
    fn keeping(&self, field: &FieldDescriptor, now: DateTime<Utc>) -> Vec<Value> {
        match self {
            Self::Uuid => texts(&["0197F0C0-7B1E-7C3A-9D2E-3F4A5B6C7D8E"]),
            Self::Email => texts(&["Ada.Lovelace+tag@bücher.example", &format!("{}@example.com", "a".repeat(64))]),
            Self::Characters(most) => texts(&["x", &"x".repeat(*most), &"e\u{301}".repeat(*most)]),
            Self::AtMost(most) => texts(&[&"x".repeat(*most), &"é".repeat(*most)]),
            Self::Token => Self::AtMost(256).keeping(field, now),
            Self::Text => texts(&["two\nlines", "three\r\n\r\nlines"]),
            Self::Password => {
                texts(&["zqvmwthbkxnrjpd", &"violet tractor under 9 moons ".repeat(9)[..256], "päßwört für neun Monde"])
            }
            Self::PasswordHash => texts(&[
                "$2a$14$Nfi7wvDw1xDSBJ3hJi7KN.8kTKFNh9Sb9FWtqj5rsCVJV0/KEkmMS",
                "$pbkdf2-sha256$2000000$c29tZXNhbHQ$CTFhFdXPJO1aFaMaO6Mm5c8y7cJHAph8ArZWb2GRPPc",
            ]),
            Self::AccessModel => texts(&[&document("acme", &[])]),
            Self::Identifier => texts(&["x", "a.b_c9", &"x".repeat(64)]),
            Self::CustomRole => texts(&["custom.x", &format!("custom.{}", "x".repeat(57))]),
            Self::LanguageTag => texts(&["en", "PT-br", "zh-Hant-TW", "es-419"]),
            Self::Username => texts(&["abc", "Ada.Lovelace-9_x"]),
            Self::PhoneNumber => texts(&["+1234567", "+44 (20) 7946-0018"]),
            Self::NotNegative => match field.kind() {
                Kind::Int64 => vec![Value::I64(0), Value::I64(i64::MAX)],
                _ => vec![Value::I32(0), Value::I32(i32::MAX)],
            },
            Self::Scope => texts(&["operator", "users.read"]),
            Self::KnownValue => {
                let Kind::Enum(known) = field.kind() else { panic!("{} is no enum", field.full_name()) };
                let numbers = known.values().map(|value| value.number()).filter(|number| *number != 0);
                numbers.map(Value::EnumNumber).collect()
            }
            Self::UpdateMask => vec![message(field, &[("paths", Value::List(texts(&["display_name"])))])],
            Self::FutureTime => {
                let [soon, late] = [1, 100 * 365 * 86_400].map(|later| now.timestamp() + later);
                times(field, &[(soon, 0), (late, 0)])
            }
            Self::PastTime => times(field, &[(0, 0), (now.timestamp(), 0), (now.timestamp() + 299, 0)]),
            Self::Count(most) => [1, *most].map(Value::I64).to_vec(),
            Self::Time => {
                times(field, &[(0, 0), (-62_135_596_800, 0), (253_402_300_799, 999_999_999), (now.timestamp(), 0)])
            }
            Self::Slug => texts(&["abc", "a-b", &"x".repeat(63)]),
            Self::Domain => {
                texts(&["example.com", "EXAMPLE.com", "b\u{fc}cher.example", &format!("{}.example", "a".repeat(63))])
            }
            Self::Attributes => vec![numbered(20), attributes(&[("crm.id", &"x".repeat(256)), (&"n".repeat(64), "x")])],
            Self::Required | Self::Items(_) | Self::OneLine | Self::PageToken | Self::EventCursor => Vec::new(),
        }
    }
}

/// A map of attributes.
fn attributes(entries: &[(&str, &str)]) -> Value {
    let entry = |(name, value): &(&str, &str)| (MapKey::String((*name).to_owned()), Value::String((*value).to_owned()));
    Value::Map(entries.iter().map(entry).collect())
}

/// So many attributes.
fn numbered(count: usize) -> Value {
    let names: Vec<String> = (0..count).map(|number| format!("n{number}")).collect();
    attributes(&names.iter().map(|name| (name.as_str(), "x")).collect::<Vec<_>>())
}

fn texts(texts: &[&str]) -> Vec<Value> {
    texts.iter().map(|text| Value::String((*text).to_owned())).collect()
}

/// Times of the contract, by seconds and nanoseconds.
fn times(field: &FieldDescriptor, times: &[(i64, i32)]) -> Vec<Value> {
    let time = |(seconds, nanos): &(i64, i32)| {
        message(field, &[("seconds", Value::I64(*seconds)), ("nanos", Value::I32(*nanos))])
    };
    times.iter().map(time).collect()
}

/// A well-known message, such as a time.
fn message(field: &FieldDescriptor, values: &[(&str, Value)]) -> Value {
    let Kind::Message(descriptor) = field.kind() else { panic!("{} is no message", field.full_name()) };
    let mut message = DynamicMessage::new(descriptor);
    for (name, value) in values {
        message.set_field_by_name(name, value.clone());
    }
    Value::Message(message)
}

/// A field of a request with something in it, or with nothing.
#[derive(Clone, Debug)]
pub(crate) struct Filling {
    pub(crate) place: Place,
    /// `None`: absent.
    pub(crate) value: Option<Value>,
    /// The name by which a violation there is reported.
    pub(crate) reported: String,
}

impl Filling {
    /// Puts it into a request.
    pub(crate) fn put(&self, request: &mut DynamicMessage) {
        match &self.value {
            Some(value) => self.place.set(request, value.clone()),
            None => self.place.clear(request),
        }
    }
}

/// A field of a request with its terms.
pub(crate) struct Constrained {
    pub(crate) place: Place,
    pub(crate) terms: Vec<Term>,
    /// Every filling that breaks one term, term by term.
    pub(crate) breaking: Vec<Filling>,
    /// Every filling that just keeps its terms.
    pub(crate) keeping: Vec<Filling>,
}

impl Constrained {
    /// The fields of a valid request that have terms.
    pub(crate) fn all_in(request: &DynamicMessage, now: DateTime<Utc>) -> Vec<Self> {
        let places = Place::all_in(request);
        let fields = places.into_iter().map(|place| Self::of(place, request, now));
        fields.filter(|field| !field.breaking.is_empty()).collect()
    }

    fn of(place: Place, request: &DynamicMessage, now: DateTime<Utc>) -> Self {
        let field = place.field.clone();
        let terms = Term::of_field(&field).unwrap();
        let mut constrained =
            Self { breaking: Vec::new(), keeping: Vec::new(), terms: terms.clone(), place: place.clone() };
        // A `oneof` is required as a whole: it is broken where the one that is there is not.
        let holds = !matches!(place.get(request), Value::List(list) if list.is_empty());
        if let Some(oneof) = field.containing_oneof() {
            if !place.is_in(request) {
                return constrained;
            }
            if Term::of_oneof(&field).unwrap().unwrap_or_default().contains(&Term::Required) {
                let reported = place.beside(oneof.name());
                constrained.breaking.push(Filling { place: place.clone(), value: None, reported });
            }
        }
        let filling = |value: Option<Value>, reported: String| Filling { place: place.clone(), value, reported };
        for term in &terms {
            match term {
                Term::Required => constrained.breaking.push(filling(None, place.to_string())),
                Term::Items(most) => {
                    let item = match place.get(request) {
                        Value::List(list) if holds => list[0].clone(),
                        _ => match field.kind() {
                            Kind::Message(inner) => Value::Message(DynamicMessage::new(inner)),
                            Kind::String => Value::String("x".to_owned()),
                            _ => Value::EnumNumber(1),
                        },
                    };
                    let of = |count: usize| Some(Value::List(vec![item.clone(); count]));
                    constrained.breaking.push(filling(of(most + 1), place.to_string()));
                    // A message without anything in it is seldom valid, nor is any text.
                    if holds || !matches!(field.kind(), Kind::Message(_) | Kind::String) {
                        constrained.keeping.push(filling(of(*most), place.to_string()));
                    }
                }
                term => {
                    let in_list = field.is_list() && term.is_of_item();
                    let whole = |value: Value| if in_list { Value::List(vec![value]) } else { value };
                    let reported = if in_list { format!("{place}[0]") } else { place.to_string() };
                    let fill = |value| filling(Some(whole(value)), reported.clone());
                    constrained.breaking.extend(term.breaking(&field, now).into_iter().map(fill));
                    constrained.keeping.extend(term.keeping(&field, now).into_iter().map(fill));
                }
            }
        }
        constrained
    }

    /// The filling that breaks the most particular term of the field; `None` where the fields inside it are what is to be broken.
    pub(crate) fn worst(&self) -> Option<&Filling> {
        self.breaking.iter().rev().find(|filling| match filling.value {
            Some(Value::List(ref list)) => !matches!(list.first(), Some(Value::Message(_))),
            Some(_) => true,
            None => false,
        })
    }
}
