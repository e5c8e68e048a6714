//! ab_26: what people type into names, addresses and messages stays text: it breaks no header, no HTML and no line of a log, and makes no link.

use std::collections::BTreeSet;

use roster_test_macros::wire_test;
use tonic::{Code, Status};

use crate::support::contents::dump;
use crate::support::mailbox::Mail;
use crate::support::pb::create_organization_request::Owner;
use crate::support::pb::{
    CreateInvitationRequest, CreateOrganizationRequest, CreateServiceAccountRequest, CreateUserRequest, Founder,
    NewUser, Organization, SignInRequest, UpdateOrganizationRequest,
};
use crate::support::scenario::{OWNER, PASSWORD, Scenario, call, new_user, refusal, sign_in, signing_up};
use crate::support::waiting::all_sent;
use crate::support::world::World;

/// Texts that no single line may have in it.
const HOSTILE: [(&str, &str); 12] = [
    ("CR LF and a header", "Eve\r\nBcc: victim@example.com"),
    ("LF", "Eve\nEve"),
    ("CR", "Eve\rEve"),
    ("NUL", "Eve\0Eve"),
    ("ESC", "Eve\u{1b}[31m"),
    ("NEL", "Eve\u{85}Eve"),
    ("line separator", "Eve\u{2028}Eve"),
    ("override to the left", "Eve\u{202e}gnp.exe"),
    ("isolate", "\u{2066}Eve\u{2069}"),
    ("zero width space", "E\u{200b}ve"),
    ("byte order mark", "Eve\u{feff}Eve"),
    ("tag characters", "Eve\u{e0041}Eve"),
];

/// Fields that take one line, each with a call that puts a text there.
const FIELDS: [&str; 10] = [
    "CreateOrganization.display_name",
    "CreateOrganization.new_owner.given_name",
    "CreateOrganization.new_owner.family_name",
    "UpdateOrganization.organization.display_name",
    "CreateUser.given_name",
    "CreateUser.family_name",
    "AcceptInvitation.sign_up.given_name",
    "AcceptInvitation.sign_up.family_name",
    "CreateServiceAccount.display_name",
    "SignIn.user_agent",
];

async fn put(world: &World, team: &Scenario, link: &str, field: &str, text: &str) -> Result<(), Status> {
    let text = text.to_owned();
    let owner = |given_name: &str, family_name: &str| {
        Some(Owner::NewOwner(NewUser {
            email: "new@example.com".to_owned(),
            given_name: given_name.to_owned(),
            family_name: family_name.to_owned(),
            password: PASSWORD.to_owned(),
            ..NewUser::default()
        }))
    };
    let organization = |display_name: &str, owner| CreateOrganizationRequest {
        display_name: display_name.to_owned(),
        owner,
        ..Default::default()
    };
    let user = |given_name: &str, family_name: &str| CreateUserRequest {
        email: "new@example.com".to_owned(),
        given_name: given_name.to_owned(),
        family_name: family_name.to_owned(),
        password: PASSWORD.to_owned(),
        ..Default::default()
    };
    let acceptance = |given_name: &str, family_name: &str| {
        let mut request = signing_up(link, PASSWORD);
        if let Some(person) = &mut request.sign_up {
            given_name.clone_into(&mut person.given_name);
            family_name.clone_into(&mut person.family_name);
        }
        request
    };
    let (mut organizations, mut users, mut invitations) = (world.organizations(), world.users(), world.invitations());
    match field {
        "CreateOrganization.display_name" => {
            organizations.create_organization(world.as_operator(organization(&text, owner("Eve", "")))).await.map(drop)
        }
        "CreateOrganization.new_owner.given_name" => {
            organizations.create_organization(world.as_operator(organization("Eve", owner(&text, "")))).await.map(drop)
        }
        "CreateOrganization.new_owner.family_name" => organizations
            .create_organization(world.as_operator(organization("Eve", owner("Eve", &text))))
            .await
            .map(drop),
        "UpdateOrganization.organization.display_name" => {
            let organization = Organization {
                organization_id: team.organization_id.clone(),
                display_name: text,
                ..Default::default()
            };
            let request = UpdateOrganizationRequest { organization: Some(organization), ..Default::default() };
            organizations.update_organization(world.as_operator(request)).await.map(drop)
        }
        "CreateUser.given_name" => users.create_user(world.as_operator(user(&text, ""))).await.map(drop),
        "CreateUser.family_name" => users.create_user(world.as_operator(user("Eve", &text))).await.map(drop),
        "AcceptInvitation.sign_up.given_name" => invitations.accept_invitation(acceptance(&text, "")).await.map(drop),
        "AcceptInvitation.sign_up.family_name" => {
            invitations.accept_invitation(acceptance("Eve", &text)).await.map(drop)
        }
        "CreateServiceAccount.display_name" => {
            let request = CreateServiceAccountRequest {
                display_name: text,
                scopes: vec!["users.read".to_owned()],
                ..Default::default()
            };
            world.service_accounts().create_service_account(world.as_operator(request)).await.map(drop)
        }
        "SignIn.user_agent" => {
            let request = SignInRequest {
                open_id_connect: None,
                email: OWNER.to_owned(),
                password: PASSWORD.to_owned(),
                user_agent: text,
                username: String::new(),
            };
            world.sessions().sign_in(request).await.map(drop)
        }
        _ => panic!("nobody puts anything into {field}"),
    }
}

/// Where links in a mail lead: what HTML says, and what a mail program would make a link of in what people read.
fn links(mail: &Mail) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    let parts: Vec<(&str, &str)> = mail.html.split('<').filter_map(|part| part.split_once('>')).collect();
    for (tag, _) in &parts {
        for attribute in ["href=", "src=", "action=", "background=", "url("] {
            for after in tag.split(attribute).skip(1) {
                found.insert(after.trim_start_matches('"').split(['"', ' ']).next().unwrap().to_owned());
            }
        }
    }
    let visible = parts.iter().map(|(_, text)| *text);
    for text in visible.chain([mail.text.as_str(), mail.subject.as_str()]) {
        for word in text.split(char::is_whitespace) {
            let word = word.trim_matches(|c: char| !c.is_alphanumeric());
            let like_a_link = word.contains("://")
                || word.contains('@')
                || word.contains("evil.")
                || word.starts_with("www.")
                || word.starts_with("mailto:");
            if like_a_link {
                found.insert(word.to_owned());
            }
        }
    }
    found
}

/// The names of the header's fields.
fn header_names(mail: &Mail) -> Vec<String> {
    let text = String::from_utf8_lossy(&mail.raw).into_owned();
    let head = text.split("\r\n\r\n").next().unwrap();
    let first_lines = head.split("\r\n").filter(|line| !line.starts_with([' ', '\t']));
    first_lines.map(|line| line.split_once(':').unwrap().0.to_ascii_lowercase()).collect()
}

/// ab_26: a control, line-breaking, direction-changing or invisible character is refused in every field that takes one line, by the field's name, and
/// nothing changes.
#[wire_test]
async fn ab_26_hostile_characters_are_refused_in_every_name(world: World) {
    let team = Scenario::acme(&world).await;
    let (_, link) = team.invited_by(&team.owner.session, "bea@example.com", &[]).await;
    all_sent(&world).await;
    let before = dump(world.database()).await;
    for field in FIELDS {
        for (what, text) in HOSTILE {
            let status = put(&world, &team, &link, field, text).await.expect_err(what);
            assert_eq!(
                (status.code(), refusal(&status).reason),
                (Code::InvalidArgument, "INVALID_REQUEST".to_owned()),
                "{what} in {field}"
            );
            assert_eq!(refusal(&status).fields, [field.split_once('.').unwrap().1], "{what}");
            assert!(!format!("{status:?}").contains("Bcc"), "{status:?}");
        }
    }
    assert_eq!(dump(world.database()).await, before);
    // The calls are sound but for the text.
    for field in [
        "UpdateOrganization.organization.display_name",
        "CreateUser.family_name",
        "AcceptInvitation.sign_up.given_name",
        "SignIn.user_agent",
    ] {
        put(&world, &team, &link, field, "Müller & Søn").await.unwrap();
    }
}

/// ab_26: a personal message may have lines, and nothing else of that kind.
#[wire_test]
async fn ab_26_a_message_has_lines_and_no_other_controls(world: World) {
    let team = Scenario::acme(&world).await;
    let message = |text: &str| CreateInvitationRequest {
        personal_message: text.to_owned(),
        ..team.invitation("bea@example.com")
    };
    for (what, text) in HOSTILE.into_iter().filter(|(what, _)| !["LF", "CR LF and a header"].contains(what)) {
        let refused = world.invitations().create_invitation(world.as_session(&team.owner.session, message(text))).await;
        let status = refused.expect_err(what);
        assert_eq!(
            (status.code(), refusal(&status).fields),
            (Code::InvalidArgument, vec!["personal_message".to_owned()]),
            "{what}"
        );
    }
    assert_eq!(world.count("SELECT COUNT(*) AS n FROM invitations").await, 0);
    let text = "Hello\r\nBcc: victim@example.com\n.\n\nFrom here on it is a message:\r\nQUIT";
    world.invitations().create_invitation(world.as_session(&team.owner.session, message(text))).await.unwrap();
    let [mail]: [_; 1] = world.mailbox.wait_for("bea@example.com", 1).await.try_into().unwrap();
    assert_eq!(mail.recipients, ["bea@example.com"]);
    assert!(!header_names(&mail).contains(&"bcc".to_owned()));
    assert_eq!(world.mailbox.mails().len(), 1);
}

/// ab_26: an address with a control character, a second recipient or a display name in it is refused, wherever an address goes.
#[wire_test]
async fn ab_26_an_address_is_one_address(world: World) {
    let team = Scenario::acme(&world).await;
    let before = dump(world.database()).await;
    for address in [
        "bea@example.com\r\nBcc: victim@example.com",
        "bea@example.com\nRCPT TO:<victim@example.com>",
        "bea@example.com, victim@example.com",
        "bea@example.com>\r\nDATA",
        "Bea <bea@example.com>",
        "\"bea\"@example.com",
        "bea@[127.0.0.1]",
        "bea@localhost",
        "bea\u{202e}@example.com",
        "b\u{200b}ea@example.com",
        "bea@exam\u{ad}ple.com\0",
        "bea@example.com bea@example.com",
        "<script>@example.com",
    ] {
        let invited = world
            .invitations()
            .create_invitation(world.as_session(&team.owner.session, team.invitation(address)))
            .await;
        let status = invited.expect_err(address);
        assert_eq!(
            (status.code(), refusal(&status).fields),
            (Code::InvalidArgument, vec!["email".to_owned()]),
            "{address:?}"
        );
        let user = CreateUserRequest { given_name: "Eve".to_owned(), ..new_user(address) };
        let status = call!(world, users.create_user, world.operator_key(), user).expect_err(address);
        assert_eq!(
            (status.code(), refusal(&status).fields),
            (Code::InvalidArgument, vec!["email".to_owned()]),
            "{address:?}"
        );
        let founder = Some(Owner::Founder(Founder { email: address.to_owned(), ..Founder::default() }));
        let request =
            CreateOrganizationRequest { display_name: "Eve".to_owned(), owner: founder, ..Default::default() };
        let status = world.organizations().create_organization(world.as_operator(request)).await.expect_err(address);
        assert_eq!(
            (status.code(), refusal(&status).fields),
            (Code::InvalidArgument, vec!["founder.email".to_owned()]),
            "{address:?}"
        );
    }
    assert_eq!(dump(world.database()).await, before);
    assert_eq!(world.mailbox.mails().len(), 0);
}

/// ab_26: HTML, template code, quotes and addresses of evil pages in every text of a mail arrive as text: escaped, with all headers as they were meant,
/// and with the one link that the mail is about.
#[wire_test]
async fn ab_26_a_mail_links_to_the_invitation_only(world: World) {
    const NAMES: [&str; 8] = [
        "<a href=\"https://evil.example/x\">Click</a>",
        "\"><script>alert(1)</script><img src=x onerror=alert(1)>",
        "</title></style><iframe src=//evil.example>",
        "https://evil.example/win",
        "www.evil.example now at eve@evil.example",
        "{{ link }} {% raw %} ${link} %s",
        "=?utf-8?q?=0D=0ABcc:_victim@example.com?=",
        "Subject: x; evil。example mailto:eve@evil.example",
    ];
    let team = Scenario::acme(&world).await;
    for (number, name) in NAMES.into_iter().enumerate() {
        // The inviter, the organization and the message carry it.
        let inviter = format!("inviter{number}@example.com");
        let request = CreateInvitationRequest { roles: vec!["admin".to_owned()], ..team.invitation(&inviter) };
        world.invitations().create_invitation(world.as_session(&team.owner.session, request)).await.unwrap();
        let token = world.mailbox.wait_for(&inviter, 1).await[0].invitation_token();
        let mut request = signing_up(&token, PASSWORD);
        request.sign_up.as_mut().unwrap().given_name = name.to_owned();
        world.invitations().accept_invitation(request).await.unwrap();
        put(&world, &team, "", "UpdateOrganization.organization.display_name", name).await.unwrap();
        let session = sign_in(&world, &inviter, PASSWORD).await.unwrap().session_token;
        let invited = format!("invited{number}@example.com");
        let request =
            CreateInvitationRequest { personal_message: format!("{name}\n{name}"), ..team.invitation(&invited) };
        world.invitations().create_invitation(world.as_session(&session, request)).await.unwrap();

        let [mail]: [_; 1] = world.mailbox.wait_for(&invited, 1).await.try_into().unwrap();
        let link = format!("https://app.example.com/invitations/{}", mail.invitation_token());
        let allowed = BTreeSet::from([link.clone(), invited.clone(), inviter.clone()]);
        let found = links(&mail);
        assert!(found.is_subset(&allowed) && found.contains(&link), "{name:?}: {found:?}");
        for markup in ["<script", "<img", "<iframe", "onerror=alert(1)>", "</style></title>"] {
            assert!(!mail.html.contains(markup), "{name:?}: {markup}");
        }
        assert_eq!(mail.html.matches("<title>").count(), 1);

        let mut names = header_names(&mail);
        names.sort_unstable();
        let mut expected = [
            "from",
            "to",
            "subject",
            "date",
            "message-id",
            "auto-submitted",
            "x-auto-response-suppress",
            "mime-version",
            "content-type",
        ];
        expected.sort_unstable();
        assert_eq!(names, expected, "{name:?}");
        assert_eq!(mail.header("to").as_deref(), Some(&*invited));
        assert_eq!(mail.recipients, [invited]);
        assert!(mail.subject.contains("invited you to join"), "{:?}", mail.subject);
    }
    // The token stands in nothing that mail servers keep in their logs.
    for mail in world.mailbox.mails() {
        let token = mail.invitation_token();
        assert!(!mail.subject.contains(&token) && !mail.message_id.contains(&token));
    }
}
