//! What rows are to the domain: the facts that decisions rest on.

use chrono::{DateTime, Utc};
use serde_json::Value;
use uuid::Uuid;

use crate::{
    domain::{
        access_model::RoleSet,
        authority::Target,
        invitation::{self, InvitationStatus},
        join_link::{self, JoinLinkStatus},
        member::MemberState,
        ownership::{self, TransferStatus},
        text::sort_key,
        user::{UserState, full_name},
    },
    store::{EventRecord, Invitation, Issuer, JoinLink, Member, Organization, Transfer, User},
};

impl User {
    /// The name that people see: one of its own, or given and family name.
    pub(crate) fn effective_display_name(&self) -> String {
        display_name(self.display_name.as_deref(), &self.given_name, &self.family_name)
    }
}

/// The name that people see of somebody with these.
pub(super) fn display_name(own: Option<&str>, given: &str, family: &str) -> String {
    own.map_or_else(|| full_name(given, family), str::to_owned)
}

impl Organization {
    /// The revision of the next change: what is written with its event carries it.
    pub(crate) fn next_revision(&self) -> i64 {
        self.revision + 1
    }
}

impl Member {
    /// The row of a member who is new in the organization, to be inserted with the event of its next revision.
    pub(crate) fn new(organization: &Organization, user: &User, roles: RoleSet, now: DateTime<Utc>) -> Self {
        Self {
            organization_id: organization.id,
            user_id: user.id,
            state: MemberState::Active,
            roles,
            sort_key: sort_key(&user.effective_display_name()),
            invitation_id: None,
            invitation_sent_time: None,
            invitation_accepted_time: None,
            changed_revision: organization.next_revision(),
            create_time: now,
            update_time: now,
            admit_time: None,
            interrupted_after_sign_in: None,
        }
    }

    /// The member as the target of a decision, with their account as it is.
    pub(crate) fn target(&self, account: UserState) -> Target<'_> {
        Target { user_id: self.user_id, roles: &self.roles, state: self.state, account }
    }
}

impl Invitation {
    /// The facts that decisions rest on.
    pub(crate) fn facts(&self) -> invitation::Invitation {
        invitation::Invitation {
            email_key: self.email_key.clone(),
            roles: self.roles.clone(),
            state: self.state,
            expire_time: self.expire_time,
        }
    }

    /// How far it is at a time.
    pub(crate) fn status(&self, now: DateTime<Utc>) -> InvitationStatus {
        self.facts().status(now)
    }

    /// By whose right it stands.
    pub(crate) fn issuer(&self) -> Issuer {
        Issuer {
            organization_id: self.organization_id,
            user_id: self.inviter_user_id,
            service_account_id: self.inviter_service_account_id,
            service_key_id: self.inviter_service_key_id,
            scopes: self.inviter_scopes.clone(),
        }
    }
}

impl JoinLink {
    /// The facts that decisions rest on.
    pub(crate) fn facts(&self) -> join_link::JoinLink {
        join_link::JoinLink {
            roles: self.roles.clone(),
            email_domains: self.email_domains.clone(),
            max_uses: self.max_uses,
            use_count: self.use_count,
            expire_time: self.expire_time,
            revoked: self.revoke_time.is_some(),
        }
    }

    /// How far it is at a time.
    pub(crate) fn status(&self, now: DateTime<Utc>) -> JoinLinkStatus {
        self.facts().status(now)
    }

    /// By whose right it stands.
    pub(crate) fn issuer(&self) -> Issuer {
        Issuer {
            organization_id: self.organization_id,
            user_id: self.creator_user_id,
            service_account_id: self.creator_service_account_id,
            service_key_id: self.creator_service_key_id,
            scopes: self.creator_scopes.clone(),
        }
    }
}

impl EventRecord {
    /// The service account of the key that the event is about.
    pub(crate) fn service_account_of_key(&self) -> Option<Uuid> {
        if !self.kind.starts_with("service_key.") {
            return None;
        }
        let data: Value = serde_json::from_str(&self.data).ok()?;
        let side = ["after", "before"].into_iter().find_map(|side| data.get(side).filter(|side| side.is_object()))?;
        side.get("service_account_id")?.as_str()?.parse().ok()
    }
}

impl Transfer {
    /// How far it is at a time.
    pub(crate) fn status(&self, now: DateTime<Utc>) -> TransferStatus {
        ownership::transfer_status(self.state, self.expire_time, now)
    }
}
