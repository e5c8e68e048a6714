//! A network platform's portal: five groups, usernames, users created directly, and removal that only the platform's support undoes.

use roster_test_macros::wire_test;
use tonic::Code;

use crate::services::organizations::contacts::{add, recipients};
use crate::support::pb::{
    ChangePasswordRequest, CreateMemberRequest, Member, MemberState, RequestPasswordResetRequest, ResetPasswordRequest,
    SignInRequest,
};
use crate::support::scenario::{PASSWORD, Scenario, assert_refused, call, service_key, sign_in, texts};
use crate::support::world::World;

/// pf_02: the group Sales is of the partners' portal only, whichever way it would be given.
#[wire_test]
async fn pf_02_sales_is_for_partners(world: World) {
    let customer = Scenario::with(&world, "packetfabric", "customer", "admin@customer.example.com").await;
    let refused = customer.invite(&customer.owner.session, "sales@example.com", &["sales"]).await;
    assert_refused(refused, Code::FailedPrecondition, "ROLE_NOT_IN_ORGANIZATION_KIND");
    let member = customer.join("regular@customer.example.com", &["regular"]).await;
    for credential in [&*customer.owner.session, world.operator_key()] {
        let set = customer.set_roles(credential, &member.user_id, &["sales"]).await;
        assert_refused(set, Code::FailedPrecondition, "ROLE_NOT_IN_ORGANIZATION_KIND");
        let created = customer.create(credential, "sales@example.com", &["sales"]).await;
        assert_refused(created, Code::FailedPrecondition, "ROLE_NOT_IN_ORGANIZATION_KIND");
    }
    let partner = Scenario::with(&world, "packetfabric", "partner", "admin@partner.example.com").await;
    partner.invite(&partner.owner.session, "sales@example.com", &["sales"]).await.unwrap();
    let seller = partner.create(&partner.owner.session, "seller@example.com", &["sales"]).await.unwrap();
    assert!(partner.may(&seller.user_id, "quotes.manage").await);
    partner.set_roles(&partner.owner.session, &seller.user_id, &["regular"]).await.unwrap();
    partner.set_roles(&partner.owner.session, &seller.user_id, &["sales"]).await.unwrap();
}

/// pf_07: an Admin creates a user with all details and a password. No message goes out, and the user signs in with that password, which nothing asks
/// them to change. Nobody else may.
#[wire_test]
async fn pf_07_an_admin_creates_a_user_without_a_message(world: World) {
    let fabric = Scenario::with(&world, "packetfabric", "customer", "admin@example.com").await;
    let regular = fabric.join("regular@example.com", &["regular"]).await;
    assert_refused(
        fabric.create(&regular.session, "new@example.com", &["regular"]).await,
        Code::PermissionDenied,
        "PERMISSION_REQUIRED",
    );
    let before = world.count("SELECT COUNT(*) AS n FROM outbox_messages").await;
    let created = fabric.create(&fabric.owner.session, "new@example.com", &["read_only"]).await.unwrap();
    assert_eq!(
        (created.state(), &created.roles[..], created.has_signed_in),
        (MemberState::Active, &["read_only".to_owned()][..], false)
    );
    assert_eq!(world.count("SELECT COUNT(*) AS n FROM outbox_messages").await, before);
    let session = sign_in(&world, "new@example.com", PASSWORD).await.unwrap().session_token;
    assert!(fabric.roster(&session).await.is_ok() && fabric.may(&created.user_id, "invoices.download").await);
    // Whose address has an account is invited, and their password stays theirs.
    Scenario::with(&world, "packetfabric", "customer", "other@example.com").await;
    let refused = assert_refused(
        fabric.create(&fabric.owner.session, "other@example.com", &["regular"]).await,
        Code::AlreadyExists,
        "ACCOUNT_EXISTS",
    );
    assert_eq!(refused.hint(), "invite the address instead");
    assert_refused(
        fabric.create(&fabric.owner.session, "new@example.com", &["regular"]).await,
        Code::AlreadyExists,
        "ALREADY_MEMBER",
    );
}

/// pf_09: editing covers the username, which is unique and can be signed in with.
#[wire_test]
async fn pf_09_usernames_are_edited_and_signed_in_with(world: World) {
    let fabric = Scenario::with(&world, "packetfabric", "customer", "admin@example.com").await;
    let admin = &fabric.owner.session;
    let request = CreateMemberRequest {
        organization_id: fabric.organization_id.clone(),
        email: "ada@example.com".to_owned(),
        given_name: "Ada".to_owned(),
        password: PASSWORD.to_owned(),
        roles: texts(&["regular"]),
        username: "ada".to_owned(),
        ..CreateMemberRequest::default()
    };
    let ada = call!(world, members.create_member, admin, request).unwrap().member.unwrap();
    let grace = fabric.create(admin, "grace@example.com", &["regular"]).await.unwrap();
    let named = |username: &str| Member { username: username.to_owned(), ..Member::default() };
    assert_refused(fabric.edit(admin, &grace.user_id, None, named("ADA")).await, Code::AlreadyExists, "USERNAME_TAKEN");
    let edited = fabric.edit(admin, &ada.user_id, None, named("Countess")).await.unwrap();
    assert_eq!(edited.username, "countess");
    fabric.edit(admin, &grace.user_id, None, named("ada")).await.unwrap();
    let by_username = async |username: &str| {
        let request =
            SignInRequest { username: username.to_owned(), password: PASSWORD.to_owned(), ..SignInRequest::default() };
        world.sessions().sign_in(request).await.map(|answer| answer.into_inner().user.unwrap().email)
    };
    assert_eq!(by_username("COUNTESS").await.unwrap(), "ada@example.com");
    assert_eq!(by_username("ada").await.unwrap(), "grace@example.com");
    assert_refused(by_username("nobody").await, Code::Unauthenticated, "SIGN_IN_FAILED");
    // Where the model knows no usernames, nobody gives one.
    let team = Scenario::with(&world, "default", "", "lead@example.com").await;
    let member = team.join("member@example.com", &["member"]).await;
    assert_refused(
        team.edit(&team.owner.session, &member.user_id, None, named("member")).await,
        Code::FailedPrecondition,
        "FIELD_NOT_EDITABLE",
    );
}

/// pf_10: who was removed is neither invited nor created again, and the refusal says who can help: an operator restores them, and no other service.
#[wire_test]
async fn pf_10_only_an_operator_brings_a_removed_user_back(world: World) {
    let fabric = Scenario::with(&world, "packetfabric", "customer", "admin@example.com").await;
    let admin = &fabric.owner.session;
    let ada = fabric.join("ada@example.com", &["regular"]).await;
    fabric.remove(admin, &ada.user_id).await.unwrap();
    for credential in [&**admin, world.operator_key()] {
        let invited = fabric.invite(credential, "ada@example.com", &["regular"]).await;
        let refused = assert_refused(invited, Code::FailedPrecondition, "REMOVED_MEMBER");
        assert_eq!(refused.metadata["hint"], "ask an operator to restore the member");
        assert_refused(
            fabric.create(credential, "ada@example.com", &["regular"]).await,
            Code::FailedPrecondition,
            "REMOVED_MEMBER",
        );
    }
    let service = service_key(&world, &["members.write"]).await;
    for credential in [&**admin, &*service] {
        assert_refused(
            fabric.restore(credential, &ada.user_id).await,
            Code::FailedPrecondition,
            "RESTORE_BY_OPERATOR_ONLY",
        );
    }
    assert!(!fabric.may(&ada.user_id, "services.view").await);
    let restored = fabric.restore(world.operator_key(), &ada.user_id).await.unwrap();
    assert_eq!((restored.state(), &restored.roles[..]), (MemberState::Active, &["regular".to_owned()][..]));
    assert!(fabric.may(&ada.user_id, "services.view").await);
}

/// pf_11: only Admins edit and delete users.
#[wire_test]
async fn pf_11_only_admins_edit_and_delete(world: World) {
    let fabric = Scenario::with(&world, "packetfabric", "partner", "admin@example.com").await;
    let target = fabric.join("target@example.com", &["read_only"]).await;
    for role in ["regular", "read_only", "support", "sales"] {
        let person = fabric.join(&format!("{role}@example.com"), &[role]).await;
        let edited = fabric
            .edit(&person.session, &target.user_id, None, Member { given_name: "X".to_owned(), ..Member::default() })
            .await;
        assert_refused(edited, Code::PermissionDenied, "PERMISSION_REQUIRED");
        assert_refused(
            fabric.remove(&person.session, &target.user_id).await,
            Code::PermissionDenied,
            "PERMISSION_REQUIRED",
        );
    }
    let named = Member { given_name: "Tess".to_owned(), ..Member::default() };
    assert_eq!(fabric.edit(&fabric.owner.session, &target.user_id, None, named).await.unwrap().given_name, "Tess");
    fabric.remove(&fabric.owner.session, &target.user_id).await.unwrap();
}

/// pf_01: contacts get correspondence such as maintenance notifications; a user does not, unless added as a contact. Who gets it is one call.
#[wire_test]
async fn pf_01_users_get_no_correspondence_unless_added(world: World) {
    let portal = Scenario::with(&world, "packetfabric", "customer", "admin@customer.example.com").await;
    portal.join("regular@customer.example.com", &["regular"]).await;
    add(&portal, "noc@customer.example.com", "Network operations", &["maintenance", "incidents"]).await;
    add(&portal, "billing@customer.example.com", "Accounting", &["billing"]).await;
    assert_eq!(recipients(&portal, "maintenance").await, texts(&["noc@customer.example.com"]));
    add(&portal, "regular@customer.example.com", "Regular", &["maintenance"]).await;
    let mut to = recipients(&portal, "maintenance").await;
    to.sort();
    assert_eq!(to, texts(&["noc@customer.example.com", "regular@customer.example.com"]));
    assert_eq!(recipients(&portal, "incidents").await, texts(&["noc@customer.example.com"]));
}

/// pf_08: a user resets their password from their account, with the old one or by a mail, one whom an Admin has created with a password too; nobody asks them to.
#[wire_test]
async fn pf_08_a_user_resets_their_password(world: World) {
    let portal = Scenario::with(&world, "packetfabric", "customer", "admin@customer.example.com").await;
    portal.join("joined@customer.example.com", &["regular"]).await;
    portal.create(&portal.owner.session, "created@customer.example.com", &["regular"]).await.unwrap();
    for (email, mails) in [("joined@customer.example.com", 3), ("created@customer.example.com", 2)] {
        let session = sign_in(&world, email, PASSWORD).await.unwrap().session_token;
        let request = ChangePasswordRequest {
            old_password: PASSWORD.to_owned(),
            new_password: "crimson ladder over 7 rivers".to_owned(),
            ..ChangePasswordRequest::default()
        };
        call!(world, credentials.change_password, &session, request).unwrap();
        sign_in(&world, email, "crimson ladder over 7 rivers").await.unwrap();
        let request = RequestPasswordResetRequest { email: email.to_owned(), ..RequestPasswordResetRequest::default() };
        world.credentials().request_password_reset(request).await.unwrap();
        // The invitation, where there was one, the notice, the link.
        let mails = world.mailbox.wait_for(email, mails).await;
        let token = mails.iter().find(|mail| mail.text.contains("rpr_")).unwrap().token("rpr_");
        let request =
            ResetPasswordRequest { token, new_password: PASSWORD.to_owned(), ..ResetPasswordRequest::default() };
        world.credentials().reset_password(request).await.unwrap();
        sign_in(&world, email, PASSWORD).await.unwrap();
    }
}

/// pf_03: Read-Only sees services, documents and invoices and changes nothing; Support troubleshoots and sees nothing financial; Sales reads, and manages quotes.
#[wire_test]
async fn pf_03_what_the_groups_may(world: World) {
    let fabric = Scenario::with(&world, "packetfabric", "partner", "admin@example.com").await;
    let mut people = vec![fabric.owner.clone()];
    for role in ["regular", "read_only", "support", "sales"] {
        people.push(fabric.join(&format!("{role}@example.com"), &[role]).await);
    }
    for (permission, expected) in [
        ("members.create", [true, false, false, false, false]),
        ("services.create", [true, true, false, false, false]),
        ("services.view", [true, true, true, true, true]),
        ("documents.download", [true, true, true, true, true]),
        ("invoices.download", [true, true, true, false, true]),
        ("billing.view", [true, true, true, false, true]),
        ("troubleshooting.run", [true, true, false, true, false]),
        ("quotes.manage", [true, false, false, false, true]),
    ] {
        let mut answers = Vec::new();
        for person in &people {
            answers.push(fabric.may(&person.user_id, permission).await);
        }
        assert_eq!(answers, expected, "{permission}");
    }
}
