//! Calls that are made at the same moment, and what they were told.

use std::collections::BTreeMap;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use tokio::sync::Barrier;
use tonic::transport::{Channel, Endpoint};
use tonic::{Response, Status};
use tonic_types::StatusExt;

use super::world::World;

/// What a call is told when it is answered and not refused.
pub(crate) const OK: &str = "OK";

/// Ways into a world that share no connection: two to its first server, and one to a replica on the same database.
pub(crate) struct Servers(Vec<Channel>);

impl Servers {
    /// Starts the replica and connects.
    pub(crate) async fn open(world: &World) -> Self {
        let second =
            Endpoint::from_shared(format!("http://{}", world.grpc_address())).unwrap().connect().await.unwrap();
        let replica = world.second_server().await;
        Self(vec![world.channel(), second, replica.channel()])
    }

    /// The door number `index`, counted around: 0 and 1 are one server's, 2 is the replica's.
    pub(crate) fn channel(&self, index: usize) -> Channel {
        self.0[index % self.0.len()].clone()
    }
}

/// Makes all calls at the same moment, each in a task of its own; the answers are in the order of the calls.
pub(crate) async fn at_once<T, F>(calls: Vec<F>) -> Vec<T>
where
    T: Send + 'static,
    F: Future<Output = T> + Send + 'static,
{
    let barrier = Arc::new(Barrier::new(calls.len()));
    let started: Vec<_> = calls
        .into_iter()
        .map(|call| {
            let barrier = barrier.clone();
            tokio::spawn(async move {
                barrier.wait().await;
                call.await
            })
        })
        .collect();
    let mut answers = Vec::new();
    for task in started {
        answers.push(task.await.unwrap());
    }
    answers
}

/// The message of an answer.
pub(crate) fn message<T>(answer: Result<Response<T>, Status>) -> Result<T, Status> {
    answer.map(Response::into_inner)
}

/// [`OK`], or the code and the reason of the refusal: `FailedPrecondition INVITATION_REVOKED`.
pub(crate) fn told<T>(answer: &Result<T, Status>) -> String {
    match answer {
        Ok(_) => OK.to_owned(),
        Err(status) => {
            let details = status.get_error_details();
            let reason = details.error_info().map_or("without a reason", |info| &info.reason);
            format!("{:?} {reason}", status.code())
        }
    }
}

/// What all were told, sorted: who came first is not said.
pub(crate) fn all_told<T>(answers: &[Result<T, Status>]) -> Vec<String> {
    let mut told: Vec<String> = answers.iter().map(told).collect();
    told.sort();
    told
}

/// Makes two calls at about the same moment: over the rounds, either of them is up to three milliseconds late, because a race that the same side
/// always wins shows nothing.
pub(crate) async fn against<T: Send + 'static>(
    round: usize,
    one: impl Future<Output = T> + Send + 'static,
    other: impl Future<Output = T> + Send + 'static,
) -> [T; 2] {
    let late = Duration::from_millis(u64::try_from(round / 2 % 4).unwrap_or(0));
    let (first, second) = if round.is_multiple_of(2) { (Duration::ZERO, late) } else { (late, Duration::ZERO) };
    let after = |pause, call: BoxFuture<'static, T>| async move {
        tokio::time::sleep(pause).await;
        call.await
    };
    let answers = at_once(vec![after(first, one.boxed()), after(second, other.boxed())]).await;
    answers.try_into().unwrap_or_else(|_| unreachable!("two calls"))
}

/// Counts how races ended, to be shown: a race that always ends the same way is none.
#[derive(Default)]
pub(crate) struct Endings(BTreeMap<String, usize>);

impl Endings {
    /// Notes how one round ended.
    pub(crate) fn note(&mut self, ending: impl Into<String>) {
        *self.0.entry(ending.into()).or_default() += 1;
    }

    /// Prints the counts under the name of the race.
    pub(crate) fn show(&self, race: &str) {
        let counts: Vec<String> = self.0.iter().map(|(ending, count)| format!("{count}x {ending}")).collect();
        eprintln!("{race}: {}", counts.join(", "));
    }
}
