//! ab_34: whoever makes an account for another person's address plants nothing in it that outlives the first link by which that person chooses a password.

use std::time::Duration;

use roster_test_macros::wire_test;
use tonic::Code;

use crate::services::credentials::identities::{enter, link as link_identity, provider};
use crate::services::credentials::mfa::guard;
use crate::services::credentials::passwords::{ask_for_reset, reset};
use crate::services::users::addresses::{change, change_by, verify};
use crate::support::mailbox::Mail;
use crate::support::pb::ChangeUserEmailRequest;
use crate::support::scenario::{
    PASSWORD, Person, Scenario, accept_as, accept_as_new, assert_refused, create_user, settled, sign_in,
};
use crate::support::world::World;

const ADA: &str = "ada@example.com";
/// The password that Ada chooses.
const HERS: &str = "crimson ladder over 7 rivers";
/// And the one after it.
const NEXT: &str = "seven quiet lanterns by 3 bridges";

/// An account for Ada's address that an administrator made with a password of their own, signed in.
async fn made_for(world: &World, email: &str) -> Person {
    let team = Scenario::under(world, "packetfabric").await;
    team.create(&team.owner.session, email, &["regular"]).await.unwrap();
    again(world, email, PASSWORD).await
}

async fn again(world: &World, email: &str, password: &str) -> Person {
    let entered = sign_in(world, email, password).await.unwrap();
    Person { user_id: entered.user.unwrap().user_id, email: email.to_owned(), session: entered.session_token }
}

/// The mails to an address with a token of this kind; others are on their way beside them.
fn links(world: &World, email: &str, kind: &str) -> Vec<Mail> {
    let mut mails = world.mailbox.mails_for(email);
    mails.retain(|mail| mail.text.contains(kind));
    mails
}

/// The token of the newest of so many.
async fn newest(world: &World, email: &str, kind: &str, count: usize) -> String {
    while links(world, email, kind).len() < count {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    settled(world).await;
    links(world, email, kind)[count - 1].token(kind)
}

/// Has the account's present address confirmed: the mail is Roster's own, and its reader follows the link.
async fn confirmed(world: &World, person: &Person) {
    change_by(world, &person.session, change(&person.user_id, &person.email, PASSWORD)).await.unwrap();
    let token = newest(world, &person.email, "rev_", 1).await;
    assert!(verify(world, &token).await.unwrap().user.unwrap().email_verified);
}

/// Chooses a password by a link in a mail.
async fn choose(world: &World, email: &str, password: &str) {
    let before = links(world, email, "rpr_").len();
    ask_for_reset(world, email).await.unwrap();
    let token = newest(world, email, "rpr_", before + 1).await;
    world.credentials().reset_password(reset(&token, password)).await.unwrap();
}

/// ab_34: an identity and a second factor are planted before the address is confirmed, and another identity after it. The owner of the address follows the genuine mail, chooses a
/// password later, and joins their employer: nothing of it signs in, asks for a code, or goes on.
#[wire_test]
async fn ab_34_a_confirmation_mail_saves_nothing_planted(world: World) {
    let provider = provider(&world).await;
    let attacker = made_for(&world, ADA).await;
    link_identity(&world, &attacker.session, provider.token(&world, "1")).await.unwrap();
    confirmed(&world, &attacker).await;
    // The password is still the attacker's: a confirmation alone protects nothing.
    let attacker = again(&world, ADA, PASSWORD).await;
    link_identity(&world, &attacker.session, provider.token(&world, "2")).await.unwrap();
    guard(&world, &attacker).await;

    choose(&world, ADA, HERS).await;
    let ada = again(&world, ADA, HERS).await;
    let employer = Scenario::with(&world, "default", "", "employer@example.com").await;
    let token = employer.invited(ADA, &["admin"]).await;
    accept_as(&world, &ada.session, &token).await.unwrap();
    for subject in ["1", "2"] {
        assert_refused(enter(&world, provider.token(&world, subject)).await, Code::Unauthenticated, "IDENTITY_UNKNOWN");
    }
    assert_refused(employer.roster(&attacker.session).await, Code::Unauthenticated, "CREDENTIALS_INVALID");
    assert_refused(sign_in(&world, ADA, PASSWORD).await, Code::Unauthenticated, "SIGN_IN_FAILED");

    // From here on the account is hers, and what she sets up stays: the mailbox is one factor, and gets nobody around another.
    link_identity(&world, &ada.session, provider.token(&world, "3")).await.unwrap();
    guard(&world, &ada).await;
    choose(&world, ADA, NEXT).await;
    assert!(sign_in(&world, ADA, NEXT).await.unwrap().challenge.is_some());
    assert!(enter(&world, provider.token(&world, "3")).await.unwrap().challenge.is_some());
}

/// ab_34: the same where a service has answered for the address: it has not seen who holds the password.
#[wire_test]
async fn ab_34_a_services_word_saves_nothing_planted(world: World) {
    let provider = provider(&world).await;
    let attacker = create_user(&world, ADA).await;
    link_identity(&world, &attacker.session, provider.token(&world, "1")).await.unwrap();
    guard(&world, &attacker).await;
    choose(&world, ADA, HERS).await;
    again(&world, ADA, HERS).await;
    assert_refused(enter(&world, provider.token(&world, "1")).await, Code::Unauthenticated, "IDENTITY_UNKNOWN");
}

/// ab_34: another address is another person's mailbox. An account that moves to it, by a link or by a service's word, begins again, whatever its holder had shown for the old one.
#[wire_test]
async fn ab_34_another_address_begins_anew(world: World) {
    const EVE: &str = "eve@example.com";
    let provider = provider(&world).await;
    for (by_link, subject) in [(true, "1"), (false, "2")] {
        let (from, to) = (format!("{subject}.{EVE}"), format!("{subject}.{ADA}"));
        create_user(&world, &from).await;
        choose(&world, &from, PASSWORD).await;
        let eve = again(&world, &from, PASSWORD).await;
        link_identity(&world, &eve.session, provider.token(&world, subject)).await.unwrap();
        guard(&world, &eve).await;
        if by_link {
            change_by(&world, &eve.session, change(&eve.user_id, &to, PASSWORD)).await.unwrap();
            verify(&world, &newest(&world, &to, "rev_", 1).await).await.unwrap();
        } else {
            let request = ChangeUserEmailRequest { email_verified: true, ..change(&eve.user_id, &to, "") };
            change_by(&world, world.operator_key(), request).await.unwrap();
        }
        // Nothing was taken away by the move itself: whoever moves their account keeps it.
        assert!(enter(&world, provider.token(&world, subject)).await.unwrap().challenge.is_some());
        choose(&world, &to, HERS).await;
        again(&world, &to, HERS).await;
        assert_refused(enter(&world, provider.token(&world, subject)).await, Code::Unauthenticated, "IDENTITY_UNKNOWN");
    }
}

/// ab_34: who signs up by the link of an invitation has chosen the password with it: nothing can be from before, and a reset leaves what they set up.
#[wire_test]
async fn ab_34_who_signs_up_by_a_link_has_shown_it(world: World) {
    let provider = provider(&world).await;
    let acme = Scenario::acme(&world).await;
    let accepted = accept_as_new(&world, &acme.invited(ADA, &["member"]).await, "Ada").await.unwrap();
    let ada = Person { user_id: accepted.user_id, email: ADA.to_owned(), session: accepted.session_token };
    link_identity(&world, &ada.session, provider.token(&world, "1")).await.unwrap();
    guard(&world, &ada).await;
    choose(&world, ADA, HERS).await;
    assert!(sign_in(&world, ADA, HERS).await.unwrap().challenge.is_some());
    assert!(enter(&world, provider.token(&world, "1")).await.unwrap().challenge.is_some());
}
