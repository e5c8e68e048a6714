//! An OpenID Connect provider that is not ours (`tests/identity_provider`), and the authorization code flow at it, as a browser and an application go through it.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;

use http_body_util::{BodyExt, Full};
use hyper::Request;
use hyper::body::Bytes;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use url::Url;
use url::form_urlencoded::Serializer;

use super::identity_provider::CLIENT;
use super::pb::OpenIdConnectToken;
use super::world::World;

/// The variable that names the folder with the provider and what runs it.
const FOLDER: &str = "ROSTER_TEST_IDENTITY_PROVIDER";

const CALLBACK: &str = "https://app.example.com/callback";

/// Why the tests that need the provider cannot run, if they cannot.
pub(crate) fn missing() -> Option<String> {
    let there = folder().is_some_and(|folder| folder.join("node").exists());
    (!there).then(|| format!("{FOLDER} names no folder with the provider; ./scripts/test installs it"))
}

fn folder() -> Option<PathBuf> {
    std::env::var_os(FOLDER).map(PathBuf::from)
}

/// The provider, as long as it is held.
pub(crate) struct RealProvider {
    process: Child,
    issuer: Url,
    authority: PathBuf,
    certificate: CertificateDer<'static>,
}

impl Drop for RealProvider {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

impl RealProvider {
    /// Starts it with a certificate of its own.
    pub(crate) fn start(world: &World) -> Self {
        let certified = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
        let (authority, key) = (world.folder().join("provider.pem"), world.folder().join("provider.key"));
        std::fs::write(&authority, certified.cert.pem()).unwrap();
        std::fs::write(&key, certified.signing_key.serialize_pem()).unwrap();
        let folder = folder().unwrap();
        let mut process = Command::new(folder.join("node"))
            .arg(folder.join("provider.mjs"))
            .args([&authority, &key])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut said = BufReader::new(process.stdout.take().unwrap()).lines().map_while(Result::ok);
        let issuer = said.next().unwrap_or_default();
        // Somebody has to go on reading: it says more now and then, and ends where nobody listens.
        std::thread::spawn(move || said.for_each(drop));
        Self {
            process,
            issuer: Url::parse(issuer.trim()).expect("the provider says where it listens"),
            authority,
            certificate: certified.cert.der().clone(),
        }
    }

    /// Makes the world's server one that trusts it.
    pub(crate) async fn trusted_by(&self, world: &World) {
        let issuers = format!("{}={CLIENT}", self.issuer.as_str().trim_end_matches('/'));
        let settings = [
            ("oidc-issuers", issuers.as_str()),
            ("oidc-ca", self.authority.to_str().unwrap()),
            ("oidc-internal", "true"),
        ];
        world.restart_with(&settings).await;
    }

    /// What an application gets when a person logs in at the provider: from the page that the browser is sent to, over its forms, to the exchange of the code.
    pub(crate) async fn log_in(&self, person: &str) -> OpenIdConnectToken {
        let mut browser = Browser::new(self);
        // Another one each time, as applications do it: two logins of one second are one token but for that.
        let nonce = uuid::Uuid::now_v7().to_string();
        let asked = form(&[
            ("client_id", CLIENT),
            ("response_type", "code"),
            ("scope", "openid"),
            ("redirect_uri", CALLBACK),
            ("nonce", &nonce),
        ]);
        let page = browser.go(&format!("/auth?{asked}"), None).await.location;
        let login = form(&[("prompt", "login"), ("login", person), ("password", "anything")]);
        let resumed = browser.go(&page, Some(login)).await.location;
        let page = browser.go(&resumed, None).await.location;
        let resumed = browser.go(&page, Some(form(&[("prompt", "consent")]))).await.location;
        let back = Url::parse(&browser.go(&resumed, None).await.location).unwrap();
        assert!(back.as_str().starts_with(CALLBACK), "{back}");
        let (_, code) = back.query_pairs().find(|(name, _)| name == "code").expect("a code");
        let exchange = form(&[
            ("grant_type", "authorization_code"),
            ("code", &code),
            ("redirect_uri", CALLBACK),
            ("client_id", CLIENT),
            ("client_secret", "a secret of the tests"),
        ]);
        let answer = browser.go("/token", Some(exchange)).await.body;
        let answer: serde_json::Value = serde_json::from_str(&answer).unwrap();
        let id_token = answer["id_token"].as_str().unwrap_or_else(|| panic!("{answer}")).to_owned();
        OpenIdConnectToken { id_token, nonce }
    }
}

fn form(pairs: &[(&str, &str)]) -> String {
    Serializer::new(String::new()).extend_pairs(pairs).finish()
}

/// What a browser has been answered.
struct Answer {
    location: String,
    body: String,
}

/// A browser: it remembers cookies, and follows no redirect by itself.
struct Browser {
    tls: TlsConnector,
    origin: Url,
    cookies: BTreeMap<String, String>,
}

impl Browser {
    fn new(provider: &RealProvider) -> Self {
        let mut roots = RootCertStore::empty();
        roots.add(provider.certificate.clone()).unwrap();
        let config = ClientConfig::builder_with_provider(Arc::new(rustls::crypto::aws_lc_rs::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth();
        Self { tls: TlsConnector::from(Arc::new(config)), origin: provider.issuer.clone(), cookies: BTreeMap::new() }
    }

    /// Opens a page, or sends a form to it.
    async fn go(&mut self, to: &str, form: Option<String>) -> Answer {
        let url = self.origin.join(to).unwrap();
        let authority = &url[url::Position::BeforeHost..url::Position::AfterPort];
        let stream = TcpStream::connect(("127.0.0.1", url.port().unwrap())).await.unwrap();
        let name = ServerName::try_from("localhost").unwrap();
        let stream = self.tls.connect(name, stream).await.unwrap();
        let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.unwrap();
        let connection = tokio::spawn(connection);
        let cookies: Vec<String> = self.cookies.iter().map(|(name, value)| format!("{name}={value}")).collect();
        let request = Request::builder()
            .method(if form.is_some() { "POST" } else { "GET" })
            .uri(&url[url::Position::BeforePath..url::Position::AfterQuery])
            .header("host", authority)
            .header("cookie", cookies.join("; "))
            .header("content-type", "application/x-www-form-urlencoded")
            .body(Full::new(Bytes::from(form.unwrap_or_default())))
            .unwrap();
        let response = sender.send_request(request).await.unwrap();
        for cookie in response.headers().get_all("set-cookie") {
            let (name, rest) = cookie.to_str().unwrap().split_once('=').unwrap();
            let value = rest.split(';').next().unwrap_or_default();
            self.cookies.insert(name.to_owned(), value.to_owned());
        }
        let location = response.headers().get("location").map(|location| location.to_str().unwrap().to_owned());
        let body = response.into_body().collect().await.unwrap().to_bytes();
        connection.abort();
        Answer { location: location.unwrap_or_default(), body: String::from_utf8_lossy(&body).into_owned() }
    }
}
