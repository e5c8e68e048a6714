//! The keys of the deployment, and values sealed with them.
//!
//! What Roster has to be able to read back (the payload of a queued message, a TOTP secret) rests sealed with AES-256-GCM. Nonces are random: NIST
//! SP 800-38D (section 8.3) allows 2^32 sealings with one key, which at a hundred a second takes more than a year. Rotate sooner: put a new key first
//! in the list, keep the old ones behind it for as long as something sealed with them may be opened.

use std::fmt;
use std::sync::Arc;

use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use aws_lc_rs::{constant_time, digest, hmac};
use base64::Engine;
use base64::engine::DecodePaddingMode;
use base64::engine::general_purpose::{GeneralPurpose, GeneralPurposeConfig, STANDARD};
use zeroize::Zeroizing;

use super::Entropy;

/// Bytes of a key (AES-256).
const KEY_LEN: usize = 32;
/// The first byte of everything sealed. A later format gets another number, so that both can be told apart.
const VERSION: u8 = 1;
/// Bytes of a key's public name, the start of its SHA-256.
const ID_LEN: usize = 4;

/// Standard alphabet, with or without padding: operators paste both.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &base64::alphabet::STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// One or more keys: the first seals, all open. Clones share the keys.
#[derive(Clone)]
pub struct Keyring {
    sealing: Arc<Key>,
    older: Arc<[Key]>,
}

struct Key {
    id: [u8; ID_LEN],
    cipher: LessSafeKey,
    /// For digests. Made of the key, and no use for finding it out.
    naming: hmac::Key,
}

/// Why a key list cannot be used, or a sealed value cannot be opened. Never holds key material.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KeyringError {
    /// The list holds no key.
    #[error("no key given: expected one or more base64 keys of 32 bytes, separated by commas")]
    Empty,
    /// The key at this position (counted from 1) is not base64.
    #[error("key {0} is not base64")]
    NotBase64(usize),
    /// The key at this position (counted from 1) does not have 32 bytes.
    #[error("key {0} has {1} bytes, expected 32")]
    WrongLength(usize, usize),
    /// The key at this position (counted from 1) is in the list already.
    #[error("key {0} is in the list twice")]
    Repeated(usize),
    /// Too short, or of a format that this version does not know.
    #[error("not a sealed value of a known format")]
    UnknownFormat,
    /// Sealed with a key that is not in the list (any more). The key's public id, in hexadecimal, helps to find it.
    #[error("sealed with key {0:08x}, which is not in the keyring")]
    UnknownKey(u32),
    /// Changed since it was sealed, or sealed for another context.
    #[error("the sealed value was altered or belongs to another context")]
    Rejected,
}

impl Keyring {
    /// Reads a list of base64 keys of 32 bytes, separated by commas; space around a key is ignored.
    ///
    /// # Errors
    /// Says which key of the list is wrong, and how.
    pub fn parse(text: &str) -> Result<Self, KeyringError> {
        let mut keys: Vec<Key> = Vec::new();
        for (index, part) in text.split(',').map(str::trim).filter(|part| !part.is_empty()).enumerate() {
            let position = index + 1;
            let bytes = Zeroizing::new(BASE64.decode(part).map_err(|_| KeyringError::NotBase64(position))?);
            let key = Key::new(&bytes).ok_or(KeyringError::WrongLength(position, bytes.len()))?;
            if keys.iter().any(|other| other.id == key.id) {
                return Err(KeyringError::Repeated(position));
            }
            keys.push(key);
        }
        let older = keys.split_off(keys.len().min(1));
        let sealing = keys.pop().ok_or(KeyringError::Empty)?;
        Ok(Self { sealing: Arc::new(sealing), older: older.into() })
    }

    /// A fresh key in the form that [`Keyring::parse`] reads.
    #[must_use]
    pub fn generate(entropy: &Entropy) -> String {
        STANDARD.encode(Zeroizing::new(entropy.bytes::<KEY_LEN>()))
    }

    /// Seals `plain` with the first key. `context` names what the value belongs to (a message id, a user id): it is not stored, and the same context is
    /// needed to open, so that a sealed value cannot be moved to another row.
    ///
    /// Output: version (1 byte), key id (4), nonce (12), ciphertext and tag (16 bytes longer than `plain`).
    #[must_use]
    pub fn seal(&self, entropy: &Entropy, context: &[u8], plain: &[u8]) -> Vec<u8> {
        let nonce = entropy.bytes::<NONCE_LEN>();
        let mut body = plain.to_vec();
        let sealed = self.sealing.cipher.seal_in_place_append_tag(
            Nonce::assume_unique_for_key(nonce),
            Aad::from(context),
            &mut body,
        );
        if sealed.is_err() {
            super::abort("sealing with AES-256-GCM");
        }
        [&[VERSION][..], &self.sealing.id, &nonce, &body].concat()
    }

    /// Opens what [`Keyring::seal`] made for the same `context`, with whichever key it was sealed.
    ///
    /// # Errors
    /// [`KeyringError::UnknownFormat`], [`KeyringError::UnknownKey`] or [`KeyringError::Rejected`].
    pub fn open(&self, context: &[u8], sealed: &[u8]) -> Result<Zeroizing<Vec<u8>>, KeyringError> {
        let (version, rest) = sealed.split_first().ok_or(KeyringError::UnknownFormat)?;
        let (id, rest) = rest.split_first_chunk::<ID_LEN>().ok_or(KeyringError::UnknownFormat)?;
        let (nonce, body) = rest.split_first_chunk::<NONCE_LEN>().ok_or(KeyringError::UnknownFormat)?;
        if *version != VERSION {
            return Err(KeyringError::UnknownFormat);
        }
        let key = self.keys().find(|key| key.id == *id).ok_or(KeyringError::UnknownKey(u32::from_be_bytes(*id)))?;
        let mut body = Zeroizing::new(body.to_vec());
        let length = key
            .cipher
            .open_in_place(Nonce::assume_unique_for_key(*nonce), Aad::from(context), &mut body)
            .map_err(|_| KeyringError::Rejected)?
            .len();
        body.truncate(length);
        Ok(body)
    }

    /// A digest of something, by which only whoever has the first key can find it or try what it may be of. `context` keeps digests for different uses apart. With another first key it
    /// is another digest.
    #[must_use]
    pub fn digest(&self, context: &str, of: &[&[u8]]) -> Vec<u8> {
        digest_of(&self.sealing, context, of).sign().as_ref().to_vec()
    }

    /// An authentication code of something, by which whoever has the key knows that it was made by somebody who has it. `context` keeps codes for different uses apart. It names its key:
    /// version (1 byte), key id (4), HMAC-SHA-256 (32).
    #[must_use]
    pub fn mac(&self, context: &str, of: &[&[u8]]) -> Vec<u8> {
        let tag = digest_of(&self.sealing, context, of).sign();
        [&[VERSION][..], &self.sealing.id, tag.as_ref()].concat()
    }

    /// Whether [`Keyring::mac`] made a code of this, with whichever key of the list.
    ///
    /// # Errors
    /// [`KeyringError::UnknownFormat`], [`KeyringError::UnknownKey`] or [`KeyringError::Rejected`].
    pub fn verify_mac(&self, context: &str, of: &[&[u8]], mac: &[u8]) -> Result<(), KeyringError> {
        let (version, rest) = mac.split_first().ok_or(KeyringError::UnknownFormat)?;
        let (id, tag) = rest.split_first_chunk::<ID_LEN>().ok_or(KeyringError::UnknownFormat)?;
        if *version != VERSION {
            return Err(KeyringError::UnknownFormat);
        }
        let key = self.keys().find(|key| key.id == *id).ok_or(KeyringError::UnknownKey(u32::from_be_bytes(*id)))?;
        let computed = digest_of(key, context, of).sign();
        constant_time::verify_slices_are_equal(computed.as_ref(), tag).map_err(|_| KeyringError::Rejected)
    }

    /// What everything begins with that was sealed with the first key. What begins otherwise should be sealed again before its key is taken out of the list.
    #[must_use]
    pub fn sealing_prefix(&self) -> [u8; 1 + ID_LEN] {
        let [a, b, c, d] = self.sealing.id;
        [VERSION, a, b, c, d]
    }

    fn keys(&self) -> impl Iterator<Item = &Key> {
        std::iter::once(&*self.sealing).chain(self.older.iter())
    }
}

fn digest_of(key: &Key, context: &str, of: &[&[u8]]) -> hmac::Context {
    let mut digest = hmac::Context::with_key(&key.naming);
    for part in [context.as_bytes()].iter().chain(of) {
        // With its length, so that no two lists of parts are one text.
        digest.update(&(part.len() as u64).to_be_bytes());
        digest.update(part);
    }
    digest
}

impl Key {
    /// `None` when `bytes` is not 32 bytes long.
    fn new(bytes: &[u8]) -> Option<Self> {
        let cipher = LessSafeKey::new(UnboundKey::new(&AES_256_GCM, bytes).ok()?);
        let id = *digest::digest(&digest::SHA256, bytes).as_ref().first_chunk()?;
        let naming = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, bytes), b"digests");
        let naming = hmac::Key::new(hmac::HMAC_SHA256, naming.as_ref());
        Some(Self { id, cipher, naming })
    }
}

/// Public key ids only.
impl fmt::Debug for Keyring {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Keyring")?;
        f.debug_list().entries(self.keys().map(|key| format!("{:08x}", u32::from_be_bytes(key.id)))).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fresh() -> String {
        Keyring::generate(&Entropy::system())
    }

    #[test]
    fn what_is_sealed_opens_again() {
        let (ring, entropy) = (Keyring::parse(&fresh()).unwrap(), Entropy::system());
        for plain in [&b""[..], b"x", &[7; 5000]] {
            let sealed = ring.seal(&entropy, b"message 1", plain);
            assert_eq!(sealed.len(), 1 + 4 + 12 + plain.len() + 16);
            assert_eq!(ring.open(b"message 1", &sealed).unwrap().as_slice(), plain);
        }
        assert_ne!(ring.seal(&entropy, b"", b"same"), ring.seal(&entropy, b"", b"same"));
    }

    #[test]
    fn the_plain_text_does_not_show() {
        let ring = Keyring::parse(&fresh()).unwrap();
        let sealed = ring.seal(&Entropy::system(), b"", b"a recognizable token");
        assert!(!sealed.windows(12).any(|window| window == b"recognizable"));
    }

    #[test]
    fn another_context_is_rejected() {
        let ring = Keyring::parse(&fresh()).unwrap();
        let sealed = ring.seal(&Entropy::system(), b"message 1", b"token");
        assert_eq!(ring.open(b"message 2", &sealed), Err(KeyringError::Rejected));
    }

    #[test]
    fn a_digest_is_of_its_key_its_use_and_its_parts() {
        let (text, other) = (fresh(), Keyring::parse(&fresh()).unwrap());
        let ring = Keyring::parse(&text).unwrap();
        let digest = ring.digest("use", &[b"ab", b"c"]);
        assert_eq!(Keyring::parse(&text).unwrap().digest("use", &[b"ab", b"c"]), digest);
        assert_ne!(ring.digest("use", &[b"a", b"bc"]), digest);
        assert_ne!(ring.digest("another", &[b"ab", b"c"]), digest);
        assert_ne!(other.digest("use", &[b"ab", b"c"]), digest);
    }

    #[test]
    fn a_code_is_known_by_all_keys_of_the_list() {
        let (first, second) = (fresh(), fresh());
        let old = Keyring::parse(&first).unwrap().mac("use", &[b"ab", b"c"]);
        let rotated = Keyring::parse(&format!("{second},{first}")).unwrap();
        assert_eq!(rotated.verify_mac("use", &[b"ab", b"c"], &old), Ok(()));
        assert_eq!(rotated.verify_mac("use", &[b"a", b"bc"], &old), Err(KeyringError::Rejected));
        assert_eq!(rotated.verify_mac("another", &[b"ab", b"c"], &old), Err(KeyringError::Rejected));
        assert_eq!(rotated.verify_mac("use", &[b"ab", b"c"], &old[..20]), Err(KeyringError::Rejected));
        assert_eq!(rotated.verify_mac("use", &[b"ab", b"c"], b"x"), Err(KeyringError::UnknownFormat));
        let stranger = Keyring::parse(&second).unwrap().verify_mac("use", &[b"ab", b"c"], &old);
        assert!(matches!(stranger, Err(KeyringError::UnknownKey(_))));
    }

    #[test]
    fn every_altered_bit_and_every_cut_is_noticed() {
        let ring = Keyring::parse(&fresh()).unwrap();
        let sealed = ring.seal(&Entropy::system(), b"c", b"token");
        for byte in 0..sealed.len() {
            for bit in 0..8 {
                let mut altered = sealed.clone();
                altered[byte] ^= 1 << bit;
                assert!(ring.open(b"c", &altered).is_err(), "bit {bit} of byte {byte}");
            }
            assert!(ring.open(b"c", &sealed[..byte]).is_err(), "cut to {byte}");
        }
        assert!(ring.open(b"c", &[sealed, vec![0]].concat()).is_err());
    }

    #[test]
    fn rotation_opens_the_old_and_seals_with_the_new() {
        let (entropy, old, new) = (Entropy::system(), fresh(), fresh());
        let before = Keyring::parse(&old).unwrap().seal(&entropy, b"c", b"token");

        let during = Keyring::parse(&format!("{new}, {old}\n")).unwrap();
        assert_eq!(during.open(b"c", &before).unwrap().as_slice(), b"token");
        assert!(!before.starts_with(&during.sealing_prefix()));
        let after = during.seal(&entropy, b"c", b"token");
        assert!(after.starts_with(&during.sealing_prefix()));

        let finished = Keyring::parse(&new).unwrap();
        assert_eq!(finished.open(b"c", &after).unwrap().as_slice(), b"token");
        assert!(matches!(finished.open(b"c", &before), Err(KeyringError::UnknownKey(_))));
    }

    #[test]
    fn a_wrong_list_says_which_key_is_wrong() {
        let good = fresh();
        assert_eq!(Keyring::parse(" , ").unwrap_err(), KeyringError::Empty);
        assert_eq!(Keyring::parse("").unwrap_err(), KeyringError::Empty);
        assert_eq!(Keyring::parse(&format!("{good},not*base64")).unwrap_err(), KeyringError::NotBase64(2));
        assert_eq!(Keyring::parse("AAAA").unwrap_err(), KeyringError::WrongLength(1, 3));
        assert_eq!(Keyring::parse(&format!("{good},{good}")).unwrap_err(), KeyringError::Repeated(2));
        assert!(Keyring::parse(good.trim_end_matches('=')).is_ok(), "padding is optional");
    }

    #[test]
    fn debug_and_errors_hold_no_key() {
        let key = fresh();
        let shown = format!("{:?} {:?}", Keyring::parse(&key).unwrap(), Keyring::parse(&format!("{key},{key}")));
        assert!(shown.starts_with("Keyring["));
        assert!(!shown.contains(&key[..8]));
    }
}
