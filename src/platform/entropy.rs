//! Randomness: tokens, salts, nonces and identifiers.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use aws_lc_rs::{digest, rand};
use chrono::{DateTime, Utc};
use uuid::{Builder, Uuid};

/// Where random bytes come from. Clones share the source.
#[derive(Clone, Debug)]
pub struct Entropy(Source);

#[derive(Clone, Debug)]
enum Source {
    System,
    Seeded { seed: u64, counter: Arc<AtomicU64> },
}

impl Entropy {
    /// The cryptographic generator of AWS-LC, seeded by the operating system.
    #[must_use]
    pub fn system() -> Self {
        Self(Source::System)
    }

    /// A reproducible sequence, for tests whose output is compared. It is no source of secrets.
    #[must_use]
    pub fn seeded(seed: u64) -> Self {
        Self(Source::Seeded { seed, counter: Arc::default() })
    }

    /// `N` random bytes.
    ///
    /// Does not fail: without randomness nothing that Roster does is safe, and the process ends.
    #[must_use]
    pub fn bytes<const N: usize>(&self) -> [u8; N] {
        let mut bytes = [0; N];
        match &self.0 {
            Source::System => fill(&mut bytes),
            Source::Seeded { seed, counter } => {
                for chunk in bytes.chunks_mut(digest::SHA256_OUTPUT_LEN) {
                    let block = [seed.to_be_bytes(), counter.fetch_add(1, Ordering::Relaxed).to_be_bytes()].concat();
                    chunk
                        .iter_mut()
                        .zip(digest::digest(&digest::SHA256, &block).as_ref())
                        .for_each(|(to, from)| *to = *from);
                }
            }
        }
        bytes
    }

    /// A UUID of version 7 (RFC 9562, section 5.7): the millisecond of `now`, then 74 random bits. Times before 1970 count as 1970.
    #[must_use]
    pub fn uuid(&self, now: DateTime<Utc>) -> Uuid {
        let millis = u64::try_from(now.timestamp_millis()).unwrap_or(0);
        Builder::from_unix_timestamp_millis(millis, &self.bytes()).into_uuid()
    }
}

#[expect(clippy::disallowed_methods, reason = "the one place that asks for randomness")]
fn fill(bytes: &mut [u8]) {
    if rand::fill(bytes).is_err() {
        super::abort("the random number generator");
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn system_bytes_differ_and_are_not_left_zero() {
        let entropy = Entropy::system();
        let seen: HashSet<[u8; 16]> = (0..1000).map(|_| entropy.bytes()).collect();
        assert_eq!(seen.len(), 1000);
        let tail_moves = (0..100).any(|_| entropy.bytes::<65>()[64] != 0);
        assert!(tail_moves);
    }

    #[test]
    fn the_same_seed_gives_the_same_sequence() {
        let (one, other) = (Entropy::seeded(7), Entropy::seeded(7));
        assert_eq!(one.bytes::<40>(), other.bytes::<40>());
        assert_eq!(one.bytes::<8>(), other.bytes::<8>());
        assert_ne!(one.bytes::<8>(), one.clone().bytes::<8>());
        assert_ne!(Entropy::seeded(8).bytes::<40>(), Entropy::seeded(7).bytes::<40>());
        assert!(Entropy::seeded(9).bytes::<64>()[32..].iter().any(|byte| *byte != 0));
    }

    #[test]
    fn uuids_are_of_version_7_and_sort_by_their_millisecond() {
        let entropy = Entropy::system();
        let now = DateTime::from_timestamp_millis(1_700_000_000_123).unwrap();
        let id = entropy.uuid(now);
        assert_eq!((id.get_version_num(), id.get_variant()), (7, uuid::Variant::RFC4122));
        assert_eq!(id.as_bytes()[..6], 1_700_000_000_123_u64.to_be_bytes()[2..]);
        assert!(entropy.uuid(now + chrono::TimeDelta::milliseconds(1)) > id);
        assert_ne!(entropy.uuid(now), entropy.uuid(now));
        assert_eq!(entropy.uuid(DateTime::from_timestamp(-5, 0).unwrap()).as_bytes()[..6], [0; 6]);
    }
}
