//! The connection to the mail server, from TCP to the point where lettre takes over.
//!
//! It is ours and not lettre's for two reasons. lettre writes a message and its final dot in two segments, which costs 40 ms a mail unless the
//! socket has TCP_NODELAY. And lettre's STARTTLS keeps what it had read in the clear, so that somebody on the way could put replies
//! in front of the encrypted ones (the flaw of CVE-2011-0411, on the client's side); here nothing is read past
//! the reply to STARTTLS, and what follows it in the clear breaks the handshake.

use std::{
    fmt::Debug,
    io,
    net::SocketAddr,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use lettre::transport::smtp::client::AsyncTokioStream;
use rustls::{
    ClientConfig, RootCertStore,
    pki_types::{CertificateDer, ServerName, pem::PemObject},
};
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadBuf},
    net::{TcpStream, lookup_host},
    time::timeout,
};
use tokio_rustls::TlsConnector;

use crate::outbox::smtp::url::{SmtpUrl, SmtpUrlError, Tls};

/// A reply to EHLO has a line for each extension; no server has that many.
const MAX_REPLY_BYTES: usize = 16 * 1024;
/// What lettre expects to read first. After STARTTLS a server does not greet again (RFC 3207 4.2).
const GREETING_ALREADY_READ: &[u8] = b"220 greeting already read\r\n";

/// Trusts the public roots and those in `extra_roots` (PEM), for a relay with a certificate of one's own authority.
pub(crate) fn tls_config(extra_roots: Option<&[u8]>) -> Result<Arc<ClientConfig>, SmtpUrlError> {
    let refused =
        |error: &dyn std::fmt::Display| SmtpUrlError(format!("its certificate authorities cannot be used: {error}"));
    let mut roots = RootCertStore { roots: webpki_roots::TLS_SERVER_ROOTS.to_vec() };
    if let Some(pem) = extra_roots {
        let before = roots.len();
        for certificate in CertificateDer::pem_slice_iter(pem) {
            roots.add(certificate.map_err(|error| refused(&error))?).map_err(|error| refused(&error))?;
        }
        if roots.len() == before {
            return Err(refused(&"the file holds no certificate"));
        }
    }
    // Named, so that the process does not need a default provider.
    let config = ClientConfig::builder_with_provider(Arc::new(rustls::crypto::aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(|error| refused(&error))?
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(Arc::new(config))
}

/// Connects as the address asks: TCP, and TLS at once or by STARTTLS.
pub(crate) async fn dial(url: &SmtpUrl, tls: &Arc<ClientConfig>) -> io::Result<Stream> {
    let mut tcp = connect(&url.host, url.port, url.timeouts.connect).await?;
    let peer = tcp.peer_addr()?;
    let limit = url.timeouts.connect;
    match url.tls {
        Tls::None => Ok(Stream { peer, unread: &[], io: Box::new(tcp) }),
        Tls::Implicit => {
            let io = within(limit, "the TLS handshake", handshake(tcp, &url.host, tls)).await?;
            Ok(Stream { peer, unread: &[], io })
        }
        Tls::Opportunistic | Tls::Required => {
            let upgraded = within(limit, "STARTTLS", ask_for_tls(&mut tcp, url)).await?;
            let io: Box<dyn Io> = if upgraded {
                within(limit, "the TLS handshake", handshake(tcp, &url.host, tls)).await?
            } else {
                Box::new(tcp)
            };
            Ok(Stream { peer, unread: GREETING_ALREADY_READ, io })
        }
    }
}

async fn connect(host: &str, port: u16, limit: Duration) -> io::Result<TcpStream> {
    let mut last = io::Error::new(io::ErrorKind::NotFound, "the host name has no address");
    for address in within(limit, "resolving the host name", lookup_host((host, port))).await? {
        match within(limit, "connecting", TcpStream::connect(address)).await {
            Ok(tcp) => {
                tcp.set_nodelay(true)?;
                return Ok(tcp);
            }
            Err(error) => last = error,
        }
    }
    Err(last)
}

async fn handshake(tcp: TcpStream, host: &str, config: &Arc<ClientConfig>) -> io::Result<Box<dyn Io>> {
    let name = ServerName::try_from(host.to_owned()).map_err(io::Error::other)?;
    Ok(Box::new(TlsConnector::from(Arc::clone(config)).connect(name, tcp).await?))
}

/// Reads the greeting, says EHLO and, when the server offers it, STARTTLS. Says whether the server now waits for a handshake.
async fn ask_for_tls(tcp: &mut TcpStream, url: &SmtpUrl) -> io::Result<bool> {
    expect(tcp, "greeting", 220).await?;
    tcp.write_all(format!("EHLO {}\r\n", url.ehlo).as_bytes()).await?;
    let offers = expect(tcp, "EHLO", 250).await?;
    if !offers.iter().any(|line| line.trim().eq_ignore_ascii_case("STARTTLS")) {
        return if url.tls == Tls::Required {
            Err(io::Error::other("the server does not offer STARTTLS"))
        } else {
            Ok(false)
        };
    }
    tcp.write_all(b"STARTTLS\r\n").await?;
    expect(tcp, "STARTTLS", 220).await?;
    Ok(true)
}

/// Reads one reply, byte by byte so as not to read past it, and gives back its lines without their code.
async fn expect(tcp: &mut TcpStream, step: &str, code: u16) -> io::Result<Vec<String>> {
    let mut lines = Vec::new();
    let mut line = Vec::new();
    for _ in 0..MAX_REPLY_BYTES {
        let byte = tcp.read_u8().await?;
        if byte != b'\n' {
            line.push(byte);
            continue;
        }
        let text = String::from_utf8_lossy(&line).trim_end().to_owned();
        line.clear();
        let (number, rest) =
            text.split_at_checked(3).ok_or_else(|| io::Error::other(format!("{step}: the reply has no code")))?;
        if number.parse() != Ok(code) {
            return Err(io::Error::other(format!("{step}: {text}")));
        }
        let last = !rest.starts_with('-');
        lines.push(rest.get(1..).unwrap_or_default().to_owned());
        if last {
            return Ok(lines);
        }
    }
    Err(io::Error::other(format!("{step}: the reply is too long")))
}

/// Gives a step its time.
pub(crate) async fn within<T, E: Into<io::Error>>(
    limit: Duration,
    step: &str,
    work: impl Future<Output = Result<T, E>>,
) -> io::Result<T> {
    match timeout(limit, work).await {
        Ok(result) => result.map_err(Into::into),
        Err(_) => {
            Err(io::Error::new(io::ErrorKind::TimedOut, format!("{step} took longer than {} s", limit.as_secs())))
        }
    }
}

trait Io: AsyncRead + AsyncWrite + Send + Sync + Unpin + Debug {}
impl<T: AsyncRead + AsyncWrite + Send + Sync + Unpin + Debug> Io for T {}

/// The connection as lettre gets it: plain or encrypted, with something to read before what the server sends.
#[derive(Debug)]
pub(crate) struct Stream {
    peer: SocketAddr,
    unread: &'static [u8],
    io: Box<dyn Io>,
}

impl AsyncTokioStream for Stream {
    fn peer_addr(&self) -> io::Result<SocketAddr> {
        Ok(self.peer)
    }
}

impl AsyncRead for Stream {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let (now, later) = self.unread.split_at(self.unread.len().min(buffer.remaining()));
        if now.is_empty() {
            return Pin::new(&mut self.io).poll_read(cx, buffer);
        }
        buffer.put_slice(now);
        self.unread = later;
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Stream {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.io).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(cx)
    }
}
