//! A small OpenID Connect provider on loopback, with TLS, that signs whatever a test wants and can misbehave.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::KeySize;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair, RSA_PKCS1_SHA256, RSA_PSS_SHA256,
    RsaKeyPair,
};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use rustls::pki_types::PrivateKeyDer;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

use super::pb::OpenIdConnectToken;
use super::world::World;

/// Our name at the provider.
pub(crate) const CLIENT: &str = "roster-tests";
/// The nonce of every sign-in.
pub(crate) const NONCE: &str = "n-0S6_WzA2Mj";

/// A key that signs.
pub(crate) enum Signer {
    Es256(EcdsaKeyPair),
    Rs256(RsaKeyPair),
    Ps256(RsaKeyPair),
    EdDsa(Ed25519KeyPair),
}

impl Signer {
    /// A new key for ES256.
    pub(crate) fn es256() -> Self {
        Self::Es256(EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).unwrap())
    }

    /// A new key for RS256.
    pub(crate) fn rs256() -> Self {
        Self::Rs256(RsaKeyPair::generate(KeySize::Rsa2048).unwrap())
    }

    /// A new key for PS256.
    pub(crate) fn ps256() -> Self {
        Self::Ps256(RsaKeyPair::generate(KeySize::Rsa2048).unwrap())
    }

    /// A new key for EdDSA.
    pub(crate) fn ed_dsa() -> Self {
        Self::EdDsa(Ed25519KeyPair::generate().unwrap())
    }

    /// The algorithm's name.
    pub(crate) fn algorithm(&self) -> &'static str {
        match self {
            Self::Es256(_) => "ES256",
            Self::Rs256(_) => "RS256",
            Self::Ps256(_) => "PS256",
            Self::EdDsa(_) => "EdDSA",
        }
    }

    /// The public key as a JWK.
    pub(crate) fn jwk(&self, id: &str) -> Value {
        let text = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
        let mut jwk = match self {
            Self::Es256(pair) => {
                let point = &pair.public_key().as_ref()[1..];
                json!({"kty": "EC", "crv": "P-256", "x": text(&point[..32]), "y": text(&point[32..])})
            }
            Self::Rs256(pair) | Self::Ps256(pair) => {
                let (n, e) = (pair.public_key().modulus(), pair.public_key().exponent());
                let n = n.big_endian_without_leading_zero();
                let e = e.big_endian_without_leading_zero();
                json!({"kty": "RSA", "n": text(n), "e": text(e)})
            }
            Self::EdDsa(pair) => json!({"kty": "OKP", "crv": "Ed25519", "x": text(pair.public_key().as_ref())}),
        };
        jwk["kid"] = json!(id);
        jwk["use"] = json!("sig");
        jwk["alg"] = json!(self.algorithm());
        jwk
    }

    fn sign(&self, text: &str) -> Vec<u8> {
        let random = SystemRandom::new();
        match self {
            Self::Es256(pair) => pair.sign(&random, text.as_bytes()).unwrap().as_ref().to_vec(),
            Self::EdDsa(pair) => pair.sign(text.as_bytes()).as_ref().to_vec(),
            Self::Rs256(pair) | Self::Ps256(pair) => {
                let mut signature = vec![0; pair.public_modulus_len()];
                let padding: &'static dyn aws_lc_rs::signature::RsaEncoding = match self {
                    Self::Ps256(_) => &RSA_PSS_SHA256,
                    _ => &RSA_PKCS1_SHA256,
                };
                pair.sign(padding, &random, text.as_bytes(), &mut signature).unwrap();
                signature
            }
        }
    }

    /// A token with this header and these claims.
    pub(crate) fn token(&self, header: &Value, claims: &Value) -> String {
        let text = unsigned(header, claims);
        let signature = URL_SAFE_NO_PAD.encode(self.sign(&text));
        format!("{text}.{signature}")
    }
}

/// A token without its signature.
pub(crate) fn unsigned(header: &Value, claims: &Value) -> String {
    let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
    format!("{}.{}", part(header), part(claims))
}

/// What the provider answers under a path.
#[derive(Clone)]
pub(crate) struct Page {
    pub(crate) status: &'static str,
    pub(crate) headers: String,
    pub(crate) body: String,
}

impl Page {
    /// A document.
    pub(crate) fn of(body: &Value) -> Self {
        Self { status: "200 OK", headers: String::new(), body: body.to_string() }
    }
}

/// The provider. It ends with the test's runtime.
pub(crate) struct IdentityProvider {
    /// Its identifier.
    pub(crate) issuer: String,
    /// The key that signs now.
    pub(crate) signer: Signer,
    authority: PathBuf,
    pages: Arc<Mutex<HashMap<String, Page>>>,
    asked: Arc<AtomicUsize>,
}

pub(crate) const DISCOVERY: &str = "/.well-known/openid-configuration";
pub(crate) const KEYS: &str = "/keys";

impl IdentityProvider {
    /// Starts one; its certificate becomes a file of the world.
    pub(crate) async fn start(world: &World, signer: Signer) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let certified = rcgen::generate_simple_self_signed(["localhost".to_owned(), "127.0.0.1".to_owned()]).unwrap();
        let authority = world.folder().join(format!("provider-{port}.pem"));
        std::fs::write(&authority, certified.cert.pem()).unwrap();
        let key = PrivateKeyDer::try_from(certified.signing_key.serialize_der()).unwrap();
        let tls = rustls::ServerConfig::builder_with_provider(Arc::new(rustls::crypto::aws_lc_rs::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![certified.cert.der().clone()], key)
            .unwrap();
        let provider = Self {
            issuer: format!("https://localhost:{port}"),
            signer,
            authority,
            pages: Arc::default(),
            asked: Arc::default(),
        };
        provider.publish();
        let (pages, asked) = (provider.pages.clone(), provider.asked.clone());
        let acceptor = TlsAcceptor::from(Arc::new(tls));
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                asked.fetch_add(1, Ordering::SeqCst);
                let (acceptor, pages) = (acceptor.clone(), pages.clone());
                tokio::spawn(async move {
                    let Ok(mut stream) = acceptor.accept(stream).await else {
                        return;
                    };
                    let mut request = vec![0; 8192];
                    let read = stream.read(&mut request).await.unwrap_or_default();
                    let request = String::from_utf8_lossy(&request[..read]).into_owned();
                    let path = request.split(' ').nth(1).unwrap_or_default();
                    let page = pages.lock().unwrap().get(path).cloned();
                    let page = page.unwrap_or_else(|| Page {
                        status: "404 Not Found",
                        headers: String::new(),
                        body: String::new(),
                    });
                    let (status, headers, body) = (page.status, page.headers, page.body);
                    let answer = format!(
                        "HTTP/1.1 {status}\r\n{headers}Content-Length: {}\r\nConnection: close\r\n\r\n{body}",
                        body.len()
                    );
                    let _ = stream.write_all(answer.as_bytes()).await;
                    let _ = stream.shutdown().await;
                });
            }
        });
        provider
    }

    /// Says where its keys are, and which.
    pub(crate) fn publish(&self) {
        self.answer(DISCOVERY, Page::of(&json!({"issuer": self.issuer, "jwks_uri": format!("{}{KEYS}", self.issuer)})));
        self.answer(KEYS, Page::of(&json!({"keys": [self.signer.jwk(self.key_id())]})));
    }

    /// Answers so under a path from now on.
    pub(crate) fn answer(&self, path: &str, page: Page) {
        self.pages.lock().unwrap().insert(path.to_owned(), page);
    }

    /// Answers nothing from now on.
    pub(crate) fn break_down(&self) {
        self.pages.lock().unwrap().clear();
    }

    /// How often it was asked for anything.
    pub(crate) fn asked(&self) -> usize {
        self.asked.load(Ordering::SeqCst)
    }

    /// The id of the key that signs now.
    pub(crate) fn key_id(&self) -> &'static str {
        self.signer.algorithm()
    }

    /// Settings of a server that trusts it.
    pub(crate) fn settings(&self) -> [(&'static str, String); 3] {
        [
            ("oidc-issuers", format!("{}={CLIENT}", self.issuer)),
            ("oidc-ca", self.authority.display().to_string()),
            ("oidc-internal", "true".to_owned()),
        ]
    }

    /// Makes the world's server one that trusts it.
    pub(crate) async fn trusted_by(&self, world: &World) {
        let settings = self.settings();
        let settings: Vec<(&str, &str)> = settings.iter().map(|(name, value)| (*name, value.as_str())).collect();
        world.restart_with(&settings).await;
    }

    /// The header of a good token.
    pub(crate) fn header(&self) -> Value {
        json!({"alg": self.signer.algorithm(), "kid": self.key_id(), "typ": "JWT"})
    }

    /// The claims of a good token, which is like no other.
    pub(crate) fn claims(&self, world: &World, subject: &str) -> Value {
        let now = world.clock.now().timestamp();
        json!({
            "iss": self.issuer, "sub": subject, "aud": CLIENT, "exp": now + 600, "iat": now, "nonce": NONCE, "jti": uuid::Uuid::now_v7().to_string(),
        })
    }

    /// A good token.
    pub(crate) fn token(&self, world: &World, subject: &str) -> OpenIdConnectToken {
        shown(self.signer.token(&self.header(), &self.claims(world, subject)))
    }
}

/// A token as an application shows it.
pub(crate) fn shown(id_token: String) -> OpenIdConnectToken {
    OpenIdConnectToken { id_token, nonce: NONCE.to_owned() }
}
