//! An AI platform's team page: three tiers, exactly one owner, ownership by transfer.

use std::collections::BTreeMap;
use std::time::Duration;

use tonic::Code;

use crate::activity::{report, send};
use crate::support::runner::wire_tests;
use crate::support::scenario::{Scenario, assert_refused, service_key, texts, time};

wire_tests! {
    /// js_01: an Admin manages the team; a Member sees the roster and changes nothing.
    async fn js_01_members_see_and_change_nothing(world: World) {
        let team = Scenario::under(&world, "jetstack").await;
        let admin = team.join("admin@example.com", &["admin"]).await;
        let member = team.join("member@example.com", &["member"]).await;
        team.invite(&admin.session, "guest@example.com", &["member"]).await.unwrap();
        assert_eq!(team.roster(&member.session).await.unwrap().len(), 4);
        let invited = team.invite(&member.session, "other@example.com", &["member"]).await;
        assert_refused(invited, Code::PermissionDenied, "PERMISSION_REQUIRED");
        let promoted = team.set_roles(&member.session, &member.user_id, &["admin"]).await;
        assert_refused(promoted, Code::PermissionDenied, "PERMISSION_REQUIRED");
    }

    /// js_14: the roster has name, address, role, last activity, imports, deployments and audits; the last three are for Owner and Admins. Other services report
    /// them in batches, and what is reported twice counts once.
    async fn js_14_the_roster_counts_what_members_did(world: World) {
        let team = Scenario::under(&world, "jetstack").await;
        let admin = team.join("admin@example.com", &["admin"]).await;
        let member = team.join("member@example.com", &["member"]).await;
        world.clock.advance(Duration::from_secs(600));
        let platform = service_key(&world, &["activity.write"]).await;
        let reports = || vec![
            report(&team, &member.user_id, 1, "assets.import", ("imports", 12)),
            report(&team, &member.user_id, 2, "implementations.deploy", ("deployments", 2)),
            report(&team, &member.user_id, 3, "audits.run", ("audits", 1)),
            report(&team, &member.user_id, 4, "assets.import", ("imports", 3)),
        ];
        send(&world, &platform, reports()).await;
        send(&world, &platform, reports()).await;
        for viewer in [&team.owner, &admin] {
            let roster = team.roster(&viewer.session).await.unwrap();
            let row = roster.iter().find(|row| row.user_id == member.user_id).unwrap();
            assert_eq!((row.display_name.as_str(), row.email.as_str(), &row.roles), ("Given", "member@example.com", &texts(&["member"])));
            assert_eq!(time(row.last_active_time.as_ref()), world.clock.now());
            let counters: BTreeMap<&str, i64> = row.counters.iter().map(|(name, count)| (name.as_str(), *count)).collect();
            assert_eq!(counters, BTreeMap::from([("audits", 1), ("deployments", 2), ("imports", 15)]));
        }
        let roster = team.roster(&member.session).await.unwrap();
        assert!(roster.len() == 3 && roster.iter().all(|row| row.counters.is_empty()), "{roster:?}");
    }
}
