//! Join links: one link by which many people join, each with an account of their own.

use std::time::Duration;

use roster_test_macros::wire_test;
use tonic::{Code, Status};

use crate::support::pb::{
    ChangeUserEmailRequest, CreateJoinLinkRequest, CreateJoinLinkResponse, CreateUserRequest, GetJoinLinkRequest,
    JoinLink, JoinLinkState, JoinOrganizationRequest, JoinOrganizationResponse, ListJoinLinksRequest,
    PreviewJoinLinkRequest, PreviewJoinLinkResponse, RemoveMemberRequest, RevokeJoinLinkRequest, SuspendMemberRequest,
    SuspendOrganizationRequest,
};
use crate::support::scenario::{
    PASSWORD, Scenario, accept_as, assert_invalid, assert_refused, call, create_user, new_user, service_key, settled,
    sign_in, texts, time, traces,
};
use crate::support::world::World;

fn making(of: &Scenario, roles: &[&str]) -> CreateJoinLinkRequest {
    CreateJoinLinkRequest {
        organization_id: of.organization_id.clone(),
        roles: texts(roles),
        ..CreateJoinLinkRequest::default()
    }
}

/// Makes a link by the owner's right.
async fn make(of: &Scenario, request: CreateJoinLinkRequest) -> CreateJoinLinkResponse {
    call!(of.world, join_links.create_join_link, &of.owner.session, request).unwrap()
}

async fn join(world: &World, session: &str, token: &str) -> Result<JoinOrganizationResponse, Status> {
    let request = JoinOrganizationRequest { token: token.to_owned(), ..Default::default() };
    call!(world, join_links.join_organization, session, request)
}

async fn preview(world: &World, token: &str) -> Result<PreviewJoinLinkResponse, Status> {
    let request = PreviewJoinLinkRequest { token: token.to_owned() };
    world.join_links().preview_join_link(request).await.map(tonic::Response::into_inner)
}

async fn read(of: &Scenario, id: &str) -> JoinLink {
    let request = GetJoinLinkRequest { organization_id: of.organization_id.clone(), join_link_id: id.to_owned() };
    call!(of.world, join_links.get_join_link, &of.owner.session, request).unwrap().join_link.unwrap()
}

fn revoking(of: &Scenario, link: &JoinLink) -> RevokeJoinLinkRequest {
    RevokeJoinLinkRequest {
        organization_id: of.organization_id.clone(),
        join_link_id: link.join_link_id.clone(),
        ..RevokeJoinLinkRequest::default()
    }
}

/// Several people join by one link until it is used up; a page shows before what it lets them join, and the roster and the log show them after.
#[wire_test]
async fn several_people_join_by_one_link(world: World) {
    let acme = Scenario::acme(&world).await;
    let request = CreateJoinLinkRequest {
        max_uses: 2,
        display_name: "Workshop".to_owned(),
        email_domains: texts(&["Example.com"]),
        ..making(&acme, &["admin"])
    };
    let made = make(&acme, request).await;
    let link = made.join_link.unwrap();
    assert!(made.token.starts_with("rjl_") && made.link.ends_with(&made.token), "{}", made.link);
    assert_eq!((link.state(), link.use_count, link.max_uses), (JoinLinkState::Open, 0, 2));
    assert_eq!((link.display_name.as_str(), &link.creator_user_id), ("Workshop", &acme.owner.user_id));
    assert_eq!(link.email_domains, ["example.com"]);
    assert_eq!(time(link.expire_time.as_ref()) - time(link.create_time.as_ref()), chrono::Duration::days(7));
    let shown = preview(&world, &made.token).await.unwrap();
    assert_eq!(
        (&shown.organization_id, &shown.role_display_names, &shown.email_domains, &shown.expire_time),
        (&acme.organization_id, &texts(&["Admin"]), &link.email_domains, &link.expire_time)
    );
    for (uses, name) in [(1, "ada"), (2, "grace")] {
        let person = create_user(&world, &format!("{name}@example.com")).await;
        let joined = join(&world, &person.session, &made.token).await.unwrap();
        assert_eq!((&joined.user_id, &joined.organization_id), (&person.user_id, &acme.organization_id));
        assert_eq!(joined.organization_display_name, shown.organization_display_name);
        assert_eq!(joined.roles, ["admin"]);
        let row = acme.row(&acme.owner.session, &person.email).await;
        assert_eq!((row.roles, row.invitation_id.as_str()), (texts(&["admin"]), ""));
        assert!(acme.may(&person.user_id, "members.read").await);
        assert_eq!(read(&acme, &link.join_link_id).await.use_count, uses);
        // The second time the link is used up, too.
        let again = join(&world, &person.session, &made.token).await;
        assert_refused(again, Code::AlreadyExists, "ALREADY_MEMBER");
    }
    assert_eq!(read(&acme, &link.join_link_id).await.state(), JoinLinkState::UsedUp);
    let third = create_user(&world, "third@example.com").await;
    let refused =
        assert_refused(join(&world, &third.session, &made.token).await, Code::FailedPrecondition, "JOIN_LINK_NOT_OPEN");
    assert_eq!(refused.metadata["state"], "USED_UP");
    assert_refused(preview(&world, &made.token).await, Code::FailedPrecondition, "JOIN_LINK_NOT_OPEN");
}

/// A link lets nobody join whose address is not verified, or of another domain; subdomains and addresses that only look alike are others.
#[wire_test]
async fn a_link_is_for_verified_addresses_of_its_domains(world: World) {
    let acme = Scenario::acme(&world).await;
    let request = CreateJoinLinkRequest {
        email_domains: texts(&["example.org", "B\u{fc}cher.example"]),
        ..making(&acme, &["member"])
    };
    let token = make(&acme, request).await.token;
    let request = CreateUserRequest { email_verified: false, ..new_user("eve@example.org") };
    let eve = world.users().create_user(world.as_operator(request)).await.unwrap().into_inner().user.unwrap();
    let unverified = sign_in(&world, "eve@example.org", PASSWORD).await.unwrap().session_token;
    let other = create_user(&world, "ada@sub.example.org").await;
    settled(&world).await;
    let before = traces(&world).await;
    assert_refused(join(&world, &unverified, &token).await, Code::PermissionDenied, "EMAIL_UNVERIFIED");
    let refused = join(&world, &other.session, &token).await;
    let refused = assert_refused(refused, Code::PermissionDenied, "EMAIL_DOMAIN_NOT_ALLOWED");
    assert_eq!(refused.metadata["email_domains"], "example.org, xn--bcher-kva.example");
    assert_eq!(traces(&world).await, before);
    // The address that counts is the one of now.
    let request = ChangeUserEmailRequest {
        user_id: other.user_id.clone(),
        email: "ada@xn--bcher-kva.example".to_owned(),
        email_verified: true,
        ..ChangeUserEmailRequest::default()
    };
    world.users().change_user_email(world.as_operator(request)).await.unwrap();
    let session = sign_in(&world, "ada@xn--bcher-kva.example", PASSWORD).await.unwrap().session_token;
    assert_eq!(join(&world, &session, &token).await.unwrap().user_id, other.user_id);
    assert!(!acme.may(&eve.user_id, "members.read").await);
}

/// A link is over when its time is, when it is taken back, and while its organization or whoever made it has no right to let people in. What a link gives is decided when somebody joins.
#[wire_test]
async fn a_link_is_as_good_as_whoever_made_it(world: World) {
    let acme = Scenario::acme(&world).await;
    let admin = acme.join("admin@example.com", &["admin"]).await;
    let ada = create_user(&world, "ada@example.com").await;
    let made = call!(world, join_links.create_join_link, &admin.session, making(&acme, &["member"])).unwrap();
    let owned = make(&acme, making(&acme, &["member"])).await;
    // Whoever made it is suspended.
    let request = SuspendMemberRequest {
        organization_id: acme.organization_id.clone(),
        user_id: admin.user_id.clone(),
        ..SuspendMemberRequest::default()
    };
    call!(world, members.suspend_member, &acme.owner.session, request).unwrap();
    let refused = join(&world, &ada.session, &made.token).await;
    assert_refused(refused, Code::FailedPrecondition, "INVITER_NO_LONGER_AUTHORIZED");
    assert_refused(preview(&world, &made.token).await, Code::FailedPrecondition, "INVITER_NO_LONGER_AUTHORIZED");
    // The organization is.
    let request = SuspendOrganizationRequest { organization_id: acme.organization_id.clone(), ..Default::default() };
    world.organizations().suspend_organization(world.as_operator(request)).await.unwrap();
    let refused = join(&world, &ada.session, &owned.token).await;
    assert_refused(refused, Code::FailedPrecondition, "ORGANIZATION_SUSPENDED");
    let other = Scenario::with(&world, "default", "", "second@example.com").await;
    // It is taken back: conditionally, and once.
    let taken = make(&other, making(&other, &["member"])).await;
    let link = taken.join_link.unwrap();
    let stale = RevokeJoinLinkRequest { etag: "x".to_owned(), ..revoking(&other, &link) };
    assert_refused(
        call!(world, join_links.revoke_join_link, &other.owner.session, stale),
        Code::Aborted,
        "ETAG_MISMATCH",
    );
    let request = RevokeJoinLinkRequest { etag: link.etag.clone(), ..revoking(&other, &link) };
    let revoked = call!(world, join_links.revoke_join_link, &other.owner.session, request).unwrap().join_link.unwrap();
    assert_eq!((revoked.state(), revoked.revoke_time.is_some()), (JoinLinkState::Revoked, true));
    let refused = join(&world, &ada.session, &taken.token).await;
    let refused = assert_refused(refused, Code::FailedPrecondition, "JOIN_LINK_NOT_OPEN");
    assert_eq!(refused.metadata["state"], "REVOKED");
    let again = call!(world, join_links.revoke_join_link, &other.owner.session, revoking(&other, &link));
    assert_refused(again, Code::FailedPrecondition, "JOIN_LINK_NOT_OPEN");
    // Its time is over.
    let brief = make(&other, making(&other, &["member"])).await;
    world.clock.advance(Duration::from_secs(7 * 24 * 3600));
    let session = sign_in(&world, &ada.email, PASSWORD).await.unwrap().session_token;
    let refused = join(&world, &session, &brief.token).await;
    let refused = assert_refused(refused, Code::FailedPrecondition, "JOIN_LINK_NOT_OPEN");
    assert_eq!(refused.metadata["state"], "EXPIRED");
}

/// Who was removed does not come back by a link; somebody who is invited and joins by a link is a member, and not invited any more.
#[wire_test]
async fn a_link_brings_nobody_back(world: World) {
    let acme = Scenario::acme(&world).await;
    let token = make(&acme, making(&acme, &["member"])).await.token;
    let bob = acme.join("bob@example.com", &["member"]).await;
    let request = RemoveMemberRequest {
        organization_id: acme.organization_id.clone(),
        user_id: bob.user_id.clone(),
        ..RemoveMemberRequest::default()
    };
    call!(world, members.remove_member, &acme.owner.session, request).unwrap();
    let session = sign_in(&world, &bob.email, PASSWORD).await.unwrap().session_token;
    let refused = assert_refused(join(&world, &session, &token).await, Code::FailedPrecondition, "REMOVED_MEMBER");
    assert_eq!(refused.metadata["hint"], "ask for an invitation");
    let ada = create_user(&world, "ada@example.com").await;
    let link = acme.invited(&ada.email, &["admin"]).await;
    join(&world, &ada.session, &token).await.unwrap();
    assert_eq!(acme.row(&acme.owner.session, &ada.email).await.roles, ["member"]);
    let rows = acme.roster(&acme.owner.session).await.unwrap();
    assert_eq!(rows.iter().filter(|row| row.email == ada.email).count(), 1);
    let dead = accept_as(&world, &ada.session, &link).await;
    assert_refused(dead, Code::FailedPrecondition, "INVITATION_REVOKED");
}

/// Who may make a link: whoever may invite, with the roles that they may give, and never the owner role. Others see neither the links nor that there are any.
#[wire_test]
async fn a_link_gives_what_its_maker_could(world: World) {
    let acme = Scenario::acme(&world).await;
    let member = acme.join("member@example.com", &["member"]).await;
    let outsider = create_user(&world, "outsider@example.com").await;
    let made = make(&acme, making(&acme, &[])).await.join_link.unwrap();
    assert_eq!(made.roles, ["member"]);
    let key = service_key(&world, &["users.read"]).await;
    settled(&world).await;
    let before = traces(&world).await;
    let refused = call!(world, join_links.create_join_link, &acme.owner.session, making(&acme, &["owner"]));
    let refused = assert_refused(refused, Code::FailedPrecondition, "ROLE_NOT_INVITABLE");
    assert_eq!((refused.metadata["role"].as_str(), refused.hint()), ("owner", "invite the person by their address"));
    for (caller, code, reason) in [
        (&member, Code::PermissionDenied, "PERMISSION_REQUIRED"),
        (&outsider, Code::NotFound, "ORGANIZATION_NOT_FOUND"),
    ] {
        let session = &caller.session;
        assert_refused(call!(world, join_links.create_join_link, session, making(&acme, &[])), code, reason);
        assert_refused(call!(world, join_links.revoke_join_link, session, revoking(&acme, &made)), code, reason);
        let list = ListJoinLinksRequest { organization_id: acme.organization_id.clone(), ..Default::default() };
        assert_refused(call!(world, join_links.list_join_links, session, list), code, reason);
        let get = GetJoinLinkRequest {
            organization_id: acme.organization_id.clone(),
            join_link_id: made.join_link_id.clone(),
        };
        assert_refused(call!(world, join_links.get_join_link, session, get), code, reason);
    }
    // Only people join: a service alone has nobody to let in, and one that lacks the scope does not for anybody.
    let request = JoinOrganizationRequest { token: "rjl_x".to_owned(), ..Default::default() };
    let alone = call!(world, join_links.join_organization, world.operator_key(), request.clone());
    assert_refused(alone, Code::PermissionDenied, "CALLER_NOT_ALLOWED");
    let refused = call!(world, join_links.join_organization, &key, request.clone());
    assert_refused(refused, Code::PermissionDenied, "SCOPE_REQUIRED");
    let nobody = world.join_links().join_organization(request).await;
    assert_refused(nobody, Code::Unauthenticated, "CREDENTIALS_MISSING");
    for wrong in
        ["rjl_x", "rin_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA", "rjl_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"]
    {
        assert_refused(join(&world, &outsider.session, wrong).await, Code::NotFound, "JOIN_LINK_NOT_FOUND");
        assert_refused(preview(&world, wrong).await, Code::NotFound, "JOIN_LINK_NOT_FOUND");
    }
    let bad = CreateJoinLinkRequest {
        expire_time: Some(prost_types::Timestamp { seconds: 1, nanos: 0 }),
        max_uses: -1,
        email_domains: texts(&["example.com", "no domain"]),
        ..making(&acme, &["A"])
    };
    let bad = call!(world, join_links.create_join_link, &acme.owner.session, bad);
    assert_invalid(bad, &["roles[0]", "expire_time", "max_uses", "email_domains[1]"]);
    let tried = CreateJoinLinkRequest { validate_only: true, ..making(&acme, &["admin"]) };
    let tried = make(&acme, tried).await;
    assert_eq!(
        (tried.token.as_str(), tried.link.as_str(), tried.join_link.unwrap().roles),
        ("", "", texts(&["admin"]))
    );
    assert_eq!(traces(&world).await, before);
}

/// An organization has 50 links that are open; those that are over do not count, and the list shows which are which.
#[wire_test]
async fn there_are_fifty_open_links(world: World) {
    let acme = Scenario::acme(&world).await;
    let list = async |open_only: bool| {
        let request = ListJoinLinksRequest {
            organization_id: acme.organization_id.clone(),
            include_total_size: true,
            open_only,
            ..ListJoinLinksRequest::default()
        };
        let answer = call!(world, join_links.list_join_links, world.operator_key(), request).unwrap();
        assert_eq!(answer.total_size, answer.join_links.len() as i64);
        answer.join_links.into_iter().map(|link| link.join_link_id).collect::<Vec<_>>()
    };
    let mut ids = Vec::new();
    for _ in 0..50 {
        world.clock.advance(Duration::from_secs(60));
        ids.insert(0, make(&acme, making(&acme, &["member"])).await.join_link.unwrap().join_link_id);
    }
    let refused = call!(world, join_links.create_join_link, &acme.owner.session, making(&acme, &["member"]));
    let refused = assert_refused(refused, Code::FailedPrecondition, "TOO_MANY_JOIN_LINKS");
    assert_eq!(refused.metadata["limit"], "50");
    let first = read(&acme, &ids[49]).await;
    call!(world, join_links.revoke_join_link, &acme.owner.session, revoking(&acme, &first)).unwrap();
    world.clock.advance(Duration::from_secs(60));
    ids.insert(0, make(&acme, making(&acme, &["member"])).await.join_link.unwrap().join_link_id);
    // The page has room for 50.
    assert_eq!(list(true).await, ids[..50]);
    // Those run out that were made before the 25th minute.
    world.clock.advance(Duration::from_secs(7 * 24 * 3600 - 25 * 60 - 30));
    assert_eq!(list(true).await, ids[..26]);
    let request = world.as_operator(making(&acme, &["member"]));
    world.join_links().create_join_link(request).await.unwrap();
}
