//! ab_02: a mutation fails after its message was written to the outbox. The database is made to refuse what comes later: the event, the kept answer, or the
//! commit itself.

use roster_test_macros::wire_test;
use sea_orm::{ConnectionTrait, DbBackend};
use tonic::{Response, Status};
use uuid::Uuid;

use crate::support::ledger::Ledger;
use crate::support::pb::create_organization_request::Owner;
use crate::support::pb::{
    AcceptInvitationRequest, CreateInvitationRequest, CreateOrganizationRequest, Founder, PreviewInvitationRequest,
    ResendInvitationRequest, SignUp,
};
use crate::support::race::told;
use crate::support::scenario::{PASSWORD, create_organization, create_user, new_user, traces};
use crate::support::world::World;

/// What the database refuses.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Refuses {
    /// The event, which is written directly after the message.
    Event,
    /// The answer that is kept under the request id: the last row of the transaction.
    Answer,
    /// The commit.
    Commit,
}

const ALL: [Refuses; 3] = [Refuses::Event, Refuses::Answer, Refuses::Commit];

impl Refuses {
    fn trap(self, backend: DbBackend) -> &'static [&'static str] {
        match (backend, self) {
            (DbBackend::Postgres, Self::Event) => &[
                "CREATE TRIGGER trap BEFORE INSERT ON events FOR EACH ROW WHEN (NEW.kind LIKE 'invitation.%') EXECUTE FUNCTION refuse()",
            ],
            (DbBackend::Postgres, Self::Answer) => {
                &["CREATE TRIGGER trap BEFORE INSERT ON replays FOR EACH ROW EXECUTE FUNCTION refuse()"]
            }
            (DbBackend::Postgres, Self::Commit) => &[
                "CREATE CONSTRAINT TRIGGER trap AFTER INSERT ON events DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION refuse()",
            ],
            (_, Self::Event) => &[
                "CREATE TRIGGER trap BEFORE INSERT ON events WHEN NEW.kind LIKE 'invitation.%' BEGIN SELECT RAISE(ABORT, 'refused'); END",
            ],
            (_, Self::Answer) => {
                &["CREATE TRIGGER trap BEFORE INSERT ON replays BEGIN SELECT RAISE(ABORT, 'refused'); END"]
            }
            (_, Self::Commit) => &[
                "CREATE TABLE IF NOT EXISTS nowhere (id INTEGER PRIMARY KEY)",
                "CREATE TABLE IF NOT EXISTS dangling (id INTEGER REFERENCES nowhere (id) DEFERRABLE INITIALLY DEFERRED)",
                "CREATE TRIGGER trap AFTER INSERT ON events BEGIN INSERT INTO dangling VALUES (1); END",
            ],
        }
    }

    async fn set(self, world: &World) {
        let backend = world.database().get_database_backend();
        if backend == DbBackend::Postgres {
            execute(world, "CREATE OR REPLACE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'refused'; END $$").await;
        }
        for statement in self.trap(backend) {
            execute(world, statement).await;
        }
    }

    async fn lift(self, world: &World) {
        let table = if self == Self::Answer { "replays" } else { "events" };
        match world.database().get_database_backend() {
            DbBackend::Postgres => execute(world, &format!("DROP TRIGGER trap ON {table}")).await,
            _ => execute(world, "DROP TRIGGER trap").await,
        }
    }
}

async fn execute(world: &World, statement: &str) {
    world.database().execute_unprepared(statement).await.unwrap();
}

/// Makes a call that the database refuses late, holds that it left nothing behind, and that the very same call works when the database is well again.
async fn fails_and_leaves_nothing<T, F>(world: &World, call: impl Fn() -> F)
where
    F: Future<Output = Result<Response<T>, Status>>,
{
    for refuses in ALL {
        let before = traces(world).await;
        refuses.set(world).await;
        assert_eq!(told(&call().await), "Internal INTERNAL", "{refuses:?}");
        assert_eq!(traces(world).await, before, "{refuses:?}");
        refuses.lift(world).await;
        // The same server goes on to write: no connection is stuck in the transaction that failed.
        let unrelated = new_user(&format!("{}@example.com", Uuid::now_v7()));
        world.users().create_user(world.as_operator(unrelated)).await.unwrap();
    }
    call().await.unwrap();
}

fn request_id() -> String {
    Uuid::now_v7().to_string()
}

/// The number of mails to an address, once the outbox is empty.
async fn mails(world: &World, email: &str) -> usize {
    while world.count("SELECT COUNT(*) AS n FROM outbox_messages WHERE state = 'queued'").await > 0 {
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
    assert_eq!(world.mailbox.attempts(email), world.mailbox.mails_for(email).len());
    world.mailbox.mails_for(email).len()
}

/// ab_02: CreateInvitation fails late: no invitation, no event, no message, no kept answer, and no mail. Called again, it works, and one mail goes out.
#[wire_test]
async fn ab_02_a_failed_invitation_sends_nothing(world: World) {
    let owner = create_user(&world, "owner@example.com").await;
    let organization_id = create_organization(&world, "default", "", &owner.user_id).await;
    let request = CreateInvitationRequest {
        organization_id: organization_id.clone(),
        email: "guest@example.com".to_owned(),
        request_id: request_id(),
        ..CreateInvitationRequest::default()
    };
    let call =
        || async { world.invitations().create_invitation(world.as_session(&owner.session, request.clone())).await };
    fails_and_leaves_nothing(&world, call).await;
    assert_eq!(mails(&world, "guest@example.com").await, 1);
    assert_eq!(Ledger::read(world.database(), &organization_id).await.events.len(), 3);
}

/// ab_02: ResendInvitation fails late: the first link goes on to work, and no second mail goes out.
#[wire_test]
async fn ab_02_a_failed_resend_leaves_the_first_link(world: World) {
    let owner = create_user(&world, "owner@example.com").await;
    let organization_id = create_organization(&world, "default", "", &owner.user_id).await;
    let request = CreateInvitationRequest {
        organization_id: organization_id.clone(),
        email: "guest@example.com".to_owned(),
        ..CreateInvitationRequest::default()
    };
    let created = world.invitations().create_invitation(world.as_operator(request)).await.unwrap().into_inner();
    let token = world.mailbox.wait_for("guest@example.com", 1).await[0].invitation_token();
    let request = ResendInvitationRequest {
        organization_id: organization_id.clone(),
        invitation_id: created.invitation.unwrap().invitation_id,
        request_id: request_id(),
        ..ResendInvitationRequest::default()
    };
    let call = || async {
        let preview = PreviewInvitationRequest { token: token.clone() };
        world.invitations().preview_invitation(preview).await.unwrap();
        assert_eq!(mails(&world, "guest@example.com").await, 1);
        world.invitations().resend_invitation(world.as_operator(request.clone())).await
    };
    fails_and_leaves_nothing(&world, call).await;
    assert_eq!(mails(&world, "guest@example.com").await, 2);
    assert_eq!(Ledger::read(world.database(), &organization_id).await.events.len(), 4);
}

/// ab_02: CreateOrganization with a founder fails late: no organization, no invitation, and no mail.
#[wire_test]
async fn ab_02_a_failed_organization_invites_nobody(world: World) {
    let request = CreateOrganizationRequest {
        display_name: "Acme".to_owned(),
        owner: Some(Owner::Founder(Founder { email: "founder@example.com".to_owned(), ..Founder::default() })),
        request_id: request_id(),
        ..CreateOrganizationRequest::default()
    };
    let call = || async { world.organizations().create_organization(world.as_operator(request.clone())).await };
    fails_and_leaves_nothing(&world, call).await;
    assert_eq!(mails(&world, "founder@example.com").await, 1);
}

/// ab_02: an acceptance fails late: no account, no session, no membership, and the invitation is as open as before.
#[wire_test]
async fn ab_02_a_failed_acceptance_leaves_the_invitation_open(world: World) {
    let owner = create_user(&world, "owner@example.com").await;
    let organization_id = create_organization(&world, "default", "", &owner.user_id).await;
    let request = CreateInvitationRequest {
        organization_id: organization_id.clone(),
        email: "guest@example.com".to_owned(),
        ..CreateInvitationRequest::default()
    };
    world.invitations().create_invitation(world.as_operator(request)).await.unwrap();
    let request = AcceptInvitationRequest {
        token: world.mailbox.wait_for("guest@example.com", 1).await[0].invitation_token(),
        sign_up: Some(SignUp { given_name: "Grace".to_owned(), password: PASSWORD.to_owned(), ..SignUp::default() }),
        request_id: request_id(),
        ..AcceptInvitationRequest::default()
    };
    let call = || async { world.invitations().accept_invitation(request.clone()).await };
    fails_and_leaves_nothing(&world, call).await;
    assert_eq!(Ledger::read(world.database(), &organization_id).await.members.len(), 2);
}

/// A call that is only to be checked writes its rows and takes all of them back: no mail, no event, no row.
#[wire_test]
async fn ab_02_a_call_that_only_validates_sends_nothing(world: World) {
    let owner = create_user(&world, "owner@example.com").await;
    let organization_id = create_organization(&world, "default", "", &owner.user_id).await;
    let before = traces(&world).await;
    let request = CreateInvitationRequest {
        organization_id,
        email: "guest@example.com".to_owned(),
        request_id: request_id(),
        validate_only: true,
        ..CreateInvitationRequest::default()
    };
    let answer = world.invitations().create_invitation(world.as_session(&owner.session, request)).await.unwrap();
    assert_eq!(answer.into_inner().invitation.unwrap().email, "guest@example.com");
    assert_eq!(traces(&world).await, before);
    assert_eq!(mails(&world, "guest@example.com").await, 0);
}
