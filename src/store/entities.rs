//! The tables as sea-orm sees them. What each column means stands in the migration; rules stand in the domain, never here.
//! No entity uses sea-orm's relations or hooks: joins are written where they are needed.

/// A tenant.
pub(crate) mod organizations {
    use chrono::{DateTime, Utc};
    use sea_orm::entity::prelude::*;

    use crate::domain::{access_model::CustomRoles, organization::OrganizationState};

    #[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
    #[sea_orm(table_name = "organizations")]
    pub(crate) struct Model {
        #[sea_orm(primary_key, auto_increment = false)]
        pub(crate) id: Uuid,
        pub(crate) display_name: String,
        pub(crate) access_model: String,
        pub(crate) kind: Option<String>,
        pub(crate) state: OrganizationState,
        pub(crate) revision: i64,
        pub(crate) changed_revision: i64,
        pub(crate) chain_hash: Vec<u8>,
        pub(crate) create_time: DateTime<Utc>,
        pub(crate) update_time: DateTime<Utc>,
        pub(crate) custom_roles: Option<CustomRoles>,
        pub(crate) delete_time: Option<DateTime<Utc>>,
        pub(crate) mfa_required: bool,
    }

    #[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
    pub(crate) enum Relation {}

    impl ActiveModelBehavior for ActiveModel {}
}

/// A person.
pub(crate) mod users {
    use chrono::{DateTime, Utc};
    use sea_orm::entity::prelude::*;

    use crate::domain::user::UserState;

    #[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
    #[sea_orm(table_name = "users")]
    pub(crate) struct Model {
        #[sea_orm(primary_key, auto_increment = false)]
        pub(crate) id: Uuid,
        pub(crate) email: String,
        pub(crate) email_key: String,
        pub(crate) email_verify_time: Option<DateTime<Utc>>,
        pub(crate) given_name: String,
        pub(crate) family_name: String,
        pub(crate) locale: Option<String>,
        pub(crate) password_hash: Option<String>,
        pub(crate) last_sign_in_time: Option<DateTime<Utc>>,
        pub(crate) last_active_time: Option<DateTime<Utc>>,
        pub(crate) create_time: DateTime<Utc>,
        pub(crate) update_time: DateTime<Utc>,
        pub(crate) state: UserState,
        pub(crate) display_name: Option<String>,
        pub(crate) username: Option<String>,
        pub(crate) revision: i64,
        pub(crate) delete_time: Option<DateTime<Utc>>,
        pub(crate) mfa_enabled: bool,
        pub(crate) phone_number: Option<String>,
    }

    #[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
    pub(crate) enum Relation {}

    impl ActiveModelBehavior for ActiveModel {}
}

/// An invitation of an address to an organization.
pub(crate) mod invitations {
    use chrono::{DateTime, Utc};
    use sea_orm::entity::prelude::*;

    use crate::domain::{access_model::RoleSet, invitation::InvitationState};

    #[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
    #[sea_orm(table_name = "invitations")]
    pub(crate) struct Model {
        #[sea_orm(primary_key, auto_increment = false)]
        pub(crate) id: Uuid,
        pub(crate) organization_id: Uuid,
        pub(crate) email: String,
        pub(crate) email_key: String,
        pub(crate) roles: RoleSet,
        pub(crate) state: InvitationState,
        pub(crate) token_digest: Vec<u8>,
        pub(crate) inviter_user_id: Option<Uuid>,
        pub(crate) inviter_service_account_id: Option<Uuid>,
        pub(crate) personal_message: Option<String>,
        pub(crate) locale: Option<String>,
        pub(crate) send_count: i32,
        pub(crate) message_id: Uuid,
        pub(crate) sort_key: Vec<u8>,
        pub(crate) changed_revision: i64,
        pub(crate) create_time: DateTime<Utc>,
        pub(crate) sent_time: DateTime<Utc>,
        pub(crate) expire_time: DateTime<Utc>,
        pub(crate) accept_time: Option<DateTime<Utc>>,
        pub(crate) accepted_user_id: Option<Uuid>,
        pub(crate) signup_completed: bool,
    }

    #[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
    pub(crate) enum Relation {}

    impl ActiveModelBehavior for ActiveModel {}
}

/// A user's membership in an organization.
pub(crate) mod members {
    use chrono::{DateTime, Utc};
    use sea_orm::entity::prelude::*;

    use crate::domain::{access_model::RoleSet, member::MemberState};

    #[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
    #[sea_orm(table_name = "members")]
    pub(crate) struct Model {
        #[sea_orm(primary_key, auto_increment = false)]
        pub(crate) organization_id: Uuid,
        #[sea_orm(primary_key, auto_increment = false)]
        pub(crate) user_id: Uuid,
        pub(crate) state: MemberState,
        pub(crate) roles: RoleSet,
        pub(crate) sort_key: Vec<u8>,
        pub(crate) invitation_id: Option<Uuid>,
        pub(crate) invitation_sent_time: Option<DateTime<Utc>>,
        pub(crate) invitation_accepted_time: Option<DateTime<Utc>>,
        pub(crate) changed_revision: i64,
        pub(crate) create_time: DateTime<Utc>,
        pub(crate) update_time: DateTime<Utc>,
        pub(crate) admit_time: Option<DateTime<Utc>>,
    }

    #[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
    pub(crate) enum Relation {}

    impl ActiveModelBehavior for ActiveModel {}
}

/// A transfer of ownership.
pub(crate) mod ownership_transfers {
    use chrono::{DateTime, Utc};
    use sea_orm::entity::prelude::*;

    use crate::domain::ownership::TransferState;

    #[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
    #[sea_orm(table_name = "ownership_transfers")]
    pub(crate) struct Model {
        #[sea_orm(primary_key, auto_increment = false)]
        pub(crate) id: Uuid,
        pub(crate) organization_id: Uuid,
        pub(crate) owner_user_id: Uuid,
        pub(crate) nominee_user_id: Uuid,
        pub(crate) state: TransferState,
        pub(crate) actor_user_id: Option<Uuid>,
        pub(crate) actor_service_account_id: Option<Uuid>,
        pub(crate) changed_revision: i64,
        pub(crate) create_time: DateTime<Utc>,
        pub(crate) expire_time: DateTime<Utc>,
        pub(crate) settle_time: Option<DateTime<Utc>>,
    }

    #[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
    pub(crate) enum Relation {}

    impl ActiveModelBehavior for ActiveModel {}
}

/// What happened to a user's account.
pub(crate) mod user_events {
    use chrono::{DateTime, Utc};
    use sea_orm::entity::prelude::*;

    #[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
    #[sea_orm(table_name = "user_events")]
    pub(crate) struct Model {
        #[sea_orm(primary_key, auto_increment = false)]
        pub(crate) user_id: Uuid,
        #[sea_orm(primary_key, auto_increment = false)]
        pub(crate) revision: i64,
        pub(crate) kind: String,
        pub(crate) actor_user_id: Option<Uuid>,
        pub(crate) actor_service_account_id: Option<Uuid>,
        pub(crate) data: String,
        pub(crate) create_time: DateTime<Utc>,
    }

    #[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
    pub(crate) enum Relation {}

    impl ActiveModelBehavior for ActiveModel {}
}

/// An account that an import has created.
pub(crate) mod imported_users {
    use chrono::{DateTime, Utc};
    use sea_orm::entity::prelude::*;

    #[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
    #[sea_orm(table_name = "imported_users")]
    pub(crate) struct Model {
        #[sea_orm(primary_key, auto_increment = false)]
        pub(crate) import_id: Uuid,
        #[sea_orm(primary_key, auto_increment = false)]
        pub(crate) address_digest: Vec<u8>,
        pub(crate) place: i64,
        pub(crate) user_id: Uuid,
        pub(crate) create_time: DateTime<Utc>,
    }

    #[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
    pub(crate) enum Relation {}

    impl ActiveModelBehavior for ActiveModel {}
}

/// The index of who holds a role: `members.roles` the other way round, with what holders are found and put in order by.
pub(crate) mod role_holders {
    use sea_orm::entity::prelude::*;

    use crate::domain::member::MemberState;

    #[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
    #[sea_orm(table_name = "role_holders")]
    pub(crate) struct Model {
        #[sea_orm(primary_key, auto_increment = false)]
        pub(crate) organization_id: Uuid,
        #[sea_orm(primary_key, auto_increment = false)]
        pub(crate) role: String,
        #[sea_orm(primary_key, auto_increment = false)]
        pub(crate) user_id: Uuid,
        pub(crate) state: MemberState,
        pub(crate) sort_key: Vec<u8>,
    }

    #[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
    pub(crate) enum Relation {}

    impl ActiveModelBehavior for ActiveModel {}
}

/// A user's session.
pub(crate) mod sessions {
    use chrono::{DateTime, Utc};
    use sea_orm::entity::prelude::*;

    #[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
    #[sea_orm(table_name = "sessions")]
    pub(crate) struct Model {
        #[sea_orm(primary_key, auto_increment = false)]
        pub(crate) id: Uuid,
        pub(crate) user_id: Uuid,
        pub(crate) token_digest: Vec<u8>,
        pub(crate) ip_address: Option<String>,
        pub(crate) user_agent: Option<String>,
        pub(crate) create_time: DateTime<Utc>,
        pub(crate) last_used_time: DateTime<Utc>,
        pub(crate) expire_time: DateTime<Utc>,
        pub(crate) revoke_time: Option<DateTime<Utc>>,
        pub(crate) step_up_expire_time: Option<DateTime<Utc>>,
    }

    #[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
    pub(crate) enum Relation {}

    impl ActiveModelBehavior for ActiveModel {}
}

/// A secret that is used once.
pub(crate) mod challenges {
    use chrono::{DateTime, Utc};
    use sea_orm::entity::prelude::*;

    use crate::domain::challenge::Purpose;

    #[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
    #[sea_orm(table_name = "challenges")]
    pub(crate) struct Model {
        #[sea_orm(primary_key, auto_increment = false)]
        pub(crate) id: Uuid,
        pub(crate) user_id: Option<Uuid>,
        pub(crate) session_id: Option<Uuid>,
        pub(crate) purpose: Purpose,
        pub(crate) digest: Option<Vec<u8>>,
        pub(crate) sealed: Option<Vec<u8>>,
        pub(crate) attempts: i32,
        pub(crate) create_time: DateTime<Utc>,
        pub(crate) expire_time: DateTime<Utc>,
        pub(crate) consume_time: Option<DateTime<Utc>>,
    }

    #[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
    pub(crate) enum Relation {}

    impl ActiveModelBehavior for ActiveModel {}
}

/// Who a person is at an OpenID Connect provider.
pub(crate) mod identities {
    use chrono::{DateTime, Utc};
    use sea_orm::entity::prelude::*;

    #[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
    #[sea_orm(table_name = "identities")]
    pub(crate) struct Model {
        #[sea_orm(primary_key, auto_increment = false)]
        pub(crate) id: Uuid,
        pub(crate) user_id: Uuid,
        pub(crate) issuer: String,
        pub(crate) subject: String,
        pub(crate) create_time: DateTime<Utc>,
        pub(crate) last_used_time: Option<DateTime<Utc>>,
    }

    #[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
    pub(crate) enum Relation {}

    impl ActiveModelBehavior for ActiveModel {}
}

/// A user's second factor.
pub(crate) mod mfa_factors {
    use chrono::{DateTime, Utc};
    use sea_orm::entity::prelude::*;

    use crate::domain::mfa::FactorKind;

    #[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
    #[sea_orm(table_name = "mfa_factors")]
    pub(crate) struct Model {
        #[sea_orm(primary_key, auto_increment = false)]
        pub(crate) id: Uuid,
        pub(crate) user_id: Uuid,
        pub(crate) kind: FactorKind,
        pub(crate) sealed_secret: Vec<u8>,
        pub(crate) last_step: Option<i64>,
        pub(crate) failures: i32,
        pub(crate) failures_since: DateTime<Utc>,
        pub(crate) create_time: DateTime<Utc>,
        pub(crate) last_used_time: Option<DateTime<Utc>>,
    }

    #[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
    pub(crate) enum Relation {}

    impl ActiveModelBehavior for ActiveModel {}
}

/// A code that stands in for a second factor, once.
pub(crate) mod recovery_codes {
    use chrono::{DateTime, Utc};
    use sea_orm::entity::prelude::*;

    #[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
    #[sea_orm(table_name = "recovery_codes")]
    pub(crate) struct Model {
        #[sea_orm(primary_key, auto_increment = false)]
        pub(crate) id: Uuid,
        pub(crate) user_id: Uuid,
        pub(crate) digest: Vec<u8>,
        pub(crate) create_time: DateTime<Utc>,
        pub(crate) use_time: Option<DateTime<Utc>>,
    }

    #[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
    pub(crate) enum Relation {}

    impl ActiveModelBehavior for ActiveModel {}
}

/// A service that calls Roster.
pub(crate) mod service_accounts {
    use chrono::{DateTime, Utc};
    use sea_orm::entity::prelude::*;

    use crate::domain::scope::Scopes;

    #[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
    #[sea_orm(table_name = "service_accounts")]
    pub(crate) struct Model {
        #[sea_orm(primary_key, auto_increment = false)]
        pub(crate) id: Uuid,
        pub(crate) display_name: String,
        pub(crate) scopes: Scopes,
        pub(crate) disabled: bool,
        pub(crate) create_time: DateTime<Utc>,
    }

    #[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
    pub(crate) enum Relation {}

    impl ActiveModelBehavior for ActiveModel {}
}

/// A key of a service account.
pub(crate) mod service_keys {
    use chrono::{DateTime, Utc};
    use sea_orm::entity::prelude::*;

    #[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
    #[sea_orm(table_name = "service_keys")]
    pub(crate) struct Model {
        #[sea_orm(primary_key, auto_increment = false)]
        pub(crate) id: Uuid,
        pub(crate) service_account_id: Uuid,
        pub(crate) token_digest: Vec<u8>,
        pub(crate) hint: String,
        pub(crate) create_time: DateTime<Utc>,
        pub(crate) expire_time: Option<DateTime<Utc>>,
        pub(crate) revoke_time: Option<DateTime<Utc>>,
    }

    #[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
    pub(crate) enum Relation {}

    impl ActiveModelBehavior for ActiveModel {}
}

/// What happened in an organization, chained by hash.
pub(crate) mod events {
    use chrono::{DateTime, Utc};
    use sea_orm::entity::prelude::*;

    #[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
    #[sea_orm(table_name = "events")]
    pub(crate) struct Model {
        #[sea_orm(primary_key, auto_increment = false)]
        pub(crate) organization_id: Uuid,
        #[sea_orm(primary_key, auto_increment = false)]
        pub(crate) revision: i64,
        pub(crate) kind: String,
        pub(crate) actor_user_id: Option<Uuid>,
        pub(crate) actor_service_account_id: Option<Uuid>,
        pub(crate) subject_id: Option<Uuid>,
        pub(crate) data: String,
        pub(crate) hash: Vec<u8>,
        pub(crate) create_time: DateTime<Utc>,
    }

    #[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
    pub(crate) enum Relation {}

    impl ActiveModelBehavior for ActiveModel {}
}

/// The sealed answer of a mutation, for its replay.
pub(crate) mod replays {
    use chrono::{DateTime, Utc};
    use sea_orm::entity::prelude::*;

    #[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
    #[sea_orm(table_name = "replays")]
    pub(crate) struct Model {
        #[sea_orm(primary_key, auto_increment = false)]
        pub(crate) caller: String,
        #[sea_orm(primary_key, auto_increment = false)]
        pub(crate) method: String,
        #[sea_orm(primary_key, auto_increment = false)]
        pub(crate) request_id: Uuid,
        pub(crate) sealed: Vec<u8>,
        pub(crate) expire_time: DateTime<Utc>,
    }

    #[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
    pub(crate) enum Relation {}

    impl ActiveModelBehavior for ActiveModel {}
}

/// A message on its way out.
pub(crate) mod outbox_messages {
    use chrono::{DateTime, Utc};
    use sea_orm::entity::prelude::*;

    use crate::domain::delivery::DeliveryState;

    #[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
    #[sea_orm(table_name = "outbox_messages")]
    pub(crate) struct Model {
        #[sea_orm(primary_key, auto_increment = false)]
        pub(crate) id: Uuid,
        pub(crate) kind: String,
        pub(crate) organization_id: Option<Uuid>,
        pub(crate) recipient: String,
        pub(crate) state: DeliveryState,
        pub(crate) sealed: Option<Vec<u8>>,
        pub(crate) attempts: i32,
        pub(crate) available_time: DateTime<Utc>,
        pub(crate) fence: i64,
        pub(crate) last_error: Option<String>,
        pub(crate) create_time: DateTime<Utc>,
        pub(crate) queue_time: DateTime<Utc>,
        pub(crate) settle_time: Option<DateTime<Utc>>,
    }

    #[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
    pub(crate) enum Relation {}

    impl ActiveModelBehavior for ActiveModel {}
}

/// An attempt to sign in.
pub(crate) mod sign_ins {
    use chrono::{DateTime, Utc};
    use sea_orm::entity::prelude::*;

    use crate::domain::sign_in::SignInOutcome;

    #[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
    #[sea_orm(table_name = "sign_ins")]
    pub(crate) struct Model {
        #[sea_orm(primary_key, auto_increment = false)]
        pub(crate) id: Uuid,
        pub(crate) user_id: Option<Uuid>,
        pub(crate) outcome: SignInOutcome,
        pub(crate) ip_address: Option<String>,
        pub(crate) user_agent: Option<String>,
        pub(crate) create_time: DateTime<Utc>,
    }

    #[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
    pub(crate) enum Relation {}

    impl ActiveModelBehavior for ActiveModel {}
}

/// A report of activity that was taken.
pub(crate) mod activity_reports {
    use chrono::{DateTime, Utc};
    use sea_orm::entity::prelude::*;

    #[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
    #[sea_orm(table_name = "activity_reports")]
    pub(crate) struct Model {
        #[sea_orm(primary_key, auto_increment = false)]
        pub(crate) service_account_id: Uuid,
        #[sea_orm(primary_key, auto_increment = false)]
        pub(crate) report_id: Uuid,
        pub(crate) create_time: DateTime<Utc>,
    }

    #[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
    pub(crate) enum Relation {}

    impl ActiveModelBehavior for ActiveModel {}
}

/// Something that a member did, as a service reported it.
pub(crate) mod activities {
    use chrono::{DateTime, Utc};
    use sea_orm::entity::prelude::*;

    #[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
    #[sea_orm(table_name = "activities")]
    pub(crate) struct Model {
        #[sea_orm(primary_key, auto_increment = false)]
        pub(crate) id: Uuid,
        pub(crate) organization_id: Uuid,
        pub(crate) user_id: Uuid,
        pub(crate) action: String,
        pub(crate) summary: Option<String>,
        pub(crate) service_account_id: Uuid,
        pub(crate) create_time: DateTime<Utc>,
    }

    #[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
    pub(crate) enum Relation {}

    impl ActiveModelBehavior for ActiveModel {}
}

/// When a member was last active in an organization, as services reported it.
pub(crate) mod member_activity {
    use chrono::{DateTime, Utc};
    use sea_orm::entity::prelude::*;

    #[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
    #[sea_orm(table_name = "member_activity")]
    pub(crate) struct Model {
        #[sea_orm(primary_key, auto_increment = false)]
        pub(crate) organization_id: Uuid,
        #[sea_orm(primary_key, auto_increment = false)]
        pub(crate) user_id: Uuid,
        pub(crate) last_active_time: DateTime<Utc>,
    }

    #[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
    pub(crate) enum Relation {}

    impl ActiveModelBehavior for ActiveModel {}
}

/// How often a member did something that services count.
pub(crate) mod member_counters {
    use sea_orm::entity::prelude::*;

    #[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
    #[sea_orm(table_name = "member_counters")]
    pub(crate) struct Model {
        #[sea_orm(primary_key, auto_increment = false)]
        pub(crate) organization_id: Uuid,
        #[sea_orm(primary_key, auto_increment = false)]
        pub(crate) user_id: Uuid,
        #[sea_orm(primary_key, auto_increment = false)]
        pub(crate) name: String,
        pub(crate) value: i64,
    }

    #[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
    pub(crate) enum Relation {}

    impl ActiveModelBehavior for ActiveModel {}
}

/// Somebody who gets notifications and never signs in.
pub(crate) mod contacts {
    use chrono::{DateTime, Utc};
    use sea_orm::entity::prelude::*;

    use crate::domain::contact::NotificationRoles;

    #[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
    #[sea_orm(table_name = "contacts")]
    pub(crate) struct Model {
        #[sea_orm(primary_key, auto_increment = false)]
        pub(crate) id: Uuid,
        pub(crate) organization_id: Uuid,
        pub(crate) email: String,
        pub(crate) email_key: String,
        pub(crate) display_name: String,
        pub(crate) notification_roles: NotificationRoles,
        pub(crate) sort_key: Vec<u8>,
        pub(crate) changed_revision: i64,
        pub(crate) create_time: DateTime<Utc>,
        pub(crate) update_time: DateTime<Utc>,
    }

    #[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
    pub(crate) enum Relation {}

    impl ActiveModelBehavior for ActiveModel {}
}

/// The index of who is to be told: `contacts.notification_roles` the other way round.
pub(crate) mod contact_roles {
    use sea_orm::entity::prelude::*;

    #[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
    #[sea_orm(table_name = "contact_roles")]
    pub(crate) struct Model {
        #[sea_orm(primary_key, auto_increment = false)]
        pub(crate) organization_id: Uuid,
        #[sea_orm(primary_key, auto_increment = false)]
        pub(crate) role: String,
        #[sea_orm(primary_key, auto_increment = false)]
        pub(crate) contact_id: Uuid,
    }

    #[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
    pub(crate) enum Relation {}

    impl ActiveModelBehavior for ActiveModel {}
}
