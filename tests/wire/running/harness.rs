//! The harness itself, where a fault of it would make other tests pass that should not.

use std::time::Duration;

use lettre::message::MultiPart;
use lettre::{AsyncSmtpTransport, AsyncTransport, Message, Tokio1Executor};
use roster_test_macros::wire_test;
use sea_orm::ConnectionTrait;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::support::mailbox::{Fault, Mailbox, Stage};
use crate::support::pb::create_organization_request::Owner;
use crate::support::pb::{CreateOrganizationRequest, Founder, ListOrganizationsRequest};
use crate::support::postgres::{self, Cluster, Durability};
use crate::support::runner::{Database, WireTest};
use crate::support::schedule;
use crate::support::world::World;

const ADA: &str = "ada@example.com";

async fn send(mailbox: &Mailbox, to: &str, text: &str) -> Result<(), lettre::transport::smtp::Error> {
    let mail = Message::builder()
        .from("roster@example.com".parse().unwrap())
        .to(to.parse().unwrap())
        .subject("Zoë")
        .multipart(MultiPart::alternative_plain_html(text.to_owned(), format!("<p>{text}</p>")))
        .unwrap();
    let transport = AsyncSmtpTransport::<Tokio1Executor>::builder_dangerous(mailbox.address().ip().to_string())
        .port(mailbox.address().port())
        .build();
    transport.send(mail).await.map(drop)
}

/// Makes an organization whose founder gets an invitation by mail.
async fn invite_a_founder(world: &World, email: &str) {
    let request = CreateOrganizationRequest {
        display_name: "Analytical Engines".to_owned(),
        owner: Some(Owner::Founder(Founder { email: email.to_owned(), ..Founder::default() })),
        ..CreateOrganizationRequest::default()
    };
    world.organizations().create_organization(world.as_operator(request)).await.unwrap();
}

/// Mail arrives decoded, with its envelope.
#[wire_test(once)]
async fn the_mailbox_keeps_what_it_is_sent() {
    let mailbox = Mailbox::start().await.unwrap();
    send(&mailbox, ADA, "Hello Zoë\n.a line with a dot\nhttps://app.example.com/i/rin_abc-_9.\n").await.unwrap();
    send(&mailbox, "eve@example.com", "x").await.unwrap();
    let [mail]: [_; 1] = mailbox.wait_for(ADA, 1).await.try_into().unwrap();
    assert_eq!((mail.sender.as_str(), mail.recipients.as_slice()), ("roster@example.com", &[ADA.to_owned()][..]));
    assert_eq!(mail.subject, "Zoë");
    assert!(mail.header("subject").is_some_and(|raw| raw.starts_with("=?utf-8?")));
    assert!(mail.text.contains("\n.a line") || mail.text.contains("\r\n.a line"), "{:?}", mail.text);
    assert!(mail.html.starts_with("<p>Hello Zoë"));
    assert_eq!(mail.invitation_token(), "rin_abc-_9");
    assert_eq!(mailbox.complaints(), Vec::<String>::new());
}

/// Each fault is the fault that it is named after, as often as was asked for.
#[wire_test(once)]
async fn the_mailbox_fails_as_it_is_told() {
    let mailbox = Mailbox::start().await.unwrap();
    for (fault, permanent) in [
        (Fault::Unavailable, false),
        (Fault::Greylist(ADA.to_owned()), false),
        (Fault::Reject(ADA.to_owned()), true),
        (Fault::RejectContent, true),
    ] {
        mailbox.inject_times(fault.clone(), 1);
        let error = send(&mailbox, ADA, "x").await.unwrap_err();
        assert_eq!((error.is_permanent(), error.is_transient()), (permanent, !permanent), "{fault:?}: {error}");
    }
    mailbox.inject(Fault::Reject("eve@example.com".to_owned()));
    send(&mailbox, ADA, "x").await.unwrap();
    assert_eq!(mailbox.mails_for(ADA).len(), 1);
    assert_eq!(mailbox.attempts(ADA), 4);

    mailbox.inject_times(Fault::CutAfterDot, 1);
    send(&mailbox, ADA, "x").await.unwrap_err();
    assert_eq!(mailbox.mails_for(ADA).len(), 2, "a cut loses the answer, not the message");

    for stage in [Stage::Greeting, Stage::Recipient, Stage::FinalDot] {
        mailbox.inject_times(Fault::Hang(stage), 1);
        let hangs = tokio::time::timeout(Duration::from_millis(200), send(&mailbox, ADA, "x"));
        assert!(hangs.await.is_err(), "{stage:?}");
    }
    assert_eq!(mailbox.mails_for(ADA).len(), 2, "a message that hangs is not kept");

    mailbox.refuse().await;
    send(&mailbox, ADA, "x").await.unwrap_err();
    let connections = mailbox.connections();
    mailbox.heal().await;
    send(&mailbox, "eve@example.com", "x").await.unwrap();
    assert_eq!(mailbox.connections(), connections + 1, "a refused connection is none");
}

/// What a lax server would swallow is told.
#[wire_test(once)]
async fn the_mailbox_objects_to_what_the_standards_forbid() {
    let mailbox = Mailbox::start().await.unwrap();
    let mut client = TcpStream::connect(mailbox.address()).await.unwrap();
    let session = "EHLO x\r\nRCPT TO:<a@b>\r\nMAIL FROM:<é@b>\r\nRCPT TO:<a@b>\r\nDATA\r\nSubject: é\nBcc: eve@b\r\n\r\nx\r\n.\r\nQUIT\r\n";
    client.write_all(session.as_bytes()).await.unwrap();
    client.read_to_end(&mut Vec::new()).await.unwrap();
    let expected = [
        "RCPT out of order",
        "an address in UTF-8 without SMTPUTF8",
        "a bare CR or LF",
        "8-bit content without BODY=8BITMIME",
        "a header in UTF-8 without SMTPUTF8",
    ];
    assert_eq!(mailbox.complaints(), expected);
}

/// The server answers, its database has the schema, and the first start has made a key.
#[wire_test]
async fn a_world_starts(world: World) {
    assert!(world.operator_key().starts_with("rsk_"));
    assert_eq!(world.count("SELECT COUNT(*) AS n FROM outbox_messages").await, 0);
    let request = world.as_operator(ListOrganizationsRequest::default());
    let answer = world.organizations().list_organizations(request).await.unwrap().into_inner();
    assert_eq!(answer.organizations, []);
}

/// Two servers share the database and the key.
#[wire_test]
async fn a_world_has_replicas(world: World) {
    let second = world.second_server().await;
    let request = world.as_operator(ListOrganizationsRequest::default());
    second.organizations().list_organizations(request).await.unwrap();
}

/// A server can be started again with other settings.
#[wire_test]
async fn a_world_can_be_restarted(world: World) {
    let before = world.grpc_address();
    world.restart_with(&[("max-streams", "7")]).await;
    assert_ne!(world.grpc_address(), before);
    let request = world.as_operator(ListOrganizationsRequest::default());
    world.organizations().list_organizations(request).await.unwrap();
}

/// Mail of the server reaches this world's mailbox.
#[wire_test]
async fn a_world_receives_mail(world: World) {
    invite_a_founder(&world, ADA).await;
    let mails = world.mailbox.wait_for(ADA, 1).await;
    assert!(mails[0].invitation_token().len() == 47, "{:?}", mails[0].text);
}

/// A message that nobody cares for fails the test that has left it, unless the test says why.
#[wire_test(once)]
async fn a_world_tells_of_messages_left_behind() {
    for excused in [false, true] {
        let world = World::start(Database::Sqlite).await.unwrap();
        world.mailbox.refuse().await;
        invite_a_founder(&world, ADA).await;
        if excused {
            world.leaves_messages_behind("the mail server is down on purpose");
        }
        let problems = world.finish(true, Duration::from_millis(300)).await;
        if excused {
            assert_eq!(problems, Vec::<String>::new());
        } else {
            assert!(
                problems.len() == 1 && problems[0].contains("left in the outbox: invitation to ada@example.com"),
                "{problems:?}"
            );
        }
    }
}

/// A test that has been renamed would run with the others.
#[wire_test(once)]
async fn every_test_that_runs_alone_is_there() {
    for alone in schedule::ALONE {
        assert!(inventory::iter::<WireTest>().any(|test| test.name == alone), "{alone}");
    }
}

/// A server of its own can crash and come back with what was committed.
#[wire_test(postgres)]
async fn postgres_crashes_and_resumes(_world: World) {
    let cluster = Cluster::start(Durability::Full).await.unwrap();
    let database = cluster.create_database().await.unwrap();
    let connection = postgres::connect(&database.url).await.unwrap();
    connection.execute_unprepared("CREATE TABLE kept (x int)").await.unwrap();
    cluster.crash().await.unwrap();
    let refused =
        tokio::time::timeout(Duration::from_secs(1), connection.execute_unprepared("SELECT x FROM kept")).await;
    assert!(!matches!(refused, Ok(Ok(_))), "PostgreSQL still answers");
    cluster.resume().await.unwrap();
    connection.execute_unprepared("SELECT x FROM kept").await.unwrap();
    cluster.stop().await;
}
