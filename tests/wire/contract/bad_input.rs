//! Bad input to every method: what the contract's `Constraints:` comments say is what the server holds, field by field and term by term.

use std::collections::{BTreeSet, HashMap};

use chrono::{DateTime, Utc};
use prost_reflect::{DynamicMessage, FieldDescriptor, Kind, MessageDescriptor, Value};
use roster_test_macros::wire_test;
use tonic::metadata::MetadataMap;
use tonic::{Code, Status};
use tonic_types::{ErrorDetails, StatusExt};

use crate::services::credentials::passwords::reset_token;
use crate::support::constraints::{Constrained, Filling, Term};
use crate::support::contents::Watcher;
use crate::support::dynamic::{Contract, Method, Place, field_comment, is_ours};
use crate::support::scenario::{Refused, create_user, refusal};
use crate::support::tenant::{People, Seat, Tenant};
use crate::support::world::World;

/// The fields of a message and of our messages in it, that say neither what is expected of them nor why nothing is.
fn undocumented(message: &MessageDescriptor, seen: &mut BTreeSet<String>, wrong: &mut Vec<String>) {
    if !seen.insert(message.full_name().to_owned()) {
        return;
    }
    for field in message.fields() {
        let inner = match field.kind() {
            Kind::Message(inner) if is_ours(&inner) => Some(inner),
            _ => None,
        };
        match Term::of_field(&field) {
            Err(why) => wrong.push(format!("{}: {why}", field.full_name())),
            Ok(terms) if terms.is_empty() && !is_exempt(&field, inner.is_some()) => {
                wrong.push(format!("{}: no `Constraints:` in its comment", field.full_name()));
            }
            Ok(_) => {}
        }
        if let Some(inner) = inner {
            undocumented(&inner, seen, wrong);
        }
    }
}

/// Any flag is valid, what only the server sets is not read, and one message of ours is constrained by what is in it.
fn is_exempt(field: &FieldDescriptor, ours: bool) -> bool {
    let comment = field_comment(field);
    let ignored = comment.starts_with("Output only.") || comment.starts_with("Immutable.");
    field.kind() == Kind::Bool || ignored || (ours && !field.is_list())
}

/// What an answer tells of the first part of a batch that was refused, as the status that the whole batch would have got. An import refuses people one by one,
/// and what is asked of their fields is the same.
fn refused_inside(answer: &DynamicMessage) -> Option<Status> {
    let refused = answer.get_field_by_name("refused")?;
    let first = refused.as_list()?.first()?.as_message()?.clone();
    let mut details = ErrorDetails::new();
    details.set_error_info("INVALID_REQUEST", "roster.v1", HashMap::new());
    for violation in first.get_field_by_name("violations")?.as_list()? {
        let violation = violation.as_message()?;
        let text = |name: &str| violation.get_field_by_name(name).unwrap().as_str().unwrap().to_owned();
        details.add_bad_request_violation(format!("users[0].{}", text("field")), text("description"));
    }
    let message = "The request breaks constraints of its fields.";
    Some(Status::with_error_details(Code::InvalidArgument, message, details))
}

/// Who may send the method anything, and valid requests of it for each choice that they have.
struct Sender<'a> {
    world: &'a World,
    method: &'a Method,
    credentials: MetadataMap,
    requests: Vec<DynamicMessage>,
}

impl<'a> Sender<'a> {
    async fn of(world: &'a World, method: &'a Method, tenant: &Tenant) -> Self {
        let rule = method.rule();
        // What any signed-in user may call is about the caller, whom a service alone has not.
        let for_users_only = rule.signed_in || (!rule.public && rule.scope.is_empty());
        let owner = tenant.person(Seat::Owner);
        let bearer = if for_users_only { &owner.session } else { world.operator_key() };
        let mut credentials = MetadataMap::new();
        credentials.insert("authorization", format!("Bearer {bearer}").parse().unwrap());
        let mut requests = tenant.requests(world, method, owner).await;
        if method.name() == "CredentialService/ResetPassword" {
            // Whether a password is hard to guess is found out where the link is open, and not before (ab_31).
            let somebody = create_user(world, "forgetful@example.com").await;
            let token = Value::String(reset_token(world, &somebody.email).await);
            for request in &mut requests {
                request.set_field_by_name("token", token.clone());
            }
        }
        Self { world, method, credentials, requests }
    }

    async fn send(&self, request: &DynamicMessage) -> Result<DynamicMessage, Status> {
        let answer = self.method.call(self.world.channel(), self.credentials.clone(), request);
        answer.await.and_then(|answer| match refused_inside(&answer) {
            Some(status) => Err(status),
            None => Ok(answer),
        })
    }

    /// Whether the request is refused for these fields and no others.
    async fn refused_for(&self, request: &DynamicMessage, fields: &[&str]) -> Result<(), String> {
        let status = match self.send(request).await {
            Ok(_) => return Err("it was accepted".to_owned()),
            Err(status) => status,
        };
        let Refused { code, reason, fields: reported, .. } = refusal(&status);
        if (code, reason.as_str()) != (Code::InvalidArgument, "INVALID_REQUEST") {
            return Err(format!("{code:?}/{reason}"));
        }
        let [expected, reported]: [BTreeSet<&str>; 2] =
            [fields.iter().copied().collect(), reported.iter().map(String::as_str).collect()];
        match expected == reported {
            true => Ok(()),
            false => Err(format!("violations of {reported:?} instead of {expected:?}")),
        }
    }
}

/// Shortened, because what breaks a constraint is often long.
fn shown(filling: &Filling) -> String {
    let text: String = format!("{:?}", filling.value).chars().take(120).collect();
    format!("{} = {text}", filling.reported)
}

/// Every filling that breaks one term of one field is refused for exactly that field.
async fn hold_each_breach(sender: &Sender<'_>, now: DateTime<Utc>, wrong: &mut Vec<String>) -> usize {
    let mut sent = 0;
    for request in &sender.requests {
        for field in Constrained::all_in(request, now) {
            for filling in &field.breaking {
                let mut request = request.clone();
                filling.put(&mut request);
                sent += 1;
                if let Err(why) = sender.refused_for(&request, &[&filling.reported]).await {
                    wrong.push(format!("{}, {} ({:?}): {why}", sender.method.name(), shown(filling), field.terms));
                }
            }
        }
    }
    sent
}

/// Every filling that just keeps its terms is not complained about. Another field is broken, where there is one, so that nothing comes of it.
async fn hold_each_limit(sender: &Sender<'_>, now: DateTime<Utc>, wrong: &mut Vec<String>) -> usize {
    let mut sent = 0;
    for request in &sender.requests {
        let fields = Constrained::all_in(request, now);
        for field in &fields {
            let others = fields.iter().filter(|other| other.place.to_string() != field.place.to_string());
            let companion = others.filter_map(Constrained::worst).next();
            // A request of nothing else cannot be held back: whatever keeps its limit would be done.
            if companion.is_none() && field.place.to_string() == "request_id" {
                continue;
            }
            for filling in &field.keeping {
                let mut request = request.clone();
                filling.put(&mut request);
                let verdict = if let Some(companion) = companion {
                    companion.put(&mut request);
                    sender.refused_for(&request, &[&companion.reported]).await
                } else {
                    match sender.send(&request).await {
                        Err(status) if status.code() == Code::InvalidArgument => Err(format!("{status:?}")),
                        _ => Ok(()),
                    }
                };
                sent += 1;
                if let Err(why) = verdict {
                    wrong.push(format!(
                        "{}, {} ({:?}) should be kept: {why}",
                        sender.method.name(),
                        shown(filling),
                        field.terms
                    ));
                }
            }
        }
    }
    sent
}

/// With every field broken at once, every field is named in the one answer.
async fn hold_all_breaches_at_once(sender: &Sender<'_>, now: DateTime<Utc>, wrong: &mut Vec<String>) -> usize {
    let mut sent = 0;
    for request in &sender.requests {
        let fields = Constrained::all_in(request, now);
        let worst: Vec<&Filling> = fields.iter().filter_map(Constrained::worst).collect();
        if worst.is_empty() {
            continue;
        }
        let mut broken = request.clone();
        for filling in &worst {
            filling.put(&mut broken);
        }
        let reported: Vec<&str> = worst.iter().map(|filling| filling.reported.as_str()).collect();
        sent += 1;
        if let Err(why) = sender.refused_for(&broken, &reported).await {
            wrong.push(format!("{} with everything broken: {why}", sender.method.name()));
        }
    }
    sent
}

/// Texts that have broken programs before.
fn hostile() -> [String; 5] {
    [
        "a\u{0}b".to_owned(),
        "a\r\nBcc: eve@example.com".to_owned(),
        "a\u{202E}b\u{2066}".to_owned(),
        "\u{FFFF}\u{10FFFF}\u{FEFF}".to_owned(),
        "x".repeat(100_000),
    ]
}

/// A place for a text, and what makes the field's value of the text.
type TextIn = (Place, fn(&FieldDescriptor, String) -> Value);

/// Every text of a request that the server reads, also in lists and in well-known messages.
fn texts_in(request: &DynamicMessage) -> Vec<TextIn> {
    let mut texts: Vec<TextIn> = Vec::new();
    for place in Place::all_in(request) {
        match place.field.kind() {
            _ if Term::of_field(&place.field).unwrap().is_empty() => {}
            // Only one of a `oneof` can be there.
            Kind::String if place.field.containing_oneof().is_some() && !place.is_in(request) => {}
            Kind::String if place.field.is_list() => {
                texts.push((place, |_, text| Value::List(vec![Value::String(text)])));
            }
            Kind::String => texts.push((place, |_, text| Value::String(text))),
            Kind::Message(inner) if inner.full_name() == "google.protobuf.FieldMask" => {
                texts.push((place, |field, text| {
                    let mut mask = DynamicMessage::new(field.kind().as_message().unwrap().clone());
                    mask.set_field_by_name("paths", Value::List(vec![Value::String(text)]));
                    Value::Message(mask)
                }));
            }
            _ => {}
        }
    }
    texts
}

/// No hostile text in any field makes the server fail or lets it change anything.
async fn hold_hostile_texts(sender: &Sender<'_>, wrong: &mut Vec<String>) -> usize {
    let mut sent = 0;
    for request in &sender.requests {
        let mut request = request.clone();
        if request.has_field_by_name("validate_only")
            || sender.method.input().get_field_by_name("validate_only").is_some()
        {
            // What is no more than unusual may be accepted.
            request.set_field_by_name("validate_only", Value::Bool(true));
        }
        for (place, value) in texts_in(&request) {
            for text in hostile() {
                let start: String = text.chars().take(20).collect();
                let mut request = request.clone();
                place.set(&mut request, value(&place.field, text));
                sent += 1;
                let Err(status) = sender.send(&request).await else {
                    continue;
                };
                let expected = [
                    Code::InvalidArgument,
                    Code::Unauthenticated,
                    Code::NotFound,
                    Code::FailedPrecondition,
                    Code::Aborted,
                ];
                if !expected.contains(&status.code()) {
                    let method = sender.method.name();
                    wrong.push(format!("{method}, {place} = {start:?}: {:?} {}", status.code(), status.message()));
                }
            }
        }
    }
    sent
}

/// Every field of every request has `Constraints:` in its comment, in terms that these tests know.
#[wire_test(once)]
async fn every_field_of_every_request_says_its_constraints() {
    let (mut seen, mut wrong) = (BTreeSet::new(), Vec::new());
    for method in Contract::load().methods() {
        undocumented(&method.input(), &mut seen, &mut wrong);
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// What breaks one term of one field is INVALID_ARGUMENT for exactly that field, what just keeps it is not, with everything broken
/// everything is named, and nothing has changed after all that.
#[wire_test]
async fn constraints_hold_field_by_field(world: World) {
    let tenant = Tenant::found(&world, People::arrive(&world).await, &["service_accounts.write"]).await;
    let (watcher, now) = (Watcher::of(&world).await, world.clock.now());
    let (mut wrong, mut breaches, mut limits, mut whole) = (Vec::new(), 0, 0, 0);
    for method in Contract::load().methods() {
        let sender = Sender::of(&world, &method, &tenant).await;
        let before = watcher.look().await;
        breaches += hold_each_breach(&sender, now, &mut wrong).await;
        limits += hold_each_limit(&sender, now, &mut wrong).await;
        whole += hold_all_breaches_at_once(&sender, now, &mut wrong).await;
        let changes = before.difference(&watcher.look().await);
        if !changes.is_empty() {
            wrong.push(format!("{} has changed\n{changes}", method.name()));
        }
    }
    assert!(wrong.is_empty(), "{} wrong:\n{}", wrong.len(), wrong.join("\n"));
    assert!(breaches > 500 && limits > 150 && whole > 30, "only {breaches}, {limits} and {whole} calls");
}

/// U+0000, CR and LF, bidi controls, noncharacters and 100,000 characters in any text of any request are refused or mean
/// nothing: no INTERNAL, no change, on no database (ab_26).
#[wire_test]
async fn ab_26_hostile_texts_in_any_field_do_nothing(world: World) {
    let tenant = Tenant::found(&world, People::arrive(&world).await, &["service_accounts.write"]).await;
    let watcher = Watcher::of(&world).await;
    let (mut wrong, mut sent) = (Vec::new(), 0);
    for method in Contract::load().methods() {
        let sender = Sender::of(&world, &method, &tenant).await;
        let before = watcher.look().await;
        sent += hold_hostile_texts(&sender, &mut wrong).await;
        let changes = before.difference(&watcher.look().await);
        if !changes.is_empty() {
            wrong.push(format!("{} has changed\n{changes}", method.name()));
        }
    }
    assert!(wrong.is_empty(), "{} wrong:\n{}", wrong.len(), wrong.join("\n"));
    assert!(sent > 500, "only {sent} calls");
}

/// A list whose every item is broken is refused like any other: the answer fits into the headers that a client takes.
#[wire_test]
async fn a_list_full_of_breaches_is_answered(world: World) {
    let tenant = Tenant::found(&world, People::arrive(&world).await, &["service_accounts.write"]).await;
    let (mut wrong, mut lists) = (Vec::new(), 0);
    for method in Contract::load().methods() {
        let sender = Sender::of(&world, &method, &tenant).await;
        for request in &sender.requests {
            for field in Constrained::all_in(request, world.clock.now()) {
                let most = field.terms.iter().find_map(|term| match term {
                    Term::Items(most) => Some(*most),
                    _ => None,
                });
                let Some(most) = most else { continue };
                let item = match field.worst().and_then(|filling| filling.value.clone()) {
                    Some(Value::List(list)) => list[0].clone(),
                    // A message without anything in it.
                    _ => Value::Message(DynamicMessage::new(field.place.field.kind().as_message().unwrap().clone())),
                };
                let mut request = request.clone();
                field.place.set(&mut request, Value::List(vec![item; most]));
                lists += 1;
                match sender.send(&request).await {
                    Err(status) if status.code() == Code::InvalidArgument => {
                        let refused = refusal(&status);
                        let first = format!("{}[0]", field.place);
                        if !refused.fields.iter().any(|field| field.starts_with(&first)) {
                            wrong.push(format!("{}, {}: {:?}", method.name(), field.place, refused.fields));
                        }
                        if status.details().len() > 6_000 {
                            wrong.push(format!(
                                "{}, {}: {} bytes of details",
                                method.name(),
                                field.place,
                                status.details().len()
                            ));
                        }
                    }
                    other => wrong.push(format!("{}, {}: {other:?}", method.name(), field.place)),
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(lists > 5, "only {lists} lists");
}
