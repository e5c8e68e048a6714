//! Follows every change, and keeps the rosters of all organizations in a SQLite file of its own: what `docs/events.md` describes, as a program to begin from.
//!
//! ```text
//! ROSTER_KEY=rsk_.. cargo run --example follower -- http://127.0.0.1:50051 copy.db
//! ```
//!
//! What it has made of a batch and the cursor behind it are committed together, so it can be killed at any moment. As it goes it proves that it has missed nothing: each event has to be the
//! next one of its stream, and chained to the one before it.

#![expect(clippy::print_stdout, reason = "it tells on the terminal how far it is")]

use std::{error::Error, time::Duration};

use aws_lc_rs::digest::{SHA256, digest};
use roster::grpc::pb::{Event, EventStream, WatchEventsRequest, event_service_client::EventServiceClient};
use serde_json::Value;
use sqlx::{
    Connection, Row, Sqlite, SqliteConnection, Transaction,
    sqlite::{SqliteConnectOptions, SqliteJournalMode},
};
use tonic::{Code, Request, Status};

type Result<T> = std::result::Result<T, Box<dyn Error>>;

/// How long it waits before it tries again.
const PAUSE: Duration = Duration::from_millis(500);

const TABLES: &str = "
    CREATE TABLE IF NOT EXISTS place (only INTEGER PRIMARY KEY CHECK (only = 1), cursor TEXT NOT NULL);
    CREATE TABLE IF NOT EXISTS heads (stream TEXT PRIMARY KEY, revision INTEGER NOT NULL, hash TEXT NOT NULL);
    CREATE TABLE IF NOT EXISTS members (organization_id TEXT, user_id TEXT, state TEXT NOT NULL, roles TEXT NOT NULL,
        PRIMARY KEY (organization_id, user_id));
";

#[tokio::main]
async fn main() -> Result<()> {
    let mut arguments = std::env::args().skip(1);
    let (Some(endpoint), Some(file)) = (arguments.next(), arguments.next()) else {
        return Err("how to call it: ROSTER_KEY=<service key> follower ENDPOINT FILE".into());
    };
    #[expect(clippy::disallowed_methods, reason = "an example has no settings but this")]
    let key = std::env::var("ROSTER_KEY")?;
    let options =
        SqliteConnectOptions::new().filename(file).create_if_missing(true).journal_mode(SqliteJournalMode::Wal);
    let mut copy = SqliteConnection::connect_with(&options).await?;
    sqlx::raw_sql(TABLES).execute(&mut copy).await?;
    loop {
        match follow(&endpoint, &key, &mut copy).await {
            // The server stops: another one goes on.
            Ok(()) => {}
            Err(error) => match error.downcast_ref::<Status>() {
                Some(status) if [Code::Unavailable, Code::Unknown, Code::Cancelled].contains(&status.code()) => {}
                Some(status) => return Err(format!("{}: {}", status.code(), status.message()).into()),
                None if error.is::<tonic::transport::Error>() => {}
                None => return Err(error),
            },
        }
        tokio::time::sleep(PAUSE).await;
    }
}

/// Follows from where the copy is until the stream ends.
async fn follow(endpoint: &str, key: &str, copy: &mut SqliteConnection) -> Result<()> {
    let cursor = sqlx::query("SELECT cursor FROM place").fetch_optional(&mut *copy).await?;
    let cursor = cursor.map(|row| row.get("cursor")).unwrap_or_default();
    let mut request = Request::new(WatchEventsRequest { cursor, ..WatchEventsRequest::default() });
    request.metadata_mut().insert("authorization", format!("Bearer {key}").parse()?);
    let mut client = EventServiceClient::connect(endpoint.to_owned()).await?;
    let mut messages = client.watch_events(request).await?.into_inner();
    while let Some(message) = messages.message().await? {
        let mut transaction = copy.begin().await?;
        for event in &message.events {
            take(&mut transaction, event).await?;
        }
        sqlx::query("INSERT INTO place VALUES (1, ?) ON CONFLICT DO UPDATE SET cursor = excluded.cursor")
            .bind(&message.cursor)
            .execute(&mut *transaction)
            .await?;
        transaction.commit().await?;
        if !message.events.is_empty() {
            println!("{} events, up to date: {}", message.events.len(), message.up_to_date);
        }
    }
    Ok(())
}

/// Takes an event, unless it has come before.
async fn take(copy: &mut Transaction<'_, Sqlite>, event: &Event) -> Result<()> {
    let stream = stream_of(event);
    let head =
        sqlx::query("SELECT revision, hash FROM heads WHERE stream = ?").bind(stream).fetch_optional(&mut **copy);
    let (revision, hash): (i64, String) = match head.await? {
        Some(row) => (row.get("revision"), row.get("hash")),
        None => (0, "00".repeat(32)),
    };
    if event.revision <= revision {
        return Ok(());
    }
    if event.revision != revision + 1 || event.hash != chained(&hash, event)? {
        return Err(format!("the record of {stream} is broken at {}", event.revision).into());
    }
    sqlx::query("INSERT INTO heads VALUES (?, ?, ?) ON CONFLICT DO UPDATE SET revision = excluded.revision, hash = excluded.hash")
        .bind(stream)
        .bind(event.revision)
        .bind(&event.hash)
        .execute(&mut **copy)
        .await?;
    if event.stream() == EventStream::Organization {
        mirror(copy, event).await?;
    }
    Ok(())
}

/// Does to the copy's roster what the event tells.
async fn mirror(copy: &mut Transaction<'_, Sqlite>, event: &Event) -> Result<()> {
    let data: Value = serde_json::from_str(&event.data)?;
    let after = data.get("after");
    let within = |name: &str| after.and_then(|after| after.get(name)).or_else(|| data.get(name));
    let roles = match event.kind.as_str() {
        "member.roles_set" => after.cloned(),
        _ => within("roles").cloned(),
    };
    let state = within("state").and_then(Value::as_str);
    let (user, state) = match event.kind.as_str() {
        "invitation.accepted" => (&event.actor_user_id, Some("active")),
        "member.created" | "member.added" | "member.joined" => (&event.subject_id, Some("active")),
        "member.account_deleted" => (&event.subject_id, Some("removed")),
        "ownership.transferred" | "ownership.handed_over" => (&event.subject_id, None),
        kind if kind.starts_with("member.") => (&event.subject_id, state),
        _ => return Ok(()),
    };
    let roles = roles.filter(Value::is_array).map(|roles| roles.to_string());
    sqlx::query(
        "INSERT INTO members VALUES (?1, ?2, COALESCE(?3, 'active'), COALESCE(?4, '[]'))
         ON CONFLICT DO UPDATE SET state = COALESCE(?3, state), roles = COALESCE(?4, roles)",
    )
    .bind(&event.organization_id)
    .bind(user)
    .bind(state)
    .bind(roles)
    .execute(&mut **copy)
    .await?;
    Ok(())
}

/// The id of the stream that an event is in.
fn stream_of(event: &Event) -> &str {
    match event.stream() {
        EventStream::Organization => &event.organization_id,
        EventStream::User => &event.user_id,
        EventStream::Installation | EventStream::Unspecified => "00000000-0000-0000-0000-000000000000",
    }
}

/// The hash that an event has to have behind another one.
fn chained(previous: &str, event: &Event) -> Result<String> {
    let hex = &data_encoding::HEXLOWER;
    let id = |id: &str| hex.decode(id.replace('-', "").as_bytes());
    let time = event.create_time.ok_or("an event without a time")?;
    let micros = time.seconds * 1_000_000 + i64::from(time.nanos / 1000);
    let fields = [
        hex.decode(previous.as_bytes())?,
        id(stream_of(event))?,
        event.revision.to_be_bytes().to_vec(),
        event.kind.as_bytes().to_vec(),
        id(&event.actor_user_id)?,
        id(&event.actor_service_account_id)?,
        id(&event.subject_id)?,
        event.data.as_bytes().to_vec(),
        micros.to_be_bytes().to_vec(),
    ];
    let mut bytes = Vec::new();
    for field in fields {
        bytes.extend((field.len() as u64).to_be_bytes());
        bytes.extend(field);
    }
    Ok(hex.encode(digest(&SHA256, &bytes).as_ref()))
}
