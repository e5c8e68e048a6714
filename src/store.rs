//! The database: the only place that knows sea-orm.
//!
//! [`View`] reads, inside or outside a transaction; [`Tx`] writes. There is one file per aggregate. SQLite has one connection that writes and a pool
//! that reads, because its writers exclude each other anyhow and a pool of them only waits longer; PostgreSQL has one pool for both, and a smaller one for [`Store::planned_once`].

mod access_models;
mod activity;
mod attempts;
mod audit;
mod challenges;
mod contacts;
mod database;
mod entities;
mod erasure;
mod events;
mod identities;
mod imports;
mod invitations;
mod join_links;
mod log;
mod members;
mod mfa;
mod organizations;
mod outbox;
mod ownership;
mod page;
mod replays;
mod restore;
mod roster;
mod rows;
mod seals;
mod search;
mod service_accounts;
mod sessions;
mod sign_ins;
mod slugs;
mod users;

use std::ops::Deref;

use sea_orm::{
    AccessMode, ConnectionTrait, DatabaseConnection, DatabaseTransaction, DbBackend, DbErr, IsolationLevel,
    SqliteTransactionMode, TransactionOptions, TransactionTrait,
};

use crate::platform::{Skew, statements};

pub(crate) use access_models::HeldRoles;
pub(crate) use activity::{ActivityFilter, MemberActivity};
pub(crate) use audit::{EventFilter, Names};
use database::writer::{Transaction, WriterState};
pub(crate) use database::{
    columns::OwnRoles,
    commit_mark::{CommitMark, WalIndex},
    connect::{SchemaState, StoreSettings},
    error::StoreError,
    signal::{Signal, Signals, Waiter},
};
pub(crate) use entities::{
    access_models::Model as StoredModel, activities::Model as Activity, attempts::Model as Attempts,
    challenges::Model as Challenge, contacts::Model as Contact, events::Model as EventRecord,
    identities::Model as LinkedIdentity, imported_users::Model as ImportedUser, invitations::Model as Invitation,
    join_links::Model as JoinLink, members::Model as Member, mfa_factors::Model as MfaFactor,
    organizations::Model as Organization, outbox_messages::Model as Message, ownership_transfers::Model as Transfer,
    search_terms::Model as SearchTerm, service_accounts::Model as ServiceAccount, service_keys::Model as ServiceKey,
    sessions::Model as Session, sign_ins::Model as SignInRecord, stream_heads::Model as StreamHead,
    users::Model as User,
};
pub(crate) use erasure::DeletedRows;
pub(crate) use events::{Actor, Event, event_hash};
pub(crate) use invitations::{InvitationFilter, InvitationKey, InvitationRow, Issuer, Sender};
pub(crate) use log::{LogConnection, LogPlace, LogStep, SeenTransactions};
pub(crate) use outbox::{ClaimedMessage, MailOf, MessageFilter, Settlement};
pub(crate) use page::Cursor;
pub(crate) use replays::ReplayKey;
pub(crate) use roster::{
    AskedTransfer, InvitedRows, Profile, RosterFacts, RosterFilter, RosterOrder, RosterQuery, RosterRow,
};
pub(crate) use seals::{Seal, Seals};
pub(crate) use search::{Derived, FoundRow, SearchQuery};
pub(crate) use service_accounts::KeyHolder;
pub(crate) use sessions::SessionHolder;
pub(crate) use sign_ins::SignInFilter;

/// What the store's functions answer.
pub(crate) type Result<T> = std::result::Result<T, StoreError>;

/// The database of one process.
pub(crate) struct Store {
    read: View<DatabaseConnection>,
    planned_once: View<DatabaseConnection>,
    write: DatabaseConnection,
    writer: WriterState,
    signals: Signals,
    skew: Skew,
    seals: Seals,
    /// SQLite's.
    wal_index: Option<WalIndex>,
}

impl Store {
    /// The same database, whose streams are sealed from now on.
    pub(crate) fn sealing(self, seals: Seals) -> Self {
        Self { seals, ..self }
    }

    /// Reads committed rows, outside any transaction.
    pub(crate) fn read(&self) -> &View<DatabaseConnection> {
        &self.read
    }

    /// The same by statements that PostgreSQL plans once for each connection, in place of once for each call: the few that are asked most, each of which finds few rows by indexes that do not depend on
    /// its values ([decision 50](../docs/decisions/0050-some-statements-are-planned-once.md)).
    pub(crate) fn planned_once(&self) -> &View<DatabaseConnection> {
        &self.planned_once
    }

    /// Reads what was committed at one moment, by however many statements: what claims a revision is read together with it (ab_56). Whoever reads by one
    /// statement needs none of it.
    ///
    /// # Errors
    /// The database does not answer.
    pub(crate) async fn snapshot(&self) -> Result<Snapshot> {
        let postgres = self.read.backend() == DbBackend::Postgres;
        let options = TransactionOptions {
            isolation_level: postgres.then_some(IsolationLevel::RepeatableRead),
            access_mode: postgres.then_some(AccessMode::ReadOnly),
            // In WAL mode the first statement decides what the others see.
            sqlite_transaction_mode: Some(SqliteTransactionMode::Deferred),
        };
        // BEGIN, on PostgreSQL what kind of transaction it is, and later its end.
        statements::note(if postgres { 3 } else { 2 });
        Ok(View(self.read.0.begin_with_options(options).await?))
    }

    /// Begins a transaction that writes.
    ///
    /// On SQLite it is IMMEDIATE: a deferred one that reads and then writes fails at once when another writer came between, whatever the busy
    /// timeout. On PostgreSQL it is READ COMMITTED, as its connections are told when they are made, so that the statements after the organization's lock see what the previous holder committed; with a
    /// snapshot taken before the lock, two demotions each still count the other's owner.
    ///
    /// # Errors
    /// The database does not answer, or is busy.
    pub(crate) async fn begin(&self) -> Result<Tx> {
        let options = TransactionOptions {
            sqlite_transaction_mode: Some(SqliteTransactionMode::Immediate),
            ..TransactionOptions::default()
        };
        statements::note(1);
        let begun = match self.write.begin_with_options(options).await {
            Ok(begun) => begun,
            // Waiting for a connection in vain says nothing about what its holder does with it.
            Err(error @ DbErr::ConnectionAcquire(_)) => return Err(error.into()),
            Err(error) => return Err(self.writer.failure(error)),
        };
        Ok(Tx {
            view: View(Transaction::new(begun, self.writer.clone())),
            signals: self.signals.clone(),
            skew: self.skew.clone(),
            seals: self.seals.clone(),
            queued: false,
            recorded: false,
            models_revision: None,
        })
    }

    /// Wakes when a message may have been queued.
    pub(crate) fn outbox_signal(&self) -> &Signal {
        &self.signals.outbox
    }

    /// Wakes when an event may have been written.
    pub(crate) fn log_signal(&self) -> &Signal {
        &self.signals.log
    }

    /// Ends all connections, after what they are doing.
    pub(crate) async fn close(&self) {
        // By reference: whoever still holds the store gets an error from now on.
        let _ = self.write.close_by_ref().await;
        let _ = self.planned_once.0.close_by_ref().await;
        let _ = self.read.0.close_by_ref().await;
    }
}

/// Something that can be read from: a pool, or a transaction.
pub(crate) struct View<C>(C);

impl<C: ConnectionTrait> View<C> {
    fn backend(&self) -> DbBackend {
        self.0.get_database_backend()
    }
}

/// What was committed at one moment.
pub(crate) type Snapshot = View<DatabaseTransaction>;

/// A transaction. What it wrote is gone unless it is committed.
pub(crate) struct Tx {
    view: View<Transaction>,
    signals: Signals,
    skew: Skew,
    seals: Seals,
    queued: bool,
    recorded: bool,
    /// That of the access models, since an organization is locked: until the transaction ends they stay what they are.
    models_revision: Option<i64>,
}

impl Deref for Tx {
    type Target = View<Transaction>;

    fn deref(&self) -> &Self::Target {
        &self.view
    }
}

impl Tx {
    /// Makes it durable, and then wakes the outbox worker where a message was queued, and those who follow the log where an event was written.
    ///
    /// # Errors
    /// The commit failed or its outcome is unknown; a statement failed before.
    pub(crate) async fn commit(self) -> Result<()> {
        self.view.0.commit().await?;
        if self.queued {
            self.signals.outbox.raise();
        }
        if self.recorded {
            self.signals.log.raise();
        }
        Ok(())
    }

    /// Takes everything back.
    ///
    /// # Errors
    /// The database does not answer; it takes everything back by itself then.
    pub(crate) async fn rollback(self) -> Result<()> {
        self.view.0.rollback().await
    }
}
