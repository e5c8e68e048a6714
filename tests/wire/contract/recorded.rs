//! The log tells of every change of what rights rest on, held from the contract for the methods of tomorrow too.

use roster_test_macros::wire_test;

use crate::support::callers::{House, Scopes, Stage, Who};
use crate::support::contents::Watcher;
use crate::support::dynamic::Contract;
use crate::support::tenant::Seat;
use crate::support::world::World;

/// Who calls each method, in turn.
const CALLERS: [Who; 3] = [
    Who::Key(Scopes::Operator),
    Who::Session(House::Home, Seat::Owner),
    Who::KeyFor(Scopes::Operator, House::Home, Seat::Owner),
];

/// What rights rest on, and what others are told of organizations and accounts.
const RIGHTS: [&str; 14] = [
    "access_models",
    "contacts",
    "identities",
    "invitations",
    "members",
    "mfa_factors",
    "organizations",
    "ownership_transfers",
    "recovery_codes",
    "role_holders",
    "service_accounts",
    "service_keys",
    "sessions",
    "users",
];

/// Changes of these that no event tells of.
const SILENT: [(&str, &str); 1] = [("SessionService/SignIn", "whoever signs in gets nothing that they could not have")];

/// Whoever follows the log and nothing else learns of every change that a method makes.
#[wire_test]
async fn every_change_of_rights_is_in_the_log(world: World) {
    // Rows are put back behind the server: it has to ask the database each time.
    world.restart_with(&[("directory-bytes", "0")]).await;
    let contract = Contract::load();
    let mut stage = Stage::set(&world, &contract).await;
    let watcher = Watcher::of(&world).await;
    let kept = watcher.keep().await;
    let (mut silent, mut told) = (Vec::new(), 0);
    for method in contract.methods() {
        for who in CALLERS {
            let message = stage.request(who, &method, true).await;
            let before = watcher.look().await;
            let credentials = stage.credentials(who, &method);
            let answer = method.call(world.channel(), credentials, &message).await;
            let after = watcher.look().await;
            let changed: Vec<&str> = before.changed(&after).map(String::as_str).collect();
            let rights = changed.iter().any(|table| RIGHTS.contains(table));
            match (rights, changed.contains(&"events")) {
                (true, false) => silent.push(method.name()),
                (true, true) => told += 1,
                (false, _) => {}
            }
            assert!(answer.is_ok() || changed.is_empty(), "{}: {answer:?} and {changed:?}", method.name());
            watcher.put_back(&kept, &after).await;
        }
    }
    silent.dedup();
    assert_eq!(silent, SILENT.map(|(method, _)| method));
    assert!(told > 60, "only {told} changes were seen");
}
