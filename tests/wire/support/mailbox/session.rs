//! One SMTP conversation.

use std::io;
use std::sync::Arc;

use super::{Fault, Mail, Shared, Stage};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};

#[derive(Default)]
pub(super) struct Envelope {
    pub(super) sender: Option<String>,
    pub(super) recipients: Vec<String>,
    /// The client has announced 8-bit content, and addresses or headers in UTF-8.
    eight_bit: bool,
    utf8: bool,
}

/// One SMTP connection.
pub(super) struct Session {
    input: BufReader<OwnedReadHalf>,
    output: OwnedWriteHalf,
    shared: Arc<Shared>,
    greeted: bool,
    envelope: Envelope,
}

/// Why a session ends before QUIT.
struct Over;

impl From<io::Error> for Over {
    fn from(_: io::Error) -> Self {
        Self
    }
}

impl Session {
    pub(super) fn new(stream: TcpStream, shared: Arc<Shared>) -> Self {
        let (input, output) = stream.into_split();
        Self { input: BufReader::new(input), output, shared, greeted: false, envelope: Envelope::default() }
    }

    pub(super) async fn run(mut self) {
        // However it ends, the connection closes with it.
        let _ = self.converse().await;
    }

    async fn converse(&mut self) -> Result<(), Over> {
        self.maybe_hang(Stage::Greeting).await?;
        if self.shared.has(&Fault::Unavailable) {
            return self.answer("421 4.3.2 closing for a while").await;
        }
        self.answer("220 mailbox.test ESMTP").await?;
        loop {
            let line = self.read_line().await?;
            let line = String::from_utf8_lossy(&line).into_owned();
            let (verb, rest) = line.split_once(' ').unwrap_or((&line, ""));
            match verb.to_ascii_uppercase().as_str() {
                "EHLO" | "HELO" => {
                    self.greeted = true;
                    self.envelope = Envelope::default();
                    self.answer("250-mailbox.test\r\n250-8BITMIME\r\n250-ENHANCEDSTATUSCODES\r\n250 SMTPUTF8").await?;
                }
                "MAIL" => self.mail(rest).await?,
                "RCPT" => self.rcpt(rest).await?,
                "DATA" => self.data().await?,
                "RSET" => {
                    self.envelope = Envelope::default();
                    self.answer("250 2.0.0 forgotten").await?;
                }
                "NOOP" => self.answer("250 2.0.0 done").await?,
                "QUIT" => return self.answer("221 2.0.0 bye").await,
                _ => self.answer("502 5.5.1 unknown command").await?,
            }
        }
    }

    async fn mail(&mut self, rest: &str) -> Result<(), Over> {
        if !self.greeted || self.envelope.sender.is_some() {
            return self.out_of_order("MAIL").await;
        }
        let Some((address, parameters)) = path(rest, "FROM:") else {
            return self.answer("501 5.5.4 MAIL FROM:<address>").await;
        };
        for parameter in parameters.split_ascii_whitespace() {
            match parameter.to_ascii_uppercase().as_str() {
                "SMTPUTF8" => self.envelope.utf8 = true,
                "BODY=8BITMIME" => self.envelope.eight_bit = true,
                "BODY=7BIT" => {}
                _ => return self.answer("555 5.5.4 unknown parameter").await,
            }
        }
        self.check_address(&address);
        self.envelope.sender = Some(address);
        self.answer("250 2.1.0 sender ok").await
    }

    async fn rcpt(&mut self, rest: &str) -> Result<(), Over> {
        if self.envelope.sender.is_none() {
            return self.out_of_order("RCPT").await;
        }
        let Some((address, _)) = path(rest, "TO:") else {
            return self.answer("501 5.5.4 RCPT TO:<address>").await;
        };
        self.check_address(&address);
        self.shared.state().recipients.push(address.clone());
        self.maybe_hang(Stage::Recipient).await?;
        if self.shared.has(&Fault::Greylist(address.clone())) {
            return self.answer("450 4.2.0 greylisted, come again later").await;
        }
        if self.shared.has(&Fault::Reject(address.clone())) {
            return self.answer("550 5.1.1 no such mailbox").await;
        }
        self.envelope.recipients.push(address);
        self.answer("250 2.1.5 recipient ok").await
    }

    async fn data(&mut self) -> Result<(), Over> {
        if self.envelope.recipients.is_empty() {
            return self.out_of_order("DATA").await;
        }
        self.answer("354 end with a dot").await?;
        let mut raw = Vec::new();
        loop {
            let line = self.read_line().await?;
            if line == b"." {
                break;
            }
            raw.extend_from_slice(line.strip_prefix(b".").unwrap_or(&line));
            raw.extend_from_slice(b"\r\n");
        }
        let envelope = std::mem::take(&mut self.envelope);
        if !raw.is_ascii() && !envelope.eight_bit {
            self.complain("8-bit content without BODY=8BITMIME");
        }
        let head_end = raw.windows(4).position(|window| window == b"\r\n\r\n").unwrap_or(raw.len());
        if !raw[..head_end].is_ascii() && !envelope.utf8 {
            self.complain("a header in UTF-8 without SMTPUTF8");
        }
        self.maybe_hang(Stage::FinalDot).await?;
        if self.shared.has(&Fault::RejectContent) {
            return self.answer("550 5.7.1 refused for its content").await;
        }
        self.keep(Mail::parse(envelope, raw));
        if self.shared.has(&Fault::CutAfterDot) {
            return Err(Over);
        }
        self.answer("250 2.0.0 kept").await
    }

    fn keep(&self, mail: Mail) {
        self.shared.state().mails.push(mail);
        self.shared.arrived.send_modify(|count| *count += 1);
    }

    /// One line without its CRLF. A bare CR or LF in it is how one message pretends to be two.
    async fn read_line(&mut self) -> Result<Vec<u8>, Over> {
        let mut line = Vec::new();
        if self.input.read_until(b'\n', &mut line).await? == 0 {
            return Err(Over);
        }
        if !line.ends_with(b"\n") {
            // The client was killed in the middle of a line.
            return Err(Over);
        }
        match line.strip_suffix(b"\r\n") {
            Some(inner) if !inner.contains(&b'\r') => Ok(inner.to_vec()),
            _ => {
                self.complain("a bare CR or LF");
                Ok(line.trim_ascii_end().to_vec())
            }
        }
    }

    async fn answer(&mut self, text: &str) -> Result<(), Over> {
        let slow = |fault: &Fault| {
            if let Fault::Slow(pause) = fault { Some(*pause) } else { None }
        };
        if let Some(pause) = self.shared.fault(slow) {
            tokio::time::sleep(pause).await;
        }
        self.output.write_all(format!("{text}\r\n").as_bytes()).await?;
        Ok(())
    }

    async fn out_of_order(&mut self, command: &str) -> Result<(), Over> {
        self.complain(&format!("{command} out of order"));
        self.answer("503 5.5.1 bad sequence of commands").await
    }

    /// Says nothing more, until the client loses its patience.
    async fn maybe_hang(&mut self, stage: Stage) -> Result<(), Over> {
        if !self.shared.has(&Fault::Hang(stage)) {
            return Ok(());
        }
        let mut ignored = Vec::new();
        while self.input.read_until(b'\n', &mut ignored).await? > 0 {
            ignored.clear();
        }
        Err(Over)
    }

    fn check_address(&self, address: &str) {
        if !address.is_ascii() && !self.envelope.utf8 {
            self.complain("an address in UTF-8 without SMTPUTF8");
        }
    }

    fn complain(&self, what: &str) {
        self.shared.state().complaints.push(what.to_owned());
    }
}

/// `FROM:<a@example.com> SMTPUTF8` is `a@example.com` and `SMTPUTF8`.
fn path(text: &str, keyword: &str) -> Option<(String, String)> {
    let (word, rest) = text.split_at_checked(keyword.len())?;
    let rest = rest.trim_start().strip_prefix('<').filter(|_| word.eq_ignore_ascii_case(keyword))?;
    let (address, parameters) = rest.rsplit_once('>')?;
    Some((address.to_owned(), parameters.to_owned()))
}
