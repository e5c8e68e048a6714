//! Password hashing (argon2id, RFC 9106) on threads of its own.
//!
//! Every hash wants tens of mebibytes and tens of milliseconds. On the runtime's threads a login storm would stop every other call; on its blocking
//! threads each hash would allocate anew, and the allocator keeps what dozens of threads have touched. So there is a fixed number of threads, each with
//! one block of memory that it uses for ever, behind a bounded queue that refuses at once when it is full (ab_14).
//!
//! The parameters are those of the OWASP Password Storage Cheat Sheet: argon2id, 19 MiB, 2 iterations, 1 lane.

use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

use argon2::password_hash::phc::{Output, ParamsString, PasswordHash, Salt};
use argon2::{Algorithm, Argon2, Block, Params, Version};
use secrecy::{ExposeSecret, SecretString};
use tokio::sync::oneshot;

/// Bytes of a salt that Roster makes (RFC 9106, section 3.1, recommends 16).
pub const SALT_LEN: usize = 16;
/// Bytes of a hash that Roster makes.
const OUTPUT_LEN: usize = 32;
/// The most memory that a stored hash may ask for. Imported hashes bring their own parameters, and one that asks for terabytes is an attack.
const MAX_MEMORY_KIB: u32 = 256 * 1024;
/// The most work that a stored hash may ask for, in KiB filled: memory times iterations. About a second of one core.
const MAX_WORK_KIB: u64 = 1024 * 1024;
/// The most lanes that a stored hash may ask for. Lanes are computed one after the other and cost nothing extra.
const MAX_PARALLELISM: u32 = 64;

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
        Self {
            memory_kib: 19 * 1024,
            iterations: 2,
            parallelism: 1,
        }
    }
}

/// What a comparison found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The password is right.
    Match {
        /// The stored hash was made with other parameters than those of today: store a new one, now that the password is at hand.
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
    /// The parameters or a stored hash cannot be used, or the threads have stopped. Holds no part of a password or hash.
    #[error("password hashing failed: {0}")]
    Failed(String),
}

/// The handle of the hashing threads. Clones share them; they end when the last clone is gone.
#[derive(Clone, Debug)]
pub struct Hasher {
    params: Params,
    queue: SyncSender<Job>,
    /// Compared with when there is no stored hash.
    dummy: Arc<str>,
}

struct Job {
    argon2: Argon2<'static>,
    password: SecretString,
    salt: Salt,
    reply: oneshot::Sender<Result<Output, HashError>>,
}

/// Half of the processor cores that this process may use, at least one: the other half stays with the calls that need no hash, so that a login storm
/// cannot slow a permission check. A container's CPU limit counts as its number of cores.
#[must_use]
pub fn default_threads() -> usize {
    thread::available_parallelism().map_or(1, |cores| (cores.get() / 2).max(1))
}

impl Hasher {
    /// Starts `threads` threads (named `roster-argon2-N`), each with the memory that `params` asks for, and a queue for `queue` waiting jobs (both at
    /// least one).
    ///
    /// # Errors
    /// [`HashError::Failed`] when argon2 does not accept the parameters, or memory or a thread is not to be had.
    pub fn start(params: HashParams, threads: usize, queue: usize) -> Result<Self, HashError> {
        let params = Params::new(
            params.memory_kib,
            params.iterations,
            params.parallelism,
            Some(OUTPUT_LEN),
        )
        .map_err(failed)?;
        let dummy = phc_string(
            &params,
            Salt::new(&[0; SALT_LEN]).map_err(failed)?,
            Output::new(&[0; OUTPUT_LEN]).map_err(failed)?,
        )?;
        let (sender, receiver) = sync_channel(queue.max(1));
        let receiver = Arc::new(Mutex::new(receiver));
        for number in 1..=threads.max(1) {
            let (memory, receiver) = (blocks(params.block_count())?, Arc::clone(&receiver));
            thread::Builder::new()
                .name(format!("roster-argon2-{number}"))
                .spawn(move || work(memory, &receiver))
                .map_err(failed)?;
        }
        Ok(Self {
            params,
            queue: sender,
            dummy: dummy.into(),
        })
    }

    /// Hashes a password with the configured parameters; `salt` must be fresh. Answers a PHC string.
    ///
    /// # Errors
    /// [`HashError::Busy`] at once when the queue is full.
    pub async fn hash(&self, password: SecretString, salt: [u8; SALT_LEN]) -> Result<String, HashError> {
        let salt = Salt::new(&salt).map_err(failed)?;
        let argon2 = Argon2::new(Algorithm::Argon2id, Version::V0x13, self.params.clone());
        let output = self.compute(argon2, password, salt).await?;
        phc_string(&self.params, salt, output)
    }

    /// Compares a password with a stored PHC string, at the cost that the string names. Without one the same work is done for nothing and the answer is
    /// [`Verdict::Mismatch`], so that the time tells nobody whether an account exists (ab_15).
    ///
    /// # Errors
    /// [`HashError::Busy`] at once when the queue is full; [`HashError::Failed`] when the string is not argon2 or asks for an absurd cost.
    pub async fn verify(&self, password: SecretString, phc: Option<String>) -> Result<Verdict, HashError> {
        let stored = Stored::parse(phc.as_deref().unwrap_or(&self.dummy))?;
        let outdated = self.outdates(&stored);
        let argon2 = Argon2::new(stored.algorithm, stored.version, stored.params);
        let output = self.compute(argon2, password, stored.salt).await?;
        // `Output` compares in constant time.
        let equal = output == stored.hash;
        Ok(if equal && phc.is_some() {
            Verdict::Match { outdated }
        } else {
            Verdict::Mismatch
        })
    }

    fn outdates(&self, stored: &Stored) -> bool {
        stored.algorithm != Algorithm::Argon2id
            || stored.version != Version::V0x13
            || stored.params != self.params
            || stored.salt.len() < SALT_LEN
    }

    async fn compute(&self, argon2: Argon2<'static>, password: SecretString, salt: Salt) -> Result<Output, HashError> {
        let (reply, answer) = oneshot::channel();
        self.queue
            .try_send(Job {
                argon2,
                password,
                salt,
                reply,
            })
            .map_err(|error| match error {
                TrySendError::Full(_) => HashError::Busy,
                TrySendError::Disconnected(_) => failed("the hashing threads have stopped"),
            })?;
        answer.await.map_err(|_| failed("a hashing thread has stopped"))?
    }
}

/// A PHC string taken apart and found to be within bounds.
struct Stored {
    algorithm: Algorithm,
    version: Version,
    params: Params,
    salt: Salt,
    hash: Output,
}

impl Stored {
    fn parse(phc: &str) -> Result<Self, HashError> {
        let parsed = PasswordHash::new(phc).map_err(|_| failed("the stored hash is not a PHC string"))?;
        let algorithm =
            Algorithm::try_from(parsed.algorithm.as_str()).map_err(|_| failed("the stored hash is not argon2"))?;
        // A PHC string without a version is of version 16, the one before versions were written.
        let version = parsed
            .version
            .map_or(Ok(Version::V0x10), Version::try_from)
            .map_err(failed)?;
        let params = Params::try_from(&parsed).map_err(|_| failed("the stored hash has unknown parameters"))?;
        let work = u64::from(params.m_cost()) * u64::from(params.t_cost());
        if params.m_cost() > MAX_MEMORY_KIB || work > MAX_WORK_KIB || params.p_cost() > MAX_PARALLELISM {
            return Err(failed("the stored hash costs more than is accepted"));
        }
        let (Some(salt), Some(hash)) = (parsed.salt, parsed.hash) else {
            return Err(failed("the stored hash is incomplete"));
        };
        Ok(Self {
            algorithm,
            version,
            params,
            salt,
            hash,
        })
    }
}

/// One thread: takes jobs until the last [`Hasher`] is gone.
fn work(mut memory: Vec<Block>, queue: &Mutex<Receiver<Job>>) {
    loop {
        // The lock is held while waiting, by one idle thread at a time, and never during a hash.
        let Ok(job) = queue.lock().unwrap_or_else(PoisonError::into_inner).recv() else {
            return;
        };
        // The caller has gone (its deadline passed, it hung up): nobody wants the answer.
        if job.reply.is_closed() {
            continue;
        }
        let result = compute(&job, &mut memory);
        // It may go during the hash as well.
        let _ = job.reply.send(result);
    }
}

fn compute(job: &Job, memory: &mut [Block]) -> Result<Output, HashError> {
    let needed = job.argon2.params().block_count();
    // A stored hash may want more than today's parameters, until its owner signs in and it is replaced.
    let mut larger = if needed > memory.len() {
        Some(blocks(needed)?)
    } else {
        None
    };
    let memory = larger.as_deref_mut().unwrap_or(memory);
    let mut result = Ok(());
    let output = Output::init_with(job.argon2.params().output_len().unwrap_or(OUTPUT_LEN), |out| {
        result =
            job.argon2
                .hash_password_into_with_memory(job.password.expose_secret().as_bytes(), &job.salt, out, memory);
        Ok(())
    });
    result.map_err(failed)?;
    output.map_err(failed)
}

fn blocks(count: usize) -> Result<Vec<Block>, HashError> {
    let mut blocks = Vec::new();
    blocks.try_reserve_exact(count).map_err(failed)?;
    blocks.resize(count, Block::new());
    Ok(blocks)
}

fn phc_string(params: &Params, salt: Salt, hash: Output) -> Result<String, HashError> {
    let params = ParamsString::try_from(params).map_err(failed)?;
    let version = Some(Version::V0x13.into());
    Ok(PasswordHash {
        algorithm: Algorithm::Argon2id.ident(),
        version,
        params,
        salt: Some(salt),
        hash: Some(hash),
    }
    .to_string())
}

fn failed(cause: impl ToString) -> HashError {
    HashError::Failed(cause.to_string())
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::platform::Stopwatch;

    const CHEAP: HashParams = HashParams {
        memory_kib: 64,
        iterations: 1,
        parallelism: 1,
    };
    /// About half a second on one thread, also in a debug build of this crate.
    const SLOW: HashParams = HashParams {
        memory_kib: 64 * 1024,
        iterations: 4,
        parallelism: 1,
    };

    fn secret(text: &str) -> SecretString {
        SecretString::from(text)
    }

    fn cheap() -> Hasher {
        Hasher::start(CHEAP, 1, 8).unwrap()
    }

    /// The first poll puts the job into the queue; the returned future is the rest.
    async fn queued<F: Future + Unpin>(mut job: F) -> F {
        assert!(
            tokio::time::timeout(Duration::ZERO, &mut job).await.is_err(),
            "still at work"
        );
        job
    }

    #[tokio::test]
    async fn a_hash_verifies_and_another_password_does_not() {
        let hasher = cheap();
        let phc = hasher.hash(secret("correct horse"), [7; SALT_LEN]).await.unwrap();
        assert!(
            phc.starts_with("$argon2id$v=19$m=64,t=1,p=1$BwcHBwcHBwcHBwcHBwcHBw$"),
            "{phc}"
        );
        assert_eq!(
            hasher.verify(secret("correct horse"), Some(phc.clone())).await,
            Ok(Verdict::Match { outdated: false })
        );
        assert_eq!(
            hasher.verify(secret("correct horsf"), Some(phc.clone())).await,
            Ok(Verdict::Mismatch)
        );
        assert_eq!(hasher.verify(secret(""), Some(phc)).await, Ok(Verdict::Mismatch));
    }

    #[tokio::test]
    async fn a_string_of_the_reference_implementation_verifies() {
        // A test vector of the reference implementation: password "password", salt "somesalt".
        let phc = "$argon2id$v=19$m=65536,t=2,p=1$c29tZXNhbHQ$CTFhFdXPJO1aFaMaO6Mm5c8y7cJHAph8ArZWb2GRPPc";
        let hasher = cheap();
        assert_eq!(
            hasher.verify(secret("password"), Some(phc.into())).await,
            Ok(Verdict::Match { outdated: true })
        );
        assert_eq!(
            hasher.verify(secret("differentpassword"), Some(phc.into())).await,
            Ok(Verdict::Mismatch)
        );
    }

    #[tokio::test]
    async fn other_parameters_are_outdated_in_both_directions() {
        let dear = Hasher::start(
            HashParams {
                memory_kib: 128,
                iterations: 2,
                parallelism: 2,
            },
            1,
            8,
        )
        .unwrap();
        let (from_cheap, from_dear) = (
            cheap().hash(secret("p"), [1; SALT_LEN]).await.unwrap(),
            dear.hash(secret("p"), [1; SALT_LEN]).await.unwrap(),
        );
        assert_eq!(
            dear.verify(secret("p"), Some(from_cheap)).await,
            Ok(Verdict::Match { outdated: true })
        );
        assert_eq!(
            cheap().verify(secret("p"), Some(from_dear)).await,
            Ok(Verdict::Match { outdated: true })
        );
    }

    #[tokio::test]
    async fn without_a_stored_hash_the_same_work_ends_in_a_mismatch() {
        let hasher = Hasher::start(
            HashParams {
                memory_kib: 8 * 1024,
                ..HashParams::default()
            },
            1,
            8,
        )
        .unwrap();
        let phc = hasher.hash(secret("p"), [1; SALT_LEN]).await.unwrap();
        let (mut known, mut unknown) = (Vec::new(), Vec::new());
        for _ in 0..15 {
            let watch = Stopwatch::start();
            assert_eq!(
                hasher.verify(secret("q"), Some(phc.clone())).await,
                Ok(Verdict::Mismatch)
            );
            known.push(watch.elapsed());
            let watch = Stopwatch::start();
            assert_eq!(hasher.verify(secret("q"), None).await, Ok(Verdict::Mismatch));
            unknown.push(watch.elapsed());
        }
        known.sort();
        unknown.sort();
        // Generous, because tests share the machine: without the dummy hash the ratio is in the thousands.
        assert!(unknown[7] * 3 > known[7], "{unknown:?} against {known:?}");
    }

    #[tokio::test]
    async fn absurd_and_foreign_strings_are_refused_without_work() {
        let hasher = cheap();
        let tail = "c29tZXNhbHQ$CTFhFdXPJO1aFaMaO6Mm5c8y7cJHAph8ArZWb2GRPPc";
        for head in [
            "m=4194304,t=1,p=1",
            "m=65536,t=4000000,p=1",
            "m=262144,t=5,p=1",
            "m=262145,t=1,p=1",
            "m=65536,t=1,p=8000",
            "m=1,t=1,p=1",
            "m=64,t=1,p=1,x=1",
        ] {
            let answer = hasher
                .verify(secret("password"), Some(format!("$argon2id$v=19${head}${tail}")))
                .await;
            assert!(matches!(answer, Err(HashError::Failed(_))), "{head}: {answer:?}");
        }
        for phc in [
            "",
            "secret-in-the-clear",
            "$2b$12$abc",
            "$scrypt$ln=1$c29tZXNhbHQ$CTFhFdXPJO1aFaMaO6Mm5c8",
            "$argon2id$v=19$m=64,t=1,p=1$c29tZXNhbHQ",
        ] {
            let error = hasher.verify(secret("password"), Some(phc.into())).await.unwrap_err();
            assert!(matches!(error, HashError::Failed(_)), "{phc}");
            assert!(phc.is_empty() || !error.to_string().contains(phc), "{error}");
        }
    }

    #[tokio::test]
    async fn a_full_queue_refuses_at_once() {
        let hasher = Hasher::start(SLOW, 1, 1).unwrap();
        let running = queued(Box::pin(hasher.hash(secret("a"), [1; SALT_LEN]))).await;
        // The thread takes the first job out of the queue within a moment; then there is room for one more.
        tokio::time::sleep(Duration::from_millis(20)).await;
        let waiting = queued(Box::pin(hasher.hash(secret("b"), [2; SALT_LEN]))).await;
        let watch = Stopwatch::start();
        assert_eq!(hasher.hash(secret("c"), [3; SALT_LEN]).await, Err(HashError::Busy));
        assert_eq!(hasher.verify(secret("c"), None).await, Err(HashError::Busy));
        assert!(watch.elapsed() < Duration::from_millis(50));
        assert!(running.await.is_ok());
        assert!(waiting.await.is_ok());
        assert!(hasher.hash(secret("d"), [4; SALT_LEN]).await.is_ok());
    }

    #[tokio::test]
    async fn the_job_of_a_caller_that_has_gone_is_skipped() {
        let hasher = Hasher::start(SLOW, 1, 16).unwrap();
        let watch = Stopwatch::start();
        assert!(hasher.hash(secret("a"), [1; SALT_LEN]).await.is_ok());
        let one = watch.elapsed();

        let running = queued(Box::pin(hasher.hash(secret("a"), [1; SALT_LEN]))).await;
        for _ in 0..8 {
            drop(queued(Box::pin(hasher.verify(secret("b"), None))).await);
        }
        let last = queued(Box::pin(hasher.hash(secret("c"), [3; SALT_LEN]))).await;
        let watch = Stopwatch::start();
        assert!(running.await.is_ok());
        assert!(last.await.is_ok());
        assert!(
            watch.elapsed() < one * 5,
            "{:?}, one takes {one:?}: the eight were computed",
            watch.elapsed()
        );
    }

    #[test]
    fn a_thread_ends_with_the_last_handle() {
        let (sender, receiver) = sync_channel::<Job>(1);
        let thread = thread::spawn(move || work(Vec::new(), &Mutex::new(receiver)));
        drop(sender);
        thread.join().unwrap();
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn threads_carry_their_name() {
        let _hasher = Hasher::start(CHEAP, 3, 1).unwrap();
        let named = || {
            let tasks = std::fs::read_dir("/proc/self/task").unwrap();
            tasks.flatten().any(|task| {
                std::fs::read_to_string(task.path().join("comm")).is_ok_and(|name| name.trim() == "roster-argon2-3")
            })
        };
        // A thread names itself when it first runs.
        assert!((0..500).any(|_| named() || {
            thread::sleep(Duration::from_millis(10));
            false
        }));
    }

    #[test]
    fn unusable_parameters_are_refused_at_the_start() {
        for params in [
            HashParams { memory_kib: 7, ..CHEAP },
            HashParams { iterations: 0, ..CHEAP },
            HashParams {
                parallelism: 0,
                ..CHEAP
            },
        ] {
            assert!(
                matches!(Hasher::start(params, 1, 1), Err(HashError::Failed(_))),
                "{params:?}"
            );
        }
        assert!(default_threads() >= 1);
    }

    /// Resident memory of this process in KiB.
    fn resident_kib() -> u64 {
        let status = std::fs::read_to_string("/proc/self/status").unwrap();
        let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
        line.split_whitespace().nth(1).unwrap().parse().unwrap()
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 4)]
    #[ignore = "measures the process: run it alone"]
    async fn memory_stays_constant() {
        let hasher = Hasher::start(HashParams::default(), 1, 256).unwrap();
        assert_eq!(hasher.verify(secret("p"), None).await, Ok(Verdict::Mismatch));
        let before = resident_kib();
        let jobs: Vec<_> = (0..100)
            .map(|_| {
                tokio::spawn({
                    let hasher = hasher.clone();
                    async move { hasher.verify(secret("p"), None).await }
                })
            })
            .collect();
        for job in jobs {
            assert_eq!(job.await.unwrap(), Ok(Verdict::Mismatch));
        }
        let after = resident_kib();
        assert!(
            after < before + 8 * 1024,
            "{before} KiB before, {after} KiB after 100 hashes"
        );
    }
}
