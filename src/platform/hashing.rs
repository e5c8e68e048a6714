//! Password hashing (argon2id, RFC 9106) on threads of its own.
//!
//! Every hash wants tens of mebibytes and tens of milliseconds. On the runtime's threads a login storm would stop every other call; on its blocking
//! threads each hash would allocate again, and the allocator keeps what dozens of threads have touched. So there is a fixed number of threads, each with
//! one block of memory that it uses for ever, behind a bounded queue that takes turns and refuses at once when it is full (ab_14, ab_54).
//!
//! A stored hash that costs more than one of today's, as bcrypt's and those that people bring may, is computed by one thread apart, with a queue of its own:
//! however many of them there are, they keep nobody else's waiting (ab_45), and no more than one of them at a time has memory of its own.
//!
//! The parameters are those of the OWASP Password Storage Cheat Sheet: argon2id, 19 MiB, 2 iterations, 1 lane. Hashes that people bring from other
//! systems are compared as well ([`stored`] knows them), until their owners sign in and a hash of ours takes their place.

mod job_queue;
mod stored;
mod work;

use std::sync::Arc;
use std::thread;

use argon2::password_hash::phc::{Output, ParamsString, PasswordHash, Salt};
use argon2::{Algorithm, Params, Version};
use aws_lc_rs::constant_time::verify_slices_are_equal;
use secrecy::SecretString;
use tokio::sync::oneshot;
use zeroize::Zeroizing;

pub use job_queue::Requester;
pub use stored::{Cost, Unusable, examine};
use stored::{Recipe, Stored};
use work::{Computed, Condition, Job, Queue, blocks, work};

/// Bytes of a salt that Roster makes (RFC 9106, section 3.1, recommends 16).
pub const SALT_LEN: usize = 16;
/// Bytes of a hash that Roster makes.
const OUTPUT_LEN: usize = 32;

/// The cost of a hash.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HashParams {
    /// Memory in KiB.
    pub memory_kib: u32,
    /// Passes over the memory.
    pub iterations: u32,
    /// Lanes. They are computed one after the other: more of them cost no more time here, and less to an attacker with many cores.
    pub parallelism: u32,
}

impl Default for HashParams {
    fn default() -> Self {
        Self { memory_kib: 19 * 1024, iterations: 2, parallelism: 1 }
    }
}

/// What a comparison found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The password is right.
    Match {
        /// The stored hash was made in another way than today's: store a new one, now that the password is at hand.
        outdated: bool,
    },
    /// The password is wrong, or there is no password to compare with.
    Mismatch,
}

/// Why there is no answer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum HashError {
    /// All threads are at work and the queue is full. The caller should try again in a second.
    #[error("password hashing is busy")]
    Busy,
    /// The password is not to be hashed, for this reason, which does not hold it.
    #[error("the password {0}")]
    Unacceptable(String),
    /// The parameters or a stored hash cannot be used, or the threads have stopped. Holds no part of a password or hash.
    #[error("password hashing failed: {0}")]
    Failed(String),
}

/// The handle of the hashing threads. Clones share them; they end when the last clone is gone.
#[derive(Clone)]
pub struct Hasher {
    params: Params,
    queues: Arc<Queues>,
    requester: Requester,
    /// Compared with when there is no stored hash.
    dummy: Arc<str>,
}

/// The lines, which the threads watch until the last handle is gone.
struct Queues {
    /// Of hashes that cost no more than today's.
    own: Arc<Queue>,
    /// Of all others.
    foreign: Arc<Queue>,
}

impl Drop for Queues {
    fn drop(&mut self) {
        self.own.close();
        self.foreign.close();
    }
}

impl std::fmt::Debug for Hasher {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Hasher")
            .field("params", &self.params)
            .field("requester", &self.requester)
            .finish_non_exhaustive()
    }
}

/// Half of the processor cores that this process may use, at least one: the other half stays with the calls that need no hash, so that a login storm
/// cannot slow a permission check. A container's CPU limit counts as its number of cores.
#[must_use]
pub fn default_threads() -> usize {
    thread::available_parallelism().map_or(1, |cores| (cores.get() / 2).max(1))
}

/// How far a hashing thread stands behind the threads that answer calls, of 19: with both at work on one processor it has a tenth of it.
#[cfg(target_os = "linux")]
const NICENESS: i32 = 10;

/// Lets all other threads go before this one. A hash takes a processor for a whole turn of the scheduler, and a call that has a millisecond of work would wait for it.
#[cfg(target_os = "linux")]
fn behind_others() {
    // Where it is not allowed, calls wait a little longer.
    let _ = rustix::process::setpriority_process(Some(rustix::thread::gettid()), NICENESS);
}

/// Elsewhere a priority is that of the whole process.
#[cfg(not(target_os = "linux"))]
fn behind_others() {}

impl Hasher {
    /// Starts `threads` threads (named `roster-argon2-N`), each with the memory that `params` asks for, one for dearer stored hashes, and in front of both a
    /// queue with room for `queue` waiting jobs (both numbers at least one).
    ///
    /// # Errors
    /// [`HashError::Failed`] when argon2 does not accept the parameters, or memory or a thread is not to be had.
    pub fn start(params: HashParams, threads: usize, queue: usize) -> Result<Self, HashError> {
        let params =
            Params::new(params.memory_kib, params.iterations, params.parallelism, Some(OUTPUT_LEN)).map_err(failed)?;
        let dummy = phc_string(
            &params,
            Salt::new(&[0; SALT_LEN]).map_err(failed)?,
            Output::new(&[0; OUTPUT_LEN]).map_err(failed)?,
        )?;
        let (own, foreign) = (Arc::new(Queue::new(queue.max(1))), Arc::new(Queue::new(queue.max(1))));
        let start = |name: String, memory: Vec<argon2::Block>, queue: Arc<Queue>| {
            let thread = thread::Builder::new().name(name);
            let work = move || {
                behind_others();
                work(memory, &queue);
            };
            thread.spawn(work).map(drop).map_err(failed)
        };
        let queues = Arc::new(Queues { own: Arc::clone(&own), foreign: Arc::clone(&foreign) });
        for number in 1..=threads.max(1) {
            let memory = blocks(params.block_count())?;
            start(format!("roster-argon2-{number}"), memory, Arc::clone(&own))?;
        }
        start("roster-hash-old".to_owned(), Vec::new(), foreign)?;
        Ok(Self { params, queues, requester: Requester::default(), dummy: dummy.into() })
    }

    /// The same threads, on somebody's behalf.
    #[must_use]
    pub fn on_behalf_of(&self, requester: Requester) -> Self {
        Self { requester, ..self.clone() }
    }

    /// Hashes a password with the configured parameters; `salt` must be fresh. Answers a PHC string.
    ///
    /// # Errors
    /// [`HashError::Busy`] at once when the queue is full.
    pub async fn hash(&self, password: SecretString, salt: [u8; SALT_LEN]) -> Result<String, HashError> {
        self.hash_new(password, salt, None).await
    }

    /// The same for a password that a question is asked of first, on the hashing thread: one that takes long.
    ///
    /// # Errors
    /// [`HashError::Busy`] at once when the queue is full; [`HashError::Unacceptable`] with what `condition` says.
    pub async fn hash_if(
        &self,
        password: SecretString,
        salt: [u8; SALT_LEN],
        condition: impl FnOnce(&str) -> Result<(), String> + Send + 'static,
    ) -> Result<String, HashError> {
        self.hash_new(password, salt, Some(Box::new(condition))).await
    }

    async fn hash_new(
        &self,
        password: SecretString,
        salt: [u8; SALT_LEN],
        condition: Option<Condition>,
    ) -> Result<String, HashError> {
        let salt = Salt::new(&salt).map_err(failed)?;
        let recipe = Recipe::Argon2 {
            algorithm: Algorithm::Argon2id,
            version: Version::V0x13,
            params: self.params.clone(),
            salt,
            length: OUTPUT_LEN,
        };
        let output = self.compute(recipe, password, condition).await?.unwrap_or_default();
        phc_string(&self.params, salt, Output::new(&output).map_err(failed)?)
    }

    /// Compares a password with a stored hash, at the cost that the hash names. Without one the work of a hash of today is done for nothing and the answer
    /// is [`Verdict::Mismatch`], so that the time tells nobody whether an account exists (ab_15).
    ///
    /// # Errors
    /// [`HashError::Busy`] at once when the queue is full; [`HashError::Failed`] when [`examine`] refuses the hash, or it asks for an absurd cost.
    pub async fn verify(&self, password: SecretString, stored: Option<String>) -> Result<Verdict, HashError> {
        let parsed = Stored::parse(stored.as_deref().unwrap_or(&self.dummy)).map_err(failed)?;
        if parsed.cost().is_absurd() {
            return Err(failed("the stored hash costs more than is accepted"));
        }
        let outdated = parsed.recipe.outdates(&self.params);
        let output = self.compute(parsed.recipe, password, None).await?;
        let equal = output.is_some_and(|output| verify_slices_are_equal(&output, &parsed.hash).is_ok());
        Ok(if equal && stored.is_some() { Verdict::Match { outdated } } else { Verdict::Mismatch })
    }

    async fn compute(
        &self,
        recipe: Recipe,
        password: SecretString,
        condition: Option<Condition>,
    ) -> Result<Option<Zeroizing<Vec<u8>>>, HashError> {
        let queue = match recipe.is_within(&self.params) {
            true => &self.queues.own,
            false => &self.queues.foreign,
        };
        let (reply, answer) = oneshot::channel();
        let job = Job { recipe, password, condition, reply };
        queue.join(self.requester, job);
        match answer.await.map_err(|_| failed("a hashing thread has stopped"))?? {
            Computed::Hash(output) => Ok(output),
            Computed::Unacceptable(why) => Err(HashError::Unacceptable(why)),
        }
    }
}

fn phc_string(params: &Params, salt: Salt, hash: Output) -> Result<String, HashError> {
    let params = ParamsString::try_from(params).map_err(failed)?;
    let version = Some(Version::V0x13.into());
    Ok(PasswordHash { algorithm: Algorithm::Argon2id.ident(), version, params, salt: Some(salt), hash: Some(hash) }
        .to_string())
}

fn failed(cause: impl ToString) -> HashError {
    HashError::Failed(cause.to_string())
}

#[cfg(test)]
mod tests;
#[cfg(test)]
mod vectors;
