//! The request of MemberService about the organizations of a user, and memberships in the contract's terms.

use crate::{
    app::organizations::memberships::{self, Membership, MembershipOrder},
    grpc::{
        organizations::organization,
        pb,
        wire::{
            convert::{roles, timestamp},
            fields::{Fields, Parse},
        },
    },
};

impl Parse for pb::ListUserMembershipsRequest {
    type Command = memberships::List;

    fn parse(&self, fields: &mut Fields<'_>) -> Option<Self::Command> {
        let user_id = fields.uuid("user_id", &self.user_id);
        let page = fields.page(self);
        let order = fields.value("order_by", self.order_by, membership_order);
        Some(memberships::List {
            user_id: user_id?,
            order: order?,
            include_invitations: self.include_invitations,
            page: page?,
        })
    }
}

fn membership_order(number: i32) -> Option<MembershipOrder> {
    match pb::MembershipOrder::try_from(number).ok()? {
        pb::MembershipOrder::Unspecified => Some(MembershipOrder::Id),
        pb::MembershipOrder::DisplayName => Some(MembershipOrder::DisplayName),
    }
}

/// The membership in the contract's terms.
pub(in crate::grpc) fn membership(Membership { organization: of, member, role_names }: Membership) -> pb::Membership {
    pb::Membership {
        organization: Some(organization(of)),
        roles: roles(&member.roles),
        role_display_names: role_names,
        state: pb::MemberState::from(member.state).into(),
        create_time: Some(timestamp(member.create_time)),
    }
}
