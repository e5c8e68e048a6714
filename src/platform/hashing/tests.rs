use std::thread;
use std::time::Duration;

use super::*;
use crate::platform::Stopwatch;

const CHEAP: HashParams = HashParams { memory_kib: 64, iterations: 1, parallelism: 1 };
/// About half a second on one thread, also in a debug build of this crate.
const SLOW: HashParams = HashParams { memory_kib: 64 * 1024, iterations: 4, parallelism: 1 };

fn secret(text: &str) -> SecretString {
    SecretString::from(text)
}

fn cheap() -> Hasher {
    Hasher::start(CHEAP, 1, 8).unwrap()
}

/// The first poll puts the job into the queue; the returned future is the rest.
async fn queued<F: Future + Unpin>(mut job: F) -> F {
    assert!(tokio::time::timeout(Duration::ZERO, &mut job).await.is_err(), "still at work");
    job
}

#[tokio::test]
async fn a_hash_verifies_and_another_password_does_not() {
    let hasher = cheap();
    let phc = hasher.hash(secret("correct horse"), [7; SALT_LEN]).await.unwrap();
    assert!(phc.starts_with("$argon2id$v=19$m=64,t=1,p=1$BwcHBwcHBwcHBwcHBwcHBw$"), "{phc}");
    assert_eq!(hasher.verify(secret("correct horse"), Some(phc.clone())).await, Ok(Verdict::Match { outdated: false }));
    assert_eq!(hasher.verify(secret("correct horsf"), Some(phc.clone())).await, Ok(Verdict::Mismatch));
    assert_eq!(hasher.verify(secret(""), Some(phc)).await, Ok(Verdict::Mismatch));
}

#[tokio::test]
async fn a_string_of_the_reference_implementation_verifies() {
    // A test vector of the reference implementation: password "password", salt "somesalt".
    let phc = "$argon2id$v=19$m=65536,t=2,p=1$c29tZXNhbHQ$CTFhFdXPJO1aFaMaO6Mm5c8y7cJHAph8ArZWb2GRPPc";
    let hasher = cheap();
    assert_eq!(hasher.verify(secret("password"), Some(phc.into())).await, Ok(Verdict::Match { outdated: true }));
    assert_eq!(hasher.verify(secret("differentpassword"), Some(phc.into())).await, Ok(Verdict::Mismatch));
}

#[tokio::test]
async fn other_parameters_are_outdated_in_both_directions() {
    let dear = Hasher::start(HashParams { memory_kib: 128, iterations: 2, parallelism: 2 }, 1, 8).unwrap();
    let (from_cheap, from_dear) =
        (cheap().hash(secret("p"), [1; SALT_LEN]).await.unwrap(), dear.hash(secret("p"), [1; SALT_LEN]).await.unwrap());
    assert_eq!(dear.verify(secret("p"), Some(from_cheap)).await, Ok(Verdict::Match { outdated: true }));
    assert_eq!(cheap().verify(secret("p"), Some(from_dear)).await, Ok(Verdict::Match { outdated: true }));
}

#[tokio::test]
async fn without_a_stored_hash_the_same_work_ends_in_a_mismatch() {
    let hasher = Hasher::start(HashParams { memory_kib: 8 * 1024, ..HashParams::default() }, 1, 8).unwrap();
    let phc = hasher.hash(secret("p"), [1; SALT_LEN]).await.unwrap();
    let (mut known, mut unknown) = (Vec::new(), Vec::new());
    for _ in 0..15 {
        let watch = Stopwatch::start();
        assert_eq!(hasher.verify(secret("q"), Some(phc.clone())).await, Ok(Verdict::Mismatch));
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
        let answer = hasher.verify(secret("password"), Some(format!("$argon2id$v=19${head}${tail}"))).await;
        assert!(matches!(answer, Err(HashError::Failed(_))), "{head}: {answer:?}");
    }
    for phc in [
        "",
        "secret-in-the-clear",
        "$2b$12$abc",
        "$2b$31$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOeW",
        "$scrypt$ln=19,r=8,p=1$c29tZXNhbHQ$CTFhFdXPJO1aFaMaO6Mm5c8y7cJHAph8ArZWb2GRPPc",
        "$pbkdf2-sha256$i=20000000,l=32$c29tZXNhbHQ$CTFhFdXPJO1aFaMaO6Mm5c8y7cJHAph8ArZWb2GRPPc",
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
    assert!(watch.elapsed() < one * 5, "{:?}, one takes {one:?}: the eight were computed", watch.elapsed());
}

#[test]
fn a_thread_ends_with_the_last_handle() {
    let hasher = Hasher::start(CHEAP, 1, 1).unwrap();
    let queue = Arc::clone(&hasher.queues.own);
    let other = hasher.on_behalf_of(Requester::default());
    drop(hasher);
    let thread = thread::spawn(move || work(Vec::new(), &queue));
    thread::sleep(Duration::from_millis(20));
    assert!(!thread.is_finished());
    drop(other);
    thread.join().unwrap();
}

/// ab_45: bcrypt of cost 12 takes a quarter of a second.
#[tokio::test]
async fn dear_hashes_of_others_keep_nobody_waiting() {
    let hasher = Hasher::start(CHEAP, 1, 8).unwrap();
    let bcrypt = "$2b$12$Nfi7wvDw1xDSBJ3hJi7KN.8kTKFNh9Sb9FWtqj5rsCVJV0/KEkmMS";
    let mut foreign = Vec::new();
    for _ in 0..4 {
        foreign.push(queued(Box::pin(hasher.verify(secret("a"), Some(bcrypt.into())))).await);
    }
    for _ in 0..8 {
        hasher.hash(secret("b"), [1; SALT_LEN]).await.unwrap();
    }
    let last = foreign.pop().unwrap();
    assert!(queued(last).await.await.is_ok(), "the foreign ones were still waiting");
}

#[tokio::test]
async fn a_password_is_hashed_on_a_condition() {
    let hasher = cheap();
    let weak = |password: &str| match password {
        "weak" => Err("is weak".to_owned()),
        _ => Ok(()),
    };
    let refused = hasher.hash_if(secret("weak"), [1; SALT_LEN], weak).await;
    assert_eq!(refused, Err(HashError::Unacceptable("is weak".to_owned())));
    let strong = hasher.hash_if(secret("strong"), [1; SALT_LEN], weak).await.unwrap();
    assert_eq!(strong, hasher.hash(secret("strong"), [1; SALT_LEN]).await.unwrap());
}

/// ab_54: somebody else's job is not refused because of a flood, and comes after one of it.
#[tokio::test]
async fn a_flood_pushes_out_its_own() {
    let hasher = Hasher::start(SLOW, 1, 2).unwrap();
    let flood = hasher.on_behalf_of(Requester { caller: 1, person: 1 });
    let other = hasher.on_behalf_of(Requester { caller: 1, person: 2 });
    let running = queued(Box::pin(flood.hash(secret("a"), [1; SALT_LEN]))).await;
    tokio::time::sleep(Duration::from_millis(20)).await;
    let first = queued(Box::pin(flood.hash(secret("b"), [1; SALT_LEN]))).await;
    let second = queued(Box::pin(flood.hash(secret("c"), [1; SALT_LEN]))).await;
    let somebody = queued(Box::pin(other.hash(secret("d"), [1; SALT_LEN]))).await;
    assert_eq!(second.await, Err(HashError::Busy));
    assert!(somebody.await.is_ok() && first.await.is_ok() && running.await.is_ok());
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
        HashParams { parallelism: 0, ..CHEAP },
    ] {
        assert!(matches!(Hasher::start(params, 1, 1), Err(HashError::Failed(_))), "{params:?}");
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
    assert!(after < before + 8 * 1024, "{before} KiB before, {after} KiB after 100 hashes");
}
