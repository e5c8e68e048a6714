//! What a password hash of another system may cost: each sign-in with it makes the server do that work.
//!
//! A comparison has to stay within one to two seconds of a busy core (`what_the_dearest_hashes_cost` in `platform::hashing` measures them) and 128 MiB. What common programs and guides have asked for so far lies well within:
//!
//! | scheme | bound | for comparison |
//! |---|---|---|
//! | argon2 | 128 MiB; memory times iterations 1 GiB; 64 lanes | RFC 9106, section 4, second choice: 64 MiB, 3 iterations, 4 lanes; argon2-cffi before version 21: 100 MiB, 2 iterations |
//! | bcrypt | cost 4 to 14 | OWASP Password Storage Cheat Sheet: 10 or more; PHP, Spring, Django: 10 to 12 |
//! | scrypt | 128 MiB; memory times p 512 MiB; r times p 8192, which is 1 MiB | OWASP: N=2^17, r=8, p=1, which is 128 MiB; RFC 7914 bounds neither |
//! | PBKDF2 | 2,000,000 rounds | OWASP: 1,300,000 (SHA-1), 600,000 (SHA-256), 210,000 (SHA-512); Django 6: 1,200,000 |

use crate::domain::error::{Reason, Refusal};

/// Memory of one comparison at the most, in KiB.
const MAX_MEMORY_KIB: u64 = 128 * 1024;
/// Memory times passes over it at the most, in KiB: of argon2, and of scrypt, which takes longer for the same.
const MAX_ARGON2_WORK_KIB: u64 = 1024 * 1024;
const MAX_SCRYPT_WORK_KIB: u64 = 512 * 1024;
/// The parameters r and p of scrypt multiplied, at the most: it fills 128 times as many octets besides its memory, with a PBKDF2 that nothing else bounds.
const MAX_SCRYPT_BLOCKS: u64 = 8 * 1024;
/// Lanes of argon2 at the most.
const MAX_LANES: u64 = 64;
/// The cost of bcrypt at the most: the logarithm of its rounds.
const MAX_BCRYPT_COST: u64 = 14;
/// Rounds of PBKDF2 at the most, all blocks of the output together.
const MAX_ROUNDS: u64 = 2_000_000;

/// What comparing with a password hash costs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HashCost {
    /// argon2 of any variant.
    Argon2 {
        /// Memory in KiB.
        memory_kib: u64,
        /// Passes over it.
        iterations: u64,
        /// Lanes.
        lanes: u64,
    },
    /// bcrypt, by its cost: the logarithm of its rounds.
    Bcrypt {
        /// The cost.
        cost: u64,
    },
    /// scrypt.
    Scrypt {
        /// Memory in KiB: 128 times N times r octets.
        memory_kib: u64,
        /// The parameter p: how often that memory is filled.
        passes: u64,
        /// The parameters r and p multiplied.
        blocks: u64,
    },
    /// PBKDF2.
    Pbkdf2 {
        /// Rounds, all blocks of the output together.
        rounds: u64,
    },
}

impl HashCost {
    /// Holds the bounds.
    ///
    /// # Errors
    /// `HASH_TOO_EXPENSIVE` with the first bound that is exceeded.
    pub fn require_bounded(self) -> Result<(), Refusal> {
        let (scheme, bounds) = match self {
            HashCost::Argon2 { memory_kib, iterations, lanes } => (
                "argon2",
                vec![
                    ("memory_kib", memory_kib, MAX_MEMORY_KIB),
                    ("memory_kib times iterations", memory_kib.saturating_mul(iterations), MAX_ARGON2_WORK_KIB),
                    ("lanes", lanes, MAX_LANES),
                ],
            ),
            HashCost::Bcrypt { cost } => ("bcrypt", vec![("cost", cost, MAX_BCRYPT_COST)]),
            HashCost::Scrypt { memory_kib, passes, blocks } => (
                "scrypt",
                vec![
                    ("memory_kib", memory_kib, MAX_MEMORY_KIB),
                    ("memory_kib times p", memory_kib.saturating_mul(passes), MAX_SCRYPT_WORK_KIB),
                    ("r times p", blocks, MAX_SCRYPT_BLOCKS),
                ],
            ),
            HashCost::Pbkdf2 { rounds } => ("PBKDF2", vec![("rounds", rounds, MAX_ROUNDS)]),
        };
        match bounds.into_iter().find(|(_, value, limit)| value > limit) {
            None => Ok(()),
            Some((parameter, value, limit)) => Err(Refusal::new(Reason::HashTooExpensive)
                .with("scheme", scheme)
                .with("parameter", parameter)
                .with("value", value.to_string())
                .with("limit", limit.to_string())),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(cost: HashCost) -> Option<String> {
        let refusal = cost.require_bounded().err()?;
        assert_eq!(refusal.reason, Reason::HashTooExpensive);
        let facts: Vec<String> = refusal.metadata.into_iter().map(|(_, value)| value).collect();
        Some(facts.join(", "))
    }

    #[test]
    fn the_last_value_within_each_bound_is_accepted_and_the_next_is_named() {
        let argon2 = |memory_kib, iterations, lanes| HashCost::Argon2 { memory_kib, iterations, lanes };
        let scrypt = |memory_kib, passes| HashCost::Scrypt { memory_kib, passes, blocks: 8 };
        let blocks = |blocks| HashCost::Scrypt { memory_kib: 2, passes: 1, blocks };
        for (within, beyond, told) in [
            (argon2(131_072, 8, 64), argon2(131_073, 1, 1), "argon2, memory_kib, 131073, 131072"),
            (argon2(65_536, 16, 1), argon2(65_536, 17, 1), "argon2, memory_kib times iterations, 1114112, 1048576"),
            (argon2(64, 1, 64), argon2(64, 1, 65), "argon2, lanes, 65, 64"),
            (HashCost::Bcrypt { cost: 14 }, HashCost::Bcrypt { cost: 15 }, "bcrypt, cost, 15, 14"),
            (scrypt(131_072, 4), scrypt(262_144, 1), "scrypt, memory_kib, 262144, 131072"),
            (scrypt(16_384, 32), scrypt(16_384, 33), "scrypt, memory_kib times p, 540672, 524288"),
            (blocks(8192), blocks(8193), "scrypt, r times p, 8193, 8192"),
            (
                HashCost::Pbkdf2 { rounds: 2_000_000 },
                HashCost::Pbkdf2 { rounds: 2_000_001 },
                "PBKDF2, rounds, 2000001, 2000000",
            ),
        ] {
            assert_eq!(refused(within), None, "{within:?}");
            assert_eq!(refused(beyond).as_deref(), Some(told), "{beyond:?}");
        }
        assert!(refused(argon2(u64::MAX, u64::MAX, 1)).is_some());
        assert!(refused(scrypt(2, u64::MAX)).is_some());
    }

    #[test]
    fn what_guides_recommend_is_accepted() {
        for cost in [
            HashCost::Argon2 { memory_kib: 19 * 1024, iterations: 2, lanes: 1 },
            HashCost::Argon2 { memory_kib: 64 * 1024, iterations: 3, lanes: 4 },
            HashCost::Argon2 { memory_kib: 100 * 1024, iterations: 2, lanes: 8 },
            HashCost::Bcrypt { cost: 12 },
            HashCost::Scrypt { memory_kib: 128 * 1024, passes: 1, blocks: 8 },
            HashCost::Scrypt { memory_kib: 8 * 1024, passes: 10, blocks: 80 },
            HashCost::Pbkdf2 { rounds: 1_300_000 },
        ] {
            assert_eq!(refused(cost), None);
        }
    }
}
