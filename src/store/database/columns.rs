//! How the domain's types rest in columns: states as words, sets of ids as JSON lists.

use std::sync::Arc;

use sea_orm::{
    ColIdx, DbErr, QueryResult, TryGetError, TryGetable, Value,
    sea_query::{ArrayType, ColumnType, Nullable, ValueType, ValueTypeErr},
};

use crate::{
    domain::{
        access_model::{CustomRoles, RoleSet},
        attributes::Attributes,
        challenge::Purpose,
        confinement::Confinement,
        contact::NotificationRoles,
        delivery::DeliveryState,
        invitation::InvitationState,
        join_link::EmailDomains,
        member::MemberState,
        mfa::FactorKind,
        organization::OrganizationState,
        ownership::TransferState,
        scope::Scopes,
        sign_in::SignInOutcome,
        stream::StreamKind,
        user::UserState,
    },
    store::{Result, StoreError},
};

/// An organization's own roles as they rest. Every decision in the organization reads its row, and few need more of the roles than whether they are those that
/// were read before: so they are understood only when somebody asks, and copied without being copied.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct OwnRoles(Arc<str>);

impl OwnRoles {
    /// These roles, to rest.
    pub(crate) fn of(roles: &CustomRoles) -> Self {
        Self(serde_json::json!(roles).to_string().into())
    }

    /// The roles.
    ///
    /// # Errors
    /// What rests there was not written by this program.
    pub(crate) fn read(&self) -> Result<CustomRoles> {
        serde_json::from_str(&self.0).map_err(|error| StoreError::Defect(format!("custom roles: {error}")))
    }
}

/// Lets a domain type stand in an entity: `write` makes the text that rests, `read` understands it.
macro_rules! text_column {
    ($type:ty, $write:expr, $read:expr) => {
        impl From<$type> for Value {
            fn from(value: $type) -> Value {
                let write: fn(&$type) -> String = $write;
                Value::from(write(&value))
            }
        }

        impl TryGetable for $type {
            fn try_get_by<I: ColIdx>(result: &QueryResult, index: I) -> std::result::Result<Self, TryGetError> {
                let text = String::try_get_by(result, index)?;
                let read: fn(&str) -> Option<$type> = $read;
                read(&text)
                    .ok_or_else(|| TryGetError::DbErr(DbErr::Type(format!("{text:?} is no {}", stringify!($type)))))
            }
        }

        impl ValueType for $type {
            fn try_from(value: Value) -> std::result::Result<Self, ValueTypeErr> {
                let text = <String as ValueType>::try_from(value)?;
                let read: fn(&str) -> Option<$type> = $read;
                read(&text).ok_or(ValueTypeErr)
            }

            fn type_name() -> String {
                stringify!($type).to_owned()
            }

            fn array_type() -> ArrayType {
                ArrayType::String
            }

            fn column_type() -> ColumnType {
                ColumnType::Text
            }
        }

        impl Nullable for $type {
            fn null() -> Value {
                Value::String(None)
            }
        }
    };
}

text_column!(OrganizationState, |state| state.as_str().to_owned(), OrganizationState::parse);
text_column!(StreamKind, |kind| kind.as_str().to_owned(), StreamKind::parse);
text_column!(UserState, |state| state.as_str().to_owned(), UserState::parse);
text_column!(TransferState, |state| state.as_str().to_owned(), TransferState::parse);
text_column!(MemberState, |state| state.as_str().to_owned(), MemberState::parse);
text_column!(InvitationState, |state| state.as_str().to_owned(), InvitationState::parse);
text_column!(DeliveryState, |state| state.as_str().to_owned(), DeliveryState::parse);
text_column!(SignInOutcome, |outcome| outcome.as_str().to_owned(), SignInOutcome::parse);
text_column!(NotificationRoles, |roles| serde_json::Value::from_iter(roles.iter()).to_string(), |text| {
    serde_json::from_str(text).ok()
});
text_column!(EmailDomains, |domains| serde_json::json!(domains).to_string(), |text| serde_json::from_str(text).ok());
text_column!(Attributes, |attributes| serde_json::json!(attributes).to_string(), |text| serde_json::from_str(text)
    .ok());
text_column!(OwnRoles, |roles| roles.0.as_ref().to_owned(), |text| Some(OwnRoles(text.into())));
text_column!(Scopes, |scopes| serde_json::Value::from_iter(scopes.iter()).to_string(), |text| {
    let names: Vec<String> = serde_json::from_str(text).ok()?;
    Scopes::parse(names).ok()
});
text_column!(
    Confinement,
    |confinement| serde_json::Value::from_iter(confinement.iter().map(|id| id.to_string())).to_string(),
    |text| {
        let ids: Vec<uuid::Uuid> = serde_json::from_str(text).ok()?;
        Confinement::to(ids)
    }
);
text_column!(
    RoleSet,
    |roles| serde_json::Value::from_iter(roles.iter().map(|role| role.as_str())).to_string(),
    |text| serde_json::from_str(text).ok()
);
text_column!(Purpose, |purpose| purpose.as_str().to_owned(), Purpose::parse);
text_column!(FactorKind, |kind| kind.as_str().to_owned(), FactorKind::parse);
