//! ab_27: an address is the same address in all its spellings, on both databases, is mailed as it was typed, and is nobody else's.

use roster_test_macros::wire_test;
use tonic::Code;

use crate::support::contents::dump;
use crate::support::pb::{ListInvitationsRequest, ListUsersRequest};
use crate::support::scenario::{
    OWNER, PASSWORD, Scenario, assert_refused, call, create_user, new_user, sign_in, signing_up,
};
use crate::support::world::World;

/// An address as its holder types it, the recipient that mail for it goes to, and other spellings of it.
struct Address {
    typed: &'static str,
    mailed: &'static str,
    spellings: &'static [&'static str],
}

const ADDRESSES: [Address; 6] = [
    Address {
        typed: "Ada.Lovelace@Example.COM",
        mailed: "Ada.Lovelace@Example.COM",
        spellings: &["ada.lovelace@example.com", "ADA.LOVELACE@EXAMPLE.COM", " ada.Lovelace@example.com "],
    },
    Address {
        typed: "ada+news@example.com",
        mailed: "ada+news@example.com",
        spellings: &["ADA+NEWS@example.com", "Ada+News@EXAMPLE.com"],
    },
    // The local part's accents are one character each (NFC).
    Address {
        typed: "Zo\u{eb}@example.com",
        mailed: "Zo\u{eb}@example.com",
        spellings: &[
            "zo\u{eb}@example.com",
            "zoe\u{308}@example.com",
            "ZO\u{cb}@EXAMPLE.COM",
            "ZOE\u{308}@example.com",
        ],
    },
    // The same the other way around (NFD): it is mailed as it was typed, not as it is compared.
    Address {
        typed: "Andre\u{301}@example.com",
        mailed: "Andre\u{301}@example.com",
        spellings: &["andr\u{e9}@example.com", "ANDR\u{c9}@example.com"],
    },
    Address {
        typed: "Ada@B\u{fc}cher.example",
        mailed: "Ada@xn--bcher-kva.example",
        spellings: &[
            "ada@xn--bcher-kva.example",
            "ada@XN--BCHER-KVA.example",
            "ada@bu\u{308}cher.example",
            "ada@B\u{dc}CHER.EXAMPLE",
        ],
    },
    Address {
        typed: "\u{3a3}\u{3af}\u{3c3}\u{3c5}\u{3c6}\u{3bf}\u{3c2}@example.com",
        mailed: "\u{3a3}\u{3af}\u{3c3}\u{3c5}\u{3c6}\u{3bf}\u{3c2}@example.com",
        spellings: &[
            "\u{3c3}\u{3af}\u{3c3}\u{3c5}\u{3c6}\u{3bf}\u{3c3}@example.com",
            "\u{3a3}\u{38a}\u{3a3}\u{3a5}\u{3a6}\u{39f}\u{3a3}@example.com",
        ],
    },
];

/// Addresses that look alike or lead to one mailbox at some provider, and are different ones all the same.
const DIFFERENT: [&str; 9] = [
    "ada@example.com",
    "ada+news@example.com",
    "ada+other@example.com",
    "a.da@example.com",
    // Cyrillic a, Greek alpha, fullwidth a.
    "\u{430}da@example.com",
    "\u{3b1}da@example.com",
    "\u{ff41}da@example.com",
    // A domain whose a is Cyrillic, and one with an accent.
    "ada@ex\u{430}mple.com",
    "ada@ex\u{e1}mple.com",
];

async fn found(world: &World, email: &str) -> Vec<(String, String)> {
    let request = ListUsersRequest { email: email.to_owned(), ..ListUsersRequest::default() };
    let list = world.users().list_users(world.as_operator(request)).await.unwrap().into_inner();
    list.users.into_iter().map(|user| (user.user_id, user.email)).collect()
}

/// ab_27: whoever has an account is known by every spelling of their address: at sign-in, to a second account, to a search, and to an invitation.
#[wire_test]
async fn ab_27_an_account_has_one_address_in_all_spellings(world: World) {
    let team = Scenario::acme(&world).await;
    for Address { typed, spellings, .. } in ADDRESSES {
        let user_id = create_user(&world, typed).await.user_id;
        for spelling in spellings.iter().chain([&typed]) {
            sign_in(&world, spelling, PASSWORD).await.unwrap_or_else(|status| panic!("{spelling}: {status}"));
            assert_eq!(found(&world, spelling).await, [(user_id.clone(), typed.to_owned())], "{spelling}");
            let before = dump(world.database()).await;
            let taken = call!(world, users.create_user, world.operator_key(), new_user(spelling));
            assert_refused(taken, Code::AlreadyExists, "EMAIL_TAKEN");
            assert_eq!(dump(world.database()).await, before);
        }
    }
    // The owner is a member, in whatever spelling somebody invites them.
    for spelling in [OWNER, "OWNER@Example.com"] {
        let invited = world
            .invitations()
            .create_invitation(world.as_session(&team.owner.session, team.invitation(spelling)))
            .await;
        assert_refused(invited, Code::AlreadyExists, "ALREADY_MEMBER");
    }
}

/// ab_27: an address is invited once, in whatever spelling, gets its mail as it was typed, and belongs to whoever accepts.
#[wire_test]
async fn ab_27_an_invitation_goes_to_the_address_as_typed(world: World) {
    let team = Scenario::acme(&world).await;
    for Address { typed, mailed, spellings } in ADDRESSES {
        let request = world.as_session(&team.owner.session, team.invitation(typed));
        let made = world.invitations().create_invitation(request).await.unwrap().into_inner();
        assert_eq!(made.invitation.unwrap().email, typed);
        let mails = world.mailbox.wait_for(mailed, 1).await;
        assert_eq!(mails[0].recipients, [mailed]);
        for spelling in spellings.iter().chain([&typed]) {
            let again = world
                .invitations()
                .create_invitation(world.as_session(&team.owner.session, team.invitation(spelling)))
                .await;
            assert_refused(again, Code::AlreadyExists, "INVITATION_PENDING");
            let request = ListInvitationsRequest {
                organization_id: team.organization_id.clone(),
                email: (*spelling).to_owned(),
                ..ListInvitationsRequest::default()
            };
            let list = world
                .invitations()
                .list_invitations(world.as_session(&team.owner.session, request))
                .await
                .unwrap()
                .into_inner();
            assert_eq!(list.invitations.len(), 1, "{spelling}");
        }
        let token = mails[0].invitation_token();
        world.invitations().accept_invitation(signing_up(&token, PASSWORD)).await.unwrap();
        for spelling in spellings.iter().chain([&typed]) {
            sign_in(&world, spelling, PASSWORD).await.unwrap();
            let again = world
                .invitations()
                .create_invitation(world.as_session(&team.owner.session, team.invitation(spelling)))
                .await;
            assert_refused(again, Code::AlreadyExists, "ALREADY_MEMBER");
        }
        assert_eq!(world.mailbox.mails_for(mailed).len(), 1);
    }
}

/// ab_27: plus tags, dots and look-alike letters make another address: each has an account, a password and an invitation of its own.
#[wire_test]
async fn ab_27_addresses_that_look_alike_are_different(world: World) {
    let team = Scenario::acme(&world).await;
    let mut ids = Vec::new();
    for (number, email) in DIFFERENT.into_iter().enumerate() {
        for other in &DIFFERENT[number..] {
            assert_eq!(found(&world, other).await, [], "{other} is known before it is used");
        }
        let failed = sign_in(&world, email, PASSWORD).await.unwrap_err();
        assert_eq!(failed.code(), Code::Unauthenticated);
        ids.push(create_user(&world, email).await.user_id);
        world
            .invitations()
            .create_invitation(world.as_session(&team.owner.session, team.invitation(email)))
            .await
            .unwrap();
    }
    ids.sort_unstable();
    ids.dedup();
    assert_eq!(ids.len(), DIFFERENT.len());
    for email in DIFFERENT {
        assert_eq!(found(&world, email).await.len(), 1);
    }
    // Each got its own message, none that of another: the domains beyond ASCII under the name that mail servers know.
    for (email, mailed) in DIFFERENT.map(|email| match email {
        "ada@ex\u{430}mple.com" => (email, "ada@xn--exmple-4nf.com"),
        "ada@ex\u{e1}mple.com" => (email, "ada@xn--exmple-qta.com"),
        _ => (email, email),
    }) {
        assert_eq!(world.mailbox.wait_for(mailed, 1).await.len(), 1, "{email}");
    }
}
