//! The language that people are written to in.

use prost_types::FieldMask;
use roster_test_macros::wire_test;

use crate::support::pb::{
    CreateInvitationRequest, CreateUserRequest, GetUserRequest, ListAuditEntriesRequest, Organization,
    RequestPasswordResetRequest, ResendInvitationRequest, SignUp, UpdateOrganizationRequest, UpdateUserRequest, User,
};
use crate::support::scenario::{
    PASSWORD, Person, Scenario, accept_as_new, assert_invalid, call, new_user, settled, signing_up,
};
use crate::support::world::World;

async fn set_locale(acme: &Scenario, locale: &str) -> Result<Organization, tonic::Status> {
    let organization = Organization {
        organization_id: acme.organization_id.clone(),
        locale: locale.to_owned(),
        ..Organization::default()
    };
    let request = UpdateOrganizationRequest {
        organization: Some(organization),
        update_mask: Some(FieldMask { paths: vec!["locale".to_owned()] }),
        ..UpdateOrganizationRequest::default()
    };
    let answer = call!(acme.world, organizations.update_organization, &acme.owner.session, request)?;
    Ok(answer.organization.unwrap())
}

async fn speak(world: &World, person: &Person, locale: &str) {
    let user = User { user_id: person.user_id.clone(), locale: locale.to_owned(), ..User::default() };
    let request = UpdateUserRequest { user: Some(user), ..UpdateUserRequest::default() };
    call!(world, users.update_user, &person.session, request).unwrap();
}

/// The language of an address's mail, the first being number one.
async fn language(world: &World, email: &str, number: usize) -> String {
    let mail = &world.mailbox.wait_for(email, number).await[number - 1];
    let (_, rest) = mail.html.split_once("<html lang=\"").unwrap_or_else(|| panic!("{}", mail.html));
    rest.split_once('"').unwrap().0.to_owned()
}

async fn locale_of(world: &World, user_id: &str) -> String {
    let request = GetUserRequest { user_id: user_id.to_owned() };
    call!(world, users.get_user, world.operator_key(), request).unwrap().user.unwrap().locale
}

/// The nearest that names a language decides: the invitation, the account that it goes to, the organization, the inviter, the server.
#[wire_test]
async fn the_nearest_language_is_spoken(world: World) {
    world.restart_with(&[("mail-locale", "fr"), ("invitation-resend-interval", "0s")]).await;
    let acme = Scenario::acme(&world).await;
    let owner = &acme.owner.session;
    let invite = async |email: &str, locale: &str| {
        let request = CreateInvitationRequest { locale: locale.to_owned(), ..acme.invitation(email) };
        let invited = call!(world, invitations.create_invitation, owner, request).unwrap().invitation.unwrap();
        // The contract shows what the invitation names, and nothing of what others do.
        assert_eq!(invited.locale, locale);
        invited
    };
    invite("server@example.com", "").await;
    assert_eq!(language(&world, "server@example.com", 1).await, "fr");
    speak(&world, &acme.owner, "es").await;
    invite("inviter@example.com", "").await;
    assert_eq!(language(&world, "inviter@example.com", 1).await, "es");
    assert_eq!(set_locale(&acme, "JA").await.unwrap().locale, "ja");
    invite("organization@example.com", "").await;
    assert_eq!(language(&world, "organization@example.com", 1).await, "ja");
    let request = CreateUserRequest { locale: "de".to_owned(), ..new_user("account@example.com") };
    call!(world, users.create_user, world.operator_key(), request).unwrap();
    let known = invite("account@example.com", "").await;
    assert_eq!(language(&world, "account@example.com", 1).await, "de");
    let request = ResendInvitationRequest {
        organization_id: acme.organization_id.clone(),
        invitation_id: known.invitation_id,
        ..ResendInvitationRequest::default()
    };
    call!(world, invitations.resend_invitation, owner, request).unwrap();
    assert_eq!(language(&world, "account@example.com", 2).await, "de");
    let request = CreateUserRequest { locale: "de".to_owned(), ..new_user("named@example.com") };
    call!(world, users.create_user, world.operator_key(), request).unwrap();
    invite("named@example.com", "en").await;
    assert_eq!(language(&world, "named@example.com", 1).await, "en");
    settled(&world).await;
}

/// Who is invited in a language and names none keeps it; who names one has that.
#[wire_test]
async fn who_is_invited_in_a_language_keeps_it(world: World) {
    let acme = Scenario::acme(&world).await;
    let owner = &acme.owner.session;
    let token = async |email: &str, locale: &str| {
        let request = CreateInvitationRequest { locale: locale.to_owned(), ..acme.invitation(email) };
        call!(world, invitations.create_invitation, owner, request).unwrap();
        world.mailbox.wait_for(email, 1).await[0].invitation_token()
    };
    let none = accept_as_new(&world, &token("server@example.com", "").await, "Sam").await.unwrap().user_id;
    assert_eq!(locale_of(&world, &none).await, "");
    speak(&world, &acme.owner, "es").await;
    let inviter = accept_as_new(&world, &token("inviter@example.com", "").await, "Inez").await.unwrap().user_id;
    assert_eq!(locale_of(&world, &inviter).await, "es");
    set_locale(&acme, "ja").await.unwrap();
    let organization = accept_as_new(&world, &token("here@example.com", "").await, "Hiro").await.unwrap().user_id;
    assert_eq!(locale_of(&world, &organization).await, "ja");
    let german = accept_as_new(&world, &token("german@example.com", "de-CH").await, "Gerda").await.unwrap().user_id;
    assert_eq!(locale_of(&world, &german).await, "de-CH");
    let mut request = signing_up(&token("own@example.com", "de").await, PASSWORD);
    request.sign_up = request.sign_up.map(|sign_up| SignUp { locale: "fr".to_owned(), ..sign_up });
    let own = world.invitations().accept_invitation(request).await.unwrap().into_inner().user_id;
    assert_eq!(locale_of(&world, &own).await, "fr");
    // What they are written later is in that language, too.
    let request = RequestPasswordResetRequest { email: "german@example.com".to_owned(), ..Default::default() };
    call!(world, credentials.request_password_reset, world.operator_key(), request).unwrap();
    assert_eq!(language(&world, "german@example.com", 2).await, "de");
    settled(&world).await;
}

/// News of an organization comes in its language to those who have none, and what is about the account alone in the server's. The language is a setting as others: checked, recorded, taken away.
#[wire_test]
async fn an_organization_has_a_language(world: World) {
    let team = Scenario::under(&world, "jetstack").await;
    let one = team.join("one@example.com", &["admin"]).await;
    let refused = set_locale(&team, "no language").await;
    assert_invalid(refused, &["organization.locale"]);
    set_locale(&team, "ja").await.unwrap();
    team.transfer(&team.owner.session, &one.user_id).await.unwrap();
    assert_eq!(language(&world, "one@example.com", 2).await, "ja");
    let request = RequestPasswordResetRequest { email: one.email.clone(), ..Default::default() };
    call!(world, credentials.request_password_reset, world.operator_key(), request).unwrap();
    assert_eq!(language(&world, "one@example.com", 3).await, "en");
    let one = Scenario { owner: one.clone(), ..team };
    assert_eq!(set_locale(&one, "").await.unwrap().locale, "");
    let request = ListAuditEntriesRequest {
        organization_id: one.organization_id.clone(),
        kinds: vec!["organization.updated".to_owned()],
        ..ListAuditEntriesRequest::default()
    };
    let entries = call!(world, audit.list_audit_entries, world.operator_key(), request).unwrap().entries;
    let told = entries.iter().map(|entry| format!("{:?}", entry.after)).collect::<Vec<_>>();
    assert!(told.len() == 2 && told[1].contains("\"ja\"") && !told[0].contains("\"ja\""), "{told:?}");
    settled(&world).await;
}
