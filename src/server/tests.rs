//! What holds around every use case, shown with use cases that forget something.

use std::sync::Arc;

use chrono::{DateTime, Utc};
use serde_json::json;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::{Platform, parts::Parts};
use crate::{
    app::{
        App,
        call::{
            caller::{Caller, UserCaller},
            context::{Ctx, Named},
            directory::Freshness,
            error::{Error, Result},
            mutation::{Answer, Mutation},
            rule::{Proof, Rule},
        },
        users::{self, NewUser},
    },
    config::ServeConfig,
    domain::{attributes::Attributes, email::EmailAddress, text::PersonName},
    grpc::{Admitted, Edge, pb},
    platform::{Clock, Entropy, telemetry::Metrics},
    store::{Tx, User},
};

/// An outcome as it is.
struct Outcome<T>(T);

impl<T: Send> Answer<T> for Outcome<T> {
    fn of(outcome: T) -> Self {
        Self(outcome)
    }

    fn encode(&self) -> Vec<u8> {
        Vec::new()
    }

    fn decode(_bytes: &[u8]) -> Option<Self> {
        None
    }
}

/// Adds a user, and asks for the caller's right in an organization, if in any.
struct Add {
    user: User,
    asks_in: Option<Uuid>,
}

impl Mutation for Add {
    type Outcome = ();

    async fn apply(&self, _app: &App, ctx: &Ctx, tx: &mut Tx) -> Result<()> {
        if let Some(organization) = self.asks_in {
            ctx.prove_in(organization);
        }
        let event = ctx.event("user.created", Some(self.user.id), json!({}));
        Ok(tx.insert_user(self.user.clone(), event).await?)
    }
}

async fn app(folder: &tempfile::TempDir) -> Arc<App> {
    let mut config = ServeConfig::from_environment().unwrap();
    config.database.data_dir = folder.path().to_owned();
    let platform = Platform {
        clock: Clock::manual(DateTime::UNIX_EPOCH),
        entropy: Entropy::system(),
        metrics: Metrics::default(),
    };
    let parts = Parts::open_patiently(&config.database, &config.keys, &platform.entropy).await.unwrap();
    let brands = Arc::new(super::mail::brands(&config.mail).unwrap());
    parts.app(&config, brands, &platform).unwrap()
}

fn call(method: &str, caller: Caller, named: Named) -> Ctx {
    Ctx {
        caller,
        rule: Rule::of(method).unwrap(),
        named,
        proof: Proof::default(),
        freshness: Freshness::Full,
        now: DateTime::<Utc>::UNIX_EPOCH,
        request: None,
        client_ip: None,
        peer: None,
    }
}

#[tokio::test]
async fn nothing_is_committed_without_the_right_that_the_rule_asks() {
    let folder = tempfile::tempdir().unwrap();
    let app = app(&folder).await;
    let create = users::Create {
        person: NewUser {
            email: EmailAddress::parse("ada@example.com").unwrap(),
            email_verified: true,
            proven: false,
            given_name: PersonName::parse("Ada").unwrap(),
            family_name: None,
            password: None,
            locale: None,
            username: None,
            phone_number: None,
            attributes: Attributes::default(),
        },
        validate_only: false,
    };
    let by_service = call("/roster.v1.UserService/CreateUser", Caller::default(), Named::default());
    let Outcome(ada) = app.execute::<_, Outcome<User>>(&by_service, create).await.unwrap();
    let organization = app.entropy.uuid(by_service.now);

    for (asks_in, committed) in
        [(None, false), (Some(app.entropy.uuid(by_service.now)), false), (Some(organization), true)]
    {
        let caller = Caller { user: Some(UserCaller { user: ada.clone(), session: None }), ..Caller::default() };
        let named = Named { organization: Some(organization), user: None };
        let user =
            User { id: app.entropy.uuid(by_service.now), email_key: "bob@example.com".to_owned(), ..ada.clone() };
        let ctx = call("/roster.v1.OrganizationService/UpdateOrganization", caller, named);
        let answer = app.execute::<_, Outcome<()>>(&ctx, Add { user: user.clone(), asks_in }).await;
        assert_eq!(answer.is_ok(), committed);
        assert!(committed || matches!(answer, Err(Error::Internal(_))));
        assert_eq!(app.store.read().user(user.id).await.unwrap().is_some(), committed);
    }
}

/// What one message of a stream has proven says nothing of the next.
#[tokio::test]
async fn each_message_of_a_stream_proves_its_right_again() {
    let folder = tempfile::tempdir().unwrap();
    let app = app(&folder).await;
    let open = Rule::of("/roster.v1.InvitationService/PreviewInvitation").unwrap();
    let guarded = Rule::of("/roster.v1.AuditService/ExportAuditEntries").unwrap();
    let admitted = Admitted::without_credentials(open, DateTime::UNIX_EPOCH);
    admitted.proof.give();
    assert_eq!(guarded.unproven(&admitted.proof), None);
    let message = pb::PreviewInvitationRequest { token: "rin_".to_owned() };
    // Whatever the message says.
    let _ = Edge::new(app, CancellationToken::new()).admit_again(&admitted, &message).await;
    assert!(guarded.unproven(&admitted.proof).is_some());
}
