//! Following the log: what other services are sent of it, and the cursors by which they go on.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use chrono::{DateTime, Utc};
use uuid::Uuid;

use crate::{
    app::{
        App,
        call::{context::Ctx, error::Result},
    },
    domain::{
        error::{Reason, Refusal},
        scope,
        stream::StreamKind,
    },
    store::{EventRecord, LogPlace, LogStep, SeenTransactions},
};

/// A place in the log of one epoch, as followers keep it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct EventCursor {
    /// Which restored backup the log goes on from; nil where none was restored.
    pub(crate) epoch: Uuid,
    /// The place.
    pub(crate) place: LogPlace,
}

/// What a cursor's first octet says of the others.
const POSITION: u8 = 1;
const SEEN: u8 = 2;
const BETWEEN: u8 = 3;

impl EventCursor {
    /// The cursor as a text that means nothing to who keeps it.
    pub(crate) fn write(&self) -> String {
        let (form, place) = match &self.place {
            LogPlace::Position(position) => (POSITION, position.to_be_bytes().to_vec()),
            LogPlace::Seen(seen) => (SEEN, seen.to_string().into_bytes()),
            LogPlace::Between { seen, next, stream, revision } => {
                let snapshots = format!("{seen}/{next}");
                (BETWEEN, [stream.as_bytes().as_slice(), &revision.to_be_bytes(), snapshots.as_bytes()].concat())
            }
        };
        URL_SAFE_NO_PAD.encode([&[form], self.epoch.as_bytes().as_slice(), &place].concat())
    }

    /// Reads what [`Self::write`] wrote; `None` for anything else.
    pub(crate) fn read(text: &str) -> Option<Self> {
        let bytes = URL_SAFE_NO_PAD.decode(text).ok()?;
        let (form, rest) = bytes.split_first()?;
        let (epoch, rest) = rest.split_at_checked(16)?;
        let place = match *form {
            POSITION => LogPlace::Position(i64::from_be_bytes(rest.try_into().ok()?)),
            SEEN => LogPlace::Seen(SeenTransactions::parse(std::str::from_utf8(rest).ok()?)?),
            BETWEEN => {
                let (stream, rest) = rest.split_at_checked(16)?;
                let (revision, rest) = rest.split_at_checked(8)?;
                let (seen, next) = std::str::from_utf8(rest).ok()?.split_once('/')?;
                LogPlace::Between {
                    seen: SeenTransactions::parse(seen)?,
                    next: SeenTransactions::parse(next)?,
                    stream: Uuid::from_slice(stream).ok()?,
                    revision: i64::from_be_bytes(revision.try_into().ok()?),
                }
            }
            _ => return None,
        };
        Some(Self { epoch: Uuid::from_slice(epoch).ok()?, place })
    }
}

/// Where following begins.
#[derive(Debug, Clone)]
pub(crate) enum Start {
    /// Before the first event.
    Beginning,
    /// Behind what is committed by now.
    Now,
    /// Behind this place.
    Cursor(EventCursor),
}

/// Which events, and from where on.
#[derive(Debug, Clone)]
pub(crate) struct Follow {
    /// Where it begins.
    pub(crate) from: Start,
    /// Only events of these organizations; empty: every stream.
    pub(crate) organizations: Vec<Uuid>,
    /// Only these kinds; empty: all.
    pub(crate) kinds: Vec<String>,
    /// How many events are read at a time.
    pub(crate) batch: usize,
}

/// Some events, and the place behind them.
#[derive(Debug)]
pub(crate) struct Batch {
    /// The events that the filter leaves.
    pub(crate) events: Vec<EventRecord>,
    /// The place behind these and behind those that it does not.
    pub(crate) cursor: EventCursor,
    /// Whether there was nothing more.
    pub(crate) up_to_date: bool,
    /// When the log was read.
    pub(crate) read_time: DateTime<Utc>,
}

impl Batch {
    /// What of it this caller may see: the installation's stream is for operators (ab_37), and a confined key is sent what is of its organizations (ab_48).
    pub(crate) fn visible_to(mut self, ctx: &Ctx) -> Self {
        let operator = ctx.caller.has_scope(scope::OPERATOR);
        self.events.retain(|event| match event.stream {
            StreamKind::Installation => operator,
            StreamKind::Organization => ctx.caller.reaches(event.stream_id),
            StreamKind::User => !ctx.caller.is_confined(),
        });
        self
    }
}

/// The next events behind a place, whoever may see them.
///
/// As many rows are read as a batch has, and the filter is applied to those: a filter that leaves nothing of a long log costs no more at a time than none.
///
/// # Errors
/// `CURSOR_EXPIRED`.
pub(crate) async fn read(app: &App, follow: &Follow) -> Result<Batch> {
    let store = &app.store;
    let read_time = app.clock.now();
    let step = match &follow.from {
        Start::Beginning => store.read_log(&store.log_start(), follow.batch).await?,
        Start::Now => store.log_end().await?,
        Start::Cursor(cursor) => {
            let step = store.read_log(&cursor.place, follow.batch).await?;
            require_same_log(cursor, &step, store.log_start())?;
            step
        }
    };
    let organization = |event: &EventRecord| {
        event.stream == StreamKind::Organization && follow.organizations.contains(&event.stream_id)
    };
    let cursor = EventCursor { epoch: step.epoch, place: step.place };
    let mut events = step.events;
    events.retain(|event| {
        (follow.organizations.is_empty() || organization(event))
            && (follow.kinds.is_empty() || follow.kinds.contains(&event.kind))
    });
    Ok(Batch { events, cursor, up_to_date: step.up_to_date, read_time })
}

/// Refuses a place of another log: of a time before a backup was restored, of commits that are lost, or of another database.
fn require_same_log(cursor: &EventCursor, step: &LogStep, start: LogPlace) -> Result<()> {
    if step.known && cursor.epoch == step.epoch {
        return Ok(());
    }
    let earliest = EventCursor { epoch: step.epoch, place: start };
    Err(Refusal::new(Reason::CursorExpired)
        .with("earliest_cursor", earliest.write())
        .with("hint", "read the present state anew and follow from GetEventCursor, or from the earliest cursor")
        .into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_is_read_as_it_was_written() {
        let snapshot = |text: &str| SeenTransactions::parse(text).unwrap();
        for place in [
            LogPlace::Position(0),
            LogPlace::Position(i64::MAX),
            LogPlace::Seen(snapshot("10:20:12,15")),
            LogPlace::Between {
                seen: snapshot("10:20:12,15"),
                next: snapshot("30:30:"),
                stream: Uuid::from_u128(7),
                revision: 3,
            },
        ] {
            let cursor = EventCursor { epoch: Uuid::from_u128(9), place };
            let text = cursor.write();
            assert_eq!(EventCursor::read(&text), Some(cursor));
            for cut in 0..text.len() {
                let shorter = EventCursor::read(&text[..cut]);
                assert!(shorter.is_none_or(|read| read.write() != text), "{cut} of {text}");
            }
        }
        for text in ["", "x", "AA", "BAAAAAAAAAAAAAAAAAAAAAAAAAAA", "ä"] {
            assert_eq!(EventCursor::read(text), None, "{text}");
        }
    }
}
