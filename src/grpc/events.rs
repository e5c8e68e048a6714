//! EventService.

use std::{sync::Arc, time::Duration};

use futures_util::stream::{self, BoxStream, StreamExt};
use tonic::{Request, Response, Status};

use crate::{
    app::{
        audit::sides,
        events::{self, Batch, EventCursor, Follow, Start},
        records::{EventRecord, Waiter},
    },
    domain::stream::StreamKind,
    grpc::{
        layers::authenticate::Admitted,
        pb::{self, event_service_server::EventService},
        wire::{
            convert::{hex, id, json, timestamp},
            edge::{Edge, admitted},
            fields::{Fields, Parse},
        },
    },
};

/// Events of a batch where the request does not say, and at the most.
const BATCH: usize = 200;
const MAX_BATCH: usize = 1000;
/// Seconds between two messages of a stream where the request does not say, and at the most.
const HEARTBEAT: u64 = 10;
const MAX_HEARTBEAT: u64 = 60;
/// How long a stream waits for a signal before it looks by itself: signals of other processes can be lost.
const LOOK: Duration = Duration::from_secs(1);

#[tonic::async_trait]
impl EventService for Edge {
    type WatchEventsStream = BoxStream<'static, Result<pb::WatchEventsResponse, Status>>;

    async fn watch_events(
        &self,
        request: Request<pb::WatchEventsRequest>,
    ) -> Result<Response<Self::WatchEventsStream>, Status> {
        let watch = Watch::begin(self.clone(), admitted(&request)?, request.into_inner());
        Ok(Response::new(messages(watch).await?))
    }

    async fn list_events(
        &self,
        request: Request<pb::ListEventsRequest>,
    ) -> Result<Response<pb::ListEventsResponse>, Status> {
        let (ctx, follow) = self.admit(request).await?;
        let batch = events::read(&self.app, &follow).await?;
        Ok(Response::new(batch.visible_to(&ctx).into()))
    }

    async fn get_event_cursor(
        &self,
        request: Request<pb::GetEventCursorRequest>,
    ) -> Result<Response<pb::GetEventCursorResponse>, Status> {
        let (_, follow) = self.admit(request).await?;
        Ok(Response::new(events::read(&self.app, &follow).await?.into()))
    }
}

/// A stream of events that is under way.
struct Watch {
    edge: Edge,
    admitted: Arc<Admitted>,
    /// The request for what is left.
    request: pb::WatchEventsRequest,
    signal: Waiter,
}

impl Watch {
    fn begin(edge: Edge, admitted: Arc<Admitted>, request: pb::WatchEventsRequest) -> Self {
        let signal = edge.app.store.log_signal().waiter();
        Self { edge, admitted, request, signal }
    }

    /// The first message, at once: it tells where the stream begins, and who may not follow at all is told by the answer's status.
    async fn first(&mut self) -> Result<pb::WatchEventsResponse, Status> {
        let (_, follow) = self.edge.admit_again(&self.admitted, &self.request).await?;
        let batch = events::read(&self.edge.app, &follow.events).await?;
        self.message(batch).await
    }

    /// The next message: when there are events, or after the time of a heartbeat. `None` when the server stops.
    async fn next(&mut self) -> Result<Option<pb::WatchEventsResponse>, Status> {
        let WatchedEvents { mut events, heartbeat } = self.edge.command(self.admitted.rule, &self.request)?;
        let due = tokio::time::sleep(heartbeat);
        tokio::pin!(due);
        loop {
            let batch = {
                let _place = self.admitted.permits().await?;
                events::read(&self.edge.app, &events).await?
            };
            if !batch.events.is_empty() || due.is_elapsed() {
                return Ok(Some(self.message(batch).await?));
            }
            let up_to_date = batch.up_to_date;
            events.from = Start::Cursor(batch.cursor);
            tokio::select! {
                () = self.edge.stop.cancelled() => return Ok(None),
                () = std::future::ready(()), if !up_to_date => {}
                () = self.signal.notified(), if up_to_date => {}
                () = tokio::time::sleep(LOOK), if up_to_date => {}
                () = &mut due, if up_to_date => {}
            }
        }
    }

    /// What the caller may see of a batch, by who they are after it was read: what is committed after a key was revoked never reaches its holder.
    async fn message(&mut self, batch: Batch) -> Result<pb::WatchEventsResponse, Status> {
        let (ctx, _) = self.edge.admit_again(&self.admitted, &self.request).await?;
        let message: pb::WatchEventsResponse = batch.visible_to(&ctx).into();
        self.request.cursor.clone_from(&message.cursor);
        self.request.from_now = false;
        Ok(message)
    }
}

/// Reads a batch when the message before it has been taken, so that a slow follower costs one batch of memory.
async fn messages(mut watch: Watch) -> Result<BoxStream<'static, Result<pb::WatchEventsResponse, Status>>, Status> {
    let first = watch.first().await?;
    let messages = stream::try_unfold((watch, Some(first)), |(mut watch, ready)| async move {
        let message = match ready {
            Some(message) => Some(message),
            None => watch.next().await?,
        };
        Ok(message.map(|message| (message, (watch, None))))
    });
    Ok(messages.boxed())
}

/// What a stream is asked for.
pub(crate) struct WatchedEvents {
    events: Follow,
    heartbeat: Duration,
}

impl Parse for pb::WatchEventsRequest {
    type Command = WatchedEvents;

    fn parse(&self, fields: &mut Fields<'_>) -> Option<Self::Command> {
        let from = cursor(fields, &self.cursor);
        let contradictory = self.from_now && !self.cursor.is_empty();
        if contradictory {
            fields.violation("from_now", "must not be set together with cursor");
        }
        let organizations = fields.uuids("organization_ids", &self.organization_ids, 100);
        let kinds = fields.identifiers("kinds", &self.kinds, 50);
        let batch = batch_size(fields, self.batch_size);
        let heartbeat = fields.not_negative("heartbeat_seconds", self.heartbeat_seconds.into());
        let heartbeat = match u64::try_from(heartbeat?).unwrap_or_default() {
            0 => HEARTBEAT,
            seconds => seconds.min(MAX_HEARTBEAT),
        };
        let from = if self.from_now { Start::Now } else { from? };
        let events = Follow { from, organizations: organizations?, kinds: kinds?, batch: batch? };
        (!contradictory).then_some(WatchedEvents { events, heartbeat: Duration::from_secs(heartbeat) })
    }
}

impl Parse for pb::ListEventsRequest {
    type Command = Follow;

    fn parse(&self, fields: &mut Fields<'_>) -> Option<Self::Command> {
        let from = cursor(fields, &self.cursor);
        let organizations = fields.uuids("organization_ids", &self.organization_ids, 100);
        let kinds = fields.identifiers("kinds", &self.kinds, 50);
        let batch = batch_size(fields, self.batch_size);
        Some(Follow { from: from?, organizations: organizations?, kinds: kinds?, batch: batch? })
    }
}

impl Parse for pb::GetEventCursorRequest {
    type Command = Follow;

    fn parse(&self, _fields: &mut Fields<'_>) -> Option<Self::Command> {
        Some(Follow { from: Start::Now, organizations: Vec::new(), kinds: Vec::new(), batch: 0 })
    }
}

fn cursor(fields: &mut Fields<'_>, text: &str) -> Option<Start> {
    if text.is_empty() {
        return Some(Start::Beginning);
    }
    let cursor = EventCursor::read(text);
    if cursor.is_none() {
        fields.violation("cursor", "must be a cursor that this service has given");
    }
    cursor.map(Start::Cursor)
}

fn batch_size(fields: &mut Fields<'_>, size: i32) -> Option<usize> {
    let size = fields.not_negative("batch_size", size.into())?;
    Some(match usize::try_from(size).unwrap_or_default() {
        0 => BATCH,
        size => size.min(MAX_BATCH),
    })
}

impl From<Batch> for pb::WatchEventsResponse {
    fn from(batch: Batch) -> Self {
        Self {
            cursor: batch.cursor.write(),
            up_to_date: batch.up_to_date,
            read_time: Some(timestamp(batch.read_time)),
            events: batch.events.into_iter().map(Into::into).collect(),
        }
    }
}

impl From<Batch> for pb::ListEventsResponse {
    fn from(batch: Batch) -> Self {
        let message = pb::WatchEventsResponse::from(batch);
        Self {
            events: message.events,
            cursor: message.cursor,
            up_to_date: message.up_to_date,
            read_time: message.read_time,
        }
    }
}

impl From<Batch> for pb::GetEventCursorResponse {
    fn from(batch: Batch) -> Self {
        Self { cursor: batch.cursor.write(), read_time: Some(timestamp(batch.read_time)) }
    }
}

impl From<EventRecord> for pb::Event {
    fn from(event: EventRecord) -> Self {
        let (before, after) = sides(&event.data);
        let of = |stream: StreamKind| match event.stream == stream {
            true => event.stream_id.to_string(),
            false => String::new(),
        };
        Self {
            stream: pb::EventStream::from(event.stream).into(),
            organization_id: of(StreamKind::Organization),
            user_id: of(StreamKind::User),
            revision: event.revision,
            create_time: Some(timestamp(event.create_time)),
            actor_user_id: id(event.actor_user_id),
            actor_service_account_id: id(event.actor_service_account_id),
            subject_id: id(event.subject_id),
            before: before.map(json),
            after: after.map(json),
            hash: hex(&event.hash),
            kind: event.kind,
            data: event.data,
        }
    }
}

impl From<StreamKind> for pb::EventStream {
    fn from(stream: StreamKind) -> Self {
        match stream {
            StreamKind::Organization => pb::EventStream::Organization,
            StreamKind::User => pb::EventStream::User,
            StreamKind::Installation => pb::EventStream::Installation,
        }
    }
}
