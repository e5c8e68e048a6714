//! Reads the fields of a request into the domain's types, and gathers every violation on the way.
//!
//! Each reader corresponds to a term of the contract's `Constraints:` comments; a test sends what breaks each term to each field that has it.

use std::collections::HashMap;

use chrono::{DateTime, TimeDelta, Utc};
use secrecy::SecretString;
use uuid::Uuid;

use crate::{
    app::{call::error::Error, credentials::chosen_password::ChosenPassword},
    domain::{
        access_model::{AccessModel, CUSTOM_PREFIX, RoleSet, valid_id},
        attributes::Attributes,
        email::{EmailAddress, EmailDomain},
        error::Violation,
        password::PasswordPolicy,
        phone::PhoneNumber,
        text::{self, Locale, Username},
    },
};

/// Characters of an etag at the most.
pub(crate) const ETAG: usize = 64;
/// Characters of a token at the most; a shorter text that is none gets the answer of an unknown one.
pub(crate) const TOKEN: usize = 256;
/// How far a caller's clock may be ahead of ours.
const CLOCK_SKEW: TimeDelta = TimeDelta::minutes(5);
/// Characters of a password that is compared and not kept.
pub(crate) const PASSWORD: usize = 1024;
/// Characters of an access model's document at the most.
const MAX_DOCUMENT: usize = 131_072;
/// Roles that one request may name.
const MAX_ROLES: usize = 50;

/// A request that is parsed into a command of a use case.
pub(crate) trait Parse: prost::Message {
    /// The command.
    type Command;

    /// Reads every field. `None` only where a violation was noted.
    fn parse(&self, fields: &mut Fields<'_>) -> Option<Self::Command>;
}

/// What is being read, and what was wrong with it.
pub(crate) struct Fields<'a> {
    passwords: &'a PasswordPolicy,
    now: DateTime<Utc>,
    method: &'a str,
    prefix: String,
    violations: Vec<Violation>,
    request_id: Option<Uuid>,
}

impl<'a> Fields<'a> {
    pub(crate) fn new(passwords: &'a PasswordPolicy, now: DateTime<Utc>, method: &'a str) -> Self {
        Self { passwords, now, method, prefix: String::new(), violations: Vec::new(), request_id: None }
    }

    /// The method that is called.
    pub(crate) fn method(&self) -> &str {
        self.method
    }

    /// The command, with the request's id if it has one; or everything that is wrong.
    pub(crate) fn finish<T>(self, command: Option<T>) -> Result<(T, Option<Uuid>), Error> {
        match command {
            Some(command) if self.violations.is_empty() => Ok((command, self.request_id)),
            Some(_) => Err(Error::Invalid(self.violations)),
            None if self.violations.is_empty() => Err(Error::Internal("a request was refused in silence".to_owned())),
            None => Err(Error::Invalid(self.violations)),
        }
    }

    /// Notes a violation.
    pub(crate) fn violation(&mut self, field: &str, description: impl Into<String>) {
        self.violations.push(Violation { field: format!("{}{field}", self.prefix), description: description.into() });
    }

    /// Reads the fields of a message inside the request.
    pub(crate) fn within<T>(&mut self, field: &str, read: impl FnOnce(&mut Self) -> T) -> T {
        let outer = self.prefix.clone();
        self.prefix = format!("{outer}{field}.");
        let value = read(self);
        self.prefix = outer;
        value
    }

    /// Reads something whose violations are told apart from the request's, by names that begin there.
    pub(crate) fn apart<T>(&mut self, read: impl FnOnce(&mut Self) -> Option<T>) -> Result<T, Vec<Violation>> {
        let (prefix, outer) = (std::mem::take(&mut self.prefix), std::mem::take(&mut self.violations));
        let value = read(self);
        self.prefix = prefix;
        let found = std::mem::replace(&mut self.violations, outer);
        value.filter(|_| found.is_empty()).ok_or(found)
    }

    /// A message that has to be there.
    pub(crate) fn required<'m, T>(&mut self, field: &str, message: Option<&'m T>) -> Option<&'m T> {
        if message.is_none() {
            self.violation(field, "is required");
        }
        message
    }

    fn accept<T, E: Into<String>>(&mut self, field: &str, value: Result<T, E>) -> Option<T> {
        value.map_err(|flaw| self.violation(field, flaw)).ok()
    }

    /// "required; UUID".
    pub(crate) fn uuid(&mut self, field: &str, text: &str) -> Option<Uuid> {
        if text.is_empty() {
            self.violation(field, "is required");
            return None;
        }
        // The hyphenated form only: one id has one spelling.
        let parsed = Uuid::parse_str(text).ok().filter(|id| id.to_string() == text.to_lowercase());
        self.accept(field, parsed.ok_or("must be a UUID, such as 0197f0c0-7b1e-7c3a-9d2e-3f4a5b6c7d8e"))
    }

    /// "UUID".
    pub(crate) fn optional_uuid(&mut self, field: &str, text: &str) -> Option<Option<Uuid>> {
        match text {
            "" => Some(None),
            _ => self.uuid(field, text).map(Some),
        }
    }

    /// The id that makes the call safe to repeat.
    pub(crate) fn request_id(&mut self, text: &str) {
        self.request_id = self.optional_uuid("request_id", text).flatten();
    }

    /// "required; e-mail address".
    pub(crate) fn email(&mut self, field: &str, text: &str) -> Option<EmailAddress> {
        if text.is_empty() {
            self.violation(field, "is required");
            return None;
        }
        self.accept(field, EmailAddress::parse(text))
    }

    /// "e-mail address".
    pub(crate) fn optional_email(&mut self, field: &str, text: &str) -> Option<Option<EmailAddress>> {
        match text {
            "" => Some(None),
            _ => self.email(field, text).map(Some),
        }
    }

    /// "required" and a text type of the domain.
    pub(crate) fn text<T>(
        &mut self,
        field: &str,
        text: &str,
        parse: impl FnOnce(&str) -> Result<T, String>,
    ) -> Option<T> {
        if text.is_empty() {
            self.violation(field, "is required");
            return None;
        }
        self.accept(field, parse(text))
    }

    /// A text type of the domain, or nothing.
    pub(crate) fn optional_text<T>(
        &mut self,
        field: &str,
        text: &str,
        parse: impl FnOnce(&str) -> Result<T, String>,
    ) -> Option<Option<T>> {
        match text {
            "" => Some(None),
            _ => self.text(field, text, parse).map(Some),
        }
    }

    /// "attributes".
    pub(crate) fn attributes(&mut self, field: &str, entries: &HashMap<String, String>) -> Option<Attributes> {
        self.accept(field, Attributes::parse(entries))
    }

    /// "username".
    pub(crate) fn username(&mut self, field: &str, text: &str) -> Option<Option<Username>> {
        self.optional_text(field, text, Username::parse)
    }

    /// "language tag".
    pub(crate) fn locale(&mut self, field: &str, text: &str) -> Option<Option<Locale>> {
        self.optional_text(field, text, Locale::parse)
    }

    /// "telephone number".
    pub(crate) fn phone_number(&mut self, field: &str, text: &str) -> Option<Option<PhoneNumber>> {
        self.optional_text(field, text, PhoneNumber::parse)
    }

    /// "required; password". Of the password no more is looked at than its form: whether it is hard to guess takes time that only some may ask for (ab_31).
    pub(crate) fn password(&mut self, field: &str, password: &str) -> Option<ChosenPassword> {
        if password.is_empty() {
            self.violation(field, "is required");
            return None;
        }
        let checked = self.passwords.check_form(password);
        self.accept(field, checked)
            .map(|()| ChosenPassword { field: format!("{}{field}", self.prefix), text: SecretString::from(password) })
    }

    /// "required; at most N characters", taken as it is: what is compared, not kept.
    pub(crate) fn secret(&mut self, field: &str, secret: &str, longest: usize) -> Option<SecretString> {
        if secret.is_empty() {
            self.violation(field, "is required");
            return None;
        }
        self.at_most(field, secret, longest).map(SecretString::from)
    }

    /// "at most N characters".
    pub(crate) fn at_most(&mut self, field: &str, text: &str, longest: usize) -> Option<String> {
        if text.chars().count() > longest {
            self.violation(field, format!("must have at most {longest} characters"));
            return None;
        }
        Some(text.to_owned())
    }

    /// "at most N characters; text": several lines, nothing hidden.
    pub(crate) fn lines(&mut self, field: &str, text: &str, longest: usize) -> Option<Option<String>> {
        let text = text.trim();
        if text.is_empty() {
            return Some(None);
        }
        self.at_most(field, text, longest)?;
        match text.lines().find_map(text::flaw) {
            Some(flaw) => {
                self.violation(field, flaw);
                None
            }
            None => Some(Some(text.to_owned())),
        }
    }

    /// "required; access model": every mistake of the document is a violation.
    pub(crate) fn access_model(&mut self, field: &str, document: &str) -> Option<AccessModel> {
        if document.is_empty() {
            self.violation(field, "is required");
            return None;
        }
        self.at_most(field, document, MAX_DOCUMENT)?;
        let read = AccessModel::parse(document);
        read.map_err(|mistakes| mistakes.iter().for_each(|mistake| self.violation(field, mistake.to_string()))).ok()
    }

    /// "required; identifier".
    pub(crate) fn identifier(&mut self, field: &str, text: &str) -> Option<String> {
        if text.is_empty() {
            self.violation(field, "is required");
            return None;
        }
        let valid = valid_id(text).then(|| text.to_owned());
        self.accept(
            field,
            valid
                .ok_or("must be an identifier: lower-case letters, digits and underscores, in parts separated by dots"),
        )
    }

    /// "identifier".
    pub(crate) fn optional_identifier(&mut self, field: &str, text: &str) -> Option<Option<String>> {
        match text {
            "" => Some(None),
            _ => self.identifier(field, text).map(Some),
        }
    }

    /// "required; custom role".
    pub(crate) fn custom_role(&mut self, field: &str, text: &str) -> Option<String> {
        let id = self.identifier(field, text)?;
        let custom = Some(id).filter(|id| id.starts_with(CUSTOM_PREFIX));
        self.accept(field, custom.ok_or_else(|| format!("must begin with {CUSTOM_PREFIX}")))
    }

    /// "required; at most 50 items; identifier": roles.
    pub(crate) fn some_roles(&mut self, field: &str, roles: &[String]) -> Option<RoleSet> {
        if roles.is_empty() {
            self.violation(field, "is required");
            return None;
        }
        self.roles(field, roles)
    }

    /// "at most 50 items; identifier": roles.
    pub(crate) fn roles(&mut self, field: &str, roles: &[String]) -> Option<RoleSet> {
        self.identifiers(field, roles, MAX_ROLES).map(RoleSet::from_iter)
    }

    /// "at most N items; identifier".
    pub(crate) fn identifiers(&mut self, field: &str, ids: &[String], most: usize) -> Option<Vec<String>> {
        self.each(field, ids, most, Self::identifier)
    }

    /// "at most N items; UUID".
    pub(crate) fn uuids(&mut self, field: &str, ids: &[String], most: usize) -> Option<Vec<Uuid>> {
        self.each(field, ids, most, Self::uuid)
    }

    /// "at most N items; domain".
    pub(crate) fn domains(&mut self, field: &str, domains: &[String], most: usize) -> Option<Vec<EmailDomain>> {
        self.each(field, domains, most, |fields, field, domain| fields.accept(field, EmailDomain::parse(domain)))
    }

    /// A list, each item of which is read alike.
    fn each<T>(
        &mut self,
        field: &str,
        items: &[String],
        most: usize,
        read: impl Fn(&mut Self, &str, &str) -> Option<T>,
    ) -> Option<Vec<T>> {
        self.items(field, items, most)?;
        let read: Vec<Option<T>> =
            items.iter().enumerate().map(|(index, item)| read(self, &format!("{field}[{index}]"), item)).collect();
        read.into_iter().collect()
    }

    /// "0 or more".
    pub(crate) fn not_negative(&mut self, field: &str, number: i64) -> Option<i64> {
        self.accept(field, Some(number).filter(|number| *number >= 0).ok_or("must be 0 or more"))
    }

    /// "N to M".
    pub(crate) fn between(&mut self, field: &str, number: i64, least: i64, most: i64) -> Option<i64> {
        let found = Some(number).filter(|number| (least..=most).contains(number));
        self.accept(field, found.ok_or_else(|| format!("must be between {least} and {most}")))
    }

    /// "past time": left out, it is now. A clock that is a little ahead is no mistake of the caller's, and means now.
    pub(crate) fn past(&mut self, field: &str, time: Option<&prost_types::Timestamp>) -> Option<DateTime<Utc>> {
        let Some(time) = time else {
            return Some(self.now);
        };
        let now = self.now;
        let read = instant(time).filter(|time| *time >= DateTime::UNIX_EPOCH && *time <= now + CLOCK_SKEW);
        self.accept(field, read.ok_or("must be a time in the past, and not before 1970")).map(|time| time.min(now))
    }

    /// "time": any, of which more than microseconds is cut off.
    pub(crate) fn time(&mut self, field: &str, time: Option<&prost_types::Timestamp>) -> Option<Option<DateTime<Utc>>> {
        let Some(time) = time else {
            return Some(None);
        };
        self.accept(field, instant(time).ok_or("must be a time between the years 1 and 9999")).map(Some)
    }

    /// "at most N items".
    pub(crate) fn items<T>(&mut self, field: &str, items: &[T], most: usize) -> Option<()> {
        if items.len() > most {
            self.violation(field, format!("must have at most {most} items"));
            return None;
        }
        Some(())
    }

    /// "known value": one of an enum.
    pub(crate) fn value<T>(&mut self, field: &str, value: i32, known: impl FnOnce(i32) -> Option<T>) -> Option<T> {
        self.accept(field, known(value).ok_or("must be a known value"))
    }

    /// "at most 10 items; known value": enum values, each read by `known`.
    pub(crate) fn values<T>(
        &mut self,
        field: &str,
        values: &[i32],
        known: impl Fn(i32) -> Option<T>,
    ) -> Option<Vec<T>> {
        self.items(field, values, 10)?;
        let read: Vec<Option<T>> = values
            .iter()
            .enumerate()
            .map(|(index, value)| {
                let value = known(*value).ok_or("must be a known value other than UNSPECIFIED");
                self.accept(&format!("{field}[{index}]"), value)
            })
            .collect();
        read.into_iter().collect()
    }

    /// "future time".
    pub(crate) fn future(
        &mut self,
        field: &str,
        time: Option<&prost_types::Timestamp>,
    ) -> Option<Option<DateTime<Utc>>> {
        let Some(time) = time else {
            return Some(None);
        };
        let now = self.now;
        self.accept(field, instant(time).filter(|time| *time > now).ok_or("must be a time in the future")).map(Some)
    }
}

/// A time of the contract to the microsecond, which is what databases keep; `None` where it is none (`google.protobuf.Timestamp` says which).
fn instant(time: &prost_types::Timestamp) -> Option<DateTime<Utc>> {
    let nanos = u32::try_from(time.nanos).ok().filter(|nanos| *nanos < 1_000_000_000)?;
    (-62_135_596_800..=253_402_300_799)
        .contains(&time.seconds)
        .then(|| DateTime::from_timestamp(time.seconds, nanos / 1000 * 1000))?
}
