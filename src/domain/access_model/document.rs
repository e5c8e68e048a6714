//! The access model document as it is written: TOML, read strictly, with the position of every value.
//!
//! Reading is done section by section, so that a mistake in one section does not hide the mistakes of the others.

use std::ops::Range;

use serde::Deserialize;
use serde::de::{DeserializeOwned, IgnoredAny};
use toml::Spanned;
use toml::de::{DeTable, DeValue, ValueDeserializer};

use super::ModelError;

/// The longest document that is read, in bytes. The largest one allowed by the other limits is far below it.
const MAX_DOCUMENT_BYTES: usize = 1024 * 1024;

/// A text with its position in the document.
pub(super) type Text = Spanned<String>;

/// One mistake, by its byte range in the document.
#[derive(Debug)]
pub(super) struct Fault {
    pub(super) span: Range<usize>,
    pub(super) message: String,
}

/// The whole document, read but not yet validated.
#[derive(Debug)]
pub(super) struct Document {
    pub(super) head: Head,
    /// Where the list of permissions begins.
    pub(super) permissions_span: Range<usize>,
    pub(super) permissions: Vec<PermissionEntry>,
    /// Where the list of roles begins.
    pub(super) roles_span: Range<usize>,
    pub(super) roles: Vec<RoleEntry>,
    pub(super) ownership: OwnershipSection,
    pub(super) invitations: InvitationsSection,
    pub(super) members: MembersSection,
    pub(super) mfa: MfaSection,
    pub(super) labels: LabelsSection,
    pub(super) assertions: Vec<AssertionEntry>,
}

/// The top of the document. It names the sections only so that serde knows them, and misses them.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Head {
    pub(super) id: Text,
    pub(super) name: Text,
    pub(super) description: Text,
    #[serde(default)]
    pub(super) organization_kinds: Vec<Text>,
    pub(super) default_role: Option<Text>,
    pub(super) max_roles_per_member: Spanned<i64>,
    #[serde(default, rename = "permissions")]
    _permissions: IgnoredAny,
    #[serde(rename = "roles")]
    _roles: IgnoredAny,
    #[serde(rename = "ownership")]
    _ownership: IgnoredAny,
    #[serde(rename = "invitations")]
    _invitations: IgnoredAny,
    #[serde(rename = "members")]
    _members: IgnoredAny,
    #[serde(rename = "mfa")]
    _mfa: IgnoredAny,
    #[serde(rename = "labels")]
    _labels: IgnoredAny,
    #[serde(default, rename = "tests")]
    _tests: IgnoredAny,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct PermissionEntry {
    pub(super) id: Text,
    pub(super) name: Text,
    pub(super) description: Text,
    pub(super) class: Option<Text>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RoleEntry {
    pub(super) id: Text,
    pub(super) name: Text,
    pub(super) description: Text,
    #[serde(default)]
    pub(super) inherits: Vec<Text>,
    #[serde(default)]
    pub(super) permissions: Vec<Text>,
    #[serde(default)]
    pub(super) organization_kinds: Vec<Text>,
    #[serde(default)]
    pub(super) grants: Vec<Text>,
    #[serde(default)]
    pub(super) manages: Vec<Text>,
    pub(super) invitable: Option<Spanned<bool>>,
}

/// What the document asserts of a role, as the last word about it: `*` stands for everything that the other list does not name.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct AssertionEntry {
    pub(super) role: Text,
    #[serde(default)]
    pub(super) may: Vec<Text>,
    #[serde(default)]
    pub(super) may_not: Vec<Text>,
    #[serde(default)]
    pub(super) grants: Vec<Text>,
    #[serde(default)]
    pub(super) grants_not: Vec<Text>,
    #[serde(default)]
    pub(super) manages: Vec<Text>,
    #[serde(default)]
    pub(super) manages_not: Vec<Text>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct OwnershipSection {
    pub(super) role: Text,
    pub(super) rule: RuleWord,
    pub(super) transfer: Option<TransferSection>,
}

#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum RuleWord {
    ExactlyOne,
    AtLeastOneActive,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct TransferSection {
    pub(super) eligible_roles: Spanned<Vec<Text>>,
    #[serde(default)]
    pub(super) replaced_roles: Vec<Text>,
    pub(super) previous_owner_role: Text,
    pub(super) confirmation: ConfirmationWord,
}

#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum ConfirmationWord {
    None,
    Nominee,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct InvitationsSection {
    pub(super) ttl: Spanned<TtlWord>,
    pub(super) open_per_address: OpenWord,
    pub(super) in_roster: bool,
    pub(super) step_up: bool,
}

/// A length of time: whole seconds, or a number with a unit such as `7d`.
#[derive(Debug, Deserialize)]
#[serde(untagged, expecting = "whole seconds, or a text such as \"7d\"")]
pub(super) enum TtlWord {
    Seconds(i64),
    Text(String),
}

#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum OpenWord {
    One,
    Many,
    Replace,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct MembersSection {
    pub(super) editable_by_others: Vec<Text>,
    pub(super) direct_creation: bool,
    pub(super) usernames: bool,
    pub(super) removal: RemovalWord,
    pub(super) adding_again_after_removal: bool,
    #[serde(default = "yes")]
    pub(super) sign_in_after_removal: bool,
}

#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum RemovalWord {
    Final,
    Restorable,
    ByOperator,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct MfaSection {
    pub(super) required: Spanned<bool>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct LabelsSection {
    pub(super) active: Text,
    pub(super) invited: Text,
    pub(super) expired: Option<Text>,
    pub(super) suspended: Text,
    pub(super) removed: Text,
}

fn yes() -> bool {
    true
}

/// A document and the tree that its positions come from.
pub(super) struct Reading<'s> {
    source: &'s str,
    tree: DeTable<'s>,
}

impl<'s> Reading<'s> {
    /// Reads the source. All syntax errors are reported; where there are none, the first error of each section, permission and role.
    pub(super) fn new(source: &'s str) -> Result<(Self, Document), Vec<ModelError>> {
        if source.len() > MAX_DOCUMENT_BYTES {
            return Err(vec![ModelError {
                line: 1,
                column: 1,
                path: String::new(),
                message: format!("the document is longer than {MAX_DOCUMENT_BYTES} bytes"),
            }]);
        }
        let (tree, syntax) = DeTable::parse_recoverable(source);
        let reading = Self { source, tree: tree.get_ref().clone() };
        if !syntax.is_empty() {
            return Err(reading.errors(syntax.iter().map(fault).collect()));
        }
        let mut faults = Vec::new();
        match read(tree, &mut faults) {
            Some(document) if faults.is_empty() => Ok((reading, document)),
            _ => Err(reading.errors(faults)),
        }
    }

    /// Gives each fault its line, column and field path, in the order of the document.
    pub(super) fn errors(&self, faults: Vec<Fault>) -> Vec<ModelError> {
        let mut places = Vec::new();
        for (key, value) in &self.tree {
            let path = key.get_ref().to_string();
            places.push((key.span(), path.clone()));
            collect_places(value, path, &mut places);
        }
        let mut errors: Vec<ModelError> = faults
            .into_iter()
            .map(|fault| {
                let (line, column) = position(self.source, fault.span.start);
                ModelError { line, column, path: innermost(&places, &fault.span).to_owned(), message: fault.message }
            })
            .collect();
        errors.sort();
        errors.dedup();
        errors
    }
}

/// Reads every section; a section with a mistake is reported and left out.
fn read(tree: Spanned<DeTable<'_>>, faults: &mut Vec<Fault>) -> Option<Document> {
    let head: Option<Head> = section(Spanned::new(tree.span(), DeValue::Table(tree.get_ref().clone())), faults);
    let (mut permissions, mut permissions_span) = (Vec::new(), 0..0);
    let (mut roles, mut roles_span) = (Vec::new(), 0..0);
    let mut assertions = Vec::new();
    let (mut ownership, mut invitations, mut members, mut mfa, mut labels) = (None, None, None, None, None);
    for (key, value) in tree.into_inner() {
        match key.get_ref().as_ref() {
            "permissions" => {
                permissions_span = key.span();
                permissions = list(value, faults);
            }
            "roles" => {
                roles_span = key.span();
                roles = list(value, faults);
            }
            "tests" => assertions = list(value, faults),
            "ownership" => ownership = section(value, faults),
            "invitations" => invitations = section(value, faults),
            "members" => members = section(value, faults),
            "mfa" => mfa = section(value, faults),
            "labels" => labels = section(value, faults),
            _ => {}
        }
    }
    Some(Document {
        head: head?,
        permissions_span,
        permissions,
        roles_span,
        roles,
        ownership: ownership?,
        invitations: invitations?,
        members: members?,
        mfa: mfa?,
        labels: labels?,
        assertions,
    })
}

fn section<T: DeserializeOwned>(value: Spanned<DeValue<'_>>, faults: &mut Vec<Fault>) -> Option<T> {
    let span = value.span();
    match T::deserialize(ValueDeserializer::from(value)) {
        Ok(section) => Some(section),
        Err(error) => {
            faults.push(Fault { span: error.span().unwrap_or(span), message: error.message().to_owned() });
            None
        }
    }
}

/// Reads an array entry by entry, so that each faulty entry is reported.
fn list<T: DeserializeOwned>(value: Spanned<DeValue<'_>>, faults: &mut Vec<Fault>) -> Vec<T> {
    let span = value.span();
    match value.into_inner() {
        DeValue::Array(entries) => entries.into_iter().filter_map(|entry| section(entry, faults)).collect(),
        other => {
            faults.push(Fault { span, message: format!("expected an array of tables, found {}", other.type_str()) });
            Vec::new()
        }
    }
}

fn fault(error: &toml::de::Error) -> Fault {
    Fault { span: error.span().unwrap_or(0..0), message: error.message().to_owned() }
}

/// Every key and value below one value, with its path.
fn collect_places(value: &Spanned<DeValue<'_>>, path: String, places: &mut Vec<(Range<usize>, String)>) {
    match value.get_ref() {
        DeValue::Table(table) => {
            for (key, inner) in table {
                let inner_path = format!("{path}.{}", key.get_ref());
                places.push((key.span(), inner_path.clone()));
                collect_places(inner, inner_path, places);
            }
        }
        DeValue::Array(entries) => {
            for (index, entry) in entries.iter().enumerate() {
                collect_places(entry, format!("{path}[{index}]"), places);
            }
        }
        _ => {}
    }
    places.push((value.span(), path));
}

/// The path of the smallest key or value that contains the beginning of the span; empty where none does.
fn innermost<'p>(places: &'p [(Range<usize>, String)], span: &Range<usize>) -> &'p str {
    places
        .iter()
        .filter(|(place, _)| place.contains(&span.start))
        .min_by_key(|(place, _)| place.len())
        .map_or("", |(_, path)| path)
}

/// Line and column of a byte offset, both from 1; the column counts characters.
fn position(source: &str, offset: usize) -> (usize, usize) {
    let before = source.get(..offset).unwrap_or(source);
    let line = before.matches('\n').count() + 1;
    let column = before.rsplit('\n').next().map_or(0, |text| text.chars().count()) + 1;
    (line, column)
}
