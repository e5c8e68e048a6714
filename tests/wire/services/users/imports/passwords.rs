//! Imported password hashes.

use roster_test_macros::wire_test;
use tonic::Code;

use super::{IMPORT, LEGACY, counts, import, person, told, user};
use crate::support::pb::{ErrorReason, ImportOutcome, UserState, UserToImport};
use crate::support::race::at_once;
use crate::support::scenario::{PASSWORD, assert_refused, sign_in, time};
use crate::support::world::World;

/// Of "café au lait" with U+00E9, and with U+0065 U+0301, by the same.
const COMPOSED: &str = "$2b$04$ps6UTHh2OBDRMMklqvFiYO8WAn6Y6aQhhFG4Ur9etVRp3URIG5ABW";

const DECOMPOSED: &str = "$2b$04$CVx5Ij66pvNwh9h.87WeTuuA6fGNfqrEqNBReIDbXMGnLby/ouFUa";

/// Everything that is said of a person is there afterwards, they sign in with the password that they have, and it is hashed again by that. No message goes
/// out, and what happened to the account says where it came from, without the hash.
#[wire_test]
async fn a_person_comes_with_their_password(world: World) {
    let ada = UserToImport {
        email: "Ada@Example.com".to_owned(),
        email_verified: true,
        family_name: "Lovelace".to_owned(),
        display_name: "Countess".to_owned(),
        username: "Ada".to_owned(),
        locale: "en-gb".to_owned(),
        phone_number: "+44 20 7946 0018".to_owned(),
        create_time: Some(prost_types::Timestamp { seconds: 1_000_000_000, nanos: 0 }),
        ..person(0, "")
    };
    let bob = UserToImport { password_hash: String::new(), suspended: true, ..person(1, "bob@example.com") };
    let answer = import(&world, vec![ada, bob]).await;
    assert_eq!((counts(&answer), answer.refused.len()), ((2, 0, 0), 0));
    assert!(answer.users.iter().all(|one| one.outcome() == ImportOutcome::Created));
    let [ada, bob] = &answer.users[..] else { panic!("{answer:?}") };
    assert_eq!((ada.index, bob.index), (0, 1));

    let row = user(&world, &ada.user_id).await;
    assert_eq!((row.email.as_str(), row.email_verified, row.locale.as_str()), ("Ada@Example.com", true, "en-GB"));
    assert_eq!(
        (row.given_name.as_str(), row.family_name.as_str(), row.display_name.as_str(), row.username.as_str()),
        ("Given", "Lovelace", "Countess", "ada")
    );
    assert_eq!(row.phone_number, "+442079460018");
    assert_eq!(
        (time(row.create_time.as_ref()).timestamp(), time(row.update_time.as_ref()), row.state()),
        (1_000_000_000, world.clock.now(), UserState::Active)
    );
    let row = user(&world, &bob.user_id).await;
    assert_eq!(
        (row.state(), row.email_verified, time(row.create_time.as_ref())),
        (UserState::Suspended, false, world.clock.now())
    );

    assert_refused(sign_in(&world, "ada@example.com", PASSWORD).await, Code::Unauthenticated, "SIGN_IN_FAILED");
    assert_eq!(world.count("SELECT COUNT(*) AS n FROM users WHERE password_hash LIKE '$2b$%'").await, 1);
    sign_in(&world, "ada@example.com", LEGACY).await.unwrap();
    assert_eq!(
        world.count("SELECT COUNT(*) AS n FROM users WHERE password_hash LIKE '$argon2id$v=19$m=64,%'").await,
        1
    );
    sign_in(&world, "ada@example.com", LEGACY).await.unwrap();
    assert_refused(sign_in(&world, "ada@example.com", PASSWORD).await, Code::Unauthenticated, "SIGN_IN_FAILED");
    // Whoever came without a password, or was out of use, does not get in.
    assert_refused(sign_in(&world, "bob@example.com", LEGACY).await, Code::Unauthenticated, "SIGN_IN_FAILED");

    assert_eq!(world.count("SELECT COUNT(*) AS n FROM outbox_messages").await, 0);
    let events = "SELECT COUNT(*) AS n FROM events WHERE kind = 'user.imported' AND revision = 1 AND data LIKE";
    assert_eq!(world.count(&format!("{events} '%{IMPORT}%'")).await, 2);
    assert_eq!(world.count(&format!("{events} '%$2b$%'")).await, 0);
}

/// Of right sign-ins at once, one replaces the hash that was brought, and the others are right all the same. With one look only, the round was lost every time.
#[wire_test]
async fn the_first_sign_ins_at_once_all_succeed(world: World) {
    import(&world, vec![person(0, "ada@example.com")]).await;
    let calls = (0..4).map(|_| {
        let world = world.clone();
        async move { sign_in(&world, "ada@example.com", LEGACY).await.map(drop) }
    });
    for answer in at_once(calls.collect()).await {
        answer.unwrap();
    }
    sign_in(&world, "ada@example.com", LEGACY).await.unwrap();
    assert_refused(sign_in(&world, "ada@example.com", "letmein2").await, Code::Unauthenticated, "SIGN_IN_FAILED");
}

/// A hash that was made of what was typed, and not of its normal form, is met all the same; and so is one of the normal form. Both are replaced.
#[wire_test]
async fn a_password_matches_as_typed_and_in_its_normal_form(world: World) {
    // U+00E9 and U+0065 U+0301, which are the same letter; each hash is of one spelling, by bcrypt 5.0.0.
    let [composed, decomposed] = ["caf\u{e9} au lait", "cafe\u{301} au lait"];
    let hashes = [COMPOSED, DECOMPOSED];
    for (number, hash) in hashes.iter().enumerate() {
        for (typing, typed) in [composed, decomposed].iter().enumerate() {
            let email = format!("p{number}{typing}@example.com");
            let answer =
                import(&world, vec![UserToImport { password_hash: (*hash).to_owned(), ..person(0, &email) }]).await;
            assert_eq!(answer.created_count, 1, "{answer:?}");
            // Typed decomposed, both are tried; typed composed, there is only one form.
            let signed_in = sign_in(&world, &email, typed).await;
            assert_eq!(signed_in.is_ok(), number == 0 || typing == 1, "{email}");
            let again = sign_in(&world, &email, composed).await;
            assert_eq!(again.is_ok(), number == 0 || typing == 1, "{email}");
        }
    }
}

/// Each bound on what a comparison may cost holds where a hash comes in: the dearest one within it is taken, and the next one is told which bound it breaks.
#[wire_test]
async fn what_a_hash_may_cost_is_bounded(world: World) {
    let argon2 = |cost: &str| {
        format!("$argon2id$v=19${cost}$MDEyMzQ1Njc4OWFiY2RlZg$1G06hvLNVYYOip8xNneh7BSEw9mz3/2HyKr1gHMPrPg")
    };
    let scrypt =
        |cost: &str| format!("$scrypt${cost}$YSBzYWx0IG9mIG9jdGV0cw$S+QoCug9AfF8mKocH+bjyTv6d2XjfeT0CDrUNTY9gIU");
    let bcrypt = |cost: &str| format!("$2b${cost}$Nfi7wvDw1xDSBJ3hJi7KN.8kTKFNh9Sb9FWtqj5rsCVJV0/KEkmMS");
    let pbkdf2 =
        |cost: &str| format!("$pbkdf2-sha256$i={cost},l=32$+//+IGEgc2FsdA$1Wy0dnU6ICt+R7Zaa0wd9jIbYb6cyNF+IhJtcosVODI");
    let bounds = [
        (argon2("m=131072,t=8,p=1"), argon2("m=131073,t=1,p=1"), ["131072", "memory_kib", "argon2", "131073"]),
        (
            argon2("m=65536,t=16,p=1"),
            argon2("m=65536,t=17,p=1"),
            ["1048576", "memory_kib times iterations", "argon2", "1114112"],
        ),
        (argon2("m=1024,t=1,p=64"), argon2("m=1024,t=1,p=65"), ["64", "lanes", "argon2", "65"]),
        (scrypt("ln=17,r=8,p=4"), scrypt("ln=18,r=8,p=1"), ["131072", "memory_kib", "scrypt", "262144"]),
        (scrypt("ln=14,r=8,p=32"), scrypt("ln=14,r=8,p=33"), ["524288", "memory_kib times p", "scrypt", "540672"]),
        (scrypt("ln=4,r=1,p=8192"), scrypt("ln=4,r=1,p=8193"), ["8192", "r times p", "scrypt", "8193"]),
        (bcrypt("14"), bcrypt("15"), ["14", "cost", "bcrypt", "15"]),
        (pbkdf2("2000000"), pbkdf2("2000001"), ["2000000", "rounds", "PBKDF2", "2000001"]),
    ];
    let hashed = |index, hash: &str| UserToImport {
        password_hash: hash.to_owned(),
        ..person(index, &format!("h{index}@example.com"))
    };
    let people = bounds
        .iter()
        .zip(0..)
        .flat_map(|((within, beyond, _), place)| [hashed(2 * place, within), hashed(2 * place + 1, beyond)]);
    let answer = import(&world, people.collect()).await;
    assert_eq!(
        answer.users.iter().map(|one| one.index).collect::<Vec<_>>(),
        (0..8).map(|place| 2 * place).collect::<Vec<_>>()
    );
    let expected = bounds.iter().zip(0..).map(|((_, _, [limit, parameter, scheme, value]), place)| {
        let facts = [
            format!("limit={limit}"),
            format!("parameter={parameter}"),
            format!("scheme={scheme}"),
            format!("value={value}"),
        ];
        (2 * place + 1, ErrorReason::HashTooExpensive, facts.to_vec(), vec!["password_hash".to_owned()])
    });
    assert_eq!(answer.refused.iter().map(told).collect::<Vec<_>>(), expected.collect::<Vec<_>>());
}
