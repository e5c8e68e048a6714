//! What people can have sent to others from the operator's domain: how much, by one invitation, by an organization, and into one mailbox (ab_43), and under which subject (ab_55).

use std::time::Duration;

use roster_test_macros::wire_test;
use tonic::{Code, Status};

use crate::services::organizations::ownership::{WITH_CONFIRMATION, team, with_confirmation};
use crate::support::pb::create_organization_request::Owner;
use crate::support::pb::{
    BatchCreateInvitationsRequest, CreateInvitationRequest, CreateOrganizationRequest, ErrorReason, Founder,
    Invitation, MemberAction, NewInvitation, Organization, ResendInvitationRequest, RevokeInvitationRequest,
    UpdateOrganizationRequest, UpdateUserRequest, User, invitation_result,
};
use crate::support::race::at_once;
use crate::support::scenario::{Scenario, assert_refused, call, retry_delay, service_key, texts, traces};
use crate::support::world::World;

const BOB: &str = "bob@example.com";
const MINUTE: Duration = Duration::from_secs(60);

async fn resend(acme: &Scenario, credential: &str, id: &str) -> Result<Invitation, Status> {
    let request = ResendInvitationRequest {
        organization_id: acme.organization_id.clone(),
        invitation_id: id.to_owned(),
        ..ResendInvitationRequest::default()
    };
    let answer = call!(acme.world, invitations.resend_invitation, credential, request)?;
    Ok(answer.invitation.unwrap())
}

/// Holds that a budget is spent, and answers with how long to wait.
#[track_caller]
fn assert_spent<T: std::fmt::Debug>(answer: Result<T, Status>, budget: &str) -> Option<Duration> {
    let status = answer.expect_err("there is no more for now");
    let wait = retry_delay(&status);
    let refused = assert_refused(Err::<(), _>(status), Code::ResourceExhausted, "MAIL_BUDGET_SPENT");
    assert_eq!(refused.metadata["budget"], budget);
    assert!(!refused.hint().is_empty());
    wait
}

/// Waits until all mail has been sent.
async fn sent(world: &World) {
    while world.count("SELECT COUNT(*) AS n FROM outbox_messages WHERE state = 'queued'").await > 0 {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// Moves the clock when nothing is on its way, which would be sent twice.
async fn wait(world: &World, time: Duration) {
    sent(world).await;
    world.clock.advance(time);
}

/// ab_43: an invitation is sent again after a minute at the earliest, and ten times in all; whoever reads the roster is shown when they can. A refusal changes nothing, and an operator is
/// not bound.
#[wire_test]
async fn ab_43_an_invitation_is_sent_now_and_then(world: World) {
    let acme = Scenario::acme(&world).await;
    let owner = &acme.owner.session;
    let invitation = acme.invite(owner, BOB, &["member"]).await.unwrap().invitation_id;
    let offered = async || acme.row(owner, BOB).await.allowed_actions.contains(&MemberAction::ResendInvitation.into());
    world.mailbox.wait_for(BOB, 1).await;
    sent(&world).await;
    let before = traces(&world).await;
    for _ in 0..60 {
        let status = resend(&acme, owner, &invitation).await.unwrap_err();
        assert_eq!(retry_delay(&status), Some(MINUTE));
        let refused = assert_refused(Err::<(), _>(status), Code::ResourceExhausted, "INVITATION_RECENTLY_SENT");
        assert_eq!(refused.metadata["retry_after_seconds"], "60");
    }
    assert_eq!((traces(&world).await, offered().await), (before, false));
    let mut count = 1;
    for _ in 0..20 {
        wait(&world, MINUTE).await;
        let could = offered().await;
        let answer = resend(&acme, owner, &invitation).await;
        assert_eq!(answer.is_ok(), could);
        match answer {
            Ok(_) => count += 1,
            refused => assert_eq!(assert_spent(refused, "invitation"), None),
        }
    }
    assert_eq!((count, world.mailbox.wait_for(BOB, 10).await.len()), (10, 10));
    wait(&world, 60 * MINUTE).await;
    for _ in 0..2 {
        resend(&acme, world.operator_key(), &invitation).await.unwrap();
    }
    let revoke = RevokeInvitationRequest {
        organization_id: acme.organization_id.clone(),
        invitation_id: invitation,
        ..Default::default()
    };
    call!(world, invitations.revoke_invitation, owner, revoke).unwrap();
    acme.invite(owner, BOB, &["member"]).await.unwrap();
    sent(&world).await;
}

/// ab_43: of many who send an invitation again at once, one does.
#[wire_test]
async fn ab_43_one_of_many_sends_it_again(world: World) {
    let acme = Scenario::acme(&world).await;
    let invitation = acme.invited_by(&acme.owner.session, BOB, &["member"]).await.0.invitation_id;
    wait(&world, MINUTE).await;
    let calls = (0..12).map(|_| {
        let (acme, invitation) = (acme.clone(), invitation.clone());
        async move { resend(&acme, &acme.owner.session, &invitation).await }
    });
    let answers = at_once(calls.collect()).await;
    assert_eq!(answers.iter().filter(|answer| answer.is_ok()).count(), 1, "{answers:?}");
    assert_eq!(world.mailbox.wait_for(BOB, 2).await.len(), 2);
}

/// ab_43: a mailbox gets ten invitations in an hour, of all organizations together, however its address is written, on every server; who only tries it out is not told.
#[wire_test]
async fn ab_43_a_mailbox_gets_ten_invitations_an_hour(world: World) {
    let one = Scenario::with(&world, "packetfabric", "customer", "one@example.com").await;
    let two = Scenario::with(&world, "packetfabric", "customer", "two@example.com").await;
    let replica = world.second_server().await;
    for (index, email) in
        ["bob@example.com", "BOB@example.com", "bob+a@example.com", "Bob+b@EXAMPLE.com", "bob+c@example.com"]
            .into_iter()
            .enumerate()
    {
        if index == 2 {
            wait(&world, MINUTE).await;
        }
        for acme in [&one, &two] {
            acme.invite(&acme.owner.session, email, &["regular"]).await.unwrap();
        }
    }
    wait(&world, 10 * MINUTE).await;
    let before = traces(&world).await;
    let service = service_key(&world, &["invitations.write", "organizations.write"]).await;
    let before = before.into_iter().filter(|(table, _)| !table.starts_with("service")).collect::<Vec<_>>();
    let invitation = |acme: &Scenario, email: &str, validate_only| CreateInvitationRequest {
        organization_id: acme.organization_id.clone(),
        email: email.to_owned(),
        roles: texts(&["regular"]),
        validate_only,
        ..Default::default()
    };
    for (acme, credential) in [(&one, &one.owner.session), (&two, &two.owner.session), (&two, &service)] {
        // The first four leave the hour before the others do.
        assert_eq!(
            assert_spent(
                call!(world, invitations.create_invitation, credential, invitation(acme, BOB, false)),
                "address"
            ),
            Some(49 * MINUTE)
        );
        assert_spent(
            call!(replica, invitations.create_invitation, credential, invitation(acme, "bob+new@example.com", false)),
            "address",
        );
        call!(world, invitations.create_invitation, credential, invitation(acme, BOB, true)).unwrap();
    }
    let founder = Founder { email: BOB.to_owned(), ..Default::default() };
    let founding = CreateOrganizationRequest {
        display_name: "Acme".to_owned(),
        owner: Some(Owner::Founder(founder)),
        ..Default::default()
    };
    assert_spent(call!(world, organizations.create_organization, &service, founding.clone()), "address");
    let after = traces(&world).await;
    assert_eq!(after.into_iter().filter(|(table, _)| !table.starts_with("service")).collect::<Vec<_>>(), before);
    // In a batch, it is one refusal, and the others are invited.
    let invitations = [BOB, "eve@example.com"].map(|email| NewInvitation {
        email: email.to_owned(),
        roles: texts(&["regular"]),
        ..Default::default()
    });
    let batch = BatchCreateInvitationsRequest {
        organization_id: one.organization_id.clone(),
        invitations: invitations.to_vec(),
        ..Default::default()
    };
    let results = call!(world, invitations.batch_create_invitations, &one.owner.session, batch).unwrap().results;
    let Some(invitation_result::Outcome::Refusal(refusal)) = &results[0].outcome else { panic!("{results:?}") };
    assert_eq!((refusal.reason(), refusal.metadata["budget"].as_str()), (ErrorReason::MailBudgetSpent, "address"));
    assert!(matches!(results[1].outcome, Some(invitation_result::Outcome::Invitation(_))));

    call!(world, organizations.create_organization, world.operator_key(), founding).unwrap();
    wait(&world, 49 * MINUTE).await;
    for _ in 0..3 {
        one.invite(&one.owner.session, BOB, &["regular"]).await.unwrap();
    }
    assert_spent(one.invite(&one.owner.session, BOB, &["regular"]).await, "address");
    sent(&world).await;
}

/// ab_43: an organization has a budget for each day. What is invited, replaced and sent again counts, and what is only tried out does not.
#[wire_test]
async fn ab_43_an_organization_has_a_budget_for_each_day(world: World) {
    world.restart_with(&[("invitation-mails-per-organization", "6")]).await;
    let acme = Scenario::acme(&world).await;
    let other = Scenario::with(&world, "default", "", "other@example.com").await;
    let owner = &acme.owner.session;
    let batch = |names: &[&str], validate_only| BatchCreateInvitationsRequest {
        organization_id: acme.organization_id.clone(),
        validate_only,
        invitations: names
            .iter()
            .map(|name| NewInvitation { email: format!("{name}@example.com"), ..Default::default() })
            .collect(),
        ..Default::default()
    };
    let invited = |results: &[crate::support::pb::InvitationResult]| {
        let outcomes = results.iter().map(|one| match one.outcome.clone().unwrap() {
            invitation_result::Outcome::Invitation(_) => true,
            invitation_result::Outcome::Refusal(refusal) => {
                assert_eq!(
                    (refusal.reason(), refusal.metadata["budget"].as_str()),
                    (ErrorReason::MailBudgetSpent, "organization")
                );
                false
            }
        });
        outcomes.collect::<Vec<bool>>()
    };
    let first = acme.invite(owner, "a@example.com", &["member"]).await.unwrap();
    wait(&world, 60 * MINUTE).await;
    resend(&acme, owner, &first.invitation_id).await.unwrap();
    let tried = call!(world, invitations.batch_create_invitations, owner, batch(&["b", "c", "d", "e", "f"], true))
        .unwrap()
        .results;
    assert_eq!(invited(&tried), [true, true, true, true, false]);
    let results =
        call!(world, invitations.batch_create_invitations, owner, batch(&["b", "c", "d", "e", "f", "g"], false))
            .unwrap()
            .results;
    assert_eq!(invited(&results), [true, true, true, true, false, false]);
    wait(&world, MINUTE).await;
    assert_eq!(
        assert_spent(acme.invite(owner, "f@example.com", &["member"]).await, "organization"),
        Some(Duration::from_secs(23 * 3600 - 60))
    );
    assert_spent(resend(&acme, owner, &first.invitation_id).await, "organization");
    other.invite(&other.owner.session, "a@example.com", &["member"]).await.unwrap();
    acme.invite(world.operator_key(), "h@example.com", &["member"]).await.unwrap();
    wait(&world, 24 * 60 * MINUTE).await;
    let calls = (0..20).map(|index| {
        let acme = acme.clone();
        async move { acme.invite(&acme.owner.session, &format!("n{index}@example.com"), &["member"]).await }
    });
    let answers = at_once(calls.collect()).await;
    assert_eq!(answers.iter().filter(|answer| answer.is_ok()).count(), 6);
    sent(&world).await;
}

/// ab_43: handing ownership over and calling it off in turn fills nobody's mailbox.
#[wire_test]
async fn ab_43_transfers_do_not_fill_a_mailbox(world: World) {
    with_confirmation(&world).await;
    let (team, one, _) = team(&world, WITH_CONFIRMATION).await;
    let owner = team.owner.session.as_str();
    let mut started = 0;
    for _ in 0..20 {
        match team.transfer(owner, &one.user_id).await {
            Ok(transfer) => drop(team.cancel(owner, &transfer.transfer_id).await.unwrap()),
            refused => {
                assert_spent(refused, "address");
                break;
            }
        }
        started += 1;
    }
    assert!((4..=5).contains(&started), "{started} transfers");
    wait(&world, 60 * MINUTE).await;
    team.transfer(owner, &one.user_id).await.unwrap();
    sent(&world).await;
}

/// ab_55: whatever inviters call themselves and their organization, the subject stays the sentence that it is, in every language, and names both.
#[wire_test(sqlite)]
async fn ab_55_names_leave_the_subject_its_sentence(world: World) {
    // The second is one in which each dot gains a gap, so that it is twice as long in the mail.
    for (index, long) in ["Überfällig ".repeat(9), "a.".repeat(49)].into_iter().enumerate() {
        let long = long.trim();
        let acme = Scenario::with(&world, "default", "", &format!("owner{index}@example.com")).await;
        let user = User {
            user_id: acme.owner.user_id.clone(),
            given_name: long.to_owned(),
            family_name: long.to_owned(),
            ..User::default()
        };
        call!(
            world,
            users.update_user,
            &acme.owner.session,
            UpdateUserRequest { user: Some(user), ..Default::default() }
        )
        .unwrap();
        let organization = Organization {
            organization_id: acme.organization_id.clone(),
            display_name: long.to_owned(),
            ..Organization::default()
        };
        call!(
            world,
            organizations.update_organization,
            &acme.owner.session,
            UpdateOrganizationRequest { organization: Some(organization), ..Default::default() }
        )
        .unwrap();
        for (locale, between, after) in [
            ("en", " invited you to join ", ""),
            ("de", " lädt Sie zu ", " ein"),
            ("fr", " vous invite à rejoindre ", ""),
            ("es", " le invita a unirse a ", ""),
            ("ja", " さんから ", " への招待"),
        ] {
            let email = format!("{locale}{index}@example.com");
            let request = CreateInvitationRequest {
                organization_id: acme.organization_id.clone(),
                email: email.clone(),
                locale: locale.to_owned(),
                ..Default::default()
            };
            call!(world, invitations.create_invitation, &acme.owner.session, request).unwrap();
            let mail = world.mailbox.wait_for(&email, 1).await.remove(0);
            let (inviter, rest) =
                mail.subject.split_once(between).unwrap_or_else(|| panic!("{locale}: {}", mail.subject));
            let organization = rest.strip_suffix(after).unwrap_or_else(|| panic!("{locale}: {}", mail.subject));
            for name in [inviter, organization] {
                assert!(
                    name.starts_with(&long[..2])
                        && name.ends_with('\u{2026}')
                        && (50..=60).contains(&name.chars().count()),
                    "{locale}: {name}"
                );
            }
            // The words of the mail have all of it.
            assert!(mail.text.replace(['\u{202f}', '\n', ' '], "").contains(&long.replace(' ', "")), "{}", mail.text);
        }
    }
}
