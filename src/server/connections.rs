//! The connections of the gRPC listener: each is taken, speaks TLS where that is asked for, and says that it speaks HTTP/2, all in a time that it has; then tonic gets it.
//!
//! tonic takes a connection first and waits then, for ever: neither its keep-alive nor its age looks at a connection that has not said anything yet (ab_46).

use std::{
    convert::Infallible,
    io,
    net::IpAddr,
    pin::Pin,
    sync::atomic::{AtomicU64, Ordering},
    task::{Context, Poll},
    time::Duration,
};

use futures_util::{Stream, StreamExt, stream};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, ReadBuf};
use tokio::{net::TcpStream, time::error::Elapsed};
use tokio_rustls::TlsAcceptor;
use tonic::transport::server::Connected;

use crate::{
    grpc::Peer,
    platform::limited_listener::{ConnectionPermit, LimitedListener},
};

/// What every connection of HTTP/2 begins with (RFC 9113, 3.4).
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// How connections begin.
#[derive(Clone)]
pub(super) struct Opening {
    /// Unset: plain text.
    pub(super) tls: Option<TlsAcceptor>,
    /// How long a connection has.
    pub(super) limit: Duration,
    /// Connections that may be at it at a time.
    pub(super) most: usize,
}

/// The connections that have said what they speak, for tonic.
pub(super) fn incoming(
    listener: LimitedListener,
    opening: Opening,
) -> impl Stream<Item = Result<Connection, Infallible>> {
    let (silent, most) = (listener.silent(), opening.most);
    stream::unfold(listener, async |listener| Some((listener.accept().await, listener)))
        // On tasks of their own, so that handshakes use all processors and the next connection is taken meanwhile.
        .map(move |(stream, address, place)| tokio::spawn(open(stream, address.ip(), place, opening.clone())))
        .buffer_unordered(most)
        .filter_map(move |opened| {
            let opened = match opened {
                Ok(Ok(connection)) => connection.map(Ok),
                Ok(Err(_)) => {
                    silent();
                    None
                }
                Err(_) => None,
            };
            std::future::ready(opened)
        })
}

/// A connection that has said what it speaks; `None` where it ended before that.
///
/// # Errors
/// It did not say so in time.
async fn open(
    stream: TcpStream,
    address: IpAddr,
    place: ConnectionPermit,
    opening: Opening,
) -> Result<Option<Connection>, Elapsed> {
    let opened = async {
        let io: Box<dyn Io> = match &opening.tls {
            Some(tls) => Box::new(tls.accept(stream).await?),
            None => Box::new(stream),
        };
        Connection::begin(io, address, place).await
    };
    let opened = tokio::time::timeout(opening.limit, opened).await?;
    Ok(opened.inspect_err(|error| tracing::debug!(%error, "a connection ended before it began")).ok())
}

trait Io: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Io for T {}

/// A connection, with the place that it has.
pub(super) struct Connection {
    /// What was read of it already and tonic has not seen.
    read: Vec<u8>,
    io: Box<dyn Io>,
    peer: Peer,
    _place: ConnectionPermit,
}

impl Connection {
    /// Reads the preface, or what comes in its place: a connection of HTTP/1 is looked after by hyper from its first bytes on.
    async fn begin(mut io: Box<dyn Io>, address: IpAddr, place: ConnectionPermit) -> io::Result<Self> {
        static NEXT: AtomicU64 = AtomicU64::new(1);

        let mut read = Vec::with_capacity(PREFACE.len());
        while read.len() < PREFACE.len() && PREFACE.starts_with(&read) {
            let missing = PREFACE.len() - read.len();
            if (&mut io).take(missing as u64).read_buf(&mut read).await? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
        }
        Ok(Self {
            read,
            io,
            peer: Peer { number: NEXT.fetch_add(1, Ordering::Relaxed), address: Some(address) },
            _place: place,
        })
    }
}

impl Connected for Connection {
    type ConnectInfo = Peer;

    fn connect_info(&self) -> Peer {
        self.peer
    }
}

impl AsyncRead for Connection {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.read.is_empty() {
            return Pin::new(&mut self.io).poll_read(context, buffer);
        }
        let fits = self.read.len().min(buffer.remaining());
        let rest = self.read.split_off(fits);
        buffer.put_slice(&self.read);
        self.read = rest;
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Connection {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.io).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(context)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        parts: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.io).poll_write_vectored(context, parts)
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }
}
