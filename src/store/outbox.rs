//! The outbox: messages that were committed together with what they tell of, and wait to be delivered.
//!
//! A claim is a lease with a fencing token: it moves `available_time` to the lease's end and raises `fence`. Whoever settles or extends names the
//! fence of their claim, so a worker that was thought dead cannot overwrite what its successor did.
//!
//! `available_time` is of the database's clock, and is turned into it and back here alone: processes compare it with each other, and one whose clock is fast would take over every delivery
//! that is in progress elsewhere (ab_57). All other times are of the clock of the process that wrote them.

use chrono::{DateTime, Utc};
use sea_orm::{
    ColumnTrait, ConnectionTrait, DbBackend, EntityTrait, FromQueryResult, IntoActiveModel, Order, PaginatorTrait,
    QueryFilter, QueryOrder, QuerySelect, QueryTrait, Select, Statement,
    sea_query::{Expr, ExprTrait},
};
use uuid::Uuid;

use super::{
    Cursor, Message, Result, Store, Tx, View,
    entities::{invitations, outbox_messages},
    page,
};
use crate::domain::delivery::DeliveryState;

/// A message that this process may deliver until the lease ends.
#[derive(Debug, Clone, FromQueryResult)]
pub(crate) struct ClaimedMessage {
    /// The message's id; the left part of its Message-ID, so that a second delivery can be recognized.
    pub(crate) id: Uuid,
    /// What kind of message it is.
    pub(crate) kind: String,
    /// The sealed payload.
    pub(crate) sealed: Vec<u8>,
    /// How often delivery was tried, this time included.
    pub(crate) attempts: i32,
    /// The claim's fencing token.
    pub(crate) fence: i64,
    /// When it was written or last queued again by an operator: where the time to give up counts from.
    pub(crate) queue_time: DateTime<Utc>,
}

/// How a delivery ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Settlement {
    /// The mail server took it over.
    Sent,
    /// It is to be tried again.
    Retry {
        /// When.
        at: DateTime<Utc>,
        /// What went wrong.
        error: String,
    },
    /// It is given up.
    Failed {
        /// What went wrong.
        error: String,
    },
    /// It was not tried: the lease is given back.
    Released,
}

/// Mail that people had sent to others, by what a budget is for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum MailOf {
    /// Invitations of an organization.
    Organization(Uuid),
    /// Invitations and news about ownership to whoever reads an address, by its mailbox key.
    Recipient(String),
}

impl MailOf {
    /// All of it since a time, called off or not: who has mail called off before it is sent gets no more for it.
    fn since(&self, time: DateTime<Utc>) -> Select<outbox_messages::Entity> {
        use outbox_messages::Column;

        let query = outbox_messages::Entity::find().filter(Column::CreateTime.gt(time));
        match self {
            MailOf::Organization(id) => {
                query.filter(Column::OrganizationId.eq(*id)).filter(Column::Kind.eq("invitation"))
            }
            MailOf::Recipient(key) => query
                .filter(Column::RecipientKey.eq(key.as_str()))
                .filter(Column::Kind.is_in(["invitation", "ownership"])),
        }
    }
}

/// Which messages.
#[derive(Debug, Clone, Default)]
pub(crate) struct MessageFilter {
    /// Only these states; empty means all.
    pub(crate) states: Vec<DeliveryState>,
    /// Only this organization's.
    pub(crate) organization_id: Option<Uuid>,
}

impl<C: ConnectionTrait> View<C> {
    /// One message.
    pub(crate) async fn message(&self, id: Uuid) -> Result<Option<Message>> {
        Ok(outbox_messages::Entity::find_by_id(id).one(&self.0).await?)
    }

    /// Messages, newest first.
    pub(crate) async fn messages_page(
        &self,
        filter: &MessageFilter,
        after: Option<&Cursor>,
        limit: u64,
    ) -> Result<Vec<Message>> {
        let query = page::by_id(filtered(filter), outbox_messages::Column::Id, Order::Desc, after, limit);
        self.page(query).await
    }

    /// How much mail there has been since a time.
    pub(crate) async fn count_mail(&self, of: &MailOf, since: DateTime<Utc>) -> Result<u64> {
        Ok(of.since(since).count(&self.0).await?)
    }

    /// When the newest mail since a time was queued that `later` others came after; `None` where there have not been so many.
    pub(crate) async fn mail_before(
        &self,
        of: &MailOf,
        since: DateTime<Utc>,
        later: u64,
    ) -> Result<Option<DateTime<Utc>>> {
        Ok(of
            .since(since)
            .select_only()
            .column(outbox_messages::Column::CreateTime)
            .order_by_desc(outbox_messages::Column::CreateTime)
            .offset(later)
            .limit(1)
            .into_tuple()
            .one(&self.0)
            .await?)
    }

    /// How many messages the filter leaves.
    pub(crate) async fn messages_count(&self, filter: &MessageFilter) -> Result<u64> {
        Ok(filtered(filter).count(&self.0).await?)
    }
}

fn filtered(filter: &MessageFilter) -> Select<outbox_messages::Entity> {
    let mut query = outbox_messages::Entity::find();
    if !filter.states.is_empty() {
        query = query.filter(outbox_messages::Column::State.is_in(filter.states.clone()));
    }
    if let Some(organization) = filter.organization_id {
        query = query.filter(outbox_messages::Column::OrganizationId.eq(organization));
    }
    query
}

impl Tx {
    /// Queues a message. It is delivered if and only if this transaction commits.
    pub(crate) async fn insert_message(&mut self, message: Message) -> Result<()> {
        let message = Message { available_time: self.skew.to_shared(message.available_time), ..message };
        outbox_messages::Entity::insert(message.into_active_model()).exec_without_returning(&self.view.0).await?;
        self.queued = true;
        Ok(())
    }

    /// Calls off a message that waits, and erases what it says. One that is on its way arrives all the same; what it links to is dead by then.
    pub(crate) async fn cancel_message(&mut self, id: Uuid, now: DateTime<Utc>) -> Result<()> {
        outbox_messages::Entity::update_many()
            .col_expr(outbox_messages::Column::State, Expr::value(DeliveryState::Cancelled))
            .col_expr(outbox_messages::Column::Sealed, Expr::value(None::<Vec<u8>>))
            .col_expr(outbox_messages::Column::Fence, Expr::col(outbox_messages::Column::Fence).add(1))
            .col_expr(outbox_messages::Column::SettleTime, Expr::value(now))
            .filter(outbox_messages::Column::Id.eq(id))
            .filter(outbox_messages::Column::State.is_in([DeliveryState::Queued, DeliveryState::Failed]))
            .exec(&self.view.0)
            .await?;
        Ok(())
    }

    /// Takes a message out altogether.
    pub(crate) async fn delete_message(&mut self, id: Uuid) -> Result<()> {
        outbox_messages::Entity::delete_by_id(id).exec(&self.view.0).await?;
        Ok(())
    }

    /// Queues a failed message again. `false` where it is not failed.
    pub(crate) async fn requeue_message(&mut self, id: Uuid, now: DateTime<Utc>) -> Result<bool> {
        let queued = outbox_messages::Entity::update_many()
            .col_expr(outbox_messages::Column::State, Expr::value(DeliveryState::Queued))
            .col_expr(outbox_messages::Column::AvailableTime, Expr::value(self.skew.to_shared(now)))
            .col_expr(outbox_messages::Column::QueueTime, Expr::value(now))
            .col_expr(outbox_messages::Column::SettleTime, Expr::value(None::<DateTime<Utc>>))
            .filter(outbox_messages::Column::Id.eq(id))
            .filter(outbox_messages::Column::State.eq(DeliveryState::Failed))
            .exec(&self.view.0)
            .await?;
        self.queued = true;
        Ok(queued.rows_affected == 1)
    }
}

impl Store {
    /// Claims messages that are due, longest due first.
    ///
    /// The race it prevents: two workers read the same due rows and both deliver them. On PostgreSQL the inner select locks the rows and skips those that
    /// another worker holds; on SQLite, where that clause is silently dropped, the statement runs alone on the one connection that writes.
    pub(crate) async fn claim_messages(
        &self,
        now: DateTime<Utc>,
        lease_until: DateTime<Utc>,
        limit: u64,
    ) -> Result<Vec<ClaimedMessage>> {
        let tx = self.begin().await?;
        let locking = match tx.backend() {
            DbBackend::Postgres => "FOR UPDATE SKIP LOCKED",
            _ => "",
        };
        let claim = Statement::from_sql_and_values(
            tx.backend(),
            format!(
                "UPDATE outbox_messages SET fence = fence + 1, attempts = attempts + 1, available_time = $1 WHERE id IN \
                 (SELECT id FROM outbox_messages WHERE state = 'queued' AND available_time <= $2 AND sealed IS NOT NULL \
                 ORDER BY available_time LIMIT $3 {locking}) \
                 RETURNING id, kind, sealed, attempts, fence, queue_time"
            ),
            [
                self.skew.to_shared(lease_until).into(),
                self.skew.to_shared(now).into(),
                i64::try_from(limit).unwrap_or(i64::MAX).into(),
            ],
        );
        let claimed = ClaimedMessage::find_by_statement(claim).all(&tx.0).await?;
        tx.commit().await?;
        Ok(claimed)
    }

    /// Moves a lease's end. `false` where the claim was lost.
    pub(crate) async fn extend_message_lease(&self, id: Uuid, fence: i64, until: DateTime<Utc>) -> Result<bool> {
        let extended = claimed(id, fence)
            .col_expr(outbox_messages::Column::AvailableTime, Expr::value(self.skew.to_shared(until)))
            .exec(&self.write)
            .await?;
        Ok(extended.rows_affected == 1)
    }

    /// Stores how a delivery ended. `false` where the claim was lost. A sent message is erased.
    pub(crate) async fn settle_message(
        &self,
        id: Uuid,
        fence: i64,
        outcome: Settlement,
        now: DateTime<Utc>,
    ) -> Result<bool> {
        use outbox_messages::Column;

        let update = claimed(id, fence);
        let update = match outcome {
            Settlement::Sent => update
                .col_expr(Column::State, Expr::value(DeliveryState::Sent))
                .col_expr(Column::Sealed, Expr::value(None::<Vec<u8>>))
                .col_expr(Column::LastError, Expr::value(None::<String>))
                .col_expr(Column::SettleTime, Expr::value(now)),
            Settlement::Retry { at, error } => update
                .col_expr(Column::AvailableTime, Expr::value(self.skew.to_shared(at)))
                .col_expr(Column::LastError, Expr::value(error)),
            Settlement::Failed { error } => update
                .col_expr(Column::State, Expr::value(DeliveryState::Failed))
                .col_expr(Column::LastError, Expr::value(error))
                .col_expr(Column::SettleTime, Expr::value(now)),
            Settlement::Released => update
                .col_expr(Column::AvailableTime, Expr::value(self.skew.to_shared(now)))
                .col_expr(Column::Attempts, Expr::col(Column::Attempts).sub(1)),
        };
        Ok(update.exec(&self.write).await?.rows_affected == 1)
    }

    /// When the next message is due.
    pub(crate) async fn next_message_due(&self) -> Result<Option<DateTime<Utc>>> {
        let due: Option<DateTime<Utc>> = outbox_messages::Entity::find()
            .select_only()
            .column(outbox_messages::Column::AvailableTime)
            .filter(outbox_messages::Column::State.eq(DeliveryState::Queued))
            .filter(outbox_messages::Column::Sealed.is_not_null())
            .order_by_asc(outbox_messages::Column::AvailableTime)
            .into_tuple()
            .one(&self.read.0)
            .await?;
        Ok(due.map(|time| self.skew.to_own(time)))
    }
}

impl Store {
    /// Deletes messages that were settled before a time, but those by which an invitation's row tells how far its mail is.
    pub(crate) async fn forget_messages(&self, before: DateTime<Utc>) -> Result<u64> {
        let in_use = invitations::Entity::find().select_only().column(invitations::Column::MessageId).into_query();
        let forgotten = outbox_messages::Entity::delete_many()
            .filter(outbox_messages::Column::State.ne(DeliveryState::Queued))
            .filter(outbox_messages::Column::SettleTime.lt(before))
            .filter(outbox_messages::Column::Id.not_in_subquery(in_use))
            .exec(&self.write)
            .await?;
        Ok(forgotten.rows_affected)
    }
}

fn claimed(id: Uuid, fence: i64) -> sea_orm::UpdateMany<outbox_messages::Entity> {
    outbox_messages::Entity::update_many()
        .filter(outbox_messages::Column::Id.eq(id))
        .filter(outbox_messages::Column::Fence.eq(fence))
        .filter(outbox_messages::Column::State.eq(DeliveryState::Queued))
}
