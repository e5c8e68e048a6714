//! What a hashing thread does.

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

use argon2::{Argon2, Block};
use aws_lc_rs::pbkdf2;
use secrecy::{ExposeSecret, SecretString};
use tokio::sync::oneshot;
use zeroize::Zeroizing;

use super::job_queue::{JobQueue, Requester};
use super::stored::Recipe;
use super::{HashError, failed};

/// Octets of a password that bcrypt looks at.
const BCRYPT_PASSWORD: usize = 72;
/// Octets of a hash that implementations of bcrypt write down: one fewer than the algorithm makes.
const BCRYPT_OUTPUT: usize = 23;

/// What a hashing thread found.
pub(super) enum Computed {
    /// The octets of the hash; `None`: no hash of the kind is this password's.
    Hash(Option<Zeroizing<Vec<u8>>>),
    /// It was not to be hashed, for this reason.
    Unacceptable(String),
}

/// A question that is asked of a password before it is hashed.
pub(super) type Condition = Box<dyn FnOnce(&str) -> Result<(), String> + Send>;

/// One hash to be computed.
pub(super) struct Job {
    pub(super) recipe: Recipe,
    pub(super) password: SecretString,
    pub(super) condition: Option<Condition>,
    pub(super) reply: oneshot::Sender<Result<Computed, HashError>>,
}

/// The queue in front of some threads.
pub(super) struct Queue {
    state: Mutex<State>,
    more: Condvar,
}

struct State {
    waiting: JobQueue<Job>,
    closed: bool,
}

impl Queue {
    /// An empty queue with room for so many.
    pub(super) fn new(room: usize) -> Self {
        Self { state: Mutex::new(State { waiting: JobQueue::new(room), closed: false }), more: Condvar::new() }
    }

    /// Puts a job into the queue. A caller who finds it full is told at once.
    pub(super) fn join(&self, requester: Requester, job: Job) {
        let without_room = {
            let mut state = self.state();
            // Whose caller has gone (its deadline passed, it hung up) takes nobody's place.
            state.waiting.retain(|job| !job.reply.is_closed());
            state.waiting.join(requester, job)
        };
        self.more.notify_one();
        if let Some(job) = without_room {
            let _ = job.reply.send(Err(HashError::Busy));
        }
    }

    /// Lets the threads end.
    pub(super) fn close(&self) {
        self.state().closed = true;
        self.more.notify_all();
    }

    /// The next job; waits for one. `None` once the queue is closed.
    fn next(&self) -> Option<Job> {
        let mut state = self.state();
        loop {
            if state.closed {
                return None;
            }
            match state.waiting.next() {
                Some(job) => return Some(job),
                None => state = self.more.wait(state).unwrap_or_else(PoisonError::into_inner),
            }
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One thread: takes jobs until the queue is closed.
pub(super) fn work(mut memory: Vec<Block>, queue: &Queue) {
    while let Some(job) = queue.next() {
        // The caller has gone: nobody wants the answer.
        if job.reply.is_closed() {
            continue;
        }
        let password = job.password.expose_secret();
        let result = match job.condition.map_or(Ok(()), |condition| condition(password)) {
            Ok(()) => compute(&job.recipe, password.as_bytes(), &mut memory).map(Computed::Hash),
            Err(why) => Ok(Computed::Unacceptable(why)),
        };
        // It may go during the hash as well.
        let _ = job.reply.send(result);
    }
}

fn compute(recipe: &Recipe, password: &[u8], memory: &mut [Block]) -> Result<Option<Zeroizing<Vec<u8>>>, HashError> {
    let mut output = Zeroizing::new(vec![0; recipe.output_len()]);
    match recipe {
        Recipe::Argon2 { algorithm, version, params, salt, .. } => {
            let needed = params.block_count();
            // A hash that is not of today's parameters may want more, until its owner signs in and it is replaced.
            let mut larger = if needed > memory.len() { Some(blocks(needed)?) } else { None };
            let memory = larger.as_deref_mut().unwrap_or(memory);
            Argon2::new(*algorithm, *version, params.clone())
                .hash_password_into_with_memory(password, salt, &mut output, memory)
                .map_err(failed)?;
        }
        Recipe::Bcrypt { log_rounds, salt } => {
            let key = bcrypt_key(password);
            let made = Zeroizing::new(bcrypt::bcrypt(*log_rounds, *salt, &key));
            output = Zeroizing::new(made.iter().copied().take(BCRYPT_OUTPUT).collect());
            // To bcrypt, "a", NUL, "a" is the same password as "a".
            if password.contains(&0) {
                return Ok(None);
            }
        }
        Recipe::Scrypt { params, salt, .. } => {
            scrypt::scrypt(password, salt, params, &mut output).map_err(failed)?;
        }
        Recipe::Pbkdf2 { digest, rounds, salt, .. } => {
            pbkdf2::derive(digest.algorithm(), *rounds, salt, password, &mut output)
        }
    }
    Ok(Some(output))
}

/// What bcrypt makes of a password: a NUL behind it, and nothing beyond 72 octets, as every common implementation does.
fn bcrypt_key(password: &[u8]) -> Zeroizing<Vec<u8>> {
    let octets = password.iter().copied().chain([0]);
    let mut key = Zeroizing::new(Vec::with_capacity(BCRYPT_PASSWORD));
    key.extend(octets.take(BCRYPT_PASSWORD));
    key
}

/// Memory for argon2.
pub(super) fn blocks(count: usize) -> Result<Vec<Block>, HashError> {
    let mut blocks = Vec::new();
    blocks.try_reserve_exact(count).map_err(failed)?;
    blocks.resize(count, Block::new());
    Ok(blocks)
}
