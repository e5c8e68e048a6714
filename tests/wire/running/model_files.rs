//! What a product's own access model and mail templates change, read from an operator's folder by a running server; and what the shipped models refuse to everybody.

use roster_test_macros::wire_test;
use tonic::Code;

use crate::support::mailbox::Fault;
use crate::support::models;
use crate::support::pb::{
    BatchCreateInvitationsRequest, CreateInvitationRequest, CreateRoleRequest, DeliveryState, GetInvitationRequest,
    Invitation, InvitationState, NewInvitation, PreviewInvitationRequest, ResendInvitationRequest,
};
use crate::support::scenario::{OWNER, Scenario, accept_as_new, assert_refused, call, settled, texts, traces};
use crate::support::world::World;

/// Starts the server again with a product of its own beside the shipped ones: the default model with these changes.
async fn with_model(world: &World, id: &str, changes: &[(&str, &str)]) {
    let folder = models::folder(world, &[(id, models::document(id, changes))]);
    world.restart_with(&[("access-models-dir", &folder)]).await;
}

async fn get(of: &Scenario, invitation_id: &str) -> Invitation {
    let request =
        GetInvitationRequest { organization_id: of.organization_id.clone(), invitation_id: invitation_id.to_owned() };
    let answer = call!(of.world, invitations.get_invitation, &of.owner.session, request).unwrap();
    answer.invitation.unwrap()
}

/// Where a model says `open_per_address = "replace"`, a second invitation of an address takes the place of the first: its link is dead, whether its mail has been read
/// or still waits, and a message that waits is called off.
#[wire_test]
async fn a_second_invitation_replaces_the_first(world: World) {
    with_model(&world, "replacing", &[("open_per_address = \"one\"", "open_per_address = \"replace\"")]).await;
    let team = Scenario::under(&world, "replacing").await;
    let owner = &team.owner.session;
    let (first, read) = team.invited_by(owner, "ada@example.com", &["admin"]).await;
    let (other, _) = team.invited_by(owner, "other@example.com", &["admin"]).await;
    for spelling in ["Ada@Example.com", "ada@example.com"] {
        world.mailbox.inject(Fault::Greylist(spelling.to_owned()));
    }
    let second = team.invite(owner, "Ada@Example.com", &["admin"]).await.unwrap();
    let third = team.invite(owner, "ada@example.com", &["member"]).await.unwrap();
    let states = async |invitation: &Invitation| {
        let now = get(&team, &invitation.invitation_id).await;
        (now.state(), now.delivery_state())
    };
    assert_eq!(states(&first).await, (InvitationState::Revoked, DeliveryState::Sent));
    assert_eq!(states(&second).await, (InvitationState::Revoked, DeliveryState::Cancelled));
    assert_eq!(states(&third).await.0, InvitationState::Pending);
    assert_eq!(states(&other).await.0, InvitationState::Pending);
    let before = traces(&world).await;
    let preview = world.invitations().preview_invitation(PreviewInvitationRequest { token: read.clone() }).await;
    assert_refused(preview, Code::FailedPrecondition, "INVITATION_REVOKED");
    assert_refused(accept_as_new(&world, &read, "Ada").await, Code::FailedPrecondition, "INVITATION_REVOKED");
    assert_eq!(traces(&world).await, before);
    world.mailbox.heal().await;
    world.clock.advance(std::time::Duration::from_secs(3600));
    let mails = world.mailbox.wait_for("ada@example.com", 2).await;
    settled(&world).await;
    assert_eq!(accept_as_new(&world, &mails[1].invitation_token(), "Ada").await.unwrap().roles, texts(&["member"]));
    assert_eq!(world.mailbox.mails_for("ada@example.com").len(), 2, "the second was never sent");
}

/// Where a model says of a role that it is not invitable, nobody gives it by invitation, and a role change does.
#[wire_test]
async fn a_role_that_is_not_invitable_is_given_otherwise(world: World) {
    let lower = "[[roles]]\nid = \"admin\"\n";
    with_model(&world, "promoting", &[(lower, "[[roles]]\nid = \"admin\"\ninvitable = false\n")]).await;
    let team = Scenario::under(&world, "promoting").await;
    let before = traces(&world).await;
    for credential in [&*team.owner.session, world.operator_key()] {
        let refused = assert_refused(
            team.invite(credential, "ada@example.com", &["admin"]).await,
            Code::FailedPrecondition,
            "ROLE_NOT_INVITABLE",
        );
        assert_eq!(refused.metadata["role"], "admin");
    }
    assert_eq!(traces(&world).await, before);
    let ada = team.join("ada@example.com", &["member"]).await;
    assert_eq!(team.set_roles(&team.owner.session, &ada.user_id, &["admin"]).await.unwrap().roles, texts(&["admin"]));
}

/// What a shipped model rules out is refused to everybody, the operator too: handing over where ownership is given by role, a member without an invitation; and there is
/// no transfer by an id that is none's, or another organization's.
#[wire_test]
async fn what_a_model_rules_out_nobody_does(world: World) {
    let portal = Scenario::under(&world, "portal").await;
    let manager = portal.join("manager@example.com", &["manager"]).await;
    let team = Scenario::with(&world, "jetstack", "", "lead@example.com").await;
    let admin = team.join("admin@example.com", &["admin"]).await;
    let transfer = team.transfer(&team.owner.session, &admin.user_id).await.unwrap().transfer_id;
    settled(&world).await;
    let before = traces(&world).await;
    assert_refused(
        portal.transfer(&portal.owner.session, &manager.user_id).await,
        Code::FailedPrecondition,
        "TRANSFER_NOT_SUPPORTED",
    );
    let by_operator = crate::support::pb::TransferOwnershipRequest {
        organization_id: portal.organization_id.clone(),
        nominee_user_id: manager.user_id.clone(),
        owner_user_id: portal.owner.user_id.clone(),
        ..Default::default()
    };
    assert_refused(
        call!(world, ownership.transfer_ownership, world.operator_key(), by_operator),
        Code::FailedPrecondition,
        "TRANSFER_NOT_SUPPORTED",
    );
    for credential in [&*portal.owner.session, world.operator_key()] {
        assert_refused(
            portal.create(credential, "new@example.com", &["manager"]).await,
            Code::FailedPrecondition,
            "DIRECT_CREATION_NOT_ALLOWED",
        );
        for id in [transfer.as_str(), "5f0c6f0e-6a53-4f7e-9d7b-8a1f6f2f7a11"] {
            assert_refused(portal.confirm(credential, id).await, Code::NotFound, "TRANSFER_NOT_FOUND");
            assert_refused(portal.cancel(credential, id).await, Code::NotFound, "TRANSFER_NOT_FOUND");
        }
    }
    assert_eq!(traces(&world).await, before);
}

/// An organization has at most fifty roles of its own; the refusal says so.
#[wire_test]
async fn an_organization_has_fifty_roles_of_its_own(world: World) {
    let acme = Scenario::acme(&world).await;
    let making = |number: usize| CreateRoleRequest {
        organization_id: acme.organization_id.clone(),
        role: format!("custom.role{number}"),
        display_name: format!("Role {number}"),
        permissions: texts(&["members.read"]),
        ..CreateRoleRequest::default()
    };
    for number in 0..50 {
        call!(world, roles.create_role, &acme.owner.session, making(number)).unwrap();
    }
    let before = traces(&world).await;
    let refused = assert_refused(
        call!(world, roles.create_role, &acme.owner.session, making(50)),
        Code::FailedPrecondition,
        "TOO_MANY_CUSTOM_ROLES",
    );
    assert_eq!(refused.metadata["limit"], "50");
    assert_eq!(traces(&world).await, before);
}

/// An invitation speaks the language that the request names, by itself and in a batch, and so does the mail of its resending; one that no mail speaks is English.
#[wire_test]
async fn an_invitation_speaks_the_language_that_was_asked_for(world: World) {
    world.restart_with(&[("invitation-resend-interval", "0s")]).await;
    let acme = Scenario::acme(&world).await;
    let (owner, id) = (&acme.owner.session, || acme.organization_id.clone());
    let request = CreateInvitationRequest {
        organization_id: id(),
        email: "de@example.com".to_owned(),
        locale: "de-CH".to_owned(),
        ..CreateInvitationRequest::default()
    };
    let invited = call!(world, invitations.create_invitation, owner, request).unwrap().invitation.unwrap();
    assert_eq!(invited.locale, "de-CH");
    let new = |email: &str, locale: &str| NewInvitation {
        email: email.to_owned(),
        locale: locale.to_owned(),
        ..NewInvitation::default()
    };
    let invitations = vec![
        new("fr@example.com", "fr"),
        new("ja@example.com", "ja"),
        new("it@example.com", "it"),
        new("en@example.com", ""),
    ];
    let batch = BatchCreateInvitationsRequest {
        organization_id: id(),
        invitations,
        ..BatchCreateInvitationsRequest::default()
    };
    call!(world, invitations.batch_create_invitations, owner, batch).unwrap();
    for (email, subject, words) in [
        ("de@example.com", "lädt Sie zu Acme ein", "Um anzunehmen, öffnen Sie diesen Link:"),
        ("fr@example.com", "vous invite à rejoindre Acme", "Pour accepter, ouvrez ce lien"),
        ("ja@example.com", "Acme への招待", "参加するには"),
        ("it@example.com", "invited you to join Acme", "To accept, open this link:"),
        ("en@example.com", "invited you to join Acme", "To accept, open this link:"),
    ] {
        let mail = &world.mailbox.wait_for(email, 1).await[0];
        assert!(mail.subject.contains(subject) && mail.text.contains(words), "{email}: {} {}", mail.subject, mail.text);
    }
    let again = ResendInvitationRequest {
        organization_id: id(),
        invitation_id: invited.invitation_id,
        ..ResendInvitationRequest::default()
    };
    call!(world, invitations.resend_invitation, owner, again).unwrap();
    let mail = &world.mailbox.wait_for("de@example.com", 2).await[1];
    assert!(mail.subject.contains("lädt Sie zu Acme ein") && mail.html.contains("<html lang=\"de\">"), "{}", mail.html);
}

/// The templates of an operator's folder take the place of those of the same name in what a running server sends, and the layout that of the HTML of all mails; what is
/// not there stays as it was.
#[wire_test]
async fn an_operators_templates_are_what_is_sent(world: World) {
    let folder = world.folder().join("templates");
    std::fs::create_dir_all(&folder).unwrap();
    let layout = "<html lang=\"{{ language }}\"><body><!-- {% block title %}{% endblock %}{% block preview %}{% endblock %} --><p>Acme Ltd.</p>{% block heading %}{% endblock %}{% block body %}{% endblock %}</body></html>";
    std::fs::write(folder.join("layout.html"), layout).unwrap();
    std::fs::write(folder.join("invitation.en.subject.txt"), "Come to {{ organization_name }}").unwrap();
    world.restart_with(&[("mail-templates-dir", folder.to_str().unwrap())]).await;
    let acme = Scenario::acme(&world).await;
    acme.invite(&acme.owner.session, "ada@example.com", &["member"]).await.unwrap();
    let mail = &world.mailbox.wait_for("ada@example.com", 1).await[0];
    assert_eq!(mail.subject, "Come to Acme");
    assert!(mail.text.contains("To accept, open this link:"), "{}", mail.text);
    assert!(mail.html.contains("<p>Acme Ltd.</p>") && mail.html.contains("Accept the invitation"), "{}", mail.html);
    accept_as_new(&world, &mail.invitation_token(), "Ada").await.unwrap();
    let token = crate::services::credentials::passwords::reset_token(&world, OWNER).await;
    let mail = world.mailbox.mails_for(OWNER).into_iter().find(|mail| mail.text.contains(&token)).unwrap();
    assert!(mail.subject == "Choose a new password" && mail.html.contains("<p>Acme Ltd.</p>"), "{}", mail.html);
}
