//! A line between a server and PostgreSQL that can be cut at the worst moment, at COMMIT, and that can hang.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

/// What a client sends at the beginning and at the end of a transaction: simple queries.
const BEGIN: &[u8] = b"BEGIN";
const COMMIT: &[u8] = b"COMMIT\0";

/// When a line is cut.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Cut {
    /// The COMMIT never arrives.
    Before,
    /// The COMMIT arrives and is done, and its answer does not.
    After,
}

/// The next cut, and a text by which the transaction is known that it is for: a server has others under way.
type Next = Arc<Mutex<Option<(Cut, String)>>>;

/// Where a server finds its database, with the lines cut as a test says.
pub(crate) struct Proxy {
    address: SocketAddr,
    next: Next,
    hangs: watch::Sender<bool>,
}

impl Proxy {
    /// Listens on loopback, and passes everything on to this address.
    pub(crate) async fn before(upstream: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let next = Next::default();
        let cut = next.clone();
        let hangs = watch::Sender::new(false);
        let hanging = hangs.clone();
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                // Whatever ends a line ends it for both sides.
                tokio::spawn(pass_on(client, upstream, cut.clone(), hanging.subscribe()));
            }
        });
        Self { address, next, hangs }
    }

    /// A database's URL by way of here.
    pub(crate) fn url(&self, direct: &str) -> String {
        let (start, rest) = direct.split_once('@').unwrap();
        let (_, database) = rest.split_once('/').unwrap();
        format!("{start}@{}/{database}", self.address)
    }

    /// Cuts the line on which the COMMIT of a transaction is seen that a text was part of.
    pub(crate) fn cut_next(&self, cut: Cut, text: &str) {
        *lock(&self.next) = Some((cut, text.to_owned()));
    }

    /// Lets nothing pass, in either direction, while every connection stays open; or lets it go on.
    pub(crate) fn hang(&self, hangs: bool) {
        self.hangs.send_replace(hangs);
    }

    /// Whether a cut is still to come.
    pub(crate) fn waits(&self) -> bool {
        lock(&self.next).is_some()
    }
}

async fn pass_on(
    mut client: TcpStream,
    upstream: SocketAddr,
    next: Next,
    mut hangs: watch::Receiver<bool>,
) -> std::io::Result<()> {
    let mut pass = async || drop(hangs.wait_for(|hangs| !hangs).await);
    pass().await;
    let mut server = TcpStream::connect(upstream).await?;
    let (mut asked, mut answered) = (vec![0; 64 * 1024], vec![0; 64 * 1024]);
    let mut meant = false;
    loop {
        tokio::select! {
            read = client.read(&mut asked) => {
                let bytes = &asked[..read?];
                if bytes.is_empty() {
                    return Ok(());
                }
                let has = |part: &[u8]| bytes.windows(part.len()).any(|window| window == part);
                meant &= !has(BEGIN);
                meant |= lock(&next).as_ref().is_some_and(|(_, text)| has(text.as_bytes()));
                let now = if meant && has(COMMIT) { lock(&next).take().map(|(cut, _)| cut) } else { None };
                if now == Some(Cut::Before) {
                    return Ok(());
                }
                pass().await;
                server.write_all(bytes).await?;
                if now == Some(Cut::After) {
                    let _ = server.read(&mut answered).await?;
                    return Ok(());
                }
            }
            read = server.read(&mut answered) => {
                let bytes = &answered[..read?];
                if bytes.is_empty() {
                    return Ok(());
                }
                pass().await;
                client.write_all(bytes).await?;
            }
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
