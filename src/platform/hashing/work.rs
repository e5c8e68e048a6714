//! What a hashing thread does.

use std::sync::mpsc::Receiver;
use std::sync::{Mutex, PoisonError};

use argon2::{Argon2, Block};
use aws_lc_rs::pbkdf2;
use secrecy::{ExposeSecret, SecretString};
use tokio::sync::oneshot;
use zeroize::Zeroizing;

use super::stored::Recipe;
use super::{HashError, failed};

/// Octets of a password that bcrypt looks at.
const BCRYPT_PASSWORD: usize = 72;
/// Octets of a hash that implementations of bcrypt write down: one fewer than the algorithm makes.
const BCRYPT_OUTPUT: usize = 23;

/// One hash to be computed. `None` as an answer: no hash of the kind is this password's.
pub(super) struct Job {
    pub(super) recipe: Recipe,
    pub(super) password: SecretString,
    pub(super) reply: oneshot::Sender<Result<Option<Zeroizing<Vec<u8>>>, HashError>>,
}

/// One thread: takes jobs until the last [`super::Hasher`] is gone.
pub(super) fn work(mut memory: Vec<Block>, queue: &Mutex<Receiver<Job>>) {
    loop {
        // The lock is held while waiting, by one idle thread at a time, and never during a hash.
        let Ok(job) = queue.lock().unwrap_or_else(PoisonError::into_inner).recv() else {
            return;
        };
        // The caller has gone (its deadline passed, it hung up): nobody wants the answer.
        if job.reply.is_closed() {
            continue;
        }
        let result = compute(&job.recipe, job.password.expose_secret().as_bytes(), &mut memory);
        // It may go during the hash as well.
        let _ = job.reply.send(result);
    }
}

fn compute(recipe: &Recipe, password: &[u8], memory: &mut [Block]) -> Result<Option<Zeroizing<Vec<u8>>>, HashError> {
    let mut output = Zeroizing::new(vec![0; recipe.output_len()]);
    match recipe {
        Recipe::Argon2 {
            algorithm,
            version,
            params,
            salt,
            ..
        } => {
            let needed = params.block_count();
            // A stored hash may want more than today's parameters, until its owner signs in and it is replaced.
            let mut larger = if needed > memory.len() {
                Some(blocks(needed)?)
            } else {
                None
            };
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
        Recipe::Pbkdf2 {
            digest, rounds, salt, ..
        } => pbkdf2::derive(digest.algorithm(), *rounds, salt, password, &mut output),
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
