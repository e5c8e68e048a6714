//! Who calls: headers that name a caller twice, or in bytes that nobody can read, name nobody.

use tonic::metadata::{Ascii, MetadataValue};
use tonic::{Code, Request};

use crate::safety_kit::{PASSWORD, Team, create_user, credentials, refusal, sign_in};
use crate::support::pb::{ListMembersRequest, SignInRequest};
use crate::support::runner::wire_tests;
use crate::support::scenario::service_key;

/// A header's value out of these bytes, whether they are text or not.
fn value(bytes: &[u8]) -> MetadataValue<Ascii> {
    MetadataValue::try_from(bytes).unwrap()
}

/// The request with these headers, as often as they are given.
fn with<T>(message: T, headers: &[(&'static str, &[u8])]) -> Request<T> {
    let mut request = Request::new(message);
    for (name, bytes) in headers {
        request.metadata_mut().append(*name, value(bytes));
    }
    request
}

wire_tests! {
    /// ab_33: a header that says who calls is there once and can be read, or the call is refused: never does the first of two count, and never does what cannot be read count as absent. A
    /// service that passes on what a browser sent would call as itself, and read what its user may not.
    async fn ab_33_a_doubled_or_unreadable_credential_is_none(world: World) {
        let team = Team::found(&world).await;
        create_user(&world, "eve@example.com", true).await.unwrap();
        let eve = sign_in(&world, "eve@example.com", PASSWORD).await.unwrap();
        let key = format!("Bearer {}", service_key(&world, &["members.read", "act_as_user"]).await);
        let (key, owner, eve) = (key.as_bytes(), team.owner.as_bytes(), eve.as_bytes());
        let roster = || ListMembersRequest { organization_id: team.organization_id.clone(), ..ListMembersRequest::default() };

        // What each of them may do alone.
        let alone = with(roster(), &[("authorization", key), ("roster-on-behalf-of", owner)]);
        world.members().list_members(alone).await.unwrap();
        let stranger = with(roster(), &[("authorization", key), ("roster-on-behalf-of", eve)]);
        assert_eq!(refusal(world.members().list_members(stranger).await).0, Code::NotFound);

        let [behalf, actor] = ["roster-on-behalf-of", "roster-actor"];
        let tried: [&[(&'static str, &[u8])]; 9] = [
            &[("authorization", key), (behalf, b"rss_\xff")],
            &[("authorization", key), (behalf, b"\xff")],
            &[("authorization", key), (actor, b"\xff")],
            &[("authorization", key), (behalf, owner), (behalf, eve)],
            &[("authorization", key), (behalf, owner), (behalf, b"\xff")],
            &[("authorization", key), (actor, team.owner_id.as_bytes()), (actor, team.owner_id.as_bytes())],
            &[("authorization", key), ("authorization", key)],
            &[("authorization", key), ("authorization", b"\xff")],
            &[("authorization", b"Bearer rsk_\xff")],
        ];
        for headers in tried {
            let outcome = world.members().list_members(with(roster(), headers)).await;
            assert_eq!(refusal(outcome), (Code::Unauthenticated, "CREDENTIALS_INVALID".to_owned()), "{headers:?}");
            // The same where no credential is needed: what is shown has to hold.
            let outcome = world.sessions().sign_in(with(credentials("eve@example.com", PASSWORD), headers)).await;
            assert_eq!(refusal(outcome), (Code::Unauthenticated, "CREDENTIALS_INVALID".to_owned()), "{headers:?}");
        }
    }

    /// ab_33: a person's network address that is reported twice, or in bytes that nobody can read, is not kept, as one that is no address is not: it never is the first of the two.
    async fn ab_33_a_doubled_address_is_none(world: World) {
        create_user(&world, "eve@example.com", true).await.unwrap();
        let key = format!("Bearer {}", service_key(&world, &["sessions.verify"]).await);
        let reported: [&[&[u8]]; 3] = [&[b"192.0.2.7", b"192.0.2.8"], &[b"192.0.2.7", b"\xff"], &[b"192.0.2.7\xff"]];
        for addresses in reported {
            let mut request: Request<SignInRequest> = with(credentials("eve@example.com", PASSWORD), &[("authorization", key.as_bytes())]);
            for address in addresses {
                request.metadata_mut().append("roster-client-ip", value(address));
            }
            let answer = world.sessions().sign_in(request).await.unwrap().into_inner();
            assert_eq!(answer.session.unwrap().ip_address, "", "{addresses:?}");
        }
    }
}
