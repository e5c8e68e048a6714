//! Races about who owns an organization, where ownership is handed over and where accounts end: under one model exactly one owner is left each time (JS08), under the
//! others at least one. An owner counts where their account is in use, too. Each is run over two servers on one database.
//!
//! What protects is the organization's lock, which whoever ends an account takes too, and behind it the revision check of `Tx::record`, which makes whoever comes second begin
//! again. With both taken out, of 50 rounds on PostgreSQL failed: 37 of a transfer against the end of either side, 41 of two founders, 46 of two owners whose accounts end, and 50
//! of two transfers that wait. Without the lock alone the check held the first three, and 14 of two transfers that wait failed.

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use roster_test_macros::wire_test;
use tonic::Status;
use tonic::transport::Channel;

use crate::services::organizations::ownership::{WITH_CONFIRMATION, with_confirmation};
use crate::support::ledger::Ledger;
use crate::support::pb::create_organization_request::Owner;
use crate::support::pb::invitation_service_client::InvitationServiceClient;
use crate::support::pb::member_service_client::MemberServiceClient;
use crate::support::pb::ownership_service_client::OwnershipServiceClient;
use crate::support::pb::user_service_client::UserServiceClient;
use crate::support::pb::{
    AcceptInvitationRequest, CancelOwnershipTransferRequest, ConfirmOwnershipTransferRequest, CreateInvitationRequest,
    CreateOrganizationRequest, DeleteUserRequest, Founder, LeaveOrganizationRequest, RemoveMemberRequest,
    SetMemberRolesRequest, SignUp, SuspendMemberRequest, SuspendUserRequest, TransferOwnershipRequest,
};
use crate::support::race::{Endings, OK, Servers, against, told};
use crate::support::runner::rounds;
use crate::support::scenario::{PASSWORD, Person, Scenario, call, create_organization, create_user, with_credential};
use crate::support::world::{World, literal};

/// A call of which only the outcome counts.
type Call = BoxFuture<'static, Result<(), Status>>;

/// What ends or changes the part that somebody has in an organization.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum OwnerExit {
    Demote,
    Suspend,
    Remove,
    Leave,
    SuspendAccount,
    DeleteAccount,
}

impl OwnerExit {
    const ALL: [Self; 6] =
        [Self::Demote, Self::Suspend, Self::Remove, Self::Leave, Self::SuspendAccount, Self::DeleteAccount];
    /// Those that concern the whole account.
    const OF_ACCOUNTS: [Self; 2] = [Self::SuspendAccount, Self::DeleteAccount];

    /// The call that does it to `target`: of an account by the operator, leaving by themselves, the rest by `actor`. `lower` is the role that they are demoted to.
    fn call(self, channel: Channel, at: &Scenario, actor: &str, target: &Person, lower: &str) -> Call {
        let (organization_id, user_id, lower) =
            (at.organization_id.clone(), target.user_id.clone(), vec![lower.to_owned()]);
        let mut users = UserServiceClient::new(channel.clone());
        let mut members = MemberServiceClient::new(channel);
        let credential = match self {
            Self::SuspendAccount | Self::DeleteAccount => at.world.operator_key(),
            Self::Leave => &target.session,
            Self::Demote | Self::Suspend | Self::Remove => actor,
        };
        macro_rules! by {
            ($client:ident.$method:ident, $request:ident { $($field:ident),* }) => {{
                let request = with_credential(credential, $request { $($field,)* ..$request::default() });
                async move { $client.$method(request).await.map(drop) }.boxed()
            }};
        }
        match self {
            Self::Demote => {
                let roles = lower;
                by!(members.set_member_roles, SetMemberRolesRequest { organization_id, user_id, roles })
            }
            Self::Suspend => by!(members.suspend_member, SuspendMemberRequest { organization_id, user_id }),
            Self::Remove => by!(members.remove_member, RemoveMemberRequest { organization_id, user_id }),
            Self::Leave => by!(members.leave_organization, LeaveOrganizationRequest { organization_id }),
            Self::SuspendAccount => by!(users.suspend_user, SuspendUserRequest { user_id }),
            Self::DeleteAccount => by!(users.delete_user, DeleteUserRequest { user_id }),
        }
    }
}

/// How many own the organization: active members in the owner role whose account is in use. The rows of the organization agree with each other.
async fn owners(at: &Scenario) -> i64 {
    Ledger::read(at.world.database(), &at.organization_id).await;
    let organization = literal(&at.world, &at.organization_id);
    let query = format!(
        "SELECT COUNT(*) AS n FROM role_holders h JOIN members m ON m.organization_id = h.organization_id AND m.user_id = h.user_id \
         JOIN users u ON u.id = h.user_id \
         WHERE h.organization_id = {organization} AND h.role = 'owner' AND m.state = 'active' AND u.state = 'active'"
    );
    at.world.count(&query).await
}

fn transfer(channel: Channel, at: &Scenario, nominee: &Person) -> BoxFuture<'static, Result<String, Status>> {
    let request = TransferOwnershipRequest {
        organization_id: at.organization_id.clone(),
        nominee_user_id: nominee.user_id.clone(),
        ..TransferOwnershipRequest::default()
    };
    let request = with_credential(&at.owner.session, request);
    let mut client = OwnershipServiceClient::new(channel);
    async move {
        let answer = client.transfer_ownership(request).await?;
        Ok(answer.into_inner().transfer.unwrap().transfer_id)
    }
    .boxed()
}

fn confirm(channel: Channel, at: &Scenario, nominee: &Person, transfer_id: &str) -> Call {
    let request = ConfirmOwnershipTransferRequest {
        organization_id: at.organization_id.clone(),
        transfer_id: transfer_id.to_owned(),
        ..ConfirmOwnershipTransferRequest::default()
    };
    let request = with_credential(&nominee.session, request);
    let mut client = OwnershipServiceClient::new(channel);
    async move { client.confirm_ownership_transfer(request).await.map(drop) }.boxed()
}

fn cancel(channel: Channel, at: &Scenario, by: &Person, transfer_id: &str) -> Call {
    let request = CancelOwnershipTransferRequest {
        organization_id: at.organization_id.clone(),
        transfer_id: transfer_id.to_owned(),
        ..CancelOwnershipTransferRequest::default()
    };
    let request = with_credential(&by.session, request);
    let mut client = OwnershipServiceClient::new(channel);
    async move { client.cancel_ownership_transfer(request).await.map(drop) }.boxed()
}

/// An organization of this round's people, whose accounts may end: an owner, and others in a role.
async fn team<const N: usize>(world: &World, model: &str, role: &str, round: usize) -> (Scenario, [Person; N]) {
    let owner = create_user(world, &format!("owner{round}@example.com")).await;
    let team = Scenario {
        organization_id: create_organization(world, model, "", &owner.user_id).await,
        world: world.clone(),
        owner,
    };
    let mut others = Vec::new();
    for index in 0..N {
        let other = create_user(world, &format!("other{round}.{index}@example.com")).await;
        join(&team, &other, role).await;
        others.push(other);
    }
    (team, others.try_into().unwrap_or_else(|_| unreachable!("as many")))
}

/// Invites by the operator's right; the token of the link.
async fn invite(at: &Scenario, email: &str, role: &str) -> String {
    let request = CreateInvitationRequest {
        organization_id: at.organization_id.clone(),
        email: email.to_owned(),
        roles: vec![role.to_owned()],
        include_link: true,
        ..CreateInvitationRequest::default()
    };
    let answer = call!(at.world, invitations.create_invitation, at.world.operator_key(), request).unwrap();
    answer.link.rsplit('/').next().unwrap().to_owned()
}

async fn join(at: &Scenario, person: &Person, role: &str) {
    let request =
        AcceptInvitationRequest { token: invite(at, &person.email, role).await, ..AcceptInvitationRequest::default() };
    call!(at.world, invitations.accept_invitation, &person.session, request).unwrap();
}

/// js_08: a transfer races what ends the nominee's part in the team, and what ends either side's account. Whoever comes first, there is exactly one Owner.
#[wire_test]
async fn js_08_a_transfer_races_the_end_of_either_side(world: World) {
    let (servers, mut endings) = (Servers::open(&world).await, Endings::default());
    let ways: Vec<(OwnerExit, bool)> = OwnerExit::ALL
        .map(|way| (way, true))
        .into_iter()
        .chain(OwnerExit::OF_ACCOUNTS.map(|way| (way, false)))
        .collect();
    // Each way at least twice.
    for round in 0..rounds().div_ceil(3) {
        let (way, of_nominee) = ways[round % ways.len()];
        let (team, [nominee, admin]) = team(&world, "jetstack", "admin", round).await;
        let target = if of_nominee { &nominee } else { &team.owner };
        let ending = way.call(servers.channel(round), &team, &admin.session, target, "member");
        let handing = transfer(servers.channel(round + 1), &team, &nominee).map(|answer| answer.map(drop)).boxed();
        // Each way at the same moment first, then with either of the two late.
        let [ended, handed] = against(round / ways.len(), ending, handing).await;
        let who = format!(
            "{way:?} of the {}: {}, the transfer: {}",
            if of_nominee { "nominee" } else { "owner" },
            told(&ended),
            told(&handed)
        );
        assert_eq!(owners(&team).await, 1, "{who}");
        // The nominee cannot both have gone and have received it; who was the owner can go once it is handed over.
        assert!(!(of_nominee && ended.is_ok() && handed.is_ok()), "{who}");
        assert!(handed.is_ok() || of_nominee, "{who}");
        endings.note(who);
    }
    endings.show("a transfer against an end");
}

/// js_08: of two who are invited to found an organization and accept at once, one becomes its Owner; the other is told how ownership changes hands.
#[wire_test]
async fn js_08_of_two_founders_one_owns(world: World) {
    let (servers, mut endings) = (Servers::open(&world).await, Endings::default());
    let nobody = create_user(&world, "nobody@example.com").await;
    for round in 0..rounds().div_ceil(5) {
        let founder = Founder { email: format!("first{round}@example.com"), ..Founder::default() };
        let request = CreateOrganizationRequest {
            display_name: "Acme".to_owned(),
            access_model: "jetstack".to_owned(),
            owner: Some(Owner::Founder(founder)),
            ..CreateOrganizationRequest::default()
        };
        let founded = call!(world, organizations.create_organization, world.operator_key(), request).unwrap();
        let at = Scenario {
            world: world.clone(),
            organization_id: founded.organization.unwrap().organization_id,
            owner: nobody.clone(),
        };
        let first = world.mailbox.wait_for(&format!("first{round}@example.com"), 1).await[0].invitation_token();
        let links = [first, invite(&at, &format!("second{round}@example.com"), "owner").await];
        let [first, second] = [0, 1].map(|index| {
            let sign_up = SignUp { given_name: "Fay".to_owned(), password: PASSWORD.to_owned(), ..SignUp::default() };
            let request = AcceptInvitationRequest {
                token: links[index].clone(),
                sign_up: Some(sign_up),
                ..AcceptInvitationRequest::default()
            };
            let mut client = InvitationServiceClient::new(servers.channel(index + round));
            async move { client.accept_invitation(request).await.map(drop) }.boxed()
        });
        let answers = against(round, first, second).await;
        let mut told: Vec<String> = answers.iter().map(told).collect();
        endings.note(format!("the {}", if told[0] == OK { "first" } else { "second" }));
        told.sort();
        assert_eq!(told, ["FailedPrecondition OWNER_BY_TRANSFER_ONLY", OK]);
        assert_eq!(owners(&at).await, 1);
        let accounts = format!(
            "SELECT COUNT(*) AS n FROM users WHERE email_key IN ('first{round}@example.com', 'second{round}@example.com')"
        );
        assert_eq!(world.count(&accounts).await, 1, "the other has no account");
    }
    endings.show("who founded");
}

/// ab_04: of two owners one active one remains when the account of either is suspended or deleted while the other is demoted, suspended or removed, leaves, or loses
/// the account too.
#[wire_test]
async fn ab_04_one_owner_remains_when_accounts_end(world: World) {
    let (servers, mut endings) = (Servers::open(&world).await, Endings::default());
    let pairs: Vec<(OwnerExit, OwnerExit)> =
        OwnerExit::OF_ACCOUNTS.into_iter().flat_map(|one| OwnerExit::ALL.map(|other| (one, other))).collect();
    // Each pair at least twice.
    for round in 0..rounds().div_ceil(2) {
        let (one, other) = pairs[round % pairs.len()];
        let (model, lower) = [("portal", "manager"), ("default", "admin")][round / pairs.len() % 2];
        let (shared, [grace]) = team(&world, model, "owner", round).await;
        let ada = shared.owner.clone();
        let first = one.call(servers.channel(round), &shared, &grace.session, &ada, lower);
        let second = other.call(servers.channel(round + 1), &shared, &ada.session, &grace, lower);
        let answers = against(round / pairs.len(), first, second).await;
        let who = format!("{one:?} {}, {other:?} {}", told(&answers[0]), told(&answers[1]));
        assert_eq!(owners(&shared).await, 1, "{who}");
        assert_eq!(answers.iter().filter(|answer| answer.is_ok()).count(), 1, "{who}");
        endings.note(if answers[0].is_ok() { "the account" } else { "the other" });
    }
    endings.show("who went");
}

/// ab_07: where the nominee confirms, of two transfers at once one is recorded and the other is told of it; that one is confirmed twice at once, or confirmed while
/// either side calls it off: it ends once, and the owner is who the answers say.
#[wire_test]
async fn ab_07_of_two_transfers_that_wait_one_ends_once(world: World) {
    with_confirmation(&world).await;
    // The replica has to know the model too. Both see more transfers to the same two people than there would be mail for.
    let folder = world.folder().join("models");
    let settings = [("access-models-dir", folder.to_str().unwrap()), ("invitation-mails-per-address", "1000000")];
    world.restart_with(&settings).await;
    let replica = world.server_with(&settings).await;
    let channel = |index: usize| if index.is_multiple_of(2) { world.channel() } else { replica.channel() };
    let mut endings = Endings::default();
    let (first, [ada, grace]) = team(&world, WITH_CONFIRMATION, "admin", 0).await;
    for round in 0..rounds().div_ceil(2) {
        let team = Scenario {
            organization_id: create_organization(&world, WITH_CONFIRMATION, "", &first.owner.user_id).await,
            ..first.clone()
        };
        for nominee in [&ada, &grace] {
            join(&team, nominee, "admin").await;
        }
        let starts = [transfer(channel(round), &team, &ada), transfer(channel(round + 1), &team, &grace)];
        let [first, second] = starts;
        let answers = against(round, first, second).await;
        let mut start: Vec<String> = answers.iter().map(told).collect();
        start.sort();
        assert_eq!(start, ["AlreadyExists TRANSFER_PENDING", OK]);
        let nominee = if answers[0].is_ok() { &ada } else { &grace };
        let id = answers.into_iter().find_map(Result::ok).unwrap();
        let rival = match round % 3 {
            0 => confirm(channel(round + 1), &team, nominee, &id),
            1 => cancel(channel(round + 1), &team, &team.owner, &id),
            _ => cancel(channel(round + 1), &team, nominee, &id),
        };
        let ends = against(round / 3, confirm(channel(round), &team, nominee, &id), rival).await;
        let mut told: Vec<String> = ends.iter().map(told).collect();
        let confirmed = told[0] == OK || round.is_multiple_of(3);
        told.sort();
        assert_eq!(told, ["FailedPrecondition TRANSFER_STATE_CONFLICT", OK]);
        assert_eq!(owners(&team).await, 1);
        let expected = if confirmed { &nominee.email } else { &team.owner.email };
        assert_eq!(team.active_holders("owner").await, [expected.as_str()]);
        endings.note(if confirmed { "confirmed" } else { "called off" });
    }
    endings.show("a transfer that waits");
}
