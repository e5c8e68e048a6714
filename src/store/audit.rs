//! Reading the events: in pages, in order, and with the names of those whom they are about.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, Utc};
use sea_orm::{
    ColumnTrait, Condition, ConnectionTrait, EntityTrait, PaginatorTrait, QueryFilter, QueryOrder, QuerySelect, Select,
};
use uuid::Uuid;

use super::{
    EventRecord, Result, User, View,
    entities::{events, invitations, service_accounts, users},
};

/// Which events of a stream.
#[derive(Debug, Clone, Default)]
pub(crate) struct EventFilter {
    /// Only what this user caused.
    pub(crate) actor: Option<Uuid>,
    /// Only what this service account caused.
    pub(crate) service: Option<Uuid>,
    /// Only what was done to this user, service account or key.
    pub(crate) subject: Option<Uuid>,
    /// Only these kinds; empty means all.
    pub(crate) kinds: Vec<String>,
    /// Only from this time on.
    pub(crate) from: Option<DateTime<Utc>>,
    /// Only before this time.
    pub(crate) until: Option<DateTime<Utc>>,
}

/// What those whom events name are called. Rows of accounts stay when an account is deleted, so names do, too.
#[derive(Debug, Default)]
pub(crate) struct Names {
    /// Users, by id.
    pub(crate) users: BTreeMap<Uuid, User>,
    /// The addresses of invitations, by id.
    pub(crate) invitations: BTreeMap<Uuid, String>,
    /// The names of service accounts, by id.
    pub(crate) service_accounts: BTreeMap<Uuid, String>,
}

impl<C: ConnectionTrait> View<C> {
    /// A page of a stream's events, newest first, below a revision.
    pub(crate) async fn events_page(
        &self,
        stream: Uuid,
        filter: &EventFilter,
        below: Option<i64>,
        limit: u64,
    ) -> Result<Vec<EventRecord>> {
        let mut query = filtered(stream, filter).order_by_desc(events::Column::Revision).limit(limit);
        if let Some(revision) = below {
            query = query.filter(events::Column::Revision.lt(revision));
        }
        self.page(query).await
    }

    /// How many events the filter leaves.
    pub(crate) async fn events_count(&self, stream: Uuid, filter: &EventFilter) -> Result<u64> {
        Ok(filtered(stream, filter).count(&self.0).await?)
    }

    /// A stream's events in order, those behind a revision.
    pub(crate) async fn events_after(&self, stream: Uuid, after: i64, limit: u64) -> Result<Vec<EventRecord>> {
        let query = events::Entity::find()
            .filter(events::Column::StreamId.eq(stream))
            .filter(events::Column::Revision.gt(after))
            .order_by_asc(events::Column::Revision)
            .limit(limit);
        self.page(query).await
    }

    /// The revision of the newest event; 0 where there is none.
    pub(crate) async fn newest_event(&self, stream: Uuid) -> Result<i64> {
        let newest: Option<i64> = events::Entity::find()
            .select_only()
            .column(events::Column::Revision)
            .filter(events::Column::StreamId.eq(stream))
            .order_by_desc(events::Column::Revision)
            .limit(1)
            .into_tuple()
            .one(&self.0)
            .await?;
        Ok(newest.unwrap_or(0))
    }

    /// The names of those whom events name, by three statements however many events there are.
    pub(crate) async fn names_in(&self, events: &[EventRecord]) -> Result<Names> {
        let people = events.iter().flat_map(|event| [event.actor_user_id, event.subject_id]);
        let people: BTreeSet<Uuid> = people.flatten().collect();
        let subjects: BTreeSet<Uuid> = events.iter().filter_map(|event| event.subject_id).collect();
        let services = events
            .iter()
            .flat_map(|event| [event.actor_service_account_id, event.subject_id, event.service_account_of_key()]);
        let services: BTreeSet<Uuid> = services.flatten().collect();
        let found = users::Entity::find().filter(users::Column::Id.is_in(people)).all(&self.0).await?;
        let invited = invitations::Entity::find()
            .select_only()
            .columns([invitations::Column::Id, invitations::Column::Email])
            .filter(invitations::Column::Id.is_in(subjects))
            .into_tuple()
            .all(&self.0)
            .await?;
        let called = service_accounts::Entity::find()
            .select_only()
            .columns([service_accounts::Column::Id, service_accounts::Column::DisplayName])
            .filter(service_accounts::Column::Id.is_in(services))
            .into_tuple()
            .all(&self.0)
            .await?;
        Ok(Names {
            users: found.into_iter().map(|user| (user.id, user)).collect(),
            invitations: invited.into_iter().collect(),
            service_accounts: called.into_iter().collect(),
        })
    }
}

fn filtered(stream: Uuid, filter: &EventFilter) -> Select<events::Entity> {
    use events::Column;

    let subject = |user: Uuid| {
        // Whoever accepts an invitation is the subject of that, though the event names the invitation.
        let accepted = Condition::all().add(Column::Kind.eq("invitation.accepted")).add(Column::ActorUserId.eq(user));
        Condition::any().add(Column::SubjectId.eq(user)).add(accepted)
    };
    let kinds = (!filter.kinds.is_empty()).then(|| Column::Kind.is_in(filter.kinds.iter().map(String::as_str)));
    events::Entity::find().filter(
        Condition::all()
            .add(Column::StreamId.eq(stream))
            .add_option(filter.actor.map(|user| Column::ActorUserId.eq(user)))
            .add_option(filter.service.map(|service| Column::ActorServiceAccountId.eq(service)))
            .add_option(filter.subject.map(subject))
            .add_option(kinds)
            .add_option(filter.from.map(|from| Column::CreateTime.gte(from)))
            .add_option(filter.until.map(|until| Column::CreateTime.lt(until))),
    )
}
