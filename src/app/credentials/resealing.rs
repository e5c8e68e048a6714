//! Seals with the first key what outlasts a rotation of keys: the secrets of second factors.

use crate::{
    app::call::error::Result,
    platform::{entropy::Entropy, keyring::Keyring},
    store::Store,
};

/// Secrets that are read at a time.
const BATCH: u64 = 200;

/// Seals every second factor whose secret was sealed with an older key with the first one, so that the older key can be removed: without it, a user who has such
/// a factor could not sign in any more. Answers with how many there were. What no key of the list opens stays as it is, and is named in the log.
///
/// # Errors
/// The database's.
pub(crate) async fn reseal_factors(store: &Store, keyring: &Keyring, entropy: &Entropy) -> Result<u64> {
    let (mut after, mut count) = (None, 0);
    loop {
        let batch = store.read().mfa_factors_sealed_otherwise(&keyring.sealing_prefix(), after, BATCH).await?;
        let Some(last) = batch.last() else {
            return Ok(count);
        };
        after = Some(last.id);
        for factor in &batch {
            match keyring.open(factor.id.as_bytes(), &factor.sealed_secret) {
                Ok(secret) => {
                    let sealed = keyring.seal(entropy, factor.id.as_bytes(), &secret);
                    count += store.reseal_mfa_factor(factor, sealed).await?;
                }
                Err(error) => tracing::error!(factor = %factor.id, %error, "a second factor cannot be opened"),
            }
        }
    }
}
