//! What callers take for granted of every method, held from the contract for those of tomorrow too: lists are paged and counted, what changes an organization tells its revision, what creates
//! can be tried out, and what overwrites can be made conditional. Whatever is otherwise stands here with a reason.

use prost_reflect::{FieldDescriptor, Kind, MessageDescriptor, Value};
use roster_test_macros::wire_test;
use tonic::Status;

use crate::support::callers::{House, Scopes, Stage, Who};
use crate::support::contents::Watcher;
use crate::support::dynamic::{Contract, Method, is_ours};
use crate::support::scenario::refusal;
use crate::support::tenant::Seat;
use crate::support::world::World;

/// A method and why it is as it is.
type Exception = (&'static str, &'static str);

/// Lists without pages.
const WHOLE: [Exception; 5] = [
    ("AccessModelService/ListAccessModels", "as many as an operator has written by hand"),
    ("CredentialService/ListIdentities", "a user has a handful at the most"),
    ("CredentialService/ListMfaFactors", "a user has one of each kind"),
    (
        "EventService/ListEvents",
        "it never ends: its cursor goes on where the last answer did, whatever has happened since",
    ),
    ("PermissionService/ListEffectivePermissions", "as many as the access model has, and of use only together"),
];

/// Changes of what belongs to an organization that tell no revision.
const WITHOUT_REVISION: [Exception; 1] =
    [("DeliveryService/RetryMessage", "a message is on its way again, and nothing in the organization has changed")];

/// Changes of what belongs to an organization that answer without it.
const WITHOUT_RESOURCE: [Exception; 4] = [
    ("ContactService/DeleteContact", "it is gone"),
    ("JoinLinkService/JoinOrganization", "the link is for those who manage it; who joins is told what they hold now"),
    ("MemberService/LeaveOrganization", "whoever has left sees nothing of it any more"),
    ("RoleService/DeleteRole", "it is gone"),
];

/// What creates is named like this.
const CREATING: [&str; 3] = ["Create", "BatchCreate", "Import"];

/// What overwrites or takes away is named like this.
const OVERWRITING: [&str; 14] = [
    "Activate", "Cancel", "Change", "Confirm", "Delete", "Disable", "Remove", "Resend", "Restore", "Revoke", "Set",
    "Suspend", "Transfer", "Un",
];

/// What overwrites without an etag.
const WITHOUT_ETAG: [Exception; 7] = [
    ("CredentialService/ChangePassword", "who changes it shows the one that it takes the place of"),
    ("CredentialService/ConfirmMfaEnrollment", "it confirms one enrollment, which a newer one ends"),
    ("CredentialService/RemoveMfa", "it takes a code of the very factor, or of its recovery codes"),
    ("CredentialService/UnlinkIdentity", "an identity is there or not, and never changes"),
    ("ServiceAccountService/RevokeServiceKey", "a key never changes but by this, and only once"),
    ("SessionService/RevokeSession", "a session is there or not"),
    ("SessionService/RevokeUserSessions", "it ends whatever there is"),
];

/// Methods that nobody's plain request brings to the end, because they take a code or a state: what they do with `validate_only` is told by tests of their own.
const NEED_A_STATE: [&str; 6] = [
    "MemberService/CreateMember",
    "MemberService/UpdateMember",
    "MemberService/ActivateMember",
    "MemberService/RestoreMember",
    "UserService/ActivateUser",
    "UserService/UndeleteUser",
];

/// Who tries a method, in turn.
const CALLERS: [Who; 4] = [
    Who::Key(Scopes::Operator),
    Who::Session(House::Home, Seat::Owner),
    Who::KeyFor(Scopes::Operator, House::Home, Seat::Owner),
    Who::Session(House::Home, Seat::Member),
];

/// The name without its service.
fn verb(method: &Method) -> String {
    method.name().split('/').next_back().unwrap().to_owned()
}

fn begins(method: &Method, with: &[&str]) -> bool {
    with.iter().any(|prefix| verb(method).starts_with(prefix))
}

fn lacks(message: &MessageDescriptor, names: &[&str]) -> Vec<String> {
    let missing = names.iter().filter(|name| message.get_field_by_name(name).is_none());
    missing.map(ToString::to_string).collect()
}

/// The messages of ours among the fields.
fn resources(message: &MessageDescriptor) -> Vec<MessageDescriptor> {
    let ours = |field: FieldDescriptor| match field.kind() {
        Kind::Message(inner) if is_ours(&inner) => Some(inner),
        _ => None,
    };
    message.fields().filter_map(ours).collect()
}

/// Whether the method changes something that belongs to an organization: it can be repeated, and its request or what it answers with says which.
fn changes_an_organization(method: &Method) -> bool {
    let of_one = |message: MessageDescriptor| message.get_field_by_name("organization_id").is_some();
    method.input().get_field_by_name("request_id").is_some()
        && (method.field_names().contains("organization_id")
            || of_one(method.output())
            || resources(&method.output()).into_iter().any(of_one))
}

/// Holds that those who are otherwise are the ones with a reason.
fn hold(what: &str, otherwise: &[String], exceptions: &[Exception]) {
    let mut otherwise = otherwise.to_vec();
    otherwise.sort();
    let expected: Vec<&str> = exceptions.iter().map(|(name, _)| *name).collect();
    assert_eq!(otherwise, expected, "{what}");
    assert!(exceptions.iter().all(|(_, reason)| !reason.is_empty()));
}

/// Each list is asked for in pages, and tells how long it is where that is asked for.
#[wire_test(once)]
async fn every_list_is_paged_and_counted() {
    let (mut whole, mut wrong) = (Vec::new(), Vec::new());
    for method in Contract::load().methods().iter().filter(|method| begins(method, &["List"])) {
        let missing = [
            lacks(&method.input(), &["page_size", "page_token", "include_total_size"]),
            lacks(&method.output(), &["next_page_token", "total_size"]),
        ]
        .concat();
        match missing.len() {
            0 => {}
            5 => whole.push(method.name()),
            _ => wrong.push(format!("{} has no {}", method.name(), missing.join(", "))),
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    hold("comes whole", &whole, &WHOLE);
}

/// Each change of what belongs to an organization answers with it as it is by then, and with the organization's revision.
#[wire_test(once)]
async fn every_change_in_an_organization_tells_its_revision() {
    let methods = Contract::load().methods();
    let changes: Vec<&Method> = methods.iter().filter(|method| changes_an_organization(method)).collect();
    assert!(changes.len() >= 30, "only {}", changes.len());
    let names = |those: Vec<&&Method>| those.iter().map(|method| method.name()).collect::<Vec<_>>();
    let silent = changes.iter().filter(|method| method.output().get_field_by_name("revision").is_none());
    hold("tells no revision", &names(silent.collect()), &WITHOUT_REVISION);
    let bare = changes.iter().filter(|method| resources(&method.output()).is_empty());
    hold("answers without what it has changed", &names(bare.collect()), &WITHOUT_RESOURCE);
}

/// Each method that creates can be asked only to check.
#[wire_test(once)]
async fn every_creation_can_be_tried_out() {
    let methods = Contract::load().methods();
    let creating: Vec<&Method> = methods.iter().filter(|method| begins(method, &CREATING)).collect();
    assert!(creating.len() > 8, "only {}", creating.len());
    for method in creating {
        assert!(method.input().get_field_by_name("validate_only").is_some(), "{}", method.name());
    }
}

/// Each method that overwrites can be told what it is based on.
#[wire_test(once)]
async fn every_change_can_be_made_conditional() {
    let methods = Contract::load().methods();
    let overwriting = methods.iter().filter(|method| begins(method, &OVERWRITING) || begins(method, &["Update"]));
    let (mut without, mut count) = (Vec::new(), 0);
    for method in overwriting {
        count += 1;
        if method.input().get_field_by_name("etag").is_none() {
            without.push(method.name());
        }
    }
    assert!(count > 25, "only {count}");
    hold("overwrites whatever is there", &without, &WITHOUT_ETAG);
}

/// What each caller is answered who sends the method's request with one field set; and what has changed by then.
async fn tried(
    world: &World,
    stage: &mut Stage,
    watcher: &Watcher,
    method: &Method,
    field: &str,
    value: &Value,
) -> (Vec<Result<(), Status>>, String) {
    let (mut answers, mut changes) = (Vec::new(), String::new());
    for who in CALLERS {
        let mut message = stage.request(who, method, false).await;
        message.set_field_by_name(field, value.clone());
        let before = watcher.look().await;
        let credentials = stage.credentials(who, method);
        answers.push(method.call(world.channel(), credentials, &message).await.map(drop));
        changes.push_str(&before.difference(&watcher.look().await));
    }
    (answers, changes)
}

/// Nothing comes of a call that only checks.
#[wire_test]
async fn nothing_comes_of_a_call_that_only_checks(world: World) {
    let contract = Contract::load();
    let mut stage = Stage::set(&world, &contract).await;
    let watcher = Watcher::of(&world).await;
    let (mut wrong, mut refused, mut checked) = (Vec::new(), Vec::new(), 0);
    for method in contract.methods() {
        if method.input().get_field_by_name("validate_only").is_none() {
            continue;
        }
        let (answers, changes) =
            tried(&world, &mut stage, &watcher, &method, "validate_only", &Value::Bool(true)).await;
        checked += 1;
        if !changes.is_empty() {
            wrong.push(format!("{} has changed\n{changes}", method.name()));
        }
        if answers.iter().all(Result::is_err) {
            refused.push(method.name());
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert_eq!(refused, NEED_A_STATE, "refused to everybody");
    assert!(checked > 20, "only {checked}");
}

/// A change that is based on what is no longer there is refused as such, and nothing comes of it.
#[wire_test]
async fn a_stale_etag_is_refused_by_every_method_that_takes_one(world: World) {
    let contract = Contract::load();
    let mut stage = Stage::set(&world, &contract).await;
    let watcher = Watcher::of(&world).await;
    let (mut wrong, mut checked) = (Vec::new(), 0);
    for method in contract.methods() {
        if method.input().get_field_by_name("etag").is_none() {
            continue;
        }
        let (answers, changes) =
            tried(&world, &mut stage, &watcher, &method, "etag", &Value::String("stale".to_owned())).await;
        checked += 1;
        if !changes.is_empty() {
            wrong.push(format!("{} has changed\n{changes}", method.name()));
        }
        let mut reasons: Vec<String> = answers
            .iter()
            .map(|answer| answer.as_ref().map_or_else(|status| refusal(status).reason, |()| "OK".to_owned()))
            .collect();
        reasons.dedup();
        if reasons.contains(&"OK".to_owned()) || !reasons.contains(&"ETAG_MISMATCH".to_owned()) {
            wrong.push(format!("{}: {reasons:?}", method.name()));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(checked > 20, "only {checked}");
}
