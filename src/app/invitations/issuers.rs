//! Who answers for an invitation or a join link at this moment (ab_17).

use crate::{
    app::call::service_authorization::may_still_invite,
    domain::{authority::Authority, member::MemberState},
    store::{Issuer, Member, Sender},
};

/// By whose right it stands.
pub(crate) enum Inviter {
    /// The inviter's, who is a member.
    Member(Box<Member>),
    /// A service's.
    Service,
}

impl Inviter {
    pub(crate) fn authority(&self) -> Authority<'_> {
        match self {
            Inviter::Member(member) => Authority::Member { user_id: member.user_id, roles: &member.roles },
            Inviter::Service => Authority::Service { operator: false },
        }
    }
}

/// Who answers for it now; `None` where nobody does any more. Where a service called for a user, both do: a key that is taken back for having fallen into wrong hands may
/// have invited with it (ab_35).
pub(crate) fn inviter(issuer: &Issuer, sender: Sender) -> Option<Inviter> {
    let by_service = issuer.service_account_id.is_some();
    if by_service && !may_still_invite(issuer, sender.service.as_ref()) {
        return None;
    }
    match issuer.user_id {
        Some(_) => sender
            .member
            .filter(|member| member.state == MemberState::Active)
            .map(|member| Inviter::Member(Box::new(member))),
        None => by_service.then_some(Inviter::Service),
    }
}
