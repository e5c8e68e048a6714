//! Times and states in the contract's terms.

use std::collections::BTreeSet;

use chrono::{DateTime, Utc};
use prost_types::Timestamp;

use crate::{
    domain::{
        access_model::{PermissionId, RoleSet},
        delivery::DeliveryState,
        invitation::InvitationStatus,
        join_link::JoinLinkStatus,
        member::{Action, MemberState, RowState},
        organization::OrganizationState,
    },
    grpc::pb,
};

/// A time of the contract.
pub(crate) fn timestamp(time: DateTime<Utc>) -> Timestamp {
    Timestamp { seconds: time.timestamp(), nanos: i32::try_from(time.timestamp_subsec_nanos()).unwrap_or(0) }
}

/// An id of the contract; empty where there is none.
pub(crate) fn id(id: Option<uuid::Uuid>) -> String {
    id.map(|id| id.to_string()).unwrap_or_default()
}

/// Octets in hexadecimal.
pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// A count of the contract; 0 where nobody counted.
pub(crate) fn count(count: Option<u64>) -> i64 {
    count.map_or(0, |count| i64::try_from(count).unwrap_or(i64::MAX))
}

/// A JSON value in the contract's terms.
pub(crate) fn json(value: serde_json::Value) -> prost_types::Value {
    use prost_types::value::Kind;
    use serde_json::Value;

    let kind = match value {
        Value::Null => Kind::NullValue(0),
        Value::Bool(flag) => Kind::BoolValue(flag),
        Value::Number(number) => Kind::NumberValue(number.as_f64().unwrap_or_default()),
        Value::String(text) => Kind::StringValue(text),
        Value::Array(items) => {
            Kind::ListValue(prost_types::ListValue { values: items.into_iter().map(json).collect() })
        }
        Value::Object(fields) => Kind::StructValue(prost_types::Struct {
            fields: fields.into_iter().map(|(name, value)| (name, json(value))).collect(),
        }),
    };
    prost_types::Value { kind: Some(kind) }
}

/// The ids of permissions, sorted.
pub(crate) fn permissions(permissions: &BTreeSet<PermissionId>) -> Vec<String> {
    permissions.iter().map(ToString::to_string).collect()
}

/// Role ids of the contract.
pub(crate) fn roles(roles: &RoleSet) -> Vec<String> {
    roles.to_strings()
}

/// Declares how the variants of a domain enum and of a contract enum correspond, both ways.
macro_rules! correspond {
    ($domain:ty, $contract:ty, { $($ours:ident <=> $theirs:ident,)* }) => {
        impl From<$domain> for $contract {
            fn from(value: $domain) -> Self {
                match value { $(<$domain>::$ours => <$contract>::$theirs,)* }
            }
        }

        impl $contract {
            /// The domain's value of a number on the wire, if it is a known one.
            pub(crate) fn known(number: i32) -> Option<$domain> {
                match <$contract>::try_from(number).ok()? { $(<$contract>::$theirs => Some(<$domain>::$ours),)* _ => None }
            }
        }
    };
}

correspond!(DeliveryState, pb::DeliveryState, {
    Queued <=> Queued, Sent <=> Sent, Failed <=> Failed, Cancelled <=> Cancelled,
});
correspond!(InvitationStatus, pb::InvitationState, {
    Pending <=> Pending, Accepted <=> Accepted, Declined <=> Declined, Revoked <=> Revoked, Expired <=> Expired,
});

impl From<JoinLinkStatus> for pb::JoinLinkState {
    fn from(status: JoinLinkStatus) -> Self {
        match status {
            JoinLinkStatus::Open => pb::JoinLinkState::Open,
            JoinLinkStatus::UsedUp => pb::JoinLinkState::UsedUp,
            JoinLinkStatus::Expired => pb::JoinLinkState::Expired,
            JoinLinkStatus::Revoked => pb::JoinLinkState::Revoked,
        }
    }
}

impl From<OrganizationState> for pb::OrganizationState {
    fn from(state: OrganizationState) -> Self {
        match state {
            OrganizationState::Active => pb::OrganizationState::Active,
            OrganizationState::Suspended => pb::OrganizationState::Suspended,
            OrganizationState::Deleted => pb::OrganizationState::Deleted,
        }
    }
}

impl From<MemberState> for pb::MemberState {
    fn from(state: MemberState) -> Self {
        match state {
            MemberState::Active => pb::MemberState::Active,
            MemberState::Suspended => pb::MemberState::Suspended,
            MemberState::Removed => pb::MemberState::Removed,
        }
    }
}

impl From<RowState> for pb::MemberState {
    fn from(state: RowState) -> Self {
        match state {
            RowState::Member(state) => state.into(),
            RowState::Invited => pb::MemberState::Invited,
            RowState::InvitationExpired => pb::MemberState::InvitationExpired,
        }
    }
}

impl From<Action> for pb::MemberAction {
    fn from(action: Action) -> Self {
        match action {
            Action::ResendInvitation => pb::MemberAction::ResendInvitation,
            Action::RevokeInvitation => pb::MemberAction::RevokeInvitation,
            Action::SetRoles => pb::MemberAction::SetRoles,
            Action::Update => pb::MemberAction::Update,
            Action::Suspend => pb::MemberAction::Suspend,
            Action::Activate => pb::MemberAction::Activate,
            Action::Remove => pb::MemberAction::Remove,
            Action::Restore => pb::MemberAction::Restore,
            Action::TransferOwnership => pb::MemberAction::TransferOwnership,
        }
    }
}
