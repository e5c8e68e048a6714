//! Stored hashes taken apart: those that Roster makes, and those that people bring from other systems.
//!
//! | scheme | form |
//! |---|---|
//! | argon2id, argon2i, argon2d (RFC 9106) | `$argon2id$v=19$m=..,t=..,p=..$salt$hash`, the PHC string format |
//! | bcrypt | `$2a$`, `$2b$`, `$2y$`, cost, 53 characters |
//! | scrypt (RFC 7914) | `$scrypt$ln=..,r=..,p=..$salt$hash` |
//! | PBKDF2 (RFC 8018) with HMAC-SHA-1, -256, -512 | `$pbkdf2-sha256$i=..,l=..$salt$hash`, or passlib's `$pbkdf2-sha256$rounds$salt$hash` |
//!
//! No error repeats any part of what it was given: it could be a password in the clear.

use std::num::NonZeroU32;

use argon2::password_hash::phc::{PasswordHash, Salt};
use argon2::{Algorithm, Params, Version};
use aws_lc_rs::pbkdf2;
use base64::Engine;
use base64::alphabet;
use base64::engine::{GeneralPurpose, general_purpose::NO_PAD};
use zeroize::Zeroizing;

use super::SALT_LEN;

/// Octets of a stored hash's text at the most.
const LONGEST: usize = 512;
/// The most memory that a stored hash may ask for, in KiB.
const MAX_MEMORY_KIB: u64 = 256 * 1024;
/// The most work that a stored hash may ask for, in KiB filled: memory times passes over it. About a second of one core.
const MAX_WORK_KIB: u64 = 1024 * 1024;
/// The most blocks of scrypt, r times p: 8 MiB besides the memory.
const MAX_BLOCKS: u64 = 64 * 1024;
/// The most lanes that a stored hash may ask for. Lanes are computed one after the other and cost nothing extra.
const MAX_LANES: u32 = 64;
/// The most that bcrypt may ask for: 2^16 rounds are about four seconds.
const MAX_LOG_ROUNDS: u32 = 16;
/// The most rounds of PBKDF2: about four seconds.
const MAX_ROUNDS: u64 = 10_000_000;

/// Some implementations of bcrypt leave bits set that mean nothing at the end of a salt; others do so in base64.
const LENIENT: base64::engine::GeneralPurposeConfig = NO_PAD.with_decode_allow_trailing_bits(true);
const BCRYPT: GeneralPurpose = GeneralPurpose::new(&alphabet::BCRYPT, LENIENT);
const STANDARD: GeneralPurpose = GeneralPurpose::new(&alphabet::STANDARD, LENIENT);

/// What comparing with a stored hash costs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cost {
    /// argon2 of any variant.
    Argon2 {
        /// Memory in KiB.
        memory_kib: u32,
        /// Passes over the memory.
        iterations: u32,
        /// Lanes.
        lanes: u32,
    },
    /// bcrypt.
    Bcrypt {
        /// The logarithm to base 2 of the number of rounds.
        log_rounds: u32,
    },
    /// scrypt.
    Scrypt {
        /// Memory in KiB: 128 times N times r.
        memory_kib: u64,
        /// How often that memory is filled.
        passes: u32,
        /// The parameters r and p multiplied: how many blocks of 128 octets there are besides.
        blocks: u64,
    },
    /// PBKDF2.
    Pbkdf2 {
        /// Rounds, times the blocks of output that each takes them.
        rounds: u64,
    },
}

impl Cost {
    /// Whether no comparison is worth as much, whoever stored the hash: the last line of defence behind the bounds at import.
    pub(super) fn is_absurd(self) -> bool {
        match self {
            Cost::Argon2 { memory_kib, iterations, lanes } => {
                too_much(memory_kib.into(), iterations) || lanes > MAX_LANES
            }
            Cost::Bcrypt { log_rounds } => log_rounds > MAX_LOG_ROUNDS,
            Cost::Scrypt { memory_kib, passes, blocks } => too_much(memory_kib, passes) || blocks > MAX_BLOCKS,
            Cost::Pbkdf2 { rounds } => rounds > MAX_ROUNDS,
        }
    }
}

fn too_much(memory_kib: u64, passes: u32) -> bool {
    memory_kib > MAX_MEMORY_KIB || memory_kib.saturating_mul(passes.into()) > MAX_WORK_KIB
}

/// Why a text is no hash that can be compared with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unusable {
    /// It is of no scheme that is known here.
    #[error("the stored hash is of no supported scheme")]
    Unsupported,
    /// It is of a known scheme, and not as that scheme writes it.
    #[error("the stored hash is no {scheme} hash: {flaw}")]
    Malformed {
        /// The scheme.
        scheme: &'static str,
        /// What is wrong with it.
        flaw: &'static str,
    },
}

/// What comparing with a stored hash would cost.
///
/// # Errors
/// [`Unusable`] where nothing can be compared with it.
pub fn examine(stored: &str) -> Result<Cost, Unusable> {
    Stored::parse(stored).map(|stored| stored.cost())
}

/// A digest that PBKDF2 is made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Digest {
    Sha1,
    Sha256,
    Sha512,
}

impl Digest {
    pub(super) fn algorithm(self) -> pbkdf2::Algorithm {
        match self {
            Digest::Sha1 => pbkdf2::PBKDF2_HMAC_SHA1,
            Digest::Sha256 => pbkdf2::PBKDF2_HMAC_SHA256,
            Digest::Sha512 => pbkdf2::PBKDF2_HMAC_SHA512,
        }
    }

    /// Octets that one run of the rounds makes.
    fn len(self) -> usize {
        match self {
            Digest::Sha1 => 20,
            Digest::Sha256 => 32,
            Digest::Sha512 => 64,
        }
    }
}

/// How a hash is made of a password.
pub(super) enum Recipe {
    Argon2 { algorithm: Algorithm, version: Version, params: Params, salt: Salt, length: usize },
    Bcrypt { log_rounds: u32, salt: [u8; 16] },
    Scrypt { params: scrypt::Params, memory_kib: u64, passes: u32, blocks: u64, salt: Vec<u8>, length: usize },
    Pbkdf2 { digest: Digest, rounds: NonZeroU32, salt: Vec<u8>, length: usize },
}

impl Recipe {
    /// Octets that it makes.
    pub(super) fn output_len(&self) -> usize {
        match self {
            Recipe::Argon2 { length, .. } | Recipe::Scrypt { length, .. } | Recipe::Pbkdf2 { length, .. } => *length,
            Recipe::Bcrypt { .. } => 0,
        }
    }

    /// Whether it costs no more than a hash of today.
    pub(super) fn is_within(&self, today: &Params) -> bool {
        match self {
            Recipe::Argon2 { params, .. } => {
                let work = |params: &Params| u64::from(params.m_cost()) * u64::from(params.t_cost());
                params.block_count() <= today.block_count() && work(params) <= work(today)
            }
            _ => false,
        }
    }

    /// Whether a new hash would be made in another way.
    pub(super) fn outdates(&self, today: &Params) -> bool {
        match self {
            Recipe::Argon2 { algorithm, version, params, salt, .. } => {
                *algorithm != Algorithm::Argon2id
                    || *version != Version::V0x13
                    || params != today
                    || salt.len() < SALT_LEN
            }
            _ => true,
        }
    }
}

/// A stored hash that can be compared with.
pub(super) struct Stored {
    pub(super) recipe: Recipe,
    pub(super) hash: Zeroizing<Vec<u8>>,
}

impl Stored {
    pub(super) fn parse(text: &str) -> Result<Self, Unusable> {
        if text.len() > LONGEST {
            return Err(Unusable::Unsupported);
        }
        let mut parts = text.strip_prefix('$').ok_or(Unusable::Unsupported)?.split('$');
        let scheme = parts.next().unwrap_or_default();
        let rest: Vec<&str> = parts.collect();
        match scheme {
            "argon2id" | "argon2i" | "argon2d" => argon2(text),
            "2a" | "2b" | "2y" => bcrypt(&rest).map_err(|flaw| malformed("bcrypt", flaw)),
            "scrypt" => scrypt(&rest).map_err(|flaw| malformed("scrypt", flaw)),
            "pbkdf2" | "pbkdf2-sha1" => pbkdf2(Digest::Sha1, &rest).map_err(|flaw| malformed("PBKDF2", flaw)),
            "pbkdf2-sha256" => pbkdf2(Digest::Sha256, &rest).map_err(|flaw| malformed("PBKDF2", flaw)),
            "pbkdf2-sha512" => pbkdf2(Digest::Sha512, &rest).map_err(|flaw| malformed("PBKDF2", flaw)),
            _ => Err(Unusable::Unsupported),
        }
    }

    pub(super) fn cost(&self) -> Cost {
        match &self.recipe {
            Recipe::Argon2 { params, .. } => {
                Cost::Argon2 { memory_kib: params.m_cost(), iterations: params.t_cost(), lanes: params.p_cost() }
            }
            Recipe::Bcrypt { log_rounds, .. } => Cost::Bcrypt { log_rounds: *log_rounds },
            Recipe::Scrypt { memory_kib, passes, blocks, .. } => {
                Cost::Scrypt { memory_kib: *memory_kib, passes: *passes, blocks: *blocks }
            }
            Recipe::Pbkdf2 { digest, rounds, length, .. } => {
                Cost::Pbkdf2 { rounds: u64::from(rounds.get()).saturating_mul(length.div_ceil(digest.len()) as u64) }
            }
        }
    }
}

fn malformed(scheme: &'static str, flaw: &'static str) -> Unusable {
    Unusable::Malformed { scheme, flaw }
}

fn argon2(text: &str) -> Result<Stored, Unusable> {
    let flawed = |flaw| malformed("argon2", flaw);
    let parsed = PasswordHash::new(text).map_err(|_| flawed("it is not a PHC string"))?;
    let algorithm = Algorithm::try_from(parsed.algorithm.as_str()).map_err(|_| flawed("its variant is unknown"))?;
    // A PHC string without a version is of version 16, the one before versions were written.
    let version = parsed.version.map_or(Ok(Version::V0x10), Version::try_from);
    let version = version.map_err(|_| flawed("its version is unknown"))?;
    let params = Params::try_from(&parsed).map_err(|_| flawed("its parameters are unknown or impossible"))?;
    let (Some(salt), Some(hash)) = (parsed.salt, parsed.hash) else {
        return Err(flawed("its salt or hash is missing"));
    };
    Ok(Stored {
        recipe: Recipe::Argon2 { algorithm, version, params, salt, length: hash.len() },
        hash: Zeroizing::new(hash.as_bytes().to_vec()),
    })
}

fn bcrypt(parts: &[&str]) -> Result<Stored, &'static str> {
    let [cost, body] = parts else {
        return Err("it has not three parts");
    };
    let digits = cost.len() == 2 && cost.bytes().all(|digit| digit.is_ascii_digit());
    let log_rounds = cost.parse().ok().filter(|cost| digits && (4..=31).contains(cost));
    let log_rounds = log_rounds.ok_or("its cost is not between 04 and 31")?;
    let (salt, hash) = body
        .split_at_checked(22)
        .filter(|(_, hash)| hash.len() == 31)
        .ok_or("its salt and hash have not 53 characters")?;
    let decode = |part: &str| BCRYPT.decode(part).map_err(|_| "its salt or hash is not of bcrypt's alphabet");
    let salt = decode(salt)?.try_into().map_err(|_| "its salt has not 16 octets")?;
    Ok(Stored { recipe: Recipe::Bcrypt { log_rounds, salt }, hash: Zeroizing::new(decode(hash)?) })
}

fn scrypt(parts: &[&str]) -> Result<Stored, &'static str> {
    let [params, salt, hash] = parts else {
        return Err("it has not four parts");
    };
    let params = parameters(params)?;
    let [("ln", log_n), ("r", r), ("p", p)] = *params.as_slice() else {
        return Err("its parameters are not ln, r and p");
    };
    let log_n = u8::try_from(log_n).ok().filter(|log_n| (1..64).contains(log_n));
    let log_n = log_n.ok_or("its ln is not between 1 and 63")?;
    let blocks = u64::from(r).saturating_mul(p.into());
    // RFC 7914, 6: p is at most (2^32 - 1) * 32 / (128 * r). The library multiplies the two in 32 bits.
    if blocks >= 1 << 30 {
        return Err("its parameters are impossible");
    }
    let params = scrypt::Params::new(log_n, r, p).map_err(|_| "its parameters are impossible")?;
    let (salt, hash) = (decoded_salt(salt)?, decoded_hash(hash)?);
    let memory = u128::from(r) << (log_n + 7);
    Ok(Stored {
        recipe: Recipe::Scrypt {
            params,
            memory_kib: u64::try_from(memory.div_ceil(1024)).unwrap_or(u64::MAX),
            passes: p,
            blocks,
            salt,
            length: hash.len(),
        },
        hash,
    })
}

/// Both forms: with named parameters, and passlib's, which writes nothing but the rounds and a dot for each plus sign.
fn pbkdf2(digest: Digest, parts: &[&str]) -> Result<Stored, &'static str> {
    let [params, salt, hash] = parts else {
        return Err("it has not four parts");
    };
    let (rounds, length) = match number(params) {
        Some(rounds) => (rounds, None),
        None => match *parameters(params)?.as_slice() {
            [("i", rounds)] => (rounds, None),
            [("i", rounds), ("l", length)] | [("l", length), ("i", rounds)] => (rounds, Some(length)),
            _ => return Err("its parameters are not i and l"),
        },
    };
    let [salt, hash] = [salt, hash].map(|part| part.replace('.', "+"));
    let (salt, hash) = (decoded_salt(&salt)?, decoded_hash(&hash)?);
    if length.is_some_and(|length| usize::try_from(length) != Ok(hash.len())) {
        return Err("its hash is not as long as it says");
    }
    Ok(Stored {
        recipe: Recipe::Pbkdf2 {
            digest,
            rounds: NonZeroU32::new(rounds).ok_or("it has no rounds")?,
            salt,
            length: hash.len(),
        },
        hash,
    })
}

/// `a=1,b=2`, in its order.
fn parameters(text: &str) -> Result<Vec<(&str, u32)>, &'static str> {
    fn read(one: &str) -> Option<(&str, u32)> {
        let (name, value) = one.split_once('=')?;
        Some((name, number(value)?))
    }
    text.split(',').map(read).collect::<Option<_>>().ok_or("its parameters are not numbers with names")
}

/// A number without a sign.
fn number(text: &str) -> Option<u32> {
    let plain = text.bytes().all(|digit| digit.is_ascii_digit());
    text.parse().ok().filter(|_| plain)
}

fn decoded_salt(text: &str) -> Result<Vec<u8>, &'static str> {
    let salt = STANDARD.decode(text).map_err(|_| "its salt is not base64")?;
    match salt.len() {
        0 => Err("it has no salt"),
        _ => Ok(salt),
    }
}

fn decoded_hash(text: &str) -> Result<Zeroizing<Vec<u8>>, &'static str> {
    let hash = STANDARD.decode(text).map_err(|_| "its hash is not base64")?;
    match hash.len() {
        // Fewer could be met by chance.
        16..=64 => Ok(Zeroizing::new(hash)),
        _ => Err("its hash has not between 16 and 64 octets"),
    }
}
