//! What the database holds of a person, and taking it out.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, Utc};
use sea_orm::{
    ActiveModelTrait, ColumnTrait, Condition, ConnectionTrait, EntityTrait, IntoActiveModel, QueryFilter, QueryOrder,
    QuerySelect, Select, sea_query::Expr,
};
use uuid::Uuid;

use super::{
    Invitation, Result, Tx, User, View,
    entities::{
        activities, challenges, events, identities, imported_users, invitations, member_activity, member_counters,
        members, mfa_factors, outbox_messages, recovery_codes, replays, sessions, sign_ins, users,
    },
    events::event_hash,
};
use crate::domain::{erasure, stream::CHAIN_START, text::sort_key};

/// Rows of a person that were deleted, by what they were.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct DeletedRows {
    /// Sessions, live or over.
    pub(crate) sessions: u64,
    /// Sign-ins and attempts.
    pub(crate) sign_ins: u64,
    /// Identities at providers.
    pub(crate) identities: u64,
    /// Second factors; their recovery codes with them.
    pub(crate) mfa_factors: u64,
    /// What services reported that the person did.
    pub(crate) activities: u64,
}

/// The invitations that a person has accepted, and those to their address, where one is named.
fn of_person(user: Uuid, email_key: Option<&str>) -> Select<invitations::Entity> {
    let theirs = Condition::any()
        .add(invitations::Column::AcceptedUserId.eq(user))
        .add_option(email_key.map(|key| invitations::Column::EmailKey.eq(key)));
    invitations::Entity::find().filter(theirs)
}

impl<C: ConnectionTrait> View<C> {
    /// The organizations that a person belongs or belonged to, or was invited to, by id.
    pub(crate) async fn organizations_of(&self, user: Uuid, email_key: Option<&str>) -> Result<BTreeSet<Uuid>> {
        let joined: Vec<Uuid> = members::Entity::find()
            .select_only()
            .column(members::Column::OrganizationId)
            .filter(members::Column::UserId.eq(user))
            .into_tuple()
            .all(&self.0)
            .await?;
        let invited: Vec<Uuid> = of_person(user, email_key)
            .select_only()
            .column(invitations::Column::OrganizationId)
            .into_tuple()
            .all(&self.0)
            .await?;
        Ok(joined.into_iter().chain(invited).collect())
    }

    /// The invitations that a person has accepted, and those to their address, where one is named; oldest first.
    pub(crate) async fn invitations_of(&self, user: Uuid, email_key: Option<&str>) -> Result<Vec<Invitation>> {
        let query = of_person(user, email_key).order_by_asc(invitations::Column::Id);
        self.page(query).await
    }

    /// The messages to a mailbox, each with the address as it was typed.
    pub(crate) async fn messages_to(&self, mailbox_key: &str) -> Result<Vec<(Uuid, String)>> {
        Ok(outbox_messages::Entity::find()
            .select_only()
            .columns([outbox_messages::Column::Id, outbox_messages::Column::Recipient])
            .filter(outbox_messages::Column::RecipientKey.eq(mailbox_key))
            .into_tuple()
            .all(&self.0)
            .await?)
    }

    /// Users whose deletion is due, longest due first.
    pub(crate) async fn users_due_for_deletion(&self, now: DateTime<Utc>, limit: u64) -> Result<Vec<Uuid>> {
        let due = users::Entity::find()
            .select_only()
            .column(users::Column::Id)
            .filter(users::Column::ScheduledDeleteTime.lte(now))
            .order_by_asc(users::Column::ScheduledDeleteTime);
        Ok(due.limit(limit).into_tuple().all(&self.0).await?)
    }

    /// Users who were deleted before a time, and whose rows hold more than what they did needs.
    pub(crate) async fn users_to_purge(&self, before: DateTime<Utc>, limit: u64) -> Result<Vec<Uuid>> {
        let held = Condition::any()
            .add(users::Column::PasswordHash.is_not_null())
            .add(users::Column::PhoneNumber.is_not_null())
            .add(users::Column::MfaEnabled.eq(true));
        let deleted = users::Entity::find()
            .select_only()
            .column(users::Column::Id)
            .filter(users::Column::DeleteTime.lte(before))
            .filter(users::Column::DeleteTime.is_not_null())
            .filter(held)
            .order_by_asc(users::Column::DeleteTime);
        Ok(deleted.limit(limit).into_tuple().all(&self.0).await?)
    }
}

impl Tx {
    /// Erases the data of those events of a stream that tell of a person: of all its events, or of those about some subjects. Answers with what is left of each, by revision. Needs the
    /// stream's lock.
    pub(crate) async fn erase_event_data(
        &mut self,
        stream: Uuid,
        subjects: Option<Vec<Uuid>>,
    ) -> Result<BTreeMap<i64, Vec<u8>>> {
        let about = subjects.map(|subjects| events::Column::SubjectId.is_in(subjects));
        let found = events::Entity::find()
            .filter(events::Column::StreamId.eq(stream))
            .filter(Condition::all().add_option(about))
            .order_by_asc(events::Column::Revision)
            .all(&self.view.0)
            .await?;
        let mut left = BTreeMap::new();
        for mut event in found {
            let Some(data) = erasure::without_person(&event.data) else { continue };
            event.data = data;
            let previous = self.hash_at(stream, event.revision - 1).await?;
            left.insert(event.revision, event_hash(&previous, &event));
            events::Entity::update_many()
                .col_expr(events::Column::Data, Expr::value(event.data))
                .filter(events::Column::StreamId.eq(stream))
                .filter(events::Column::Revision.eq(event.revision))
                .exec(&self.view.0)
                .await?;
        }
        Ok(left)
    }

    async fn hash_at(&self, stream: Uuid, revision: i64) -> Result<Vec<u8>> {
        let found: Option<Vec<u8>> = events::Entity::find_by_id((stream, revision))
            .select_only()
            .column(events::Column::Hash)
            .into_tuple()
            .one(&self.view.0)
            .await?;
        Ok(found.unwrap_or_else(|| CHAIN_START.to_vec()))
    }

    /// Takes out of a person's invitations who was invited, and where to.
    pub(crate) async fn erase_invitation(&mut self, invitation: Invitation) -> Result<()> {
        let erased = Invitation {
            email: String::new(),
            // No address has this form, so that nothing finds the invitation by it.
            email_key: format!("erased:{}", invitation.id),
            given_name: String::new(),
            family_name: String::new(),
            personal_message: None,
            locale: None,
            sort_key: sort_key(""),
            ..invitation
        };
        erased.into_active_model().reset_all().update(&self.view.0).await?;
        Ok(())
    }

    /// Takes the name of a person out of what orders their memberships.
    pub(crate) async fn erase_member_names(&mut self, user: Uuid) -> Result<()> {
        members::Entity::update_many()
            .col_expr(members::Column::SortKey, Expr::value(sort_key("")))
            .filter(members::Column::UserId.eq(user))
            .exec(&self.view.0)
            .await?;
        Ok(())
    }

    /// Takes the recipient out of messages, and calls off those that wait. Answers with how many there were.
    pub(crate) async fn erase_messages(&mut self, ids: &[Uuid], now: DateTime<Utc>) -> Result<u64> {
        for id in ids {
            self.cancel_message(*id, now).await?;
        }
        let erased = outbox_messages::Entity::update_many()
            .col_expr(outbox_messages::Column::Recipient, Expr::value(""))
            .col_expr(outbox_messages::Column::RecipientKey, Expr::value(None::<String>))
            .col_expr(outbox_messages::Column::LastError, Expr::value(None::<String>))
            .filter(outbox_messages::Column::Id.is_in(ids.iter().copied()))
            .exec(&self.view.0)
            .await?;
        Ok(erased.rows_affected)
    }

    /// Deletes what there is of a person beside their account, their memberships and the records. Needs the user's lock.
    pub(crate) async fn delete_rows_of(&mut self, user: &User) -> Result<DeletedRows> {
        let db = &self.view.0;
        let answers = replays::Column::Caller.eq(format!("user:{}", user.id));
        replays::Entity::delete_many().filter(answers).exec(db).await?;
        challenges::Entity::delete_many().filter(challenges::Column::UserId.eq(user.id)).exec(db).await?;
        recovery_codes::Entity::delete_many().filter(recovery_codes::Column::UserId.eq(user.id)).exec(db).await?;
        imported_users::Entity::delete_many().filter(imported_users::Column::UserId.eq(user.id)).exec(db).await?;
        member_activity::Entity::delete_many().filter(member_activity::Column::UserId.eq(user.id)).exec(db).await?;
        member_counters::Entity::delete_many().filter(member_counters::Column::UserId.eq(user.id)).exec(db).await?;
        let sessions = sessions::Entity::delete_many().filter(sessions::Column::UserId.eq(user.id)).exec(db).await?;
        let sign_ins = sign_ins::Entity::delete_many().filter(sign_ins::Column::UserId.eq(user.id)).exec(db).await?;
        let identities = identities::Entity::delete_many().filter(identities::Column::UserId.eq(user.id));
        let factors = mfa_factors::Entity::delete_many().filter(mfa_factors::Column::UserId.eq(user.id));
        let activities = activities::Entity::delete_many().filter(activities::Column::UserId.eq(user.id));
        Ok(DeletedRows {
            sessions: sessions.rows_affected,
            sign_ins: sign_ins.rows_affected,
            identities: identities.exec(db).await?.rows_affected,
            mfa_factors: factors.exec(db).await?.rows_affected,
            activities: activities.exec(db).await?.rows_affected,
        })
    }
}
