//! What happened in a stream: one event for each revision, chained by hash.

use chrono::{DateTime, Utc};
use sea_orm::{
    ActiveModelTrait, ColumnTrait, ConnectionTrait, EntityTrait, IntoActiveModel, QueryFilter, QuerySelect,
    sea_query::{Expr, LockType},
};
use serde_json::Value;
use uuid::Uuid;

use super::{
    Organization, Result, StoreError, StreamHead, Tx, View,
    entities::{events, organizations, stream_heads},
};
use crate::domain::{
    digest::sha256,
    stream::{INSTALLATION, StreamKind},
};

/// Who caused an event: a user, a service, or a service for a user.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Actor {
    /// The user.
    pub(crate) user: Option<Uuid>,
    /// The service account.
    pub(crate) service_account: Option<Uuid>,
}

/// Something that happened in an organization.
#[derive(Debug, Clone)]
pub(crate) struct Event {
    /// What, such as `invitation.created`.
    pub(crate) kind: &'static str,
    /// By whom.
    pub(crate) actor: Actor,
    /// To whom or to what: a user or an invitation.
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
        let moved = organizations::Entity::update_many()
            .col_expr(organizations::Column::Revision, Expr::value(organization.revision))
            .col_expr(organizations::Column::ChainHash, Expr::value(organization.chain_hash.clone()))
            .filter(organizations::Column::Id.eq(organization.id))
            .filter(organizations::Column::Revision.eq(organization.revision - 1))
            .exec(&self.view.0)
            .await?;
        if moved.rows_affected != 1 {
            return Err(StoreError::Busy("the organization was written without its lock".to_owned()));
        }
        events::Entity::insert(row.into_active_model()).exec_without_returning(&self.view.0).await?;
        Ok(())
    }

    /// Writes an event of the installation, and moves its revision by one.
    ///
    /// The race that its lock prevents: two changes at once get the same revision, or chain to the same hash. It is the last lock that a transaction takes.
    pub(crate) async fn record_installation(&mut self, event: Event) -> Result<()> {
        let found =
            stream_heads::Entity::find_by_id(INSTALLATION).lock(LockType::NoKeyUpdate).one(&self.view.0).await?;
        let head = found.ok_or_else(|| StoreError::Defect("the installation has no head".to_owned()))?;
        let revision = head.revision + 1;
        let place = Place { stream: StreamKind::Installation, id: INSTALLATION, revision, previous: &head.chain_hash };
        let row = place.row(event);
        let moved = StreamHead { revision, chain_hash: row.hash.clone(), ..head };
        moved.into_active_model().reset_all().update(&self.view.0).await?;
        events::Entity::insert(row.into_active_model()).exec_without_returning(&self.view.0).await?;
        Ok(())
    }
}

impl<C: ConnectionTrait> View<C> {
    /// How far the installation's stream is.
    pub(crate) async fn installation_head(&self) -> Result<StreamHead> {
        let found = stream_heads::Entity::find_by_id(INSTALLATION).one(&self.0).await?;
        found.ok_or_else(|| StoreError::Defect("the installation has no head".to_owned()))
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
            kind: event.kind.to_owned(),
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
