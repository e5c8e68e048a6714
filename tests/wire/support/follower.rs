//! Somebody who follows the log, and makes sure as they go that each stream is whole.

use std::collections::BTreeMap;

use serde_json::Value;
use tonic::Status;

use super::pb::{Event, EventStream, ListEventsRequest};
use super::scenario::call;
use super::world::World;

/// What has arrived, and how far each stream is.
#[derive(Clone, Default)]
pub(crate) struct Follower {
    /// The place behind what has arrived.
    pub(crate) cursor: String,
    /// Everything that has arrived, in the order in which it did.
    pub(crate) events: Vec<Event>,
    heads: BTreeMap<String, (i64, String)>,
    /// Events whose data was erased, with the hash of what is left of them, until a later event of their stream tells it.
    erased: BTreeMap<(String, i64), String>,
}

impl Follower {
    /// Takes events: each has to be the next of its stream, and chained to the one before it.
    pub(crate) fn take(&mut self, events: Vec<Event>) {
        for event in events {
            let stream = stream_of(&event).to_owned();
            let start = (0, "00".repeat(32));
            let (revision, hash) = self.heads.get(&stream).unwrap_or(&start);
            assert_eq!(event.revision, revision + 1, "{stream}: {event:?}");
            let (data, computed): (Value, _) = (serde_json::from_str(&event.data).unwrap(), chained(hash, &event));
            match data["erased"] == true {
                true => drop(self.erased.insert((stream.clone(), event.revision), computed)),
                false => assert_eq!(event.hash, computed, "{stream}: {event:?}"),
            }
            for (revision, left) in data["erased_entries"].as_object().into_iter().flatten() {
                let erased = self.erased.remove(&(stream.clone(), revision.parse().unwrap()));
                // A follower who has read the event with its data has nothing to compare.
                assert!(erased.is_none_or(|erased| erased == left.as_str().unwrap()), "{stream}: {event:?}");
            }
            self.heads.insert(stream, (event.revision, event.hash.clone()));
            self.events.push(event);
        }
    }

    /// Reads until there is nothing more, so many events at a time.
    pub(crate) async fn catch_up(&mut self, world: &World, credential: &str, batch_size: i32) -> Result<(), Status> {
        loop {
            let request = ListEventsRequest { cursor: self.cursor.clone(), batch_size, ..ListEventsRequest::default() };
            let answer = call!(world, events.list_events, credential, request)?;
            assert!(answer.events.len() <= usize::try_from(batch_size).unwrap(), "{}", answer.events.len());
            self.take(answer.events);
            self.cursor = answer.cursor;
            if answer.up_to_date {
                return Ok(());
            }
        }
    }

    /// Nothing has been erased that no event tells of.
    pub(crate) fn assert_erasures_are_told(&self) {
        assert_eq!(self.erased, BTreeMap::new());
    }

    /// The kinds of what has arrived since there were so many events.
    pub(crate) fn kinds_since(&self, before: usize) -> Vec<&str> {
        self.events[before..].iter().map(|event| event.kind.as_str()).collect()
    }
}

/// The id of the stream that an event is in: its organization, its user, or the nil id.
fn stream_of(event: &Event) -> &str {
    match event.stream() {
        EventStream::Organization => &event.organization_id,
        EventStream::User => &event.user_id,
        _ => "00000000-0000-0000-0000-000000000000",
    }
}

/// The hash that an event has to have behind another, computed as `docs/events.md` tells it to people.
fn chained(previous: &str, event: &Event) -> String {
    let octets = |hex: &str| -> Vec<u8> {
        (0..hex.len()).step_by(2).map(|at| u8::from_str_radix(&hex[at..at + 2], 16).unwrap()).collect()
    };
    let id = |id: &str| octets(&id.replace('-', ""));
    let time = event.create_time.unwrap();
    let micros = time.seconds * 1_000_000 + i64::from(time.nanos / 1000);
    let fields: [Vec<u8>; 9] = [
        octets(previous),
        id(stream_of(event)),
        event.revision.to_be_bytes().to_vec(),
        event.kind.as_bytes().to_vec(),
        id(&event.actor_user_id),
        id(&event.actor_service_account_id),
        id(&event.subject_id),
        event.data.as_bytes().to_vec(),
        micros.to_be_bytes().to_vec(),
    ];
    let mut bytes = Vec::new();
    for field in fields {
        bytes.extend((field.len() as u64).to_be_bytes());
        bytes.extend(field);
    }
    let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, &bytes);
    digest.as_ref().iter().map(|octet| format!("{octet:02x}")).collect()
}
