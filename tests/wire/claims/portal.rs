//! A customer portal: owners, managers, and contacts that are not users.

use tonic::Code;

use crate::contacts::{add, recipients};
use crate::support::pb::{DeleteContactRequest, MemberState};
use crate::support::runner::wire_tests;
use crate::support::scenario::{PASSWORD, Scenario, assert_refused, call, refusal, sign_in, texts};

wire_tests! {
    /// cp_06: a Manager has the account, and neither invites nor edits users.
    async fn cp_06_a_manager_leaves_users_alone(world: World) {
        let portal = Scenario::under(&world, "portal").await;
        let manager = portal.join("manager@example.com", &["manager"]).await;
        assert!(portal.may(&manager.user_id, "services.manage").await);
        let invited = portal.invite(&manager.session, "guest@example.com", &["manager"]).await;
        assert_refused(invited, Code::PermissionDenied, "PERMISSION_REQUIRED");
        let edited = portal.set_roles(&manager.session, &portal.owner.user_id, &["manager"]).await;
        assert_refused(edited, Code::PermissionDenied, "PERMISSION_REQUIRED");
    }

    /// cp_07: a user is Active, Suspended or Revoked, in the document's words.
    async fn cp_07_the_three_statuses(world: World) {
        let portal = Scenario::under(&world, "portal").await;
        let owner = &portal.owner.session;
        let paused = portal.join("paused@example.com", &["manager"]).await;
        let revoked = portal.join("revoked@example.com", &["manager"]).await;
        portal.suspend(owner, &paused.user_id).await.unwrap();
        portal.remove(owner, &revoked.user_id).await.unwrap();
        let rows = portal.rows(owner, &[MemberState::Active, MemberState::Suspended, MemberState::Removed]).await;
        let mut labels: Vec<_> = rows.iter().map(|row| (row.email.as_str(), row.status_label.as_str())).collect();
        labels.sort_unstable();
        assert_eq!(labels, [("owner@example.com", "Active"), ("paused@example.com", "Suspended"), ("revoked@example.com", "Revoked")]);
    }

    /// cp_09: the last active owner is given no other role, is not disabled and not removed, and does not leave.
    async fn cp_09_the_last_active_owner_stays(world: World) {
        let portal = Scenario::under(&world, "portal").await;
        let owner = &portal.owner;
        let second = portal.join("second@example.com", &["owner"]).await;
        portal.suspend(&owner.session, &second.user_id).await.unwrap();
        for credential in [&*owner.session, world.operator_key()] {
            for answer in [
                portal.set_roles(credential, &owner.user_id, &["manager"]).await,
                portal.suspend(credential, &owner.user_id).await,
                portal.remove(credential, &owner.user_id).await,
            ] {
                assert_refused(answer, Code::FailedPrecondition, "LAST_OWNER");
            }
        }
        assert_refused(portal.leave(&owner.session).await, Code::FailedPrecondition, "LAST_OWNER");
        assert_eq!(portal.active_holders("owner").await, [owner.email.as_str()]);
        portal.activate(&owner.session, &second.user_id).await.unwrap();
        portal.leave(&owner.session).await.unwrap();
        assert_eq!(portal.active_holders("owner").await, ["second@example.com"]);
    }

    /// cp_10: an owner disables a user, whose sessions are refused at once, and enables them, which gives access back by a new sign-in only.
    async fn cp_10_disabling_ends_sessions_and_enabling_gives_access_back(world: World) {
        let portal = Scenario::under(&world, "portal").await;
        let owner = &portal.owner.session;
        let manager = portal.join("manager@example.com", &["manager"]).await;
        let elsewhere = portal.join("elsewhere@example.com", &["manager"]).await;
        portal.join_elsewhere(&elsewhere).await;
        for (person, code, reason) in [(&manager, Code::Unauthenticated, "CREDENTIALS_INVALID"), (&elsewhere, Code::PermissionDenied, "PERMISSION_REQUIRED")] {
            portal.suspend(owner, &person.user_id).await.unwrap();
            assert_refused(portal.roster(&person.session).await, code, reason);
            assert!(!portal.may(&person.user_id, "services.read").await);
        }
        world.clock.advance(chrono::Duration::seconds(1).to_std().unwrap());
        for (person, reason) in [(&manager, "CREDENTIALS_INVALID"), (&elsewhere, "SESSION_OUTDATED")] {
            portal.activate(owner, &person.user_id).await.unwrap();
            assert!(portal.may(&person.user_id, "services.read").await);
            assert_refused(portal.roster(&person.session).await, Code::Unauthenticated, reason);
            let session = sign_in(&world, &person.email, PASSWORD).await.unwrap().session_token;
            portal.roster(&session).await.unwrap();
        }
    }

    /// cp_01: a user signs in and has permissions; a contact gets notifications of its contact role, and nothing else: it is no row of the roster.
    async fn cp_01_a_contact_only_gets_notifications(world: World) {
        let portal = Scenario::under(&world, "portal").await;
        let manager = portal.join("manager@example.com", &["manager"]).await;
        add(&portal, "billing@example.com", "Accounting", &["billing"]).await;
        assert!(portal.may(&manager.user_id, "services.manage").await);
        assert_eq!(recipients(&portal, "billing").await, texts(&["billing@example.com"]));
        assert!(recipients(&portal, "maintenance").await.is_empty());
        let roster = portal.roster(&portal.owner.session).await.unwrap();
        assert!(roster.iter().all(|row| row.email != "billing@example.com"), "{roster:?}");
    }

    /// cp_02: a contact's address cannot be used to sign in, and gets the answer of an address that nobody knows.
    async fn cp_02_a_contact_does_not_sign_in(world: World) {
        let portal = Scenario::under(&world, "portal").await;
        add(&portal, "billing@example.com", "Accounting", &["billing"]).await;
        let contact = sign_in(&world, "billing@example.com", PASSWORD).await;
        let unknown = sign_in(&world, "nobody@example.com", PASSWORD).await;
        assert_eq!(refusal(contact.as_ref().unwrap_err()), refusal(unknown.as_ref().unwrap_err()));
        assert_eq!(contact.as_ref().unwrap_err().message(), unknown.unwrap_err().message());
        assert_refused(contact, Code::Unauthenticated, "SIGN_IN_FAILED");
    }

    /// cp_03: one person can be both, with the same address; neither knows of the other.
    async fn cp_03_one_person_can_be_both(world: World) {
        let portal = Scenario::under(&world, "portal").await;
        let manager = portal.join("manager@example.com", &["manager"]).await;
        let contact = add(&portal, "manager@example.com", "The manager", &["maintenance"]).await;
        sign_in(&world, "manager@example.com", PASSWORD).await.unwrap();
        assert_eq!(recipients(&portal, "maintenance").await, texts(&["manager@example.com"]));
        add(&portal, "later@example.com", "Later", &[]).await;
        portal.join("later@example.com", &["manager"]).await;
        let deletion = DeleteContactRequest { organization_id: portal.organization_id.clone(), contact_id: contact.contact_id, ..DeleteContactRequest::default() };
        call!(world, contacts.delete_contact, &portal.owner.session, deletion).unwrap();
        assert!(portal.may(&manager.user_id, "services.manage").await);
        sign_in(&world, "manager@example.com", PASSWORD).await.unwrap();
    }

    /// cp_04: the list says who has a second factor.
    async fn cp_04_the_list_says_who_has_a_second_factor(world: World) {
        let portal = Scenario::under(&world, "portal").await;
        let manager = portal.join("two@example.com", &["manager"]).await;
        portal.join("one@example.com", &["manager"]).await;
        crate::mfa::guard(&world, &manager).await;
        let rows = portal.roster(&portal.owner.session).await.unwrap();
        let having: Vec<&str> = rows.iter().filter(|row| row.mfa_enabled).map(|row| row.email.as_str()).collect();
        assert_eq!((rows.len(), having), (3, vec!["two@example.com"]));
    }
}
