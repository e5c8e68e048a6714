//! The address of the mail server, as an operator writes it.
//!
//! | address | meaning |
//! |---|---|
//! | `smtps://user:password@host` | TLS from the first byte, port 465 (RFC 8314) |
//! | `smtp://user:password@host` | STARTTLS required, port 587 |
//! | `smtp://host` | STARTTLS when the server offers it, port 25 |
//! | `smtp://host?tls=required` | STARTTLS required |
//! | `smtp://host?tls=none` | in the clear, even with credentials |
//! | `...&ehlo=name` | the name given in EHLO; default: this host's name |
//! | `...&timeout=seconds` | a limit for each step, instead of RFC 5321's generous ones |
//!
//! Credentials are percent-encoded. On a loopback host they do not ask for TLS. Whenever TLS is used, the certificate has to be valid for the host: an
//! unverified connection would hand the invitation tokens to any server that answers.

use std::{net::IpAddr, time::Duration};

use lettre::transport::smtp::{authentication::Credentials, extension::ClientId};
use percent_encoding::percent_decode_str;
use url::Url;

use crate::outbox::mail::text::one_line;

/// The address of the mail server cannot be used. The message never shows the password.
#[derive(Debug, thiserror::Error)]
#[error("the SMTP address cannot be used: {0}")]
pub(crate) struct SmtpUrlError(pub(crate) String);

/// When TLS begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Tls {
    /// Never.
    None,
    /// By STARTTLS when it is offered.
    Opportunistic,
    /// By STARTTLS, or no mail is sent.
    Required,
    /// With the first byte.
    Implicit,
}

/// How long each step may take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Timeouts {
    /// To connect, greet, and set up TLS and authentication, each.
    pub(crate) connect: Duration,
    /// For the reply to one command (RFC 5321 4.5.3.2 says 2 to 5 minutes).
    pub(crate) command: Duration,
    /// From the first byte of the message to the reply to its final dot: giving up early sends the mail twice (RFC 5321 4.5.3.2.6: 10 minutes).
    pub(crate) message: Duration,
}

impl Default for Timeouts {
    fn default() -> Self {
        Self { connect: Duration::from_secs(20), command: Duration::from_secs(120), message: Duration::from_secs(600) }
    }
}

#[derive(Clone)]
pub(crate) struct SmtpUrl {
    pub(crate) host: String,
    pub(crate) port: u16,
    pub(crate) tls: Tls,
    pub(crate) credentials: Option<Credentials>,
    pub(crate) ehlo: ClientId,
    pub(crate) timeouts: Timeouts,
}

impl SmtpUrl {
    pub(crate) fn parse(text: &str) -> Result<Self, SmtpUrlError> {
        let refused = |reason: &str| SmtpUrlError(reason.to_owned());
        let url = Url::parse(text).map_err(|error| refused(&error.to_string()))?;
        let host = url.host_str().filter(|host| !host.is_empty()).ok_or_else(|| refused("it names no host"))?;
        let host = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host).to_owned();
        let credentials = match (decode(url.username())?, url.password().map(decode).transpose()?) {
            (user, None) if user.is_empty() => None,
            (_, None) => return Err(refused("it has a user but no password")),
            (user, Some(password)) => Some(Credentials::new(user, password)),
        };
        let mut tls = match url.scheme() {
            "smtps" => Tls::Implicit,
            "smtp" if credentials.is_some() && !is_loopback(&host) => Tls::Required,
            "smtp" => Tls::Opportunistic,
            _ => return Err(refused("it has to begin with smtp:// or smtps://")),
        };
        let mut timeouts = Timeouts::default();
        let mut ehlo = default_ehlo();
        for (key, value) in url.query_pairs() {
            match (key.as_ref(), value.as_ref()) {
                ("tls", _) if tls == Tls::Implicit => {
                    return Err(refused("smtps:// takes no tls parameter"));
                }
                ("tls", "required") => tls = Tls::Required,
                ("tls", "none") => tls = Tls::None,
                ("tls", "opportunistic") => tls = Tls::Opportunistic,
                ("tls", _) => return Err(refused("tls has to be required, opportunistic or none")),
                ("ehlo", name) if is_host_name(name) => ehlo = ClientId::Domain(name.to_owned()),
                ("ehlo", _) => return Err(refused("ehlo has to be a host name")),
                ("timeout", seconds) => {
                    let limit =
                        seconds.parse().ok().filter(|seconds| (1..=600).contains(seconds)).map(Duration::from_secs);
                    let limit = limit.ok_or_else(|| refused("timeout has to be 1 to 600 seconds"))?;
                    timeouts = Timeouts { connect: limit, command: limit, message: limit };
                }
                (other, _) => {
                    return Err(refused(&format!("it has an unknown parameter {other:?}")));
                }
            }
        }
        if tls == Tls::Opportunistic && credentials.is_some() && !is_loopback(&host) {
            return Err(refused("credentials need tls=required (or tls=none, to send them in the clear)"));
        }
        let port = url.port().unwrap_or(match (tls, &credentials) {
            (Tls::Implicit, _) => 465,
            (_, Some(_)) => 587,
            (_, None) => 25,
        });
        Ok(Self { host, port, tls, credentials, ehlo, timeouts })
    }
}

impl std::fmt::Debug for SmtpUrl {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { host, port, tls, .. } = self;
        f.debug_struct("SmtpUrl").field("host", host).field("port", port).field("tls", tls).finish_non_exhaustive()
    }
}

fn decode(text: &str) -> Result<String, SmtpUrlError> {
    let refused = || SmtpUrlError("its credentials are not percent-encoded text on one line".into());
    let decoded = percent_decode_str(text).decode_utf8().map_err(|_| refused())?;
    one_line("credentials", &decoded).map_err(|_| refused())?;
    Ok(decoded.into_owned())
}

fn is_loopback(host: &str) -> bool {
    host.eq_ignore_ascii_case("localhost") || host.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback())
}

fn is_host_name(name: &str) -> bool {
    !name.is_empty()
        && name.len() <= 253
        && name.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '[' | ']' | ':'))
}

fn default_ehlo() -> ClientId {
    match ClientId::default() {
        ClientId::Domain(name) if !is_host_name(&name) => ClientId::Ipv4(std::net::Ipv4Addr::LOCALHOST),
        name => name,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<(String, u16, Tls, bool), String> {
        SmtpUrl::parse(text)
            .map(|url| (url.host, url.port, url.tls, url.credentials.is_some()))
            .map_err(|error| error.to_string())
    }

    #[test]
    fn addresses_and_what_they_mean() {
        let cases = [
            ("smtp://mail.example.com", "mail.example.com", 25, Tls::Opportunistic, false),
            ("smtp://u:p@mail.example.com", "mail.example.com", 587, Tls::Required, true),
            ("smtps://u:p@mail.example.com", "mail.example.com", 465, Tls::Implicit, true),
            ("smtp://u:p@127.0.0.1:2525", "127.0.0.1", 2525, Tls::Opportunistic, true),
            ("smtp://[::1]:2525", "::1", 2525, Tls::Opportunistic, false),
            ("smtp://u:p@mail.example.com?tls=none", "mail.example.com", 587, Tls::None, true),
            (
                "smtp://mail.example.com?tls=required&timeout=5&ehlo=a.example",
                "mail.example.com",
                25,
                Tls::Required,
                false,
            ),
        ];
        for (text, host, port, tls, credentials) in cases {
            assert_eq!(parse(text), Ok((host.to_owned(), port, tls, credentials)), "{text}");
        }
        let url = SmtpUrl::parse("smtp://h?timeout=5&ehlo=a.example");
        assert!(
            url.is_ok_and(|url| url.timeouts.message == Duration::from_secs(5)
                && url.ehlo == ClientId::Domain("a.example".into()))
        );
    }

    #[test]
    fn credentials_are_decoded_and_never_shown() {
        let url = SmtpUrl::parse("smtps://ada%40example.com:a%2Bb+%26%3D%C3%BC@h");
        assert_eq!(
            url.as_ref().ok().and_then(|url| url.credentials.clone()),
            Some(Credentials::new("ada@example.com".into(), "a+b+&=ü".into()))
        );
        assert!(!format!("{url:?}").contains("a+b"));
        // U+FFFD stands for broken text where a decoder puts it; who writes it means it.
        assert!(SmtpUrl::parse("smtps://u:%EF%BF%BD@h").is_ok());
        for bad in [
            "smtps://u:p%0d%0ax@h",
            "smtps://u:p%ff@h",
            "smtps://hunter2@h",
            "smtp://u:hunter2@h?tls=opportunistic",
            "smtp://u:hunter2@h?x=1",
        ] {
            let said = parse(bad).err().unwrap_or_default();
            assert!(!said.is_empty() && !said.contains("hunter2"), "{bad}: {said}");
        }
    }

    #[test]
    fn wrong_addresses_are_refused() {
        for bad in [
            "mail.example.com",
            "http://mail.example.com",
            "smtp://",
            "smtp://h?tls=maybe",
            "smtps://h?tls=none",
            "smtp://h?timeout=0",
            "smtp://h?ehlo=a%0d%0ab",
            "",
        ] {
            assert!(parse(bad).is_err(), "{bad}");
        }
    }
}
