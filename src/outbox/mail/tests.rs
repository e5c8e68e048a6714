use mail_parser::{HeaderValue as Parsed, MessageParser};

use super::*;

fn words() -> Rendered {
    Rendered {
        subject: "Zoë invited you to join Müller & Söhne 会社".into(),
        text: "Hi,\n\nopen https://app.example.com/?token=abc=def\n.\n..dots\n".into(),
        html: "<p>Grüße</p>\n<a href=\"https://app.example.com/?token=abc\">x</a>\n".into(),
    }
}

fn sender() -> Sender {
    match Sender::parse("Röster Team <roster@mail.example.com>") {
        Ok(sender) => sender,
        Err(error) => unreachable!("{error}"),
    }
}

fn compose(to: &str, words: &Rendered) -> Result<String, String> {
    let date = DateTime::from_timestamp(1_795_000_000, 0).unwrap_or_default();
    let id = Uuid::from_u128(0x0193_0000_0000_7000_8000_0000_0000_0001);
    let email = sender().compose(id, to, words, date).map_err(|error| error.to_string())?;
    String::from_utf8(email.bytes().to_vec()).map_err(|error| error.to_string())
}

#[test]
fn the_whole_message() {
    insta::assert_snapshot!(
        "whole_message",
        compose("Bob.O+x@Example.org", &words()).unwrap_or_else(|error| error).replace("\r\n", "\n")
    );
}

#[test]
fn another_program_reads_what_was_meant() {
    let raw = compose("bob@example.org", &words()).unwrap_or_default();
    let parsed = MessageParser::default().parse(&raw);
    assert!(parsed.is_some(), "{raw}");
    if let Some(mail) = parsed {
        assert_eq!(mail.subject(), Some(words().subject.as_str()));
        assert_eq!(mail.message_id(), Some("01930000-0000-7000-8000-000000000001@mail.example.com"));
        assert_eq!(mail.body_text(0).as_deref().map(|text| text.replace("\r\n", "\n")), Some(words().text));
        assert_eq!(mail.body_html(0).as_deref().map(|text| text.replace("\r\n", "\n")), Some(words().html));
        assert_eq!(mail.from().and_then(|from| from.first()).and_then(|from| from.name()), Some("Röster Team"));
        assert!(matches!(mail.header("Auto-Submitted"), Some(Parsed::Text(value)) if value == "auto-generated"));
    }
    assert!(raw.is_ascii(), "an ordinary mail needs neither 8BITMIME nor SMTPUTF8");
}

#[test]
fn ab_26_no_text_adds_a_header() {
    for bad in ["a\r\nBcc: x@y.example", "a\nBcc: x@y.example", "a\rBcc: x@y.example", "a\0b", "a\u{85}b", "a\u{2028}b"]
    {
        let mut words = words();
        words.subject = bad.into();
        assert!(compose("bob@example.org", &words).is_err(), "{bad:?} in the subject");
    }
    for bad in [
        "bob@example.org\r\nDATA",
        "bob@example.org\n",
        "\"a\r\nb\"@example.org",
        "bob@exam\0ple.org",
        "bob",
        "",
        "@example.org",
        "bob@example.org>",
        "<bob@example.org>",
        "bob@example.org x",
        "bob@example.org,eve@example.org",
        "a b@example.org",
    ] {
        assert!(compose(bad, &words()).is_err(), "{bad:?} as the recipient");
    }
    for bad in [
        "Roster <r@example.com>\r\nBcc: x@y.example",
        "Roster",
        "",
        "Rö <rö@example.com>",
        "a@example.com, b@example.com",
    ] {
        assert!(Sender::parse(bad).is_err(), "{bad:?} as the sender");
    }
}

#[test]
fn ab_26_a_body_cannot_end_the_message() {
    for ending in ["\n.\n", "\r.\r", "\r\n.\r\n", "\n.\r\n", "\r\n.\n", "\r.\r\n", "\r\r\n.\r\r\n"] {
        let mut words = words();
        words.text = format!("Hello{ending}MAIL FROM:<evil@example.com>{ending}");
        words.html = words.text.clone();
        let raw = compose("bob@example.org", &words).unwrap_or_default();
        assert!(!raw.is_empty());
        assert!(!raw.replace("\r\n", "").contains(['\r', '\n']), "{ending:?} leaves a lone line ending");
    }
}

#[test]
fn the_last_check_sees_lone_endings_and_long_lines() {
    for bad in ["a\nb\r\n", "a\rb\r\n", "a\r\n\n", "\r", "a\r\r\n", "x\n.\n"] {
        assert!(check_lines(bad.as_bytes()).is_err(), "{bad:?}");
    }
    assert!(check_lines(b"a\r\n\r\n.\r\nb").is_ok());
    assert!(check_lines(&[b'x'; 999]).is_err());
    let mut words = words();
    words.subject = "x".repeat(5000);
    assert!(compose("bob@example.org", &words).is_ok(), "a long subject is cut, not refused");
}

#[test]
fn international_addresses_take_the_form_that_asks_least_of_the_server() {
    let to = |address: &str| {
        let email = sender().compose(Uuid::nil(), address, &words(), DateTime::UNIX_EPOCH);
        email
            .map(|email| email.envelope.to().iter().map(ToString::to_string).collect::<Vec<_>>().join(","))
            .map_err(|error| error.to_string())
    };
    assert_eq!(to("Bob@Bücher.example"), Ok("Bob@xn--bcher-kva.example".into()));
    assert_eq!(to("Bob@Example.COM"), Ok("Bob@Example.COM".into()), "as typed (ab_27)");
    assert_eq!(to("jörg@bücher.example"), Ok("jörg@bücher.example".into()));
    assert!(
        compose("Bob@Bücher.example", &words())
            .is_ok_and(|raw| raw.is_ascii() && raw.contains("To: Bob@xn--bcher-kva.example\r\n"))
    );
    assert!(compose("jörg@bücher.example", &words()).is_ok_and(|raw| raw.contains("To: jörg@bücher.example\r\n")));
}
