//! A mail server for tests that does at each step what it is told, over TLS too.
//!
//! It judges nothing, so that it can lie: the server of the wire tests (`tests/wire/support/mailbox.rs`) is a strict one that objects to what the standards
//! forbid. One server with both manners would be longer than the two.

use std::{
    net::SocketAddr,
    sync::{Arc, Mutex},
};

use rustls::{
    ServerConfig,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
};
use tokio::{
    io::{AsyncBufReadExt, AsyncRead, AsyncWrite, AsyncWriteExt, BufReader},
    net::{TcpListener, TcpStream},
};
use tokio_rustls::TlsAcceptor;

/// The authority that signed the sink's certificate, which is valid for `localhost`. Made for these tests, known to everybody.
pub(crate) const AUTHORITY: &[u8] = include_bytes!("testdata/ca.pem");
const CERTIFICATE: &[u8] = include_bytes!("testdata/localhost.pem");
const KEY: &[u8] = include_bytes!("testdata/localhost.key");

/// What the server does at one step.
#[derive(Clone, Copy)]
pub(crate) enum Act {
    Say(&'static str),
    /// Never answers.
    Hang,
    /// Closes the connection.
    Cut,
}

#[derive(Clone, Copy)]
pub(crate) struct Script {
    /// TLS from the first byte.
    pub(crate) implicit_tls: bool,
    pub(crate) starttls: bool,
    /// Sent in the clear right behind the reply to STARTTLS, by somebody on the way.
    pub(crate) injected: &'static str,
    pub(crate) extensions: &'static [&'static str],
    pub(crate) greeting: Act,
    pub(crate) ehlo_refused: Option<&'static str>,
    pub(crate) auth: Act,
    pub(crate) mail: Act,
    pub(crate) rcpt: Act,
    pub(crate) data: Act,
    pub(crate) end: Act,
    /// Closes the connection after each message, as an idle server would.
    pub(crate) closes_when_idle: bool,
}

impl Default for Script {
    fn default() -> Self {
        Self {
            implicit_tls: false,
            starttls: false,
            injected: "",
            extensions: &["8BITMIME", "SMTPUTF8"],
            greeting: Act::Say("220 sink ready"),
            ehlo_refused: None,
            auth: Act::Say("235 2.7.0 welcome"),
            mail: Act::Say("250 2.1.0 ok"),
            rcpt: Act::Say("250 2.1.5 ok"),
            data: Act::Say("354 go ahead"),
            end: Act::Say("250 2.0.0 queued as 1"),
            closes_when_idle: false,
        }
    }
}

/// What the server saw.
#[derive(Default)]
pub(crate) struct ReceivedMail {
    pub(crate) connections: usize,
    pub(crate) commands: Vec<String>,
    /// Commands that came over TLS.
    pub(crate) secret_commands: Vec<String>,
    /// Messages up to their final dot, taken or not.
    pub(crate) messages: Vec<String>,
}

#[derive(Clone)]
pub(crate) struct Sink {
    pub(crate) address: SocketAddr,
    seen: Arc<Mutex<ReceivedMail>>,
}

impl Sink {
    /// Starts a server. The first connection gets the first script, and so on; the last one is for all that follow.
    pub(crate) async fn start(scripts: Vec<Script>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let sink = Self { address: listener.local_addr().unwrap(), seen: Arc::default() };
        let serving = sink.clone();
        tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                stream.set_nodelay(true).unwrap();
                let number = serving.with(|seen| {
                    seen.connections += 1;
                    seen.connections - 1
                });
                let script = scripts[number.min(scripts.len() - 1)];
                let sink = serving.clone();
                // A client may go at any point.
                tokio::spawn(async move { sink.serve(stream, script).await.unwrap_or_default() });
            }
        });
        sink
    }

    pub(crate) fn with<T>(&self, look: impl FnOnce(&mut ReceivedMail) -> T) -> T {
        look(&mut self.seen.lock().unwrap())
    }

    pub(crate) fn url(&self, rest: &str) -> String {
        format!("smtp://{}{rest}", self.address)
    }

    async fn serve(&self, stream: TcpStream, script: Script) -> std::io::Result<()> {
        if script.implicit_tls {
            return self.session(BufReader::new(acceptor().accept(stream).await?), script, true, true).await.map(drop);
        }
        if let Some(plain) = self.session(BufReader::new(stream), script, false, true).await? {
            let encrypted = acceptor().accept(plain.into_inner()).await?;
            self.session(BufReader::new(encrypted), script, true, false).await?;
        }
        Ok(())
    }

    /// One session; gives the stream back when the client asked for STARTTLS.
    async fn session<S: AsyncRead + AsyncWrite + Unpin>(
        &self,
        mut stream: BufReader<S>,
        script: Script,
        encrypted: bool,
        greets: bool,
    ) -> std::io::Result<Option<BufReader<S>>> {
        if greets {
            act(&mut stream, script.greeting).await?;
        }
        let mut line = String::new();
        loop {
            line.clear();
            if stream.read_line(&mut line).await? == 0 {
                return Ok(None);
            }
            let command = line.trim_end().to_owned();
            self.with(|seen| {
                seen.commands.push(command.clone());
                if encrypted {
                    seen.secret_commands.push(command.clone());
                }
            });
            match command.split([' ', ':']).next().unwrap_or_default() {
                "EHLO" => {
                    if let Some(refusal) = script.ehlo_refused {
                        act(&mut stream, Act::Say(refusal)).await?;
                        continue;
                    }
                    let mut reply = String::from("250-sink\r\n");
                    for extension in script.extensions {
                        reply.push_str(&format!("250-{extension}\r\n"));
                    }
                    if script.starttls && !encrypted {
                        reply.push_str("250-STARTTLS\r\n");
                    }
                    reply.push_str("250 HELP\r\n");
                    stream.write_all(reply.as_bytes()).await?;
                }
                "STARTTLS" => {
                    stream.write_all(format!("220 go ahead\r\n{}", script.injected).as_bytes()).await?;
                    return Ok(Some(stream));
                }
                "AUTH" => act(&mut stream, script.auth).await?,
                "MAIL" => act(&mut stream, script.mail).await?,
                "RCPT" => act(&mut stream, script.rcpt).await?,
                "DATA" => {
                    act(&mut stream, script.data).await?;
                    if !matches!(script.data, Act::Say(reply) if reply.starts_with("354")) {
                        continue;
                    }
                    let mut message = String::new();
                    while !message.ends_with("\r\n.\r\n") {
                        if stream.read_line(&mut message).await? == 0 {
                            return Ok(None);
                        }
                    }
                    self.with(|seen| seen.messages.push(message));
                    act(&mut stream, script.end).await?;
                    if script.closes_when_idle {
                        return Ok(None);
                    }
                }
                "QUIT" => {
                    stream.write_all(b"221 bye\r\n").await?;
                    return Ok(None);
                }
                _ => stream.write_all(b"502 unknown\r\n").await?,
            }
        }
    }
}

async fn act<S: AsyncRead + AsyncWrite + Unpin>(stream: &mut BufReader<S>, act: Act) -> std::io::Result<()> {
    match act {
        Act::Say(reply) => stream.write_all(format!("{reply}\r\n").as_bytes()).await,
        Act::Hang => std::future::pending().await,
        Act::Cut => Err(std::io::ErrorKind::ConnectionAborted.into()),
    }
}

fn acceptor() -> TlsAcceptor {
    let config = ServerConfig::builder_with_provider(Arc::new(rustls::crypto::aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(
            vec![CertificateDer::from_pem_slice(CERTIFICATE).unwrap()],
            PrivateKeyDer::from_pem_slice(KEY).unwrap(),
        )
        .unwrap();
    TlsAcceptor::from(Arc::new(config))
}
