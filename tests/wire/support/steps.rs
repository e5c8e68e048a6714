//! What people do to each other in an organization, as short as a test wants to say it.

use tonic::Status;

use super::pb::{
    ActivateMemberRequest, CancelOwnershipTransferRequest, ConfirmOwnershipTransferRequest, CreateMemberRequest,
    LeaveOrganizationRequest, ListMembersRequest, Member, MemberState, OwnershipTransfer, RemoveMemberRequest,
    RestoreMemberRequest, SuspendMemberRequest, TransferOwnershipRequest, UpdateMemberRequest,
};
use super::scenario::{PASSWORD, Person, Scenario, call, create_organization, texts};

/// Everything that a row of a roster can be.
pub(crate) const EVERY_STATE: [MemberState; 5] = [
    MemberState::Active,
    MemberState::Invited,
    MemberState::InvitationExpired,
    MemberState::Suspended,
    MemberState::Removed,
];

/// Requests that name a member and nothing else.
macro_rules! on_member {
    ($($(#[$doc:meta])* $name:ident($method:ident, $request:ident);)*) => {
        impl Scenario {
            $($(#[$doc])*
            pub(crate) async fn $name(&self, credential: &str, user_id: &str) -> Result<Member, Status> {
                let request = $request {
                    organization_id: self.organization_id.clone(),
                    user_id: user_id.to_owned(),
                    ..$request::default()
                };
                let answer = call!(self.world, members.$method, credential, request)?;
                Ok(answer.member.unwrap())
            })*
        }
    };
}

on_member! {
    /// Suspends a member.
    suspend(suspend_member, SuspendMemberRequest);
    /// Activates a suspended member.
    activate(activate_member, ActivateMemberRequest);
    /// Removes a member.
    remove(remove_member, RemoveMemberRequest);
    /// Restores a removed member.
    restore(restore_member, RestoreMemberRequest);
}

impl Scenario {
    /// Leaves of one's own accord.
    pub(crate) async fn leave(&self, credential: &str) -> Result<(), Status> {
        let request = LeaveOrganizationRequest {
            organization_id: self.organization_id.clone(),
            ..LeaveOrganizationRequest::default()
        };
        call!(self.world, members.leave_organization, credential, request).map(drop)
    }

    /// Lets somebody belong to another organization too, so that their sessions outlive this one.
    pub(crate) async fn join_elsewhere(&self, person: &Person) {
        let elsewhere = Scenario {
            organization_id: create_organization(&self.world, "default", "", &self.owner.user_id).await,
            ..self.clone()
        };
        elsewhere.join_existing(person, &["member"]).await;
    }

    /// Edits a member: the fields named by the mask, or those that are not empty.
    pub(crate) async fn edit(
        &self,
        credential: &str,
        user_id: &str,
        mask: Option<&[&str]>,
        values: Member,
    ) -> Result<Member, Status> {
        let request = UpdateMemberRequest {
            member: Some(Member {
                organization_id: self.organization_id.clone(),
                user_id: user_id.to_owned(),
                ..values
            }),
            update_mask: mask.map(|paths| prost_types::FieldMask { paths: texts(paths) }),
            ..UpdateMemberRequest::default()
        };
        let answer = call!(self.world, members.update_member, credential, request)?;
        Ok(answer.member.unwrap())
    }

    /// Creates a member with [`PASSWORD`].
    pub(crate) async fn create(&self, credential: &str, email: &str, roles: &[&str]) -> Result<Member, Status> {
        let request = CreateMemberRequest {
            organization_id: self.organization_id.clone(),
            email: email.to_owned(),
            given_name: "Given".to_owned(),
            family_name: "Family".to_owned(),
            password: PASSWORD.to_owned(),
            roles: texts(roles),
            ..CreateMemberRequest::default()
        };
        let answer = call!(self.world, members.create_member, credential, request)?;
        Ok(answer.member.unwrap())
    }

    /// Hands ownership over by one's own right.
    pub(crate) async fn transfer(&self, credential: &str, nominee: &str) -> Result<OwnershipTransfer, Status> {
        let request = TransferOwnershipRequest {
            organization_id: self.organization_id.clone(),
            nominee_user_id: nominee.to_owned(),
            ..TransferOwnershipRequest::default()
        };
        let answer = call!(self.world, ownership.transfer_ownership, credential, request)?;
        Ok(answer.transfer.unwrap())
    }

    /// Confirms a transfer.
    pub(crate) async fn confirm(&self, credential: &str, transfer_id: &str) -> Result<OwnershipTransfer, Status> {
        let request = ConfirmOwnershipTransferRequest {
            organization_id: self.organization_id.clone(),
            transfer_id: transfer_id.to_owned(),
            ..ConfirmOwnershipTransferRequest::default()
        };
        let answer = call!(self.world, ownership.confirm_ownership_transfer, credential, request)?;
        Ok(answer.transfer.unwrap())
    }

    /// Calls a transfer off.
    pub(crate) async fn cancel(&self, credential: &str, transfer_id: &str) -> Result<OwnershipTransfer, Status> {
        let request = CancelOwnershipTransferRequest {
            organization_id: self.organization_id.clone(),
            transfer_id: transfer_id.to_owned(),
            ..CancelOwnershipTransferRequest::default()
        };
        let answer = call!(self.world, ownership.cancel_ownership_transfer, credential, request)?;
        Ok(answer.transfer.unwrap())
    }

    /// The rows in these states, as somebody sees them.
    pub(crate) async fn rows(&self, credential: &str, states: &[MemberState]) -> Vec<Member> {
        let request = ListMembersRequest {
            organization_id: self.organization_id.clone(),
            states: states.iter().map(|state| (*state).into()).collect(),
            ..ListMembersRequest::default()
        };
        let answer = call!(self.world, members.list_members, credential, request).unwrap();
        answer.members
    }

    /// The one row of this person among the first rows, in whatever state: for those whose account is deleted, which no address finds any more.
    pub(crate) async fn row_of(&self, credential: &str, user_id: &str) -> Member {
        let rows = self.rows(credential, &[MemberState::Active, MemberState::Suspended, MemberState::Removed]).await;
        rows.into_iter().find(|row| row.user_id == user_id).unwrap()
    }

    /// The one row with this address, in whatever state.
    pub(crate) async fn row(&self, credential: &str, email: &str) -> Member {
        // By its address: in a race of many rounds it is on no first page.
        let request = ListMembersRequest {
            organization_id: self.organization_id.clone(),
            states: EVERY_STATE.iter().map(|state| (*state).into()).collect(),
            email: email.to_owned(),
            ..ListMembersRequest::default()
        };
        let mut answer = call!(self.world, members.list_members, credential, request).unwrap();
        answer.members.pop().unwrap()
    }

    /// The addresses of the active holders of a role, sorted.
    pub(crate) async fn active_holders(&self, role: &str) -> Vec<String> {
        let request = ListMembersRequest {
            organization_id: self.organization_id.clone(),
            states: vec![MemberState::Active.into()],
            role: role.to_owned(),
            ..ListMembersRequest::default()
        };
        let answer = call!(self.world, members.list_members, self.world.operator_key(), request).unwrap();
        let mut emails: Vec<String> = answer.members.into_iter().map(|row| row.email).collect();
        emails.sort();
        emails
    }
}
