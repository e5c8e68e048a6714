//! ID tokens of OpenID Connect: which issuers are trusted, whose keys sign, and whether a token says who somebody is (OpenID Connect Core 1.0, section 3.1.3.7).

use std::collections::BTreeSet;

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use chrono::{DateTime, Duration, Utc};
use jsonwebtoken::{
    Algorithm, DecodingKey, Validation,
    jwk::{AlgorithmParameters, EllipticCurve, Jwk, KeyAlgorithm, PublicKeyUse},
};
use serde::{Deserialize, de::DeserializeOwned};
use url::Url;

use crate::domain::digest::sha256;
use crate::domain::text_enum::text_enum;

/// How far an issuer's clock may be from ours.
const LEEWAY: Duration = Duration::minutes(1);
/// How far ahead the end of a token may lie: it is remembered until then.
const LONGEST_LIFE: Duration = Duration::days(31);
/// Characters of a subject at the most (Core, section 2: "MUST NOT exceed 255 ASCII characters").
const SUBJECT: usize = 255;
/// Keys of an issuer that are looked at.
const MAX_KEYS: usize = 32;
/// How many identities one person may have.
pub const MAX_IDENTITIES: usize = 10;

text_enum! {
    /// What is wrong with an ID token. Callers are told: they know what is in the token, and none of it says who has an account.
    Flaw {
        /// It is no signed JSON Web Token, or not one for us to read.
        Malformed = "malformed",
        /// It is a token of another kind, by its `typ`.
        Type = "type",
        /// It brings a key of its own, or asks for what is not understood (`jwk`, `jku`, `x5u`, `crit`).
        Header = "header",
        /// Nobody trusts its issuer here.
        Issuer = "issuer",
        /// Its algorithm is none that proves anything, or not one of the key's.
        Algorithm = "algorithm",
        /// The issuer has no such key.
        Key = "key",
        /// The signature is not the key's.
        Signature = "signature",
        /// It was made for somebody else.
        Audience = "audience",
        /// It was made for several, and asked for by somebody else.
        AuthorizedParty = "authorized_party",
        /// Its time is over, or it has none.
        Expired = "expired",
        /// Its time has not come.
        NotYetValid = "not_yet_valid",
        /// It was made in the future, or does not say when.
        IssuedAt = "issued_at",
        /// It belongs to another sign-in.
        Nonce = "nonce",
        /// It says of nobody who they are.
        Subject = "subject",
    }
}

/// An issuer that the operator trusts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Provider {
    /// Its identifier, exactly as it stands in its tokens.
    pub issuer: String,
    /// Our names there: a token is for one of them.
    pub audiences: BTreeSet<String>,
}

impl Provider {
    /// The trusted issuers out of `ISSUER=CLIENT_ID`, separated by white space. The same issuer again adds an audience.
    ///
    /// # Errors
    /// A sentence for each entry that is none.
    pub fn parse_all(text: &str) -> Result<Vec<Self>, Vec<String>> {
        let mut providers: Vec<Self> = Vec::new();
        let mut wrong = Vec::new();
        for entry in text.split_whitespace() {
            // An issuer has no query, and a client's id may have any sign.
            let (issuer, audience) = entry.split_once('=').unwrap_or((entry, ""));
            if audience.is_empty() {
                wrong.push(format!("{entry:?} is not ISSUER=CLIENT_ID"));
            } else if let Err(flaw) = issuer_url(issuer) {
                wrong.push(format!("the issuer {issuer:?} {flaw}"));
            } else if let Some(known) = providers.iter_mut().find(|provider| provider.issuer == issuer) {
                known.audiences.insert(audience.to_owned());
            } else {
                providers.push(Self { issuer: issuer.to_owned(), audiences: BTreeSet::from([audience.to_owned()]) });
            }
        }
        match wrong.is_empty() {
            true => Ok(providers),
            false => Err(wrong),
        }
    }

    /// Where the issuer says where its keys are (OpenID Connect Discovery 1.0, section 4).
    #[must_use]
    pub fn discovery_url(&self) -> Option<Url> {
        let issuer = self.issuer.trim_end_matches('/');
        Url::parse(&format!("{issuer}/.well-known/openid-configuration")).ok()
    }

    /// Where the issuer's keys are, by its discovery document, which has to be the issuer's own (section 4.3).
    ///
    /// # Errors
    /// A sentence for the log.
    pub fn keys_url(&self, document: &[u8]) -> Result<Url, String> {
        #[derive(Deserialize)]
        struct Document {
            issuer: String,
            jwks_uri: String,
        }
        let document: Document = serde_json::from_slice(document).map_err(|error| error.to_string())?;
        if document.issuer != self.issuer {
            return Err("the discovery document is of another issuer".to_owned());
        }
        Url::parse(&document.jwks_uri).map_err(|error| format!("jwks_uri: {error}"))
    }
}

fn issuer_url(issuer: &str) -> Result<(), &'static str> {
    let url = Url::parse(issuer).map_err(|_| "is not a URL")?;
    if url.scheme() != "https" || !url.has_host() {
        return Err("is not an https URL");
    }
    match url.query().is_none() && url.fragment().is_none() && url.username().is_empty() && url.password().is_none() {
        true => Ok(()),
        false => Err("has a query, a fragment or credentials"),
    }
}

/// The keys of an issuer that a signature can be checked with.
#[derive(Clone, Default)]
pub struct KeySet(Vec<Key>);

#[derive(Clone)]
struct Key {
    id: Option<String>,
    /// The algorithms that the key is good for: by its own type, and by what is said beside it, never by what a token says.
    algorithms: Vec<Algorithm>,
    key: DecodingKey,
}

impl KeySet {
    /// Reads a JWK Set (RFC 7517, section 5). Keys of other kinds and for other uses are passed over.
    ///
    /// # Errors
    /// A sentence for the log, where it is none.
    pub fn parse(document: &[u8]) -> Result<Self, String> {
        #[derive(Deserialize)]
        struct Document {
            keys: Vec<serde_json::Value>,
        }
        let document: Document = serde_json::from_slice(document).map_err(|error| error.to_string())?;
        let keys: Vec<Key> = document.keys.into_iter().filter_map(key).take(MAX_KEYS).collect();
        match keys.is_empty() {
            true => Err("there is no key to check a signature with".to_owned()),
            false => Ok(Self(keys)),
        }
    }

    /// The key that a token names; where it names none, the only one that fits.
    fn find(&self, id: Option<&str>, algorithm: Algorithm) -> Result<&Key, Flaw> {
        let named: Vec<&Key> = self.0.iter().filter(|key| id.is_none() || key.id.as_deref() == id).collect();
        let fits: Vec<&&Key> = named.iter().filter(|key| key.algorithms.contains(&algorithm)).collect();
        match (named.is_empty(), fits.as_slice()) {
            (true, _) => Err(Flaw::Key),
            (false, []) => Err(Flaw::Algorithm),
            (false, [key]) => Ok(key),
            (false, _) => Err(Flaw::Key),
        }
    }

    /// Whether a key that a token names is there.
    #[must_use]
    pub fn knows(&self, id: Option<&str>) -> bool {
        id.is_none() || self.0.iter().any(|key| key.id.as_deref() == id)
    }
}

fn key(value: serde_json::Value) -> Option<Key> {
    let jwk: Jwk = serde_json::from_value(value).ok()?;
    if !matches!(jwk.common.public_key_use, None | Some(PublicKeyUse::Signature)) {
        return None;
    }
    let own: &[(KeyAlgorithm, Algorithm)] = match &jwk.algorithm {
        AlgorithmParameters::RSA(_) => {
            &[(KeyAlgorithm::RS256, Algorithm::RS256), (KeyAlgorithm::PS256, Algorithm::PS256)]
        }
        AlgorithmParameters::EllipticCurve(curve) if curve.curve == EllipticCurve::P256 => {
            &[(KeyAlgorithm::ES256, Algorithm::ES256)]
        }
        AlgorithmParameters::OctetKeyPair(curve) if curve.curve == EllipticCurve::Ed25519 => {
            &[(KeyAlgorithm::EdDSA, Algorithm::EdDSA)]
        }
        _ => return None,
    };
    let said = jwk.common.key_algorithm;
    let algorithms = own.iter().filter(|(name, _)| said.is_none_or(|said| said == *name));
    Some(Key {
        algorithms: algorithms.map(|(_, algorithm)| *algorithm).collect(),
        key: DecodingKey::from_jwk(&jwk).ok()?,
        id: jwk.common.key_id,
    })
}

/// What a token says before anything of it is believed.
#[derive(Debug, Clone)]
pub struct Claimed {
    algorithm: Algorithm,
    /// The key that it is to be checked with.
    pub key_id: Option<String>,
    /// Who is to have made it.
    pub issuer: String,
    /// What is signed: remembered, so that the token works once whatever its signature looks like.
    pub digest: [u8; 32],
}

impl Claimed {
    /// Reads it.
    ///
    /// # Errors
    /// The first flaw that shows without a key.
    pub fn read(token: &str) -> Result<Self, Flaw> {
        #[derive(Deserialize)]
        struct Header {
            alg: String,
            kid: Option<String>,
            typ: Option<String>,
            jwk: Option<serde_json::Value>,
            jku: Option<serde_json::Value>,
            x5u: Option<serde_json::Value>,
            crit: Option<serde_json::Value>,
        }
        #[derive(Deserialize)]
        struct Origin {
            iss: String,
        }
        let (signed, _) = token.rsplit_once('.').ok_or(Flaw::Malformed)?;
        let (header, payload) = signed.split_once('.').ok_or(Flaw::Malformed)?;
        let header: Header = part(header)?;
        if [&header.jwk, &header.jku, &header.x5u, &header.crit].iter().any(|found| found.is_some()) {
            return Err(Flaw::Header);
        }
        if header.typ.is_some_and(|kind| !kind.eq_ignore_ascii_case("JWT")) {
            return Err(Flaw::Type);
        }
        let algorithm = match header.alg.as_str() {
            "RS256" => Algorithm::RS256,
            "PS256" => Algorithm::PS256,
            "ES256" => Algorithm::ES256,
            "EdDSA" => Algorithm::EdDSA,
            _ => return Err(Flaw::Algorithm),
        };
        let digest = sha256(signed.as_bytes());
        Ok(Self { algorithm, key_id: header.kid, issuer: part::<Origin>(payload)?.iss, digest })
    }
}

fn part<T: DeserializeOwned>(text: &str) -> Result<T, Flaw> {
    let bytes = URL_SAFE_NO_PAD.decode(text).map_err(|_| Flaw::Malformed)?;
    serde_json::from_slice(&bytes).map_err(|_| Flaw::Malformed)
}

/// Who somebody is, as an issuer says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    /// The issuer.
    pub issuer: String,
    /// The person's id there. With the issuer, the only thing that an account is found by: an address can be claimed by anybody (ab_28).
    pub subject: String,
    /// What the token is remembered by.
    pub digest: [u8; 32],
    /// Until when it has to be remembered.
    pub remember_until: DateTime<Utc>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Audience {
    One(String),
    Many(Vec<String>),
}

#[derive(Deserialize)]
struct Claims {
    iss: String,
    sub: Option<String>,
    aud: Option<Audience>,
    azp: Option<String>,
    exp: Option<f64>,
    iat: Option<f64>,
    nbf: Option<f64>,
    nonce: Option<String>,
}

/// Whether a token of a trusted issuer, signed by one of its keys, says now who somebody is, in answer to the sign-in that `nonce` was made for.
///
/// # Errors
/// The first flaw.
pub fn verify(
    token: &str,
    claimed: &Claimed,
    provider: &Provider,
    keys: &KeySet,
    nonce: &str,
    now: DateTime<Utc>,
) -> Result<Identity, Flaw> {
    let key = keys.find(claimed.key_id.as_deref(), claimed.algorithm)?;
    let mut signature_only = Validation::new(claimed.algorithm);
    signature_only.validate_exp = false;
    signature_only.validate_aud = false;
    signature_only.required_spec_claims.clear();
    let claims: serde_json::Value =
        jsonwebtoken::decode(token, &key.key, &signature_only).map_err(|_| Flaw::Signature)?.claims;
    let claims: Claims = serde_json::from_value(claims).map_err(|_| Flaw::Malformed)?;
    check(claims, claimed, provider, nonce, now)
}

fn check(
    claims: Claims,
    claimed: &Claimed,
    provider: &Provider,
    nonce: &str,
    now: DateTime<Utc>,
) -> Result<Identity, Flaw> {
    if claims.iss != provider.issuer {
        return Err(Flaw::Issuer);
    }
    let audiences = match claims.aud {
        Some(Audience::One(audience)) => vec![audience],
        Some(Audience::Many(audiences)) => audiences,
        None => Vec::new(),
    };
    if !audiences.iter().any(|audience| provider.audiences.contains(audience)) {
        return Err(Flaw::Audience);
    }
    match &claims.azp {
        Some(party) if !provider.audiences.contains(party) => return Err(Flaw::AuthorizedParty),
        None if audiences.len() > 1 => return Err(Flaw::AuthorizedParty),
        _ => {}
    }
    let expire = claims.exp.and_then(instant).ok_or(Flaw::Expired)?;
    if now >= expire + LEEWAY {
        return Err(Flaw::Expired);
    }
    if expire > now + LONGEST_LIFE {
        return Err(Flaw::Malformed);
    }
    let issued = claims.iat.and_then(instant).ok_or(Flaw::IssuedAt)?;
    if issued > now + LEEWAY {
        return Err(Flaw::IssuedAt);
    }
    if let Some(begin) = claims.nbf
        && instant(begin).is_none_or(|begin| begin > now + LEEWAY)
    {
        return Err(Flaw::NotYetValid);
    }
    if claims.nonce.as_deref() != Some(nonce) {
        return Err(Flaw::Nonce);
    }
    let subject = claims.sub.unwrap_or_default();
    let readable = subject.bytes().all(|byte| (0x20..0x7f).contains(&byte));
    if subject.is_empty() || subject.len() > SUBJECT || !readable {
        return Err(Flaw::Subject);
    }
    Ok(Identity { issuer: claims.iss, subject, digest: claimed.digest, remember_until: expire + LEEWAY })
}

/// A `NumericDate` (RFC 7519, section 2) to the second.
fn instant(seconds: f64) -> Option<DateTime<Utc>> {
    // Saturates, and the ends are no times. Within a century of ours, so that nothing that is added to it is beyond the calendar.
    #[expect(clippy::cast_possible_truncation, reason = "a fraction of a second says nothing here")]
    let whole = seconds as i64;
    Some(whole).filter(|whole| (0..=7_258_118_400).contains(whole)).and_then(|whole| DateTime::from_timestamp(whole, 0))
}

#[cfg(test)]
mod tests;
