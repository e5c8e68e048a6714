//! Who may call what (ab_16): every method of the contract by every kind of caller, against a golden file, and with the ids of others.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use prost::Message;
use prost_reflect::{DynamicMessage, Kind, Value};
use roster::platform::Entropy;
use roster_test_macros::wire_test;
use tonic::{Code, Status};
use tonic_types::pb::{ErrorInfo, Status as WireStatus};

use crate::support::callers::{House, Scopes, Stage, Who};
use crate::support::contents::Watcher;
use crate::support::dynamic::{Contract, Documented, Method, Place, field_comment};
use crate::support::scenario::refusal;
use crate::support::tenant::Seat;
use crate::support::world::World;

/// The columns of the matrix.
const COLUMNS: [(&str, Who, &str); 21] = {
    use {House::*, Scopes::*, Seat::*, Who::*};
    [
        ("nobody", Nobody, "no credential"),
        ("garbled", Garbled, "a bearer that is no credential"),
        ("unknown", UnknownKey, "a service key that nobody was given"),
        ("revoked", RevokedKey, "an operator's key that was revoked"),
        ("unrelated", Key(Unrelated), "a service key without the method's scope"),
        ("scope", Key(Needed), "a service key with the method's scope and no other"),
        ("operator", Key(Operator), "the operator's key"),
        ("outsider", Session(Other, Owner), "session of an owner of another organization"),
        ("owner", Session(Home, Owner), "session of an owner"),
        ("admin", Session(Home, Admin), "session of an admin"),
        ("member", Session(Home, Member), "session of a member"),
        ("suspended", Session(Home, SuspendedOwner), "session of an owner who is suspended"),
        ("of-suspended", Session(Suspended, Owner), "session of an owner of a suspended organization"),
        ("for-outsider", KeyFor(Needed, Other, Owner), "`scope` on behalf of `outsider`"),
        ("for-owner", KeyFor(Needed, Home, Owner), "`scope` on behalf of `owner`"),
        ("for-admin", KeyFor(Needed, Home, Admin), "`scope` on behalf of `admin`"),
        ("for-member", KeyFor(Needed, Home, Member), "`scope` on behalf of `member`"),
        ("unrelated-for", KeyFor(Unrelated, Home, Owner), "`unrelated` on behalf of `owner`"),
        ("as-owner", KeyAs(NeededToAct, Home, Owner), "`scope` with the scope act_as_user too, as `owner`"),
        ("as-member", KeyAs(NeededToAct, Home, Member), "the same, as `member`"),
        ("scope-as", KeyAs(Needed, Home, Owner), "`scope` as `owner`, without the scope act_as_user"),
    ]
};

/// Ids that callers make themselves.
const OF_THE_CALLER: [&str; 3] = ["request_id", "report_id", "import_id"];

/// What a row of the matrix asks for beside the plain request.
#[derive(Clone, PartialEq, Eq)]
enum Variant {
    Plain,
    /// About another user, where the method is open to users for themselves.
    Another,
    /// With a flag that needs a scope of its own.
    Flag(String),
}

/// The rows of one method.
fn variants(method: &Method) -> Vec<Variant> {
    let mut variants = vec![Variant::Plain];
    if !method.rule().self_field.is_empty() {
        variants.push(Variant::Another);
    }
    let input = method.input();
    let flags = input.fields().filter(|field| field.kind() == Kind::Bool);
    let guarded = flags.filter(|field| field_comment(field).contains("Needs the scope `"));
    variants.extend(guarded.map(|field| Variant::Flag(field.name().to_owned())));
    variants
}

fn row_name(method: &Method, variant: &Variant) -> String {
    match variant {
        Variant::Plain => method.name(),
        Variant::Another => format!("{} (another user)", method.name()),
        Variant::Flag(flag) => format!("{} ({flag})", method.name()),
    }
}

/// The valid request of this caller.
async fn request(stage: &mut Stage, method: &Method, variant: &Variant, who: Who) -> DynamicMessage {
    let mut message = stage.request(who, method, *variant == Variant::Another).await;
    if let Variant::Flag(flag) = variant {
        message.set_field_by_name(flag, Value::Bool(true));
    }
    message
}

/// The cell of an answer: ALLOWED once authorization is passed, whatever the domain says then; otherwise what refused.
fn outcome(
    answer: &Result<DynamicMessage, Status>,
    documented: &BTreeMap<String, Documented>,
) -> Result<String, String> {
    let Err(status) = answer else {
        return Ok("ALLOWED".to_owned());
    };
    let refused = refusal(status);
    let code = screaming(refused.code);
    let of_domain = matches!(refused.code, Code::FailedPrecondition | Code::AlreadyExists);
    match (documented.get(&refused.reason), refused.code) {
        (None, _) => Err(format!("{} is not in the contract", refused.reason)),
        (Some(reason), _) if reason.code != code => Err(format!("{} came as {code}", refused.reason)),
        (Some(reason), _) if refused.metadata.keys().any(|fact| !reason.facts.contains(fact)) => {
            Err(format!("{} came with {:?}, which its example does not show", refused.reason, refused.metadata))
        }
        (_, Code::Unauthenticated | Code::PermissionDenied | Code::NotFound) => {
            Ok(format!("{code}/{}", refused.reason))
        }
        _ if refused.reason == "ORGANIZATION_SUSPENDED" => Ok(format!("{code}/{}", refused.reason)),
        _ if of_domain => Ok("ALLOWED".to_owned()),
        _ => Err(format!("this is no verdict about access: {status:?}")),
    }
}

/// `NotFound` as the contract writes it: `NOT_FOUND`.
fn screaming(code: Code) -> String {
    let mut text = String::new();
    for letter in format!("{code:?}").chars() {
        if letter.is_uppercase() && !text.is_empty() {
            text.push('_');
        }
        text.push(letter.to_ascii_uppercase());
    }
    text
}

/// The matrix as text: a legend, and one line for each row, where a refusal is written by the first letters of its reason.
fn render(rows: &[(String, Vec<String>)]) -> String {
    let outcomes: BTreeSet<&String> = rows.iter().flat_map(|(_, cells)| cells).collect();
    let short = |outcome: &str| match outcome.split_once('/') {
        None if outcome == "NONE" => "?".to_owned(),
        None => "yes".to_owned(),
        Some((_, reason)) => reason.split('_').filter_map(|word| word.chars().next()).collect(),
    };
    let shorts: BTreeSet<String> = outcomes.iter().map(|outcome| short(outcome)).collect();
    assert_eq!(shorts.len(), outcomes.len(), "two reasons have the same letters: {outcomes:?}");

    let mut text = "# Who may call what. Written by `UPDATE_GOLDEN=1 cargo test --test wire access_matrix`; read the difference before committing it.\n\n".to_owned();
    for (name, _, meaning) in COLUMNS {
        let _ = writeln!(text, "# {name:14} {meaning}");
    }
    text.push_str("#\n");
    for outcome in &outcomes {
        let _ = writeln!(text, "# {:14} {outcome}", short(outcome));
    }
    let width = rows.iter().map(|(name, _)| name.len()).max().unwrap_or(0);
    let mut line = |name: &str, cells: &[String]| {
        let mut line = format!("{name:width$}");
        for ((column, ..), cell) in COLUMNS.iter().zip(cells) {
            let _ = write!(line, "  {cell:0$}", column.len());
        }
        text.push_str(line.trim_end());
        text.push('\n');
    };
    line("", &[]);
    line("", &COLUMNS.map(|(name, ..)| name.to_owned()));
    for (name, cells) in rows {
        line(name, &cells.iter().map(|cell| short(cell)).collect::<Vec<_>>());
    }
    text
}

/// How the matrix differs from the golden file; or writes the file.
fn differences(now: &str) -> Vec<String> {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/access_matrix.txt");
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        fs::write(&file, now).unwrap();
    }
    let golden = fs::read_to_string(&file).unwrap_or_default();
    if golden == now {
        return Vec::new();
    }
    let mut lines = vec!["access is decided otherwise than tests/golden/access_matrix.txt says. If that is meant, run `UPDATE_GOLDEN=1 cargo test --test wire access_matrix` and read the difference before committing it.".to_owned()];
    let [was, is]: [BTreeSet<&str>; 2] = [golden.lines().collect(), now.lines().collect()];
    lines.extend(was.difference(&is).map(|line| format!("golden: {line}")));
    lines.extend(is.difference(&was).map(|line| format!("now:    {line}")));
    lines
}

/// Everything that a refusal says, in a form that can be compared: the facts in an ErrorInfo have no order on the wire.
#[derive(Debug, PartialEq)]
struct Whole {
    code: Code,
    message: String,
    info: Option<ErrorInfo>,
    details: Vec<(String, Vec<u8>)>,
}

fn whole(answer: Result<DynamicMessage, Status>) -> Result<DynamicMessage, Box<Whole>> {
    answer.map_err(|status| {
        let wire = WireStatus::decode(status.details()).unwrap();
        assert_eq!((wire.code, wire.message.as_str()), (status.code() as i32, status.message()));
        let (info, details): (Vec<_>, Vec<_>) =
            wire.details.into_iter().partition(|detail| detail.type_url.ends_with("ErrorInfo"));
        Box::new(Whole {
            code: status.code(),
            message: status.message().to_owned(),
            info: info.first().map(|info| ErrorInfo::decode(info.value.as_slice()).unwrap()),
            details: details.into_iter().map(|detail| (detail.type_url, detail.value.to_vec())).collect(),
        })
    })
}

fn shown(answer: Result<DynamicMessage, Box<Whole>>) -> String {
    match answer {
        Ok(message) => format!("OK {message}"),
        Err(whole) => format!("{whole:?}"),
    }
}

/// The ids in a request that the caller must not learn anything by. What a service key may do, it may do in every organization: of its
/// requests, those ids that belong to the one before them.
fn foreign_places(method: &Method, message: &DynamicMessage, who: Who) -> Vec<Place> {
    let places = Place::all_in(message);
    let is_id = |place: &&Place| {
        let comment = field_comment(&place.field);
        // What stands in place of a field that is given is a request of its own, with tests of its own.
        let read = !comment.starts_with("Output only.") && !comment.contains("in place of the token");
        place.field.name().ends_with("_id") && !OF_THE_CALLER.contains(&place.field.name()) && read
    };
    let ids: Vec<Place> = places.iter().filter(is_id).cloned().collect();
    // Where a person is only recorded, the right is the service's.
    let alone = who.user().is_none() || method.rule().names_actor;
    let belongs = |place: &Place| {
        ids.iter().any(|other| other.beside("") == place.beside("") && other.field.number() < place.field.number())
    };
    ids.iter().filter(|place| !alone || belongs(place)).cloned().collect()
}

/// What is called with each foreign id: the place alone, and all places at once.
fn substitutions(places: &[Place]) -> Vec<Vec<Place>> {
    let mut sets: Vec<Vec<Place>> = places.iter().map(|place| vec![place.clone()]).collect();
    if places.len() > 1 {
        sets.push(places.to_vec());
    }
    sets
}

/// ab_16: every method by every kind of caller, with a request that is valid for them, against the golden file. What is refused has
/// changed nothing. Every refusal has the code and no other facts than the contract documents of its reason.
#[wire_test]
async fn ab_16_access_matrix(world: World) {
    // Rows are put back behind the server: it has to ask the database each time.
    world.restart_with(&[("invitation-resend-interval", "0s"), ("directory-bytes", "0")]).await;
    let contract = Contract::load();
    let documented = contract.reasons();
    let mut stage = Stage::set(&world, &contract).await;
    let watcher = Watcher::of(&world).await;
    let kept = watcher.keep().await;
    let (mut rows, mut wrong) = (Vec::new(), Vec::new());
    for method in contract.methods() {
        for variant in variants(&method) {
            let name = row_name(&method, &variant);
            let mut cells = Vec::new();
            for (column, who, _) in COLUMNS {
                let message = request(&mut stage, &method, &variant, who).await;
                let prepared = if stage.take_prepared() { Some(watcher.look().await) } else { None };
                let before = prepared.as_ref().unwrap_or(&kept);
                let answer = method.call(world.channel(), stage.credentials(who, &method), &message).await;
                let after = watcher.look().await;
                let cell = outcome(&answer, &documented).unwrap_or_else(|why| {
                    wrong.push(format!("{name} by {column}: {why}"));
                    "NONE".to_owned()
                });
                let changes = before.difference(&after);
                if answer.is_err() && !changes.is_empty() {
                    wrong.push(format!("{name} by {column}: {cell}, and yet it has changed\n{changes}"));
                }
                // The next caller finds everything as this one did.
                watcher.put_back(&kept, &after).await;
                cells.push(cell);
            }
            rows.push((name, cells));
        }
    }
    wrong.extend(differences(&render(&rows)));
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// ab_16: an id of another organization in any id field of any method, by every caller who has a right in their own, is answered as
/// an id that does not exist: the whole answer is the same, and nothing has changed.
#[wire_test]
async fn ab_16_foreign_ids_answer_as_nonexistent_ones(world: World) {
    let contract = Contract::load();
    let watcher = Watcher::of(&world).await;
    let mut stage = Stage::set(&world, &contract).await;
    let columns = COLUMNS.into_iter().filter(|(_, who, _)| match who {
        Who::Key(scopes) => *scopes != Scopes::Unrelated,
        Who::Session(house, _) | Who::KeyFor(_, house, _) | Who::KeyAs(_, house, _) => *house == House::Home,
        _ => false,
    });
    let columns: Vec<_> = columns.collect();
    let (mut wrong, mut compared) = (Vec::new(), 0);
    for method in contract.methods() {
        let other = stage.house(House::Other);
        let others = other.request(&world, &method, other.subject()).await;
        let mut calls = Vec::new();
        for (column, who, _) in &columns {
            let own = request(&mut stage, &method, &Variant::Plain, *who).await;
            for places in substitutions(&foreign_places(&method, &own, *who)) {
                let (mut foreign, mut nonexistent) = (own.clone(), own.clone());
                for place in &places {
                    place.set(&mut foreign, place.get(&others));
                    let nobodys = Entropy::system().uuid(world.clock.now()).to_string();
                    place.set(&mut nonexistent, Value::String(nobodys));
                }
                calls.push((column, stage.credentials(*who, &method), places, foreign, nonexistent));
            }
        }
        let before = watcher.look().await;
        for (column, credentials, places, foreign, nonexistent) in calls {
            let names: Vec<String> = places.iter().map(ToString::to_string).collect();
            let foreign = whole(method.call(world.channel(), credentials.clone(), &foreign).await);
            let nonexistent = whole(method.call(world.channel(), credentials, &nonexistent).await);
            compared += 1;
            if foreign != nonexistent {
                let [foreign, nonexistent] = [foreign, nonexistent].map(shown);
                wrong.push(format!(
                    "{} by {column}, {}:\n  theirs:   {foreign}\n  nobody's: {nonexistent}",
                    method.name(),
                    names.join(" and ")
                ));
            }
        }
        let changes = before.difference(&watcher.look().await);
        if !changes.is_empty() {
            wrong.push(format!("{} has changed\n{changes}", method.name()));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(compared > 200, "only {compared} comparisons");
}
