//! ab_35: what a service has begun ends with its rights: an invitation that waits, and a transfer of ownership that waits.

use std::time::Duration;

use roster_test_macros::wire_test;
use tonic::{Code, Request, Status};

use crate::services::organizations::ownership::{WITH_CONFIRMATION, team, with_confirmation};
use crate::support::pb::create_organization_request::Owner;
use crate::support::pb::{
    CreateInvitationRequest, CreateOrganizationRequest, CreateServiceKeyRequest, DisableServiceAccountRequest, Founder,
    ListServiceKeysRequest, PreviewInvitationRequest, ResendInvitationRequest, RevokeServiceKeyRequest, ServiceAccount,
    TransferOwnershipRequest, UpdateServiceAccountRequest,
};
use crate::support::scenario::{
    Person, Scenario, accept_as_new, assert_refused, call, service_account, settled, texts, traces,
};
use crate::support::world::World;

/// A service with an invitation or a transfer that waits.
struct Service {
    id: String,
    key: String,
    key_id: String,
}

impl Service {
    async fn with(world: &World, scopes: &[&str]) -> Self {
        let (id, key) = service_account(world, scopes).await;
        let request = ListServiceKeysRequest { service_account_id: id.clone(), ..ListServiceKeysRequest::default() };
        let keys = call!(world, service_accounts.list_service_keys, world.operator_key(), request);
        let key_id = keys.unwrap().service_keys.remove(0).service_key_id;
        Self { id, key, key_id }
    }

    /// Another key of the account.
    async fn another_key(&self, world: &World) -> String {
        let request =
            CreateServiceKeyRequest { service_account_id: self.id.clone(), ..CreateServiceKeyRequest::default() };
        let answer = call!(world, service_accounts.create_service_key, world.operator_key(), request);
        answer.unwrap().key
    }

    async fn withdraw(&self, world: &World, way: &Withdrawal) {
        let (operator, service_account_id) = (world.operator_key(), self.id.clone());
        match way {
            Withdrawal::RevokeKey => {
                let request = RevokeServiceKeyRequest {
                    service_account_id,
                    service_key_id: self.key_id.clone(),
                    ..RevokeServiceKeyRequest::default()
                };
                call!(world, service_accounts.revoke_service_key, operator, request).unwrap();
            }
            Withdrawal::Disable => {
                let request =
                    DisableServiceAccountRequest { service_account_id, ..DisableServiceAccountRequest::default() };
                call!(world, service_accounts.disable_service_account, operator, request).unwrap();
            }
            Withdrawal::LeaveScopes(scopes) => {
                let request = UpdateServiceAccountRequest {
                    service_account: Some(ServiceAccount {
                        service_account_id,
                        scopes: texts(scopes),
                        ..ServiceAccount::default()
                    }),
                    ..UpdateServiceAccountRequest::default()
                };
                call!(world, service_accounts.update_service_account, operator, request).unwrap();
            }
        }
    }
}

/// How a right is taken away.
enum Withdrawal {
    RevokeKey,
    Disable,
    /// The account keeps these scopes alone.
    LeaveScopes(&'static [&'static str]),
}

/// For whom the service called.
#[derive(Clone, Copy)]
enum For {
    Nobody,
    Actor,
    Session,
}

fn called<T>(world: &World, key: &str, for_whom: For, person: &Person, message: T) -> Request<T> {
    match for_whom {
        For::Nobody => world.as_service(key, message),
        For::Session => world.on_behalf_of(key, &person.session, message),
        For::Actor => {
            let mut request = world.as_service(key, message);
            let id = person.user_id.parse().unwrap();
            request.metadata_mut().insert("roster-actor", id);
            request
        }
    }
}

/// Invites somebody as an owner, and answers with the link's token.
async fn invite(acme: &Scenario, key: &str, for_whom: For, email: &str) -> (String, String) {
    let world = &acme.world;
    let request = CreateInvitationRequest {
        organization_id: acme.organization_id.clone(),
        email: email.to_owned(),
        roles: texts(&["owner"]),
        ..CreateInvitationRequest::default()
    };
    let request = called(world, key, for_whom, &acme.owner, request);
    let created = world.invitations().create_invitation(request).await.unwrap().into_inner();
    let token = world.mailbox.wait_for(email, 1).await[0].invitation_token();
    (created.invitation.unwrap().invitation_id, token)
}

async fn preview(world: &World, token: &str) -> Result<(), Status> {
    let request = PreviewInvitationRequest { token: token.to_owned() };
    world.invitations().preview_invitation(request).await.map(drop)
}

/// Holds that nobody accepts with a link, and that its preview says so.
async fn nobody_accepts(world: &World, token: &str) {
    let before = traces(world).await;
    let refused = accept_as_new(world, token, "Bob").await;
    let refused = assert_refused(refused, Code::FailedPrecondition, "INVITER_NO_LONGER_AUTHORIZED");
    assert!(!refused.hint().is_empty());
    assert_refused(preview(world, token).await, Code::FailedPrecondition, "INVITER_NO_LONGER_AUTHORIZED");
    assert_eq!(traces(world).await, before);
}

/// After which an address may be written to again.
const HOUR: Duration = Duration::from_secs(3600);

const INVITING: &[&str] = &["invitations.write", "act_as_user"];

/// ab_35: an invitation to owner, sent by a service by itself, as a user and on behalf of one. It is worth nothing once the key is revoked, the account disabled, or the scope that
/// the call needed taken away.
#[wire_test]
async fn ab_35_an_invitation_ends_with_its_senders_rights(world: World) {
    use For::{Actor, Nobody, Session};
    let acme = Scenario::acme(&world).await;
    let cases = [
        (Nobody, Withdrawal::RevokeKey),
        (Nobody, Withdrawal::Disable),
        (Nobody, Withdrawal::LeaveScopes(&["act_as_user"])),
        (Actor, Withdrawal::RevokeKey),
        (Actor, Withdrawal::Disable),
        (Actor, Withdrawal::LeaveScopes(&["act_as_user"])),
        (Actor, Withdrawal::LeaveScopes(&["invitations.write"])),
        (Session, Withdrawal::RevokeKey),
        (Session, Withdrawal::Disable),
        (Session, Withdrawal::LeaveScopes(&["act_as_user"])),
    ];
    for (number, (for_whom, way)) in cases.into_iter().enumerate() {
        let service = Service::with(&world, INVITING).await;
        let (_, token) = invite(&acme, &service.key, for_whom, &format!("bob{number}@example.com")).await;
        preview(&world, &token).await.unwrap();
        settled(&world).await;
        service.withdraw(&world, &way).await;
        nobody_accepts(&world, &token).await;
    }
}

/// ab_35: what the call did not need may go: another key, a scope that it made no use of. Whoever sends the invitation again answers for it from then on, by the key of that call.
#[wire_test]
async fn ab_35_an_invitation_stands_by_what_it_needed(world: World) {
    let acme = Scenario::acme(&world).await;
    for (number, for_whom) in [For::Nobody, For::Session].into_iter().enumerate() {
        let service = Service::with(&world, INVITING).await;
        let email = format!("ada{number}@example.com");
        let second = service.another_key(&world).await;
        let (_, token) = invite(&acme, &second, for_whom, &email).await;
        service.withdraw(&world, &Withdrawal::LeaveScopes(&["invitations.write"])).await;
        service.withdraw(&world, &Withdrawal::RevokeKey).await;
        accept_as_new(&world, &token, "Ada").await.unwrap();
    }

    let first = Service::with(&world, INVITING).await;
    let (invitation_id, token) = invite(&acme, &first.key, For::Nobody, "cyd@example.com").await;
    settled(&world).await;
    first.withdraw(&world, &Withdrawal::RevokeKey).await;
    nobody_accepts(&world, &token).await;
    let resend = || ResendInvitationRequest {
        organization_id: acme.organization_id.clone(),
        invitation_id: invitation_id.clone(),
        ..ResendInvitationRequest::default()
    };
    let second = Service::with(&world, INVITING).await;
    world.clock.advance(HOUR);
    call!(world, invitations.resend_invitation, &second.key, resend()).unwrap();
    let again = world.mailbox.wait_for("cyd@example.com", 2).await[1].invitation_token();
    settled(&world).await;
    preview(&world, &again).await.unwrap();
    second.withdraw(&world, &Withdrawal::RevokeKey).await;
    nobody_accepts(&world, &again).await;
    world.clock.advance(HOUR);
    call!(world, invitations.resend_invitation, &acme.owner.session, resend()).unwrap();
    let last = world.mailbox.wait_for("cyd@example.com", 3).await[2].invitation_token();
    accept_as_new(&world, &last, "Cyd").await.unwrap();
}

/// ab_35: a founder's invitation stands by the scope that creates organizations, which is the one that its call needed.
#[wire_test]
async fn ab_35_a_founder_is_invited_by_the_right_to_create(world: World) {
    let found = async |service: &Service, email: &str| {
        let founder = Founder { email: email.to_owned(), ..Founder::default() };
        let request = CreateOrganizationRequest {
            display_name: "Acme".to_owned(),
            access_model: "default".to_owned(),
            owner: Some(Owner::Founder(founder)),
            ..CreateOrganizationRequest::default()
        };
        call!(world, organizations.create_organization, &service.key, request).unwrap();
        let token = world.mailbox.wait_for(email, 1).await[0].invitation_token();
        settled(&world).await;
        token
    };
    let service = Service::with(&world, &["organizations.write", "invitations.write"]).await;
    let (first, second) = (found(&service, "ada@example.com").await, found(&service, "bob@example.com").await);
    service.withdraw(&world, &Withdrawal::LeaveScopes(&["organizations.write"])).await;
    accept_as_new(&world, &first, "Ada").await.unwrap();
    service.withdraw(&world, &Withdrawal::LeaveScopes(&["invitations.write"])).await;
    nobody_accepts(&world, &second).await;
}

/// ab_35: a transfer that a service has started waits for its nominee in vain once the service has lost what it started it by.
#[wire_test]
async fn ab_35_a_transfer_ends_with_its_starters_rights(world: World) {
    use For::{Actor, Nobody, Session};
    with_confirmation(&world).await;
    let (team, one, _) = team(&world, WITH_CONFIRMATION).await;
    let cases = [
        (Nobody, Withdrawal::RevokeKey),
        (Nobody, Withdrawal::Disable),
        (Nobody, Withdrawal::LeaveScopes(&["act_as_user"])),
        (Actor, Withdrawal::RevokeKey),
        (Actor, Withdrawal::Disable),
        (Actor, Withdrawal::LeaveScopes(&["ownership.write"])),
        (Session, Withdrawal::Disable),
        (Session, Withdrawal::LeaveScopes(&["act_as_user"])),
    ];
    let start = async |service: &Service, for_whom: For| {
        let request = TransferOwnershipRequest {
            organization_id: team.organization_id.clone(),
            nominee_user_id: one.user_id.clone(),
            owner_user_id: match for_whom {
                Nobody => team.owner.user_id.clone(),
                Actor | Session => String::new(),
            },
            ..TransferOwnershipRequest::default()
        };
        let request = called(&world, &service.key, for_whom, &team.owner, request);
        let started = world.ownership().transfer_ownership(request).await.unwrap().into_inner();
        settled(&world).await;
        started.transfer.unwrap().transfer_id
    };
    for (for_whom, way) in cases {
        let service = Service::with(&world, &["ownership.write", "act_as_user"]).await;
        let transfer = start(&service, for_whom).await;
        service.withdraw(&world, &way).await;
        let before = traces(&world).await;
        let refused = assert_refused(
            team.confirm(&one.session, &transfer).await,
            Code::FailedPrecondition,
            "TRANSFER_NO_LONGER_AUTHORIZED",
        );
        assert!(!refused.hint().is_empty());
        assert_eq!(traces(&world).await, before);
        team.cancel(&one.session, &transfer).await.unwrap();
        // Both sides have had their mail for this hour.
        settled(&world).await;
        world.clock.advance(HOUR);
    }
    let service = Service::with(&world, &["ownership.write", "act_as_user"]).await;
    let transfer = start(&service, Actor).await;
    team.confirm(&one.session, &transfer).await.unwrap();
    assert_eq!(team.active_holders("owner").await, ["one@example.com"]);
    settled(&world).await;
}
