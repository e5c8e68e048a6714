//! What happened to users, in streams of their own beside those of organizations. Their rows leave `user_events`, which the version before goes on writing to while it is replaced: what it
//! writes from now on is taken over by the program.

use aws_lc_rs::digest::{SHA256, digest};
use sea_orm_migration::{
    prelude::*,
    sea_orm::{
        ConnectionTrait, QueryResult,
        prelude::{DateTimeUtc, Uuid},
    },
};

/// The migration.
#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

/// Rows that are moved at a time.
const BATCH: usize = 500;

const EVENT_COLUMNS: [&str; 10] = [
    "stream",
    "organization_id",
    "revision",
    "kind",
    "actor_user_id",
    "actor_service_account_id",
    "subject_id",
    "data",
    "hash",
    "create_time",
];

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    // On SQLite a failed migration would otherwise stay half applied.
    fn use_transaction(&self) -> Option<bool> {
        Some(true)
    }

    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let connection = manager.get_connection();
        let mut head: Option<Head> = None;
        loop {
            let oldest = Query::select()
                .columns(["user_id", "revision", "kind", "actor_user_id", "actor_service_account_id", "data"])
                .column("create_time")
                .from("user_events")
                .order_by("user_id", Order::Asc)
                .order_by("revision", Order::Asc)
                .limit(BATCH as u64)
                .take();
            let rows = connection.query_all(&oldest).await?;
            let mut moved = Vec::new();
            let mut events = Query::insert().into_table("events").columns(EVENT_COLUMNS).take();
            let mut heads = Vec::new();
            for row in &rows {
                let old = Old::read(row)?;
                let mut place = match head.take() {
                    Some(place) if place.user == old.user => place,
                    Some(done) => {
                        heads.push(done);
                        Head::begin(old.user)
                    }
                    None => Head::begin(old.user),
                };
                place.revision += 1;
                place.hash = old.hash(&place);
                moved.push((old.user, old.revision));
                events.values_panic(old.values(&place));
                head = Some(place);
            }
            if moved.is_empty() {
                heads.extend(head.take());
            }
            for head in heads {
                let insert = Query::insert()
                    .into_table("stream_heads")
                    .columns(["stream_id", "revision", "chain_hash"])
                    .values_panic([head.user.into(), head.revision.into(), head.hash.into()])
                    .take();
                connection.execute(&insert).await?;
            }
            if moved.is_empty() {
                return Ok(());
            }
            connection.execute(&events).await?;
            // Just those that were read: the version before may have written others meanwhile.
            let key = Expr::tuple([Expr::col("user_id"), Expr::col("revision")]);
            let delete = Query::delete().from_table("user_events").and_where(key.in_tuples(moved)).take();
            connection.execute(&delete).await?;
        }
    }
}

/// How far the stream of a user is.
struct Head {
    user: Uuid,
    revision: i64,
    hash: Vec<u8>,
}

impl Head {
    fn begin(user: Uuid) -> Self {
        Self { user, revision: 0, hash: vec![0; 32] }
    }
}

/// A row of `user_events`.
struct Old {
    user: Uuid,
    revision: i64,
    kind: String,
    actor_user: Option<Uuid>,
    actor_service: Option<Uuid>,
    data: String,
    create_time: DateTimeUtc,
}

impl Old {
    fn read(row: &QueryResult) -> Result<Self, DbErr> {
        Ok(Self {
            user: row.try_get("", "user_id")?,
            revision: row.try_get("", "revision")?,
            kind: row.try_get("", "kind")?,
            actor_user: row.try_get("", "actor_user_id")?,
            actor_service: row.try_get("", "actor_service_account_id")?,
            data: row.try_get("", "data")?,
            create_time: row.try_get("", "create_time")?,
        })
    }

    /// The hash at a place of which the hash before it is known: SHA-256 over that and every field, each behind its length. As the program computes it.
    fn hash(&self, place: &Head) -> Vec<u8> {
        let id = |id: Option<Uuid>| id.map_or_else(Vec::new, |id| id.as_bytes().to_vec());
        let fields: [Vec<u8>; 9] = [
            place.hash.clone(),
            self.user.as_bytes().to_vec(),
            place.revision.to_be_bytes().to_vec(),
            self.kind.as_bytes().to_vec(),
            id(self.actor_user),
            id(self.actor_service),
            id(Some(self.user)),
            self.data.as_bytes().to_vec(),
            self.create_time.timestamp_micros().to_be_bytes().to_vec(),
        ];
        let mut bytes = Vec::new();
        for field in &fields {
            bytes.extend((field.len() as u64).to_be_bytes());
            bytes.extend(field);
        }
        digest(&SHA256, &bytes).as_ref().to_vec()
    }

    fn values(self, place: &Head) -> [Expr; 10] {
        [
            "user".into(),
            self.user.into(),
            place.revision.into(),
            self.kind.into(),
            self.actor_user.into(),
            self.actor_service.into(),
            self.user.into(),
            self.data.into(),
            place.hash.clone().into(),
            self.create_time.into(),
        ]
    }
}
