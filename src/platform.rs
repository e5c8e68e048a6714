//! What the rest of the program must not reach for by itself: the clock, randomness, keys, password hashing, fetching over HTTPS, taking connections, sharing what is limited, telemetry
//! and the order to stop.
//!
//! Nothing here knows a domain rule. Everything is handed around as a cheap clone, so that a test can put another one in its place.

pub mod clock;
pub mod entropy;
pub mod fair_limit;
pub mod fair_queue;
pub mod hashing;
pub mod https;
pub mod keyed_lock;
pub mod keyring;
pub mod limited_listener;
pub mod network;
pub mod shutdown;
pub mod statements;
pub mod steps;
pub mod telemetry;

pub use clock::{Clock, Skew, Stopwatch};
pub use entropy::Entropy;
pub use hashing::{HashError, HashParams, Hasher, Verdict};
pub use keyring::{Keyring, KeyringError};
pub use shutdown::Shutdown;
pub use steps::in_steps;
pub use telemetry::Telemetry;

/// Ends the process because a primitive that cannot fail has failed, and every way to go on would be unsafe: zeros for randomness, plain text for
/// ciphertext. A panic would be caught by the runtime and the next request would meet the same fault.
fn abort(what: &str) -> ! {
    eprintln!("roster: {what} failed; the process cannot continue safely");
    std::process::abort()
}
