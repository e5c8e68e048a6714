use chrono::DateTime;
use uuid::Uuid;

use super::*;
use crate::outbox::{
    mail::{Sender, templates::Rendered},
    smtp::sink::{AUTHORITY, Act, Script, Sink},
};

fn email_to(recipient: &str) -> Email {
    let words = Rendered { subject: "Hello".into(), text: "one\n.\n..two\n".into(), html: "<p>h</p>".into() };
    Sender::parse("roster@example.com").unwrap().compose(Uuid::nil(), recipient, &words, DateTime::UNIX_EPOCH).unwrap()
}

fn relay(url: &str) -> SmtpRelay {
    SmtpRelay::new(url, Some(AUTHORITY), Clock::manual(DateTime::UNIX_EPOCH)).unwrap()
}

async fn deliver_once(script: Script, rest: &str) -> (Result<Accepted, DeliveryError>, Sink) {
    let sink = Sink::start(vec![script]).await;
    let outcome = relay(&sink.url(rest)).deliver(&email_to("bob@example.org")).await;
    (outcome, sink)
}

#[tokio::test]
async fn a_message_arrives_as_it_was_written() {
    let (outcome, sink) = deliver_once(Script::default(), "").await;
    assert_eq!(outcome, Ok(Accepted { reply: "250 2.0.0 queued as 1".into() }));
    sink.with(|seen| {
        let commands: Vec<&str> =
            seen.commands.iter().map(String::as_str).filter(|line| !line.starts_with("EHLO")).collect();
        assert_eq!(commands, ["MAIL FROM:<roster@example.com>", "RCPT TO:<bob@example.org>", "DATA"]);
        let sent = String::from_utf8(email_to("bob@example.org").bytes).unwrap().replace("\r\n.", "\r\n..");
        assert_eq!(seen.messages, [format!("{sent}\r\n.\r\n")]);
    });
}

#[tokio::test]
async fn ab_03_every_answer_is_judged() {
    let ok = Script::default();
    let say = Act::Say;
    // (what happens, final?, the step that is named)
    let cases = [
        (Script { greeting: say("421 busy"), ..ok }, false, "greeting"),
        (Script { greeting: say("554 no service"), ..ok }, false, "greeting"),
        (Script { greeting: Act::Cut, ..ok }, false, "connecting"),
        (Script { greeting: say("hello"), ..ok }, false, "greeting"),
        (Script { ehlo_refused: Some("550 bad name"), ..ok }, false, "EHLO"),
        (Script { mail: say("421 closing"), ..ok }, false, "MAIL FROM"),
        (Script { mail: say("451 later"), ..ok }, false, "MAIL FROM"),
        (Script { mail: say("530 sign in first"), ..ok }, false, "MAIL FROM"),
        (Script { mail: say("550 not you"), ..ok }, true, "MAIL FROM"),
        (Script { mail: Act::Cut, ..ok }, false, "MAIL FROM"),
        (Script { rcpt: say("450 greylisted"), ..ok }, false, "RCPT TO"),
        (Script { rcpt: say("550-5.1.1 no such\r\n550 5.1.1 user"), ..ok }, true, "RCPT TO"),
        (Script { rcpt: Act::Hang, ..ok }, false, "RCPT TO"),
        (Script { data: say("451 later"), ..ok }, false, "DATA"),
        (Script { data: say("554 no"), ..ok }, true, "DATA"),
        (Script { data: say("250 what?"), ..ok }, false, "DATA"),
        (Script { end: say("452 disk full"), ..ok }, false, "message"),
        (Script { end: say("552 too big"), ..ok }, true, "message"),
        (Script { end: Act::Cut, ..ok }, false, "message"),
        (Script { end: Act::Hang, ..ok }, false, "message"),
        (Script { end: say("nonsense"), ..ok }, false, "message"),
    ];
    for (number, (script, is_final, step)) in cases.into_iter().enumerate() {
        let (outcome, _) = deliver_once(script, "?timeout=1").await;
        let (judged_final, text) = match outcome {
            Err(DeliveryError::Permanent(text)) => (true, text),
            Err(DeliveryError::Transient(text)) => (false, text),
            Ok(accepted) => panic!("case {number} was accepted: {accepted:?}"),
        };
        assert_eq!(judged_final, is_final, "case {number}: {text}");
        assert!(text.contains(step), "case {number}: {text}");
    }
}

#[tokio::test]
async fn ab_03_a_server_that_is_not_there_is_a_passing_trouble() {
    let free = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    for url in [format!("smtp://{free}"), "smtp://no-such-host.invalid?timeout=5".to_owned()] {
        let outcome = relay(&url).deliver(&email_to("bob@example.org")).await;
        assert!(matches!(outcome, Err(DeliveryError::Transient(_))), "{outcome:?}");
    }
}

#[tokio::test]
async fn connections_are_kept_and_a_stale_one_is_replaced_at_once() {
    let sink = Sink::start(vec![Script::default()]).await;
    let kept = relay(&sink.url(""));
    for _ in 0..3 {
        kept.deliver(&email_to("bob@example.org")).await.unwrap();
    }
    sink.with(|seen| assert_eq!((seen.connections, seen.messages.len()), (1, 3)));

    let sink = Sink::start(vec![Script { closes_when_idle: true, ..Script::default() }]).await;
    let dropped = relay(&sink.url(""));
    for _ in 0..3 {
        dropped.deliver(&email_to("bob@example.org")).await.unwrap();
    }
    sink.with(|seen| assert_eq!((seen.connections, seen.messages.len()), (3, 3)));

    let timeouts = Script { mail: Act::Say("421 you were idle"), ..Script::default() };
    let sink = Sink::start(vec![timeouts]).await;
    let outcome = relay(&sink.url("")).deliver(&email_to("bob@example.org")).await;
    assert!(
        matches!(outcome, Err(DeliveryError::Transient(_))),
        "421 on a fresh connection is no reason to try again at once"
    );
    sink.with(|seen| assert_eq!(seen.connections, 1));
}

#[tokio::test]
async fn idle_and_much_used_connections_are_closed() {
    let sink = Sink::start(vec![Script::default()]).await;
    let clock = Clock::manual(DateTime::UNIX_EPOCH);
    let relay = SmtpRelay::new(&sink.url(""), None, clock.clone()).unwrap();
    relay.deliver(&email_to("bob@example.org")).await.unwrap();
    relay.close_idle().await;
    sink.with(|seen| assert!(!seen.commands.contains(&"QUIT".into())));
    clock.advance(MAX_IDLE);
    relay.close_idle().await;
    sink.with(|seen| assert!(seen.commands.contains(&"QUIT".into())));
    for _ in 0..=MAX_MESSAGES {
        relay.deliver(&email_to("bob@example.org")).await.unwrap();
    }
    sink.with(|seen| assert_eq!(seen.connections, 3));
}

#[tokio::test]
async fn starttls_is_used_when_it_is_offered_and_the_certificate_is_verified() {
    let starttls = Script { starttls: true, extensions: &["AUTH PLAIN"], ..Script::default() };
    let sink = Sink::start(vec![starttls]).await;
    let url = |rest: &str| format!("smtp://{rest}localhost:{}?tls=required", sink.address.port());
    relay(&url("ada:pw@")).deliver(&email_to("bob@example.org")).await.unwrap();
    sink.with(|seen| {
        assert_eq!(
            seen.secret_commands.len(),
            seen.commands.len() - 2,
            "EHLO and STARTTLS alone are in the clear: {:?}",
            seen.commands
        );
        assert!(seen.secret_commands.iter().any(|line| line.starts_with("AUTH PLAIN")));
        assert!(
            seen.secret_commands.iter().any(|line| line.starts_with("EHLO")),
            "what was said in the clear is not believed"
        );
        assert_eq!(seen.messages.len(), 1);
    });

    for (url, roots) in [(url(""), None), (sink.url("?tls=required"), Some(AUTHORITY))] {
        let outcome = SmtpRelay::new(&url, roots, Clock::system()).unwrap().deliver(&email_to("bob@example.org")).await;
        let reason = outcome.unwrap_err().to_string();
        assert!(reason.contains("certificate"), "unknown authority, or another name: {reason}");
    }
    sink.with(|seen| assert_eq!(seen.messages.len(), 1));
}

#[tokio::test]
async fn what_is_slipped_in_behind_starttls_is_not_believed() {
    let script = Script {
        starttls: true,
        injected: "250-evil\r\n250 AUTH PLAIN\r\n250 ok\r\n250 ok\r\n354 ok\r\n250 ok\r\n",
        ..Script::default()
    };
    let sink = Sink::start(vec![script]).await;
    let outcome = relay(&format!("smtp://localhost:{}?timeout=2", sink.address.port()))
        .deliver(&email_to("bob@example.org"))
        .await;
    assert!(matches!(outcome, Err(DeliveryError::Transient(_))), "{outcome:?}");
    sink.with(|seen| assert!(seen.messages.is_empty() && seen.secret_commands.is_empty()));
}

#[tokio::test]
async fn required_tls_that_is_not_offered_sends_nothing() {
    let (outcome, sink) = deliver_once(Script::default(), "?tls=required").await;
    assert!(
        matches!(&outcome, Err(DeliveryError::Transient(text)) if text.contains("does not offer STARTTLS")),
        "{outcome:?}"
    );
    sink.with(|seen| assert!(seen.messages.is_empty()));
}

#[tokio::test]
async fn tls_from_the_first_byte() {
    let sink = Sink::start(vec![Script { implicit_tls: true, ..Script::default() }]).await;
    let relay = relay(&format!("smtps://localhost:{}", sink.address.port()));
    for _ in 0..2 {
        relay.deliver(&email_to("bob@example.org")).await.unwrap();
    }
    sink.with(|seen| {
        assert_eq!((seen.connections, seen.messages.len(), seen.commands.len() - seen.secret_commands.len()), (1, 2, 0))
    });
}

#[tokio::test]
async fn refused_credentials_are_a_passing_trouble_and_stay_secret() {
    let script = Script { extensions: &["AUTH LOGIN PLAIN"], auth: Act::Say("535 5.7.8 no"), ..Script::default() };
    let sink = Sink::start(vec![script]).await;
    let outcome = relay(&format!("smtp://ada:hunter2@{}", sink.address)).deliver(&email_to("bob@example.org")).await;
    assert!(
        matches!(&outcome, Err(DeliveryError::Transient(text)) if text.contains("535") && !text.contains("hunter2")),
        "{outcome:?}"
    );

    let unoffered = Sink::start(vec![Script::default()]).await;
    let outcome =
        relay(&format!("smtp://ada:hunter2@{}", unoffered.address)).deliver(&email_to("bob@example.org")).await;
    assert!(matches!(outcome, Err(DeliveryError::Transient(_))), "{outcome:?}");
}

#[tokio::test]
async fn international_addresses_need_a_server_that_takes_them() {
    let sink = Sink::start(vec![Script::default()]).await;
    relay(&sink.url("")).deliver(&email_to("jörg@bücher.example")).await.unwrap();
    sink.with(|seen| {
        assert!(
            seen.commands.contains(&"MAIL FROM:<roster@example.com> SMTPUTF8 BODY=8BITMIME".into()),
            "{:?}",
            seen.commands
        );
        assert!(seen.commands.contains(&"RCPT TO:<jörg@bücher.example>".into()));
    });
    let old = Sink::start(vec![Script { extensions: &[], ..Script::default() }]).await;
    let outcome = relay(&old.url("")).deliver(&email_to("jörg@bücher.example")).await;
    assert!(matches!(&outcome, Err(DeliveryError::Permanent(text)) if text.contains("SMTPUTF8")), "{outcome:?}");
    relay(&old.url("")).deliver(&email_to("Bob@bücher.example")).await.unwrap();
}

#[tokio::test]
async fn a_message_takes_no_delayed_acknowledgement() {
    let sink = Sink::start(vec![Script::default()]).await;
    let relay = relay(&sink.url(""));
    let watch = crate::platform::Stopwatch::start();
    for _ in 0..50 {
        relay.deliver(&email_to("bob@example.org")).await.unwrap();
    }
    let took = watch.elapsed();
    assert!(took < Duration::from_millis(1000), "50 mails took {took:?}; with Nagle's algorithm it is 2 s");
}
