//! Seals of the ends of streams (ab_49).
//!
//! A chain of hashes shows a change in the middle. Who can write to the database could still cut the end off and set the stream's head back: the chain fits together. So each head carries a
//! digest of itself under the secret key, which is not in the database.

use std::sync::Arc;

use sea_orm::{
    ConnectionTrait, FromQueryResult,
    sea_query::{Expr, ExprTrait, Order, Query},
};
use uuid::Uuid;

use super::{Result, Store};
use crate::{
    domain::stream::INSTALLATION,
    platform::{Keyring, KeyringError},
};

/// Keeps these digests apart from others under the same key.
const CONTEXT: &str = "stream head";
/// Heads that are sealed in one transaction.
const BATCH: u64 = 500;

/// Seals heads; without a key it leaves them as they are, as the commands do that have none.
#[derive(Clone, Default)]
pub(crate) struct Seals(Option<Arc<Keyring>>);

impl Seals {
    /// Seals with the first key of this list.
    pub(crate) fn with(keyring: Arc<Keyring>) -> Self {
        Self(Some(keyring))
    }

    /// The seal of a head that was moved; `last` is that of the head before.
    pub(super) fn seal(&self, stream: Uuid, revision: i64, hash: &[u8], last: Option<Vec<u8>>) -> Option<Vec<u8>> {
        let Some(keyring) = &self.0 else { return last };
        let revision = revision.to_be_bytes();
        let mac = keyring.mac(CONTEXT, &[stream.as_bytes(), &revision, hash]);
        Some([&revision[..], &mac].concat())
    }
}

/// A seal, as a head carries it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Seal<'a> {
    /// The revision that the head had when it was sealed.
    pub(crate) revision: i64,
    mac: &'a [u8],
}

impl<'a> Seal<'a> {
    /// Reads what rests in the column; `None` for what no seal looks like.
    pub(crate) fn read(column: &'a [u8]) -> Option<Self> {
        let (revision, mac) = column.split_first_chunk()?;
        Some(Self { revision: i64::from_be_bytes(*revision), mac })
    }

    /// Whether somebody who has the key has sealed this head, with this hash.
    ///
    /// # Errors
    /// It was sealed with a key that is not in the list any more.
    pub(crate) fn holds(
        &self,
        keyring: &Keyring,
        stream: Uuid,
        hash: &[u8],
    ) -> std::result::Result<bool, KeyringError> {
        let revision = self.revision.to_be_bytes();
        match keyring.verify_mac(CONTEXT, &[stream.as_bytes(), &revision, hash], self.mac) {
            Ok(()) => Ok(true),
            Err(KeyringError::Rejected | KeyringError::UnknownFormat) => Ok(false),
            Err(unknown) => Err(unknown),
        }
    }
}

#[derive(FromQueryResult)]
struct Head {
    id: Uuid,
    revision: i64,
    chain_hash: Vec<u8>,
}

impl Store {
    /// Seals the heads that the version before has left without a seal, once: later a missing seal is one that somebody has taken away. The installation's head, which has the nil id, is sealed
    /// last, and tells that it has been done. Answers with how many that were.
    pub(crate) async fn seal_heads_once(&self) -> Result<u64> {
        let installation = self.read().stream_head(INSTALLATION).await?;
        if installation.chain_seal.is_some() {
            return Ok(0);
        }
        let mut sealed = 0;
        for (table, id) in [("organizations", "id"), ("stream_heads", "stream_id")] {
            let mut before = Uuid::max();
            loop {
                let heads = self.unsealed_heads(table, id, before).await?;
                let Some(last) = heads.last() else { break };
                before = last.id;
                sealed += self.seal_heads(table, id, heads).await?;
            }
        }
        Ok(sealed)
    }

    async fn unsealed_heads(&self, table: &'static str, id: &'static str, before: Uuid) -> Result<Vec<Head>> {
        let query = Query::select()
            .expr_as(Expr::col(id), "id")
            .columns(["revision", "chain_hash"])
            .from(table)
            .and_where(Expr::col("chain_seal").is_null().and(Expr::col(id).lt(before)))
            .order_by(id, Order::Desc)
            .limit(BATCH)
            .take();
        let rows = self.read().0.query_all(&query).await?;
        Ok(rows.iter().map(|row| Head::from_query_result(row, "")).collect::<std::result::Result<_, _>>()?)
    }

    async fn seal_heads(&self, table: &'static str, id: &'static str, heads: Vec<Head>) -> Result<u64> {
        let tx = self.begin().await?;
        let mut sealed = 0;
        for head in heads {
            let seal = self.seals.seal(head.id, head.revision, &head.chain_hash, None);
            // Whoever moves the head meanwhile seals it.
            let update = Query::update()
                .table(table)
                .value("chain_seal", seal)
                .and_where(Expr::col(id).eq(head.id).and(Expr::col("revision").eq(head.revision)))
                .take();
            sealed += tx.view.0.execute(&update).await?.rows_affected();
        }
        tx.commit().await?;
        Ok(sealed)
    }
}
