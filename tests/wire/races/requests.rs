//! Mails that somebody asks for many of at once, over two servers on one database: an hour's number is sent, and no more (ab_25).

use roster_test_macros::wire_test;

use crate::services::users::addresses::change;
use crate::support::pb::credential_service_client::CredentialServiceClient;
use crate::support::pb::session_service_client::SessionServiceClient;
use crate::support::pb::user_service_client::UserServiceClient;
use crate::support::pb::{RequestPasswordResetRequest, StartStepUpRequest, StepUpPurpose};
use crate::support::race::{OK, Servers, all_told, at_once, message};
use crate::support::scenario::{PASSWORD, create_user, settled, with_credential};
use crate::support::world::World;

const ADA: &str = "ada@example.com";
/// Calls at once.
const CALLS: usize = 12;

/// What all are told where five get through.
fn five_of_all() -> Vec<String> {
    let refused = std::iter::repeat_n("ResourceExhausted TOO_MANY_ATTEMPTS".to_owned(), CALLS - 5);
    std::iter::repeat_n(OK.to_owned(), 5).chain(refused).collect()
}

/// Twelve requests for a link to choose a new password at once send five. Counted without the user's lock, all twelve were sent on PostgreSQL; SQLite has one writer.
#[wire_test]
async fn five_reset_links_are_sent_however_many_ask(world: World) {
    create_user(&world, ADA).await;
    let servers = Servers::open(&world).await;
    let calls: Vec<_> = (0..CALLS)
        .map(|index| {
            let mut client = CredentialServiceClient::new(servers.channel(index));
            let request =
                RequestPasswordResetRequest { email: ADA.to_owned(), ..RequestPasswordResetRequest::default() };
            async move { message(client.request_password_reset(request).await) }
        })
        .collect();
    assert_eq!(all_told(&at_once(calls).await), [OK; CALLS]);
    world.mailbox.wait_for(ADA, 5).await;
    settled(&world).await;
    assert_eq!(world.mailbox.mails_for(ADA).len(), 5);
}

/// Twelve requests for a code of the second step at once send five. Counted before the transaction, all twelve were sent.
#[wire_test]
async fn five_codes_are_sent_however_many_ask(world: World) {
    let ada = create_user(&world, ADA).await;
    let servers = Servers::open(&world).await;
    let calls: Vec<_> = (0..CALLS)
        .map(|index| {
            let mut client = SessionServiceClient::new(servers.channel(index));
            let request = with_credential(
                &ada.session,
                StartStepUpRequest { purpose: StepUpPurpose::InviteMembers.into(), ..StartStepUpRequest::default() },
            );
            async move { message(client.start_step_up(request).await) }
        })
        .collect();
    assert_eq!(all_told(&at_once(calls).await), five_of_all());
    world.mailbox.wait_for(ADA, 5).await;
    settled(&world).await;
    assert_eq!(world.mailbox.mails_for(ADA).len(), 5);
}

/// Twelve changes of the address at once send five links. Counted before the transaction, all twelve were sent.
#[wire_test]
async fn five_links_to_confirm_an_address_are_sent_however_many_ask(world: World) {
    let ada = create_user(&world, ADA).await;
    let servers = Servers::open(&world).await;
    let calls: Vec<_> = (0..CALLS)
        .map(|index| {
            let mut client = UserServiceClient::new(servers.channel(index));
            let request = with_credential(&ada.session, change(&ada.user_id, "new@example.com", PASSWORD));
            async move { message(client.change_user_email(request).await) }
        })
        .collect();
    assert_eq!(all_told(&at_once(calls).await), five_of_all());
    world.mailbox.wait_for("new@example.com", 5).await;
    settled(&world).await;
    assert_eq!(world.mailbox.mails_for("new@example.com").len(), 5);
}
