//! The audit chain, and what verifies it.

use roster_test_macros::wire_test;
use sea_orm::{ConnectionTrait, DbBackend};

use super::{asking, busy, listed, rename, verify};
use crate::support::pb::{AuditEntry, AuditFlaw, DisableServiceAccountRequest, SuspendMemberRequest};
use crate::support::process::run;
use crate::support::scenario::{Scenario, call, service_account};
use crate::support::world::{World, literal};

async fn execute(world: &World, statement: &str) {
    let done = world.database().execute_unprepared(statement).await.unwrap();
    assert!(done.rows_affected() > 0, "{statement} changed nothing");
}

/// ab_30: whatever is edited, added or deleted with SQL, the verification names the first entry that is not what it was.
#[wire_test]
async fn ab_30_an_edited_or_deleted_entry_is_named(world: World) {
    let acme = busy(&world).await;
    let other = Scenario::with(&world, "default", "", "other@example.com").await;
    let sound = verify(&acme, None).await;
    assert_eq!((sound.intact, sound.verified_entries, sound.broken_revision), (true, 9, 0));
    assert_eq!(sound.sealed_entries, 9);
    let all = listed(&acme, asking(&acme)).await;
    assert_eq!(sound.hash, all[0].hash);
    for keep in [
        "CREATE TABLE kept_events AS SELECT * FROM events",
        "CREATE TABLE kept_organizations AS SELECT id, revision, chain_hash, chain_seal FROM organizations",
    ] {
        world.database().execute_unprepared(keep).await.unwrap();
    }

    let here = "organization_id = (SELECT organization_id FROM kept_events WHERE kind = 'member.roles_set')";
    let mine = "id = (SELECT organization_id FROM kept_events WHERE kind = 'member.roles_set')";
    let columns = "kind, actor_user_id, actor_service_account_id, subject_id, data, hash, create_time";
    use AuditFlaw::*;
    let attacks: Vec<(String, i64, AuditFlaw)> = vec![
        (
            format!(
                "UPDATE events SET data = '{{\"before\":[\"member\"],\"after\":[\"owner\"]}}' WHERE revision = 7 AND {here}"
            ),
            7,
            EntryChanged,
        ),
        (format!("UPDATE events SET kind = 'member.removed' WHERE revision = 7 AND {here}"), 7, EntryChanged),
        (format!("UPDATE events SET actor_user_id = NULL WHERE revision = 4 AND {here}"), 4, EntryChanged),
        (format!("UPDATE events SET subject_id = NULL WHERE revision = 2 AND {here}"), 2, EntryChanged),
        (format!("UPDATE events SET actor_service_account_id = NULL WHERE revision = 1 AND {here}"), 1, EntryChanged),
        (
            format!(
                "UPDATE events SET create_time = (SELECT MIN(create_time) FROM events) WHERE revision = 9 AND {here}"
            ),
            9,
            EntryChanged,
        ),
        (
            format!(
                "UPDATE events SET hash = (SELECT hash FROM kept_events k WHERE k.revision = 5 AND k.{here}) WHERE revision = 6 AND {here}"
            ),
            6,
            EntryChanged,
        ),
        (format!("DELETE FROM events WHERE revision = 1 AND {here}"), 1, EntryMissing),
        (format!("DELETE FROM events WHERE revision IN (5, 6) AND {here}"), 5, EntryMissing),
        (format!("DELETE FROM events WHERE revision = 9 AND {here}"), 9, EndMissing),
        (format!("DELETE FROM events WHERE revision > 3 AND {here}"), 4, EndMissing),
        (format!("DELETE FROM events WHERE {here}"), 1, EndMissing),
        (
            format!(
                "INSERT INTO events (organization_id, revision, {columns}) SELECT organization_id, 10, {columns} FROM events WHERE revision = 9 AND {here}"
            ),
            10,
            EntryAdded,
        ),
        (
            format!(
                "UPDATE organizations SET chain_hash = (SELECT hash FROM events WHERE revision = 8 AND {here}) WHERE {mine}"
            ),
            9,
            ChainReplaced,
        ),
    ];
    for (attack, revision, flaw) in attacks {
        execute(&world, &attack).await;
        let found = verify(&acme, None).await;
        assert_eq!((found.intact, found.broken_revision, found.flaw()), (false, revision, flaw), "{attack}");
        assert_eq!(found.organization_id, acme.organization_id);
        assert!(verify(&other, None).await.intact, "{attack}");
        // As it was.
        execute(&world, "DELETE FROM events").await;
        execute(&world, "INSERT INTO events SELECT * FROM kept_events").await;
        execute(&world, "UPDATE organizations SET revision = (SELECT k.revision FROM kept_organizations k WHERE k.id = organizations.id), \
            chain_hash = (SELECT k.chain_hash FROM kept_organizations k WHERE k.id = organizations.id)").await;
        assert!(verify(&acme, Some(&all[0])).await.intact, "{attack}");
    }

    // Whoever takes the end away and sets the organization's row back leaves a chain that is whole in itself. The seal shows it.
    execute(&world, &format!("DELETE FROM events WHERE revision > 6 AND {here}")).await;
    execute(&world, &format!("UPDATE organizations SET revision = 6, chain_hash = (SELECT hash FROM kept_events k WHERE k.revision = 6 AND k.organization_id = organizations.id) WHERE {mine}")).await;
    let found = verify(&acme, None).await;
    assert_eq!((found.broken_revision, found.flaw(), found.sealed_entries), (7, EndMissing, 0));
    // Without a seal, with that of another organization, and with one that somebody has made up.
    let of_other = format!(
        "(SELECT k.chain_seal FROM kept_organizations k WHERE NOT ({mine}))",
        mine = mine.replace("id =", "k.id =")
    );
    let older = match world.database().get_database_backend() {
        DbBackend::Postgres => "decode('0000000000000006', 'hex') || substring(chain_seal FROM 9)",
        _ => "CAST(X'0000000000000006' || SUBSTR(chain_seal, 9) AS BLOB)",
    };
    for forged in ["NULL", &of_other, older] {
        execute(&world, &format!("UPDATE organizations SET chain_seal = {forged} WHERE {mine}")).await;
        let found = verify(&acme, None).await;
        let expected = if forged == of_other { (2, SealBroken, 0) } else { (6, SealBroken, 0) };
        assert_eq!((found.broken_revision, found.flaw(), found.sealed_entries), expected, "{forged}");
        execute(&world, &format!("UPDATE organizations SET chain_seal = (SELECT k.chain_seal FROM kept_organizations k WHERE k.id = organizations.id) WHERE {mine}")).await;
    }
    // What was kept outside shows it, too.
    let found = verify(&acme, Some(&all[0])).await;
    assert_eq!((found.broken_revision, found.flaw()), (7, EndMissing));
    let foreign = AuditEntry { hash: all[0].hash.clone(), revision: 4, ..AuditEntry::default() };
    let found = verify(&acme, Some(&foreign)).await;
    assert_eq!((found.broken_revision, found.flaw()), (4, ChainReplaced));
}

/// `roster admin verify` looks at the installation and at all organizations, names the broken ones, and fails where there is one.
#[wire_test]
async fn the_command_line_verifies_all_organizations(world: World) {
    let acme = Scenario::acme(&world).await;
    let other = Scenario::with(&world, "default", "", "other@example.com").await;
    let endpoint = format!("--endpoint=http://{}", world.grpc_address());
    let key = [("ROSTER_OPERATOR_KEY", world.operator_key())];
    let sound = run(&["admin", &endpoint, "verify"], &key).await;
    assert_eq!(
        (sound.code, sound.stdout.matches("\tINTACT\t2\t").count()),
        (Some(0), 3),
        "{} {}",
        sound.stdout,
        sound.stderr
    );
    execute(&world, "UPDATE events SET data = '{}' WHERE revision = 2").await;
    let one = run(&["admin", &endpoint, "verify", &other.organization_id], &key).await;
    assert_eq!(
        (one.code, one.stdout.trim()),
        (Some(1), format!("{}\tBROKEN\t1\t2\tENTRY_CHANGED", other.organization_id).as_str()),
        "{}",
        one.stderr
    );
    let all = run(&["admin", &endpoint, "verify"], &key).await;
    assert!(
        all.stdout.contains(&acme.organization_id) && all.stderr.contains("3 records are broken"),
        "{} {}",
        all.stdout,
        all.stderr
    );
}

/// ab_49: `roster admin verify` compares members, service accounts and keys with what the records say of them, and names what somebody has changed in the rows alone.
#[wire_test]
async fn ab_49_rows_that_the_record_does_not_tell_of_are_named(world: World) {
    let acme = Scenario::acme(&world).await;
    let bob = acme.join("bob@example.com", &["member"]).await;
    let carl = acme.join("carl@example.com", &["admin"]).await;
    acme.set_roles(world.operator_key(), &carl.user_id, &["member"]).await.unwrap();
    let (account, _) = service_account(&world, &["permissions.check"]).await;
    let request = DisableServiceAccountRequest { service_account_id: account.clone(), ..Default::default() };
    call!(world, service_accounts.disable_service_account, world.operator_key(), request).unwrap();
    let request = SuspendMemberRequest {
        organization_id: acme.organization_id.clone(),
        user_id: bob.user_id.clone(),
        ..Default::default()
    };
    call!(world, members.suspend_member, world.operator_key(), request).unwrap();
    let endpoint = format!("--endpoint=http://{}", world.grpc_address());
    let key = [("ROSTER_OPERATOR_KEY", world.operator_key())];
    let verify = async || run(&["admin", &endpoint, "verify"], &key).await;
    let sound = verify().await;
    assert_eq!((sound.code, sound.stdout.contains("DIFFERS")), (Some(0), false), "{} {}", sound.stdout, sound.stderr);

    let id = |id: &str| literal(&world, id);
    let statements = [
        format!("UPDATE members SET roles = '[\"owner\"]' WHERE user_id = {}", id(&carl.user_id)),
        format!("UPDATE members SET state = 'active' WHERE user_id = {}", id(&bob.user_id)),
        format!("UPDATE service_accounts SET scopes = '[\"operator\"]' WHERE id = {}", id(&account)),
    ];
    for statement in &statements {
        execute(&world, statement).await;
    }
    // Rows that are changed by hand are not noticed by what is in memory.
    world.restart_with(&[]).await;
    let endpoint = format!("--endpoint=http://{}", world.grpc_address());
    let found = run(&["admin", &endpoint, "verify"], &key).await;
    assert_eq!(found.code, Some(1), "{} {}", found.stdout, found.stderr);
    for (who, recorded, now) in [
        (&carl.user_id, "active member", "active owner"),
        (&bob.user_id, "suspended member", "active member"),
        (&account, "disabled permissions.check", "disabled operator"),
    ] {
        let line = format!("DIFFERS\t{who}\trecorded: {recorded}\tnow: {now}");
        assert!(found.stdout.contains(&line), "{line} in {}", found.stdout);
    }
    assert!(found.stderr.contains("2 records are broken"), "{}", found.stderr);
}

/// Entries that are recorded while a verification goes on are no flaw.
#[wire_test]
async fn verifying_goes_on_beside_changes(world: World) {
    let acme = Scenario::acme(&world).await;
    let writing = acme.clone();
    let writer = tokio::spawn(async move { rename(&writing, 60).await });
    let mut rounds = 0;
    while !writer.is_finished() {
        let found = verify(&acme, None).await;
        assert!(found.intact, "{found:?}");
        rounds += 1;
    }
    writer.await.unwrap();
    let found = verify(&acme, None).await;
    assert_eq!((found.intact, found.verified_entries, rounds > 0), (true, 62, true));
}
