//! What happened in a stream: one event for each revision, chained by hash.

use std::borrow::Cow;

use chrono::{DateTime, Utc};
use sea_orm::{
    ActiveModelTrait, ColumnTrait, ConnectionTrait, EntityTrait, IntoActiveModel, QueryFilter, QueryOrder, QuerySelect,
    sea_query::{Expr, LockType, OnConflict},
};
use serde_json::Value;
use uuid::Uuid;

use super::{
    Organization, Result, Seals, StoreError, StreamHead, Tx, View,
    entities::{events, organizations, stream_heads, user_events},
};
use crate::domain::{
    digest::sha256,
    stream::{CHAIN_START, INSTALLATION, StreamKind},
};

/// Who caused an event: a user, a service, or a service for a user.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Actor {
    /// The user.
    pub(crate) user: Option<Uuid>,
    /// The service account.
    pub(crate) service_account: Option<Uuid>,
}

/// Something that happened: to an organization, a user or the installation.
#[derive(Debug, Clone)]
pub(crate) struct Event {
    /// What, such as `invitation.created`.
    pub(crate) kind: Cow<'static, str>,
    /// By whom.
    pub(crate) actor: Actor,
    /// To whom or to what: a user, an invitation, a service account or another resource.
    pub(crate) subject: Option<Uuid>,
    /// Before and after, without secrets.
    pub(crate) data: Value,
    /// When.
    pub(crate) time: DateTime<Utc>,
}

impl Tx {
    /// Moves the organization's revision by one and writes the event that carries it. Needs the organization's lock: it makes the history of an
    /// organization gapless and its hash chain unbranched.
    pub(crate) async fn record(&mut self, organization: &mut Organization, event: Event) -> Result<()> {
        organization.revision += 1;
        let place = Place {
            stream: StreamKind::Organization,
            id: organization.id,
            revision: organization.revision,
            previous: &organization.chain_hash,
        };
        let row = place.row(event);
        organization.chain_hash = row.hash.clone();
        let last = organization.chain_seal.take();
        organization.chain_seal = self.seals.seal(organization.id, organization.revision, &row.hash, last);
        let moved = organizations::Entity::update_many()
            .col_expr(organizations::Column::Revision, Expr::value(organization.revision))
            .col_expr(organizations::Column::ChainHash, Expr::value(organization.chain_hash.clone()))
            .col_expr(organizations::Column::ChainSeal, Expr::value(organization.chain_seal.clone()))
            .filter(organizations::Column::Id.eq(organization.id))
            .filter(organizations::Column::Revision.eq(organization.revision - 1))
            .exec(&self.view.0)
            .await?;
        if moved.rows_affected != 1 {
            return Err(StoreError::Busy("the organization was written without its lock".to_owned()));
        }
        self.insert_events(vec![row]).await
    }

    /// Writes an event of the installation, moves its revision by one, and answers with it. It is the last lock that a transaction takes.
    pub(crate) async fn record_installation(&mut self, event: Event) -> Result<i64> {
        let head = self.lock_head(INSTALLATION).await?;
        let revision = head.revision + 1;
        self.append(StreamKind::Installation, head, event).await?;
        Ok(revision)
    }

    /// Writes an event of a user without a change of what the account is. Needs the user's lock: so no two transactions wait for the stream's lock that hold what the other needs.
    pub(crate) async fn record_of_user(&mut self, user: Uuid, event: Event) -> Result<()> {
        let head = self.lock_head(user).await?;
        self.append(StreamKind::User, head, event).await
    }

    /// Locks the head of a stream that has no other row, and makes it where the stream has not begun.
    ///
    /// The race that its lock prevents: two changes at once get the same revision, or chain to the same hash.
    async fn lock_head(&mut self, stream: Uuid) -> Result<StreamHead> {
        let locked = || stream_heads::Entity::find_by_id(stream).lock(LockType::NoKeyUpdate);
        if let Some(head) = locked().one(&self.view.0).await? {
            return Ok(head);
        }
        let begun = OnConflict::column(stream_heads::Column::StreamId).do_nothing().to_owned();
        stream_heads::Entity::insert(StreamHead::begin(stream).into_active_model())
            .on_conflict(begun)
            .exec_without_returning(&self.view.0)
            .await?;
        let head = locked().one(&self.view.0).await?;
        head.ok_or_else(|| StoreError::Defect("a stream has no head".to_owned()))
    }

    async fn append(&mut self, stream: StreamKind, head: StreamHead, event: Event) -> Result<()> {
        let (head, row) = head.next(&self.seals, stream, event);
        head.into_active_model().reset_all().update(&self.view.0).await?;
        self.insert_events(vec![row]).await
    }

    /// Writes the first event of each of these users, who are new.
    pub(super) async fn begin_streams(&mut self, first: Vec<(Uuid, Event)>) -> Result<()> {
        let begun =
            first.into_iter().map(|(user, event)| StreamHead::begin(user).next(&self.seals, StreamKind::User, event));
        let (heads, rows): (Vec<_>, Vec<_>) = begun.map(|(head, row)| (head.into_active_model(), row)).unzip();
        stream_heads::Entity::insert_many(heads).exec_without_returning(&self.view.0).await?;
        self.insert_events(rows).await
    }

    /// Writes events. Whoever follows the log is told when they are committed.
    async fn insert_events(&mut self, rows: Vec<events::Model>) -> Result<()> {
        let rows = rows.into_iter().map(IntoActiveModel::into_active_model);
        events::Entity::insert_many(rows).exec_without_returning(&self.view.0).await?;
        self.recorded = true;
        Ok(())
    }

    /// Moves into their streams what the version before has written to the table that users had of their own, of one user at a time. Answers with how many events that were.
    pub(crate) async fn take_over_user_events(&mut self) -> Result<u64> {
        let Some(any) = user_events::Entity::find().limit(1).one(&self.view.0).await? else {
            return Ok(0);
        };
        self.lock_user(any.user_id).await?;
        let rows = user_events::Entity::find()
            .filter(user_events::Column::UserId.eq(any.user_id))
            .order_by_asc(user_events::Column::Revision)
            .all(&self.view.0)
            .await?;
        let moved = rows.len() as u64;
        for row in rows {
            let event = Event {
                kind: row.kind.into(),
                actor: Actor { user: row.actor_user_id, service_account: row.actor_service_account_id },
                subject: Some(row.user_id),
                data: serde_json::from_str(&row.data).unwrap_or_default(),
                time: row.create_time,
            };
            self.record_of_user(row.user_id, event).await?;
            user_events::Entity::delete_by_id((row.user_id, row.revision)).exec(&self.view.0).await?;
        }
        Ok(moved)
    }
}

impl<C: ConnectionTrait> View<C> {
    /// How far a stream is that is no organization's.
    pub(crate) async fn stream_head(&self, stream: Uuid) -> Result<StreamHead> {
        let found = stream_heads::Entity::find_by_id(stream).one(&self.0).await?;
        Ok(found.unwrap_or_else(|| StreamHead::begin(stream)))
    }
}

/// Where in its stream an event comes.
struct Place<'a> {
    stream: StreamKind,
    id: Uuid,
    revision: i64,
    /// The hash of the event before it.
    previous: &'a [u8],
}

impl Place<'_> {
    /// The event's row, chained to the one before it.
    fn row(&self, event: Event) -> events::Model {
        let mut row = events::Model {
            stream_id: self.id,
            revision: self.revision,
            stream: self.stream,
            kind: event.kind.into_owned(),
            actor_user_id: event.actor.user,
            actor_service_account_id: event.actor.service_account,
            subject_id: event.subject,
            data: event.data.to_string(),
            hash: Vec::new(),
            create_time: event.time,
        };
        row.hash = event_hash(self.previous, &row);
        row
    }
}

impl StreamHead {
    fn begin(stream_id: Uuid) -> Self {
        Self { stream_id, revision: 0, chain_hash: CHAIN_START.to_vec(), chain_seal: None }
    }

    /// The row of the next event, and the head behind it.
    fn next(self, seals: &Seals, stream: StreamKind, event: Event) -> (Self, events::Model) {
        let revision = self.revision + 1;
        let place = Place { stream, id: self.stream_id, revision, previous: &self.chain_hash };
        let row = place.row(event);
        let chain_seal = seals.seal(self.stream_id, revision, &row.hash, self.chain_seal);
        (Self { stream_id: self.stream_id, revision, chain_hash: row.hash.clone(), chain_seal }, row)
    }
}

/// The hash that an event's row has behind the hash before it. It covers that hash and every field, each behind its length, so that no two histories have
/// the same bytes.
pub(crate) fn event_hash(previous: &[u8], event: &events::Model) -> Vec<u8> {
    let id = |id: Option<Uuid>| id.map_or_else(Vec::new, |id| id.as_bytes().to_vec());
    let fields: [Vec<u8>; 9] = [
        previous.to_vec(),
        event.stream_id.as_bytes().to_vec(),
        event.revision.to_be_bytes().to_vec(),
        event.kind.as_bytes().to_vec(),
        id(event.actor_user_id),
        id(event.actor_service_account_id),
        id(event.subject_id),
        event.data.as_bytes().to_vec(),
        event.create_time.timestamp_micros().to_be_bytes().to_vec(),
    ];
    let mut bytes = Vec::new();
    for field in &fields {
        bytes.extend((field.len() as u64).to_be_bytes());
        bytes.extend(field);
    }
    sha256(&bytes).to_vec()
}
