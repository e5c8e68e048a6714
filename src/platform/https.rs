//! Fetching a document over HTTPS from a server that is not ours to trust: one GET, bounded in time and size, no redirect, no proxy, and never to an address inside
//! unless the operator said so (ab_29; OWASP Server-Side Request Forgery Prevention Cheat Sheet).

use std::{
    fmt,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    sync::Arc,
    time::Duration,
};

use http_body_util::{BodyExt, Empty};
use hyper::{Request, StatusCode, body::Bytes, client::conn::http1, header};
use hyper_util::rt::TokioIo;
use rustls::{
    ClientConfig, RootCertStore,
    pki_types::{CertificateDer, ServerName, pem::PemObject},
};
use tokio::net::{TcpStream, lookup_host};
use tokio_rustls::TlsConnector;
use url::{Host, Url};

/// Bytes of a document at the most.
const MAX_BYTES: usize = 256 * 1024;
/// Addresses of one name that are tried.
const MAX_ADDRESSES: usize = 4;
/// The port of `https` where the URL names none.
const PORT: u16 = 443;

/// Which addresses a name may lead to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reach {
    /// Public ones only.
    Public,
    /// Those of the own network and of this machine as well.
    Internal,
}

/// What was fetched.
#[derive(Clone, Debug)]
pub struct Fetched {
    /// The document.
    pub body: Vec<u8>,
    /// How long its server says that it may be kept.
    pub max_age: Option<Duration>,
}

/// Why nothing was fetched. The texts are for the log.
#[derive(Debug, thiserror::Error)]
pub enum FetchError {
    /// It is no `https` URL with a host, or it carries a name or a password.
    #[error("the URL is not https, or has no host, or has credentials")]
    Url,
    /// The name leads to no address that may be connected to.
    #[error("the host leads to no address that may be connected to")]
    Address,
    /// The server does not answer, or not as itself.
    #[error("the server cannot be reached: {0}")]
    Unreachable(String),
    /// It answers with another status than 200; where it redirects to is not looked at.
    #[error("the server answers with status {0}")]
    Status(u16),
    /// The document is larger than anything that is expected.
    #[error("the document is larger than {MAX_BYTES} bytes")]
    TooLarge,
    /// It took too long.
    #[error("the server took too long")]
    TimedOut,
}

/// Fetches. Clones share the trusted roots.
#[derive(Clone)]
pub struct Fetcher {
    tls: TlsConnector,
    timeout: Duration,
}

impl fmt::Debug for Fetcher {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Fetcher").field("timeout", &self.timeout).finish_non_exhaustive()
    }
}

impl Fetcher {
    /// Trusts the well-known authorities and those of `extra_roots` (PEM). One fetch takes `timeout` at the most, from the name to the last byte.
    ///
    /// # Errors
    /// A sentence, where the roots are no certificates.
    pub fn new(extra_roots: Option<&[u8]>, timeout: Duration) -> Result<Self, String> {
        let mut roots = RootCertStore { roots: webpki_roots::TLS_SERVER_ROOTS.to_vec() };
        if let Some(pem) = extra_roots {
            let before = roots.len();
            for certificate in CertificateDer::pem_slice_iter(pem) {
                let certificate = certificate.map_err(|error| error.to_string())?;
                roots.add(certificate).map_err(|error| error.to_string())?;
            }
            if roots.len() == before {
                return Err("holds no certificate".to_owned());
            }
        }
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(|error| error.to_string())?
            .with_root_certificates(roots)
            .with_no_client_auth();
        Ok(Self { tls: TlsConnector::from(Arc::new(config)), timeout })
    }

    /// Fetches a document.
    ///
    /// # Errors
    /// [`FetchError`].
    pub async fn get(&self, url: &Url, reach: Reach) -> Result<Fetched, FetchError> {
        let fetched = tokio::time::timeout(self.timeout, self.fetch(url, reach)).await;
        fetched.map_err(|_| FetchError::TimedOut)?
    }

    async fn fetch(&self, url: &Url, reach: Reach) -> Result<Fetched, FetchError> {
        let plain = url.username().is_empty() && url.password().is_none();
        let (Some(host), "https", true) = (url.host(), url.scheme(), plain) else {
            return Err(FetchError::Url);
        };
        let (name, addresses) = resolve(&host, url.port().unwrap_or(PORT)).await?;
        // The very addresses that were looked at: asking for the name again could get another answer.
        let allowed = addresses.into_iter().filter(|address| may_reach(address.ip(), reach));
        let allowed: Vec<SocketAddr> = allowed.take(MAX_ADDRESSES).collect();
        if allowed.is_empty() {
            return Err(FetchError::Address);
        }
        let stream = TcpStream::connect(allowed.as_slice()).await.map_err(unreachable)?;
        let stream = self.tls.connect(name, stream).await.map_err(unreachable)?;
        let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.map_err(unreachable)?;
        // It ends with the sender, or with the server.
        let connection = tokio::spawn(connection);
        let answer = read(&mut sender, url).await;
        connection.abort();
        answer
    }
}

fn unreachable(error: impl fmt::Display) -> FetchError {
    FetchError::Unreachable(error.to_string())
}

async fn resolve(host: &Host<&str>, port: u16) -> Result<(ServerName<'static>, Vec<SocketAddr>), FetchError> {
    Ok(match host {
        Host::Ipv4(ip) => (ServerName::from(IpAddr::V4(*ip)), vec![SocketAddr::from((*ip, port))]),
        Host::Ipv6(ip) => (ServerName::from(IpAddr::V6(*ip)), vec![SocketAddr::from((*ip, port))]),
        Host::Domain(domain) => {
            let name = ServerName::try_from((*domain).to_owned()).map_err(|_| FetchError::Url)?;
            let found = lookup_host((*domain, port)).await.map_err(unreachable)?;
            (name, found.collect())
        }
    })
}

async fn read(sender: &mut http1::SendRequest<Empty<Bytes>>, url: &Url) -> Result<Fetched, FetchError> {
    let authority = &url[url::Position::BeforeHost..url::Position::AfterPort];
    let request = Request::get(&url[url::Position::BeforePath..url::Position::AfterQuery])
        .header(header::HOST, authority)
        .header(header::ACCEPT, "application/json")
        .header(header::USER_AGENT, "roster")
        .body(Empty::new())
        .map_err(|_| FetchError::Url)?;
    let response = sender.send_request(request).await.map_err(unreachable)?;
    if response.status() != StatusCode::OK {
        return Err(FetchError::Status(response.status().as_u16()));
    }
    let cache_control = response.headers().get(header::CACHE_CONTROL);
    let max_age = cache_control.and_then(|value| max_age(value.to_str().ok()?));
    let mut stream = response.into_body();
    let mut body = Vec::new();
    while let Some(frame) = stream.frame().await {
        if let Ok(data) = frame.map_err(unreachable)?.into_data() {
            if body.len() + data.len() > MAX_BYTES {
                return Err(FetchError::TooLarge);
            }
            body.extend_from_slice(&data);
        }
    }
    Ok(Fetched { body, max_age })
}

fn max_age(cache_control: &str) -> Option<Duration> {
    let mut directives = cache_control.split(',').map(str::trim);
    let seconds = directives.find_map(|directive| directive.strip_prefix("max-age="))?;
    seconds.parse().ok().map(Duration::from_secs)
}

/// Whether an address may be connected to. Link-local ones never: clouds answer there with the machine's own credentials.
fn may_reach(ip: IpAddr, reach: Reach) -> bool {
    let ip = ip.to_canonical();
    let inside = match ip {
        IpAddr::V4(ip) => ip.is_loopback() || ip.is_private() || is_shared(ip),
        IpAddr::V6(ip) => ip.is_loopback() || ip.is_unique_local(),
    };
    let public = match ip {
        IpAddr::V4(ip) => is_public_v4(ip),
        IpAddr::V6(ip) => is_public_v6(ip),
    };
    public || inside && reach == Reach::Internal
}

/// 100.64.0.0/10 (RFC 6598).
fn is_shared(ip: Ipv4Addr) -> bool {
    let [first, second, ..] = ip.octets();
    first == 100 && second & 0xc0 == 64
}

/// Everything that the IANA's registry of special-purpose addresses does not set apart.
fn is_public_v4(ip: Ipv4Addr) -> bool {
    let [first, second, third, _] = ip.octets();
    let special = first == 0
        || first >= 224
        || ip.is_loopback()
        || ip.is_private()
        || ip.is_link_local()
        || ip.is_documentation()
        || is_shared(ip)
        || (first, second, third) == (192, 0, 0)
        || (first, second, third) == (192, 88, 99)
        || first == 198 && second & 0xfe == 18;
    !special
}

/// Global unicast (2000::/3) without what is set apart in it: protocol assignments with Teredo (2001::/23), documentation, and 6to4, which carries any address of IPv4.
fn is_public_v6(ip: Ipv6Addr) -> bool {
    let [first, second, ..] = ip.segments();
    let special = first == 0x2001 && (second < 0x200 || second == 0xdb8) || first == 0x2002 || first == 0x3fff;
    first & 0xe000 == 0x2000 && !special
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_inside_are_told_from_public_ones() {
        let reach = |text: &str, reach| may_reach(text.parse().unwrap(), reach);
        for public in ["8.8.8.8", "100.128.0.1", "172.32.0.1", "198.20.0.1", "2606:4700::1", "::ffff:8.8.8.8"] {
            assert!(reach(public, Reach::Public) && reach(public, Reach::Internal), "{public}");
        }
        for inside in [
            "127.0.0.1",
            "127.9.9.9",
            "10.0.0.1",
            "172.16.0.1",
            "172.31.255.255",
            "192.168.1.1",
            "100.64.0.1",
            "100.127.255.255",
            "::1",
            "fd00::1",
            "fc00::1",
            "::ffff:10.0.0.1",
            "::ffff:127.0.0.1",
        ] {
            assert!(!reach(inside, Reach::Public) && reach(inside, Reach::Internal), "{inside}");
        }
        for never in [
            "0.0.0.0",
            "0.1.2.3",
            "169.254.169.254",
            "224.0.0.1",
            "255.255.255.255",
            "240.0.0.1",
            "192.0.0.8",
            "192.0.2.1",
            "198.18.0.1",
            "203.0.113.9",
            "::",
            "fe80::1",
            "ff02::1",
            "2001::1",
            "2001:db8::1",
            "2002:0a00:0001::1",
            "64:ff9b::a00:1",
            "::ffff:169.254.169.254",
            "::10.0.0.1",
        ] {
            assert!(!reach(never, Reach::Public) && !reach(never, Reach::Internal), "{never}");
        }
    }

    #[tokio::test]
    async fn only_https_without_credentials_is_fetched() {
        let fetcher = Fetcher::new(None, Duration::from_secs(1)).unwrap();
        for url in
            ["http://example.com/", "file:///etc/passwd", "https://user@example.com/", "https://:secret@example.com/"]
        {
            let answer = fetcher.get(&url.parse().unwrap(), Reach::Internal).await;
            assert!(matches!(answer, Err(FetchError::Url)), "{url}: {answer:?}");
        }
        for url in [
            "https://127.0.0.1/",
            "https://localhost/",
            "https://[::1]/",
            "https://2130706433/",
            "https://169.254.169.254/",
        ] {
            let answer = fetcher.get(&url.parse().unwrap(), Reach::Public).await;
            assert!(matches!(answer, Err(FetchError::Address)), "{url}: {answer:?}");
        }
    }

    #[tokio::test]
    async fn a_silent_server_is_not_waited_for() {
        let silent = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("https://127.0.0.1:{}/", silent.local_addr().unwrap().port());
        let fetcher = Fetcher::new(None, Duration::from_millis(50)).unwrap();
        let answer = fetcher.get(&url.parse().unwrap(), Reach::Internal).await;
        assert!(matches!(answer, Err(FetchError::TimedOut)), "{answer:?}");
    }

    #[test]
    fn a_maximum_age_is_read() {
        assert_eq!(max_age("public, max-age=19503, must-revalidate"), Some(Duration::from_secs(19_503)));
        assert_eq!(max_age("no-store"), None);
        assert_eq!(max_age("max-age=x"), None);
    }

    #[test]
    fn roots_that_are_none_are_refused() {
        assert!(Fetcher::new(Some(b"not a certificate"), Duration::from_secs(1)).is_err());
    }
}
