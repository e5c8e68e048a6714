//! One deployment, several products: the mails of each look like it, come from it and lead to it.

use roster_test_macros::wire_test;

use crate::support::mailbox::Mail;
use crate::support::pb::{CreateJoinLinkRequest, RequestPasswordResetRequest, TransferOwnershipRequest};
use crate::support::scenario::{Scenario, call, create_user, settled};
use crate::support::world::World;

/// Two brands: one of everything, and one of a name only.
const JETSTACK: &str = r##"
name = "Jetstack"
sender = "Jetstack <team@jetstack.example>"
color = "#0a5c36"
logo_url = "https://jetstack.example/logo.png"
invitation_url = "https://jetstack.example/invitations/{token}"
join_link_url = "https://jetstack.example/join/{token}"
password_reset_url = "https://jetstack.example/password/{token}"
email_verification_url = "https://jetstack.example/address/{token}"
templates_dir = "jetstack"
"##;
const PORTAL: &str = "name = \"The Portal\"\n";

/// Restarts the server with both.
async fn branded(world: &World) {
    let folder = world.folder().join("brands");
    std::fs::create_dir_all(folder.join("jetstack")).unwrap();
    std::fs::write(folder.join("jetstack.toml"), JETSTACK).unwrap();
    std::fs::write(folder.join("portal.toml"), PORTAL).unwrap();
    std::fs::write(folder.join("jetstack/invitation.en.subject.txt"), "Come to {{ brand.name }}\n").unwrap();
    world.restart_with(&[("brands-dir", folder.to_str().unwrap())]).await;
}

async fn mail(world: &World, address: &str, count: usize) -> Mail {
    world.mailbox.wait_for(address, count).await.pop().unwrap()
}

/// What is an organization's has the brand of its access model: sender, look, templates and where it leads; a brand has the server's where it says nothing.
#[wire_test]
async fn the_mails_of_an_organization_are_its_products(world: World) {
    branded(&world).await;
    let jetstack = Scenario::under(&world, "jetstack").await;
    let portal = Scenario::with(&world, "portal", "", "lead@example.com").await;
    let plain = Scenario::with(&world, "default", "", "plain@example.com").await;
    let roles = &["admin"];
    let mut mails = Vec::new();
    for (index, (of, roles)) in
        [(&jetstack, &["admin"][..]), (&portal, &["manager"]), (&plain, roles)].into_iter().enumerate()
    {
        let address = format!("guest{index}@example.com");
        of.invite(&of.owner.session, &address, roles).await.unwrap();
        mails.push(mail(&world, &address, 1).await);
    }
    let [first, second, third] = mails.try_into().unwrap_or_else(|_| unreachable!("three"));
    assert_eq!((first.sender.as_str(), first.subject.as_str()), ("team@jetstack.example", "Come to Jetstack"));
    assert_eq!(first.header("From").unwrap(), "Jetstack <team@jetstack.example>");
    for part in [
        "https://jetstack.example/invitations/rin_",
        "https://jetstack.example/logo.png",
        "#0a5c36",
        "alt=\"Jetstack\"",
    ] {
        assert!(first.html.contains(part), "{part} in {}", first.html);
    }
    assert!(first.text.contains("https://jetstack.example/invitations/rin_"), "{}", first.text);
    assert!(second.html.contains("<bdi>The Portal</bdi>") && second.html.contains("#2f5bd7"), "{}", second.html);
    assert_eq!(second.sender, third.sender);
    assert_ne!(first.sender, third.sender);
    for other in [&second, &third] {
        assert!(!other.html.contains("etstack") && !other.subject.contains("etstack"), "{}", other.html);
    }
    // What is answered leads there, too.
    let link = async |of: &Scenario| {
        let request = CreateJoinLinkRequest { organization_id: of.organization_id.clone(), ..Default::default() };
        call!(world, join_links.create_join_link, world.operator_key(), request).unwrap().link
    };
    assert!(link(&jetstack).await.starts_with("https://jetstack.example/join/rjl_"));
    assert!(!link(&plain).await.contains("jetstack"));
    let (_, _) = jetstack.invited_by(world.operator_key(), "linked@example.com", roles).await;
    // News of ownership are the organization's.
    let heir = jetstack.join("heir@example.com", &["admin"]).await;
    let request = TransferOwnershipRequest {
        organization_id: jetstack.organization_id.clone(),
        nominee_user_id: heir.user_id.clone(),
        ..TransferOwnershipRequest::default()
    };
    call!(world, ownership.transfer_ownership, &jetstack.owner.session, request).unwrap();
    let news = world.mailbox.wait_for("heir@example.com", 2).await.pop().unwrap();
    assert_eq!(news.sender, "team@jetstack.example");
}

/// What is a person's has the brand of the only product that is theirs, or of the one whose page asks, where it is theirs; whoever asks for another's gets the same answer and no mail of it.
#[wire_test]
async fn the_mails_of_a_person_are_their_products(world: World) {
    branded(&world).await;
    let jetstack = Scenario::under(&world, "jetstack").await;
    let portal = Scenario::with(&world, "portal", "", "lead@example.com").await;
    let ada = jetstack.join("ada@example.com", &["admin"]).await;
    let both = jetstack.join("both@example.com", &["admin"]).await;
    portal.join_existing(&both, &["manager"]).await;
    let nobodys = create_user(&world, "nobodys@example.com").await;
    let server = "roster@example.com";
    let product = "team@jetstack.example";
    for (address, named, sender) in [
        (&ada.email, "", product),
        (&ada.email, "portal", product),
        (&both.email, "", server),
        (&both.email, "jetstack", product),
        (&nobodys.email, "", server),
        (&nobodys.email, "jetstack", product),
    ] {
        settled(&world).await;
        let before = world.mailbox.mails_for(address).len();
        let request = RequestPasswordResetRequest {
            email: address.clone(),
            access_model: named.to_owned(),
            ..RequestPasswordResetRequest::default()
        };
        world.credentials().request_password_reset(request).await.unwrap();
        let mail = mail(&world, address, before + 1).await;
        assert_eq!(mail.sender, sender, "{address} {named}");
        assert_eq!(
            mail.html.contains("https://jetstack.example/password/rpr_"),
            sender == product,
            "{address} {named}"
        );
    }
    let unknown = RequestPasswordResetRequest {
        email: "who@example.com".to_owned(),
        access_model: "jetstack".to_owned(),
        ..Default::default()
    };
    world.credentials().request_password_reset(unknown).await.unwrap();
    settled(&world).await;
    assert!(world.mailbox.mails_for("who@example.com").is_empty());
}
