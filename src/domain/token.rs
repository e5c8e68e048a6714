//! The tokens that callers hold: service keys, sessions, links in mails, half-finished sign-ins.
//!
//! A token is a prefix that names its kind and 256 bits from the random source, in base64url. The prefix lets a secret scanner
//! recognize a leaked one and lets the server refuse the wrong kind before any look-up. The database holds the digest only
//! (ab_19): 256 random bits need no salt and no slow hash.

use std::fmt;

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use zeroize::{Zeroize, Zeroizing};

use crate::domain::digest::sha256;

const SECRET_BYTES: usize = 32;
/// 32 bytes in base64 without padding.
const SECRET_CHARACTERS: usize = 43;

/// What a token is good for.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum TokenKind {
    /// A key of a service account.
    ServiceKey,
    /// A user's session.
    Session,
    /// The link of an invitation.
    Invitation,
    /// The link that anybody who has it joins an organization by.
    JoinLink,
    /// The link that lets somebody choose a new password.
    PasswordReset,
    /// The link that shows that an address is somebody's.
    EmailVerification,
    /// A sign-in whose password was right and whose second factor is missing (ab_23).
    SignIn,
}

impl TokenKind {
    /// Every kind there is.
    pub const ALL: [Self; 7] = [
        Self::ServiceKey,
        Self::Session,
        Self::Invitation,
        Self::JoinLink,
        Self::PasswordReset,
        Self::EmailVerification,
        Self::SignIn,
    ];

    /// The first characters of every token of this kind.
    #[must_use]
    pub const fn prefix(self) -> &'static str {
        match self {
            Self::ServiceKey => "rsk_",
            Self::Session => "rss_",
            Self::Invitation => "rin_",
            Self::JoinLink => "rjl_",
            Self::PasswordReset => "rpr_",
            Self::EmailVerification => "rev_",
            Self::SignIn => "rsc_",
        }
    }

    /// The kind that a text claims to be by its prefix; the rest of the text is not looked at.
    #[must_use]
    pub fn of(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| text.starts_with(kind.prefix()))
    }
}

/// A token in the clear. It is erased from memory when dropped, and its `Debug` shows its kind only.
#[derive(Clone)]
pub struct Token {
    kind: TokenKind,
    text: Zeroizing<String>,
}

impl Token {
    /// Makes a token of 32 bytes from the random source.
    #[must_use]
    pub fn new(kind: TokenKind, mut bytes: [u8; SECRET_BYTES]) -> Self {
        // Sized once: growing would leave pieces of the secret behind in freed memory.
        let mut text = Zeroizing::new(String::with_capacity(kind.prefix().len() + SECRET_CHARACTERS));
        text.push_str(kind.prefix());
        URL_SAFE_NO_PAD.encode_string(bytes, &mut text);
        bytes.zeroize();
        Self { kind, text }
    }

    /// Reads a token of the kind that is wanted here; `None` for anything else.
    ///
    /// There is one text for one token: another length, padding, white space, or stray bits in the last character are refused.
    #[must_use]
    pub fn parse(kind: TokenKind, text: &str) -> Option<Self> {
        let secret = text.strip_prefix(kind.prefix()).filter(|secret| secret.len() == SECRET_CHARACTERS)?;
        let mut bytes = Zeroizing::new([0_u8; SECRET_BYTES]);
        URL_SAFE_NO_PAD.decode_slice(secret, bytes.as_mut_slice()).ok()?;
        Some(Self::new(kind, *bytes))
    }

    /// What it is good for.
    #[must_use]
    pub const fn kind(&self) -> TokenKind {
        self.kind
    }

    /// The token itself, to hand to its holder.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.text
    }

    /// SHA-256 of the whole text, prefix included: what is stored and looked up. Two kinds never share a digest.
    #[must_use]
    pub fn digest(&self) -> [u8; 32] {
        sha256(self.text.as_bytes())
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Token({:?}, redacted)", self.kind)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_text_has_the_prefix_and_a_fixed_length() {
        let token = Token::new(TokenKind::Session, [0xff; 32]);
        assert_eq!(token.expose(), "rss___________________________________________8");
        assert_eq!(token.expose().len(), 47);
        assert_eq!(TokenKind::of(token.expose()), Some(TokenKind::Session));
        assert_eq!(TokenKind::of("rs"), None);
        assert_eq!(TokenKind::of("Bearer rss_"), None);
    }

    #[test]
    fn the_digest_is_sha_256_of_the_text() {
        // echo -n rsk_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA | sha256sum
        let digest = Token::new(TokenKind::ServiceKey, [0; 32]).digest();
        let hex: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(hex, "c149f85026f8dd6df1706e7721ada2483a0f059647fed26663f703640a6d5744");
    }

    #[test]
    fn ab_19_debug_does_not_show_the_secret() {
        let token = Token::new(TokenKind::Invitation, [7; 32]);
        assert_eq!(format!("{token:?}"), "Token(Invitation, redacted)");
    }

    proptest! {
        #[test]
        fn what_is_made_can_be_read(bytes in any::<[u8; 32]>()) {
            for kind in TokenKind::ALL {
                let token = Token::new(kind, bytes);
                let read = Token::parse(kind, token.expose());
                prop_assert_eq!(read.map(|t| t.digest()), Some(token.digest()));
            }
        }

        #[test]
        fn kinds_do_not_mix(bytes in any::<[u8; 32]>()) {
            for kind in TokenKind::ALL {
                for other in TokenKind::ALL.into_iter().filter(|other| *other != kind) {
                    let token = Token::new(kind, bytes);
                    prop_assert!(Token::parse(other, token.expose()).is_none());
                    prop_assert_ne!(token.digest(), Token::new(other, bytes).digest());
                }
            }
        }

        /// ab_19: truncated, extended, padded or changed, it is another token or none.
        #[test]
        fn ab_19_one_token_has_one_text(bytes in any::<[u8; 32]>(), at in 0_usize..47, with in "[ -~]") {
            let token = Token::new(TokenKind::Invitation, bytes);
            let text = token.expose();
            let mut changed = text.to_owned();
            changed.replace_range(at..=at, &with);
            if changed != text {
                let read = Token::parse(TokenKind::Invitation, &changed);
                prop_assert!(read.is_none_or(|other| other.expose() == changed && other.digest() != token.digest()));
            }
            for wrong in [format!("{text}="), format!("{text}A"), format!(" {text}"), format!("{text}\n"), text[..46].to_owned(), text[1..].to_owned()] {
                prop_assert!(Token::parse(TokenKind::Invitation, &wrong).is_none());
            }
        }

        #[test]
        fn nothing_panics(text in any::<String>()) {
            for kind in TokenKind::ALL {
                let _ = Token::parse(kind, &text);
                let _ = Token::parse(kind, &format!("{}{text}", kind.prefix()));
            }
        }
    }
}
