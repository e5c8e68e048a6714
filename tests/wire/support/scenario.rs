//! What most tests begin with: an organization with an owner, people in it, and service keys; and what a refusal says.
//!
//! Everything is done over the wire, as a calling service would do it. A credential is the text of a session token or of a
//! service key.

use std::collections::HashMap;
use std::time::Duration;

use tonic::{Code, Request, Response, Status};
use tonic_types::StatusExt;

use super::pb::create_organization_request::Owner;
use super::pb::{
    AcceptInvitationRequest, AcceptInvitationResponse, CheckPermissionRequest, CreateInvitationRequest,
    CreateOrganizationRequest, CreateServiceAccountRequest, CreateServiceKeyRequest, CreateUserRequest, Decision,
    Invitation, ListMembersRequest, Member, SetMemberRolesRequest, SignInRequest, SignInResponse, SignUp,
};
use super::world::World;

/// Calls a method with somebody's credential: `call!(world, organizations.get_organization, &key, request)` is the answer or the status. The
/// first may be a replica.
macro_rules! call {
    ($at:expr, $service:ident.$method:ident, $credential:expr, $request:expr) => {{
        let request = $crate::support::scenario::with_credential($credential, $request);
        $at.$service().$method(request).await.map(tonic::Response::into_inner)
    }};
}
pub(crate) use call;

/// A password that the policy accepts, and that everybody in a scenario has.
pub(crate) const PASSWORD: &str = "violet tractor under 9 moons";

/// The address of a scenario's owner, unless another one is given.
pub(crate) const OWNER: &str = "owner@example.com";

/// Somebody with an account, signed in.
#[derive(Clone, Debug)]
pub(crate) struct Person {
    pub(crate) user_id: String,
    pub(crate) email: String,
    pub(crate) session: String,
}

/// An organization with its owner.
#[derive(Clone)]
pub(crate) struct Scenario {
    pub(crate) world: World,
    pub(crate) organization_id: String,
    pub(crate) owner: Person,
}

impl Scenario {
    /// An organization under the default model.
    pub(crate) async fn acme(world: &World) -> Self {
        Self::under(world, "default").await
    }

    /// An organization under any model; its owner is [`OWNER`].
    pub(crate) async fn under(world: &World, model: &str) -> Self {
        Self::with(world, model, "", OWNER).await
    }

    /// An organization under any model, of a kind (or none: empty), with the owner of this address, who gets an account.
    pub(crate) async fn with(world: &World, model: &str, kind: &str, owner: &str) -> Self {
        let owner = create_user(world, owner).await;
        let organization_id = create_organization(world, model, kind, &owner.user_id).await;
        Self { world: world.clone(), organization_id, owner }
    }

    /// Somebody new who is invited by the operator, gets the mail and accepts. Works under every model, also where the model asks
    /// people for a second step or the invitation is not in the roster.
    pub(crate) async fn join(&self, email: &str, roles: &[&str]) -> Person {
        let token = self.invited(email, roles).await;
        let accepted = accept_as_new(&self.world, &token, "Given").await.unwrap();
        Person { user_id: accepted.user_id, email: email.to_owned(), session: accepted.session_token }
    }

    /// Somebody with an account joins with it.
    pub(crate) async fn join_existing(&self, person: &Person, roles: &[&str]) {
        let token = self.invited(&person.email, roles).await;
        accept_as(&self.world, &person.session, &token).await.unwrap();
    }

    /// Invites by the operator's right and answers with the token out of the mail.
    pub(crate) async fn invited(&self, email: &str, roles: &[&str]) -> String {
        self.invited_by(self.world.operator_key(), email, roles).await.1
    }

    /// Invites and answers with the invitation and with the token out of the mail. No other invitation may be on its way to the address.
    pub(crate) async fn invited_by(&self, credential: &str, email: &str, roles: &[&str]) -> (Invitation, String) {
        let before = self.world.mailbox.tokens(email, "rin_").len();
        let invitation = self.invite(credential, email, roles).await.unwrap();
        let token = self.world.mailbox.wait_for_token(email, "rin_", before + 1).await;
        settled(&self.world).await;
        (invitation, token)
    }

    /// An invitation of this address, in the default role.
    pub(crate) fn invitation(&self, email: &str) -> CreateInvitationRequest {
        CreateInvitationRequest {
            organization_id: self.organization_id.clone(),
            email: email.to_owned(),
            ..CreateInvitationRequest::default()
        }
    }

    /// Invites by anybody's right.
    pub(crate) async fn invite(&self, credential: &str, email: &str, roles: &[&str]) -> Result<Invitation, Status> {
        let request = CreateInvitationRequest { roles: texts(roles), ..self.invitation(email) };
        let request = self.world.as_service(credential, request);
        let response = self.world.invitations().create_invitation(request).await?;
        Ok(response.into_inner().invitation.unwrap())
    }

    /// Replaces a member's roles by anybody's right.
    pub(crate) async fn set_roles(&self, credential: &str, user_id: &str, roles: &[&str]) -> Result<Member, Status> {
        let request = SetMemberRolesRequest {
            organization_id: self.organization_id.clone(),
            user_id: user_id.to_owned(),
            roles: texts(roles),
            ..SetMemberRolesRequest::default()
        };
        let answer = call!(self.world, members.set_member_roles, credential, request)?;
        Ok(answer.member.unwrap())
    }

    /// The roster as somebody sees it.
    pub(crate) async fn roster(&self, credential: &str) -> Result<Vec<Member>, Status> {
        let request =
            ListMembersRequest { organization_id: self.organization_id.clone(), ..ListMembersRequest::default() };
        let answer = call!(self.world, members.list_members, credential, request)?;
        Ok(answer.members)
    }

    /// Whether a user may do something here, as the operator is told.
    pub(crate) async fn may(&self, user_id: &str, permission: &str) -> bool {
        let request = CheckPermissionRequest {
            organization_id: self.organization_id.clone(),
            user_id: user_id.to_owned(),
            permission: permission.to_owned(),
            ..Default::default()
        };
        let request = self.world.as_operator(request);
        let response = self.world.permissions().check_permission(request).await.unwrap();
        response.into_inner().decision() == Decision::Allow
    }
}

/// The message with `authorization: Bearer <credential>`.
pub(crate) fn with_credential<T>(credential: &str, message: T) -> Request<T> {
    let mut request = Request::new(message);
    let bearer = format!("Bearer {credential}").parse().unwrap();
    request.metadata_mut().insert("authorization", bearer);
    request
}

/// An account with a verified address and [`PASSWORD`], signed in.
pub(crate) async fn create_user(world: &World, email: &str) -> Person {
    let request = new_user(email);
    let response = world.users().create_user(world.as_operator(request)).await.unwrap();
    let user = response.into_inner().user.unwrap();
    Person {
        user_id: user.user_id,
        email: email.to_owned(),
        session: sign_in(world, email, PASSWORD).await.unwrap().session_token,
    }
}

/// The request for an account with a verified address; the given name is the address's local part.
pub(crate) fn new_user(email: &str) -> CreateUserRequest {
    CreateUserRequest {
        email: email.to_owned(),
        given_name: email.split('@').next().unwrap().to_owned(),
        password: PASSWORD.to_owned(),
        email_verified: true,
        ..CreateUserRequest::default()
    }
}

/// An organization that belongs to a user who exists; answers with its id.
pub(crate) async fn create_organization(world: &World, model: &str, kind: &str, owner_user_id: &str) -> String {
    let request = CreateOrganizationRequest {
        display_name: "Acme".to_owned(),
        access_model: model.to_owned(),
        organization_kind: kind.to_owned(),
        owner: Some(Owner::OwnerUserId(owner_user_id.to_owned())),
        ..CreateOrganizationRequest::default()
    };
    let request = world.as_operator(request);
    let response = world.organizations().create_organization(request).await.unwrap();
    response.into_inner().organization.unwrap().organization_id
}

/// Signs in.
pub(crate) async fn sign_in(world: &World, email: &str, password: &str) -> Result<SignInResponse, Status> {
    world.sessions().sign_in(credentials(email, password)).await.map(Response::into_inner)
}

/// An attempt to sign in.
pub(crate) fn credentials(email: &str, password: &str) -> SignInRequest {
    SignInRequest { email: email.to_owned(), password: password.to_owned(), ..SignInRequest::default() }
}

/// Accepts as a new person with [`PASSWORD`].
pub(crate) async fn accept_as_new(
    world: &World,
    token: &str,
    given_name: &str,
) -> Result<AcceptInvitationResponse, Status> {
    let mut request = signing_up(token, PASSWORD);
    request.sign_up = request.sign_up.map(|sign_up| SignUp { given_name: given_name.to_owned(), ..sign_up });
    world.invitations().accept_invitation(request).await.map(Response::into_inner)
}

/// Accepts as somebody who has an account.
pub(crate) async fn accept_as(world: &World, session: &str, token: &str) -> Result<AcceptInvitationResponse, Status> {
    let request = world.as_session(session, accepting(token));
    world.invitations().accept_invitation(request).await.map(Response::into_inner)
}

/// An acceptance by a new person.
pub(crate) fn signing_up(token: &str, password: &str) -> AcceptInvitationRequest {
    AcceptInvitationRequest {
        token: token.to_owned(),
        sign_up: Some(SignUp { given_name: "Bea".to_owned(), password: password.to_owned(), ..SignUp::default() }),
        ..AcceptInvitationRequest::default()
    }
}

/// An acceptance by whoever's session comes with it.
pub(crate) fn accepting(token: &str) -> AcceptInvitationRequest {
    AcceptInvitationRequest { token: token.to_owned(), ..AcceptInvitationRequest::default() }
}

/// A new service account with these scopes, and a key of it that does not expire: the account's id and the key.
pub(crate) async fn service_account(world: &World, scopes: &[&str]) -> (String, String) {
    let request = CreateServiceAccountRequest {
        display_name: "A service".to_owned(),
        scopes: texts(scopes),
        ..CreateServiceAccountRequest::default()
    };
    let request = world.as_operator(request);
    let response = world.service_accounts().create_service_account(request).await.unwrap();
    let id = response.into_inner().service_account.unwrap().service_account_id;
    let request = CreateServiceKeyRequest { service_account_id: id.clone(), ..CreateServiceKeyRequest::default() };
    let request = world.as_operator(request);
    let response = world.service_accounts().create_service_key(request).await.unwrap();
    (id, response.into_inner().key)
}

/// A key of a new service account with these scopes.
pub(crate) async fn service_key(world: &World, scopes: &[&str]) -> String {
    service_account(world, scopes).await.1
}

/// What a refusal says.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Refused {
    pub(crate) code: Code,
    /// The reason of the ErrorInfo, such as `PERMISSION_REQUIRED`.
    pub(crate) reason: String,
    /// The metadata of the ErrorInfo.
    pub(crate) metadata: HashMap<String, String>,
    /// The fields of the BadRequest, in its order.
    pub(crate) fields: Vec<String>,
}

/// Reads a refusal. A refusal without an ErrorInfo of our domain is a defect.
pub(crate) fn refusal(status: &Status) -> Refused {
    let details = status.get_error_details();
    let info = details.error_info().unwrap_or_else(|| panic!("no ErrorInfo in {status:?}"));
    assert_eq!(info.domain, "roster.v1");
    let fields = details.bad_request().map(|bad| &bad.field_violations[..]);
    Refused {
        code: status.code(),
        reason: info.reason.clone(),
        metadata: info.metadata.clone(),
        fields: fields.unwrap_or_default().iter().map(|field| field.field.clone()).collect(),
    }
}

impl Refused {
    /// What it says to do instead; nothing where it does not say.
    pub(crate) fn hint(&self) -> &str {
        self.metadata.get("hint").map_or("", String::as_str)
    }
}

/// When a status says to try again.
pub(crate) fn retry_delay(status: &Status) -> Option<Duration> {
    status.get_details_retry_info().and_then(|info| info.retry_delay)
}

/// Holds that a call was refused with this code and this reason; answers with the rest.
#[track_caller]
pub(crate) fn assert_refused<T: std::fmt::Debug>(answer: Result<T, Status>, code: Code, reason: &str) -> Refused {
    let refused = refusal(&answer.expect_err("the call should be refused"));
    assert_eq!((refused.code, refused.reason.as_str()), (code, reason), "{refused:?}");
    refused
}

/// Holds that a request was refused because of these fields, in the contract's order.
#[track_caller]
pub(crate) fn assert_invalid<T: std::fmt::Debug>(answer: Result<T, Status>, fields: &[&str]) {
    let refused = assert_refused(answer, Code::InvalidArgument, "INVALID_REQUEST");
    assert_eq!(refused.fields, fields);
}

/// Waits until no message is on its way. A clock that is moved by more than a lease meanwhile would have it sent twice.
pub(crate) async fn settled(world: &World) {
    let leased =
        "SELECT COUNT(*) AS n FROM outbox_messages WHERE state = 'queued' AND attempts > 0 AND last_error IS NULL";
    while world.count(leased).await > 0 {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// What a call could leave behind, counted: rows of every table and all revisions. A call that was refused leaves it as it is.
pub(crate) async fn traces(world: &World) -> Vec<(&'static str, i64)> {
    const TABLES: [&str; 16] = [
        "organizations",
        "users",
        "members",
        "role_holders",
        "invitations",
        "sessions",
        "service_accounts",
        "service_keys",
        "events",
        "replays",
        "outbox_messages",
        "challenges",
        "mfa_factors",
        "recovery_codes",
        "imported_users",
        "identities",
    ];
    let mut counts = Vec::new();
    for table in TABLES {
        let of = if table == "events" { " WHERE stream = 'organization'" } else { "" };
        counts.push((table, world.count(&format!("SELECT COUNT(*) AS n FROM {table}{of}")).await));
    }
    // Those of the installation are about service accounts, and named as their tables are.
    let of_services = "SELECT COUNT(*) AS n FROM events WHERE stream = 'installation'";
    counts.push(("service_events", world.count(of_services).await));
    let revisions = "SELECT CAST(COALESCE(SUM(revision), 0) AS BIGINT) AS n FROM organizations";
    counts.push(("revisions", world.count(revisions).await));
    counts
}

/// A time of the contract.
pub(crate) fn time(timestamp: Option<&prost_types::Timestamp>) -> chrono::DateTime<chrono::Utc> {
    let timestamp = timestamp.expect("there is a time");
    chrono::DateTime::from_timestamp(timestamp.seconds, u32::try_from(timestamp.nanos).unwrap()).unwrap()
}

/// Texts of a request out of literals.
pub(crate) fn texts(literals: &[&str]) -> Vec<String> {
    literals.iter().map(|text| (*text).to_owned()).collect()
}
