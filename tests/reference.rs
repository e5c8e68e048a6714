//! The reference in `docs/api/`, which is written from the comments of the contract: a page for each service, and one for the reasons of errors.
//! `UPDATE_README=1` writes it.

#![expect(clippy::unwrap_used, clippy::expect_used, reason = "a contract that cannot be described is a verdict")]

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

use prost_reflect::prost_types::FileDescriptorProto;
use prost_reflect::{
    Cardinality, DescriptorPool, EnumDescriptor, FieldDescriptor, FileDescriptor, Kind, MessageDescriptor,
    MethodDescriptor, ServiceDescriptor,
};

const PACKAGE: &str = "roster.v1";

#[test]
fn the_reference_is_what_the_contract_says() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/api");
    let pages = pages();
    #[expect(clippy::disallowed_methods, reason = "a test's own switch is no setting of the service")]
    if std::env::var_os("UPDATE_README").is_some() {
        fs::create_dir_all(&folder).unwrap();
        for page in stored(&folder) {
            fs::remove_file(page).unwrap();
        }
        for (name, text) in &pages {
            fs::write(folder.join(name), text).unwrap();
        }
    }
    let names = |paths: Vec<PathBuf>| -> BTreeSet<String> {
        let name = |path: &PathBuf| path.file_name().unwrap().to_str().unwrap().to_owned();
        paths.iter().map(name).collect()
    };
    let stale: Vec<&String> = pages
        .iter()
        .filter(|(name, text)| fs::read_to_string(folder.join(name)).ok().as_ref() != Some(text))
        .map(|(name, _)| name)
        .collect();
    assert!(stale.is_empty(), "run `UPDATE_README=1 cargo test --test reference`; stale: {stale:?}");
    assert_eq!(names(stored(&folder)), pages.into_keys().collect(), "pages of what is not there any more");
}

/// The reasons that come with a hint at a way out, at least where there is one. The others tell all there is to do by their name or by other metadata, or there is nothing to do.
const WITH_A_WAY_OUT: [&str; 47] = [
    "CREDENTIALS_MISSING",
    "MEMBER_NOT_MANAGEABLE",
    "EMAIL_UNVERIFIED",
    "ALREADY_MEMBER",
    "INVITATION_PENDING",
    "EMAIL_TAKEN",
    "ACCOUNT_EXISTS",
    "ROLE_UNKNOWN",
    "ROLE_NOT_INVITABLE",
    "TOO_MANY_ROLES",
    "OWNER_BY_TRANSFER_ONLY",
    "LAST_OWNER",
    "MEMBER_STATE_CONFLICT",
    "REMOVAL_FINAL",
    "RESTORE_BY_OPERATOR_ONLY",
    "TRANSFER_TARGET_INELIGIBLE",
    "INVITATION_ALREADY_USED",
    "INVITATION_EXPIRED",
    "INVITATION_REVOKED",
    "INVITATION_DECLINED",
    "INVITER_NO_LONGER_AUTHORIZED",
    "REMOVED_MEMBER",
    "DIRECT_CREATION_NOT_ALLOWED",
    "SCOPE_NOT_GRANTABLE",
    "SESSION_OUTDATED",
    "TRANSFER_STATE_CONFLICT",
    "USER_STATE_CONFLICT",
    "FIELD_NOT_EDITABLE",
    "ROLE_INVALID",
    "ROLE_IN_USE",
    "ID_TOKEN_USED",
    "IDENTITY_UNKNOWN",
    "IDENTITY_TAKEN",
    "LAST_CREDENTIAL",
    "SESSION_NOT_RECENT",
    "SERVICE_KEY_OUTLIVES_CALLER",
    "ACCESS_MODEL_IN_USE",
    "KEY_CONFINED",
    "SLUG_TAKEN",
    "JOIN_LINK_NOT_OPEN",
    "TRANSFER_NO_LONGER_AUTHORIZED",
    "SERVICE_REQUIRED",
    "TOO_MANY_JOIN_LINKS",
    "EMAIL_DOMAIN_NOT_ALLOWED",
    "SECOND_FACTOR_EXHAUSTED",
    "MAIL_BUDGET_SPENT",
    "CURSOR_EXPIRED",
];

#[test]
fn refusals_with_a_way_out_name_it() {
    let pool = DescriptorPool::decode(roster::grpc::DESCRIPTOR_SET).unwrap();
    let reasons = pool.get_enum_by_name("roster.v1.ErrorReason").unwrap();
    let file = reasons.parent_file();
    let hinting: Vec<String> = reasons
        .values()
        .filter(|reason| comment(file.file_descriptor_proto(), reason.path()).contains("\"hint\": "))
        .map(|reason| reason.name().trim_start_matches("ERROR_REASON_").to_owned())
        .collect();
    assert_eq!(hinting, WITH_A_WAY_OUT);
}

fn stored(folder: &Path) -> Vec<PathBuf> {
    fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect()
}

/// All pages by file name.
fn pages() -> BTreeMap<String, String> {
    let pool = DescriptorPool::decode(roster::grpc::DESCRIPTOR_SET).unwrap();
    let mut services: Vec<ServiceDescriptor> =
        pool.services().filter(|service| service.package_name() == PACKAGE).collect();
    services.sort_by_key(|service| service.name().to_owned());
    let mut pages: BTreeMap<String, String> =
        services.iter().map(|service| (page_of(&service.parent_file()), service_page(service))).collect();
    pages.insert("README.md".to_owned(), index(&services));
    pages.insert("errors.md".to_owned(), errors(&pool.get_enum_by_name("roster.v1.ErrorReason").unwrap()));
    pages
}

/// `session_service.proto` is described in `session_service.md`.
fn page_of(file: &FileDescriptor) -> String {
    match file.name().rsplit('/').next().unwrap().trim_end_matches(".proto") {
        "error_reason" => "errors.md".to_owned(),
        name => format!("{name}.md"),
    }
}

const HEAD: &str =
    "<!-- Written from the comments in proto/roster/v1 by `UPDATE_README=1 cargo test --test reference`. -->\n\n";

fn index(services: &[ServiceDescriptor]) -> String {
    let mut text =
        format!("{HEAD}# Reference\n\nThe package `{PACKAGE}`. A running server tells the same by reflection.\n");
    text.push_str(
        "Words and states are explained in [concepts](../concepts.md), the reasons of errors in [errors](errors.md).\n\n\
         **Callers** of a method are those that its rule names. A service key that calls on behalf of a user needs both: its scope, and the user's right.\n",
    );
    for service in services {
        let page = page_of(&service.parent_file());
        let comment = comment(service.parent_file().file_descriptor_proto(), service.path());
        let _ = write!(text, "\n## [{}]({page})\n\n{comment}\n\n", service.name());
        text.push_str("| method | what it does |\n|---|---|\n");
        for method in service.methods() {
            let _ = writeln!(
                text,
                "| [{}]({page}#{}) | {} |",
                method.name(),
                anchor(method.name()),
                cell(first_sentence(&comment_of(&method)))
            );
        }
    }
    text
}

fn service_page(service: &ServiceDescriptor) -> String {
    let file = service.parent_file();
    let mut text = format!("{HEAD}# {}\n\n{}\n", service.name(), comment(file.file_descriptor_proto(), service.path()));
    let mut described = BTreeSet::new();
    for method in service.methods() {
        let _ = write!(text, "\n## {}\n\n{}\n\n{}\n", method.name(), comment_of(&method), callers(&method));
        for (side, message, stream) in [
            ("Request", method.input(), method.is_client_streaming()),
            ("Response", method.output(), method.is_server_streaming()),
        ] {
            described.insert(message.full_name().to_owned());
            let stream = if stream { " (a stream of these)" } else { "" };
            let _ = write!(text, "\n{side}{stream}:{}", fields(&message));
        }
    }
    let others: Vec<MessageDescriptor> =
        file.messages().filter(|message| !described.contains(message.full_name())).collect();
    if !others.is_empty() {
        text.push_str("\n# Messages\n");
    }
    for message in others {
        let about = comment(file.file_descriptor_proto(), message.path());
        let _ = write!(text, "\n## {}\n\n{about}\n{}", message.name(), fields(&message));
    }
    if file.enums().len() > 0 {
        text.push_str("\n# Enums\n");
    }
    for value in file.enums() {
        text.push_str(&values(&value));
    }
    text
}

/// Who may call a method, in words.
fn callers(method: &MethodDescriptor) -> String {
    let option = method.parent_pool().get_extension_by_name("roster.v1.access").unwrap();
    let options = method.options();
    let rule = options.get_extension(&option);
    let rule = rule.as_message().unwrap();
    let text = |name: &str| rule.get_field_by_name(name).unwrap().as_str().unwrap().to_owned();
    let flag = |name: &str| rule.get_field_by_name(name).unwrap().as_bool().unwrap();
    let mut who = Vec::new();
    if flag("public") {
        who.push("anybody: the request carries what it is checked by".to_owned());
    }
    if !text("scope").is_empty() {
        who.push(format!("a service key with the scope `{}`", text("scope")));
    }
    if !text("permission").is_empty() {
        who.push(format!(
            "a user with the permission `{}` in the organization of `{}`",
            text("permission"),
            text("organization_field")
        ));
    }
    if !text("self_field").is_empty() {
        who.push(format!("the user of `{}` for themselves", text("self_field")));
    }
    if flag("signed_in") {
        who.push("any signed-in user".to_owned());
    }
    assert!(!who.is_empty(), "{} has no rule", method.full_name());
    format!("**Callers:** {}.", who.join("; "))
}

fn fields(message: &MessageDescriptor) -> String {
    let mut text = String::from("\n\n| field | type | meaning |\n|---|---|---|\n");
    if message.fields().len() == 0 {
        return " empty.\n".to_owned();
    }
    let file = message.parent_file();
    let mut in_order: Vec<FieldDescriptor> = message.fields().collect();
    // As they stand in the file: those of a `oneof` together.
    in_order.sort_by_key(|field| field.path().to_vec());
    for field in in_order {
        let mut meaning = comment(file.file_descriptor_proto(), field.path());
        if let Some(oneof) = field.containing_oneof().filter(|oneof| !oneof.is_synthetic()) {
            let about = comment(file.file_descriptor_proto(), oneof.path());
            meaning = format!("{meaning} One of `{}`: {about}", oneof.name());
        }
        let _ = writeln!(text, "| `{}` | {} | {} |", field.name(), kind(&field), cell(&meaning));
    }
    text
}

fn values(of: &EnumDescriptor) -> String {
    let file = of.parent_file();
    let file = file.file_descriptor_proto();
    let mut text = format!("\n## {}\n\n{}\n\n| value | meaning |\n|---|---|\n", of.name(), comment(file, of.path()));
    for value in of.values().filter(|value| value.number() != 0) {
        let _ = writeln!(text, "| `{}` | {} |", value.name(), cell(&comment(file, value.path())));
    }
    text
}

/// The type of a field, with a link to what is described here.
fn kind(field: &FieldDescriptor) -> String {
    let name = match field.kind() {
        Kind::Message(message) if field.is_map() => {
            let part = |number| plain(&message.get_field(number).unwrap().kind());
            return format!("map of {} to {}", part(1), part(2));
        }
        other => plain(&other),
    };
    match field.cardinality() {
        Cardinality::Repeated => format!("list of {name}"),
        _ => name,
    }
}

fn plain(kind: &Kind) -> String {
    let link = |package: &str, name: &str, full: &str, file: FileDescriptor| match package {
        PACKAGE => format!("[{name}]({}#{})", page_of(&file), anchor(name)),
        _ => format!("`{full}`"),
    };
    match kind {
        Kind::Message(message) => {
            link(message.package_name(), message.name(), message.full_name(), message.parent_file())
        }
        Kind::Enum(values) => link(values.package_name(), values.name(), values.full_name(), values.parent_file()),
        other => format!("{other:?}").to_lowercase(),
    }
}

fn errors(reasons: &EnumDescriptor) -> String {
    let file = reasons.parent_file();
    let file = file.file_descriptor_proto();
    let mut text = format!(
        "{HEAD}# Errors\n\nA refused call answers with a `google.rpc.Status`. Its details hold a `google.rpc.ErrorInfo` with one of these reasons; act on the reason, never on the text.\n\
         Beside it come, where they say more: `google.rpc.BadRequest` with every violated field, `google.rpc.PreconditionFailure`, `google.rpc.RetryInfo`, `google.rpc.ResourceInfo`.\n\
         What to do about them, in groups, stands in [concepts](../concepts.md#errors).\n"
    );
    let mut by_code: BTreeMap<String, String> = BTreeMap::new();
    for reason in reasons.values().filter(|value| value.number() != 0) {
        let comment = comment(file, reason.path());
        let (code, rest) = comment.split_once(". ").expect("a code in front");
        let (meaning, example) = rest.split_once(" Example: `").expect("an example behind");
        let metadata: serde_json::Value =
            serde_json::from_str(example.trim_end_matches("`.")).expect("an example in JSON");
        let name = reason.name().trim_start_matches("ERROR_REASON_");
        let example = serde_json::json!({"@type": "type.googleapis.com/google.rpc.ErrorInfo", "reason": name, "domain": PACKAGE, "metadata": metadata});
        let example = serde_json::to_string_pretty(&example).unwrap();
        let section = by_code.entry(code.to_owned()).or_default();
        let _ = write!(section, "\n### {name}\n\n{meaning}\n\n```json\n{example}\n```\n");
    }
    for (code, section) in by_code {
        let _ = write!(text, "\n## {code}\n{section}");
    }
    text
}

fn comment_of(method: &MethodDescriptor) -> String {
    comment(method.parent_file().file_descriptor_proto(), method.path())
}

/// The comment in front of what stands at the path, as one paragraph.
fn comment(file: &FileDescriptorProto, path: &[i32]) -> String {
    let info = file.source_code_info.as_ref().expect("the descriptor set has comments");
    let location = info.location.iter().find(|location| location.path == path);
    let text = location.map(|location| location.leading_comments()).unwrap_or_default();
    let paragraphs = text.split("\n\n").map(|paragraph| paragraph.split_whitespace().collect::<Vec<_>>().join(" "));
    paragraphs.collect::<Vec<_>>().join("\n\n").trim().to_owned()
}

fn first_sentence(text: &str) -> &str {
    text.find(". ").and_then(|end| text.get(..=end)).unwrap_or(text)
}

/// Text in a cell of a table.
fn cell(text: &str) -> String {
    text.replace('|', "\\|").replace('\n', " ")
}

fn anchor(heading: &str) -> String {
    heading.to_lowercase()
}
