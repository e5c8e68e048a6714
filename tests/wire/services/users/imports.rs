//! People who are brought in from another system, with the hashes of their passwords.

mod passwords;
mod streams;

use futures_util::stream;
use roster_test_macros::wire_test;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Status, Streaming};

use crate::support::pb::{
    ErrorReason, GetUserRequest, ImportOutcome, ImportUsersRequest, ImportUsersResponse, ImportedMembership,
    RefusedUser, User, UserToImport,
};
use crate::support::scenario::{Scenario, call, create_organization, create_user, sign_in, traces};
use crate::support::world::{World, literal};

/// A stream that is fed by hand.
struct Feed {
    sender: mpsc::Sender<ImportUsersRequest>,
    answers: Streaming<ImportUsersResponse>,
}

impl Feed {
    async fn open(world: &World, credential: &str) -> Self {
        let (sender, receiver) = mpsc::channel(4);
        let answers = call!(world, users.import_users, credential, ReceiverStream::new(receiver)).unwrap();
        Self { sender, answers }
    }

    async fn send(&mut self, users: Vec<UserToImport>) -> Result<ImportUsersResponse, Status> {
        self.sender.send(batch(users)).await.unwrap();
        Ok(self.answers.message().await?.expect("an answer for each batch"))
    }
}

/// Of [`LEGACY`], made by the package bcrypt 5.0.0 of PyPI.
const BCRYPT: &str = "$2b$04$oF8st7APAjryZpu2.UXOBeyrODaiGYY2AGdAeKeZrmYmYZNGZQyPO";

const IMPORT: &str = "0197f0c0-7b1e-7c3a-9d2e-3f4a5b6c7d8e";
/// A password that the policy would refuse today.
const LEGACY: &str = "letmein1";

/// Somebody at a place in the import.
fn person(index: i64, email: &str) -> UserToImport {
    UserToImport {
        index,
        email: email.to_owned(),
        given_name: "Given".to_owned(),
        password_hash: BCRYPT.to_owned(),
        ..UserToImport::default()
    }
}

fn batch(users: Vec<UserToImport>) -> ImportUsersRequest {
    ImportUsersRequest { import_id: IMPORT.to_owned(), users, validate_only: false }
}

/// A thousand people may be many; these are as many as one batch takes.
fn crowd(range: std::ops::Range<i64>) -> Vec<UserToImport> {
    range.map(|index| person(index, &format!("p{index}@example.com"))).collect()
}

async fn answers(
    world: &World,
    credential: &str,
    batches: Vec<ImportUsersRequest>,
) -> Result<Vec<ImportUsersResponse>, Status> {
    let mut stream = call!(world, users.import_users, credential, stream::iter(batches))?;
    let mut answers = Vec::new();
    while let Some(answer) = stream.message().await? {
        answers.push(answer);
    }
    Ok(answers)
}

/// The answer to one batch of the operator's.
async fn import(world: &World, users: Vec<UserToImport>) -> ImportUsersResponse {
    let mut answers = answers(world, world.operator_key(), vec![batch(users)]).await.unwrap();
    assert_eq!(answers.len(), 1);
    answers.remove(0)
}

/// Created, already there, refused: so far.
fn counts(answer: &ImportUsersResponse) -> (i64, i64, i64) {
    (answer.created_count, answer.already_imported_count, answer.refused_count)
}

/// Where, why, with which facts, and which fields.
fn told(refused: &RefusedUser) -> (i64, ErrorReason, Vec<String>, Vec<String>) {
    let mut facts: Vec<String> = refused.metadata.iter().map(|(key, value)| format!("{key}={value}")).collect();
    facts.sort();
    let fields = refused.violations.iter().map(|violation| violation.field.clone()).collect();
    (refused.index, refused.reason(), facts, fields)
}

async fn user(world: &World, user_id: &str) -> User {
    let request = GetUserRequest { user_id: user_id.to_owned() };
    call!(world, users.get_user, world.operator_key(), request).unwrap().user.unwrap()
}

async fn users(world: &World) -> i64 {
    world.count("SELECT COUNT(*) AS n FROM users").await
}

/// One who is refused does not keep the others of the batch out, and is told everything at once, or the one reason.
#[wire_test]
async fn the_refused_are_told_and_the_others_come_in(world: World) {
    create_user(&world, "taken@example.com").await;
    let named =
        |index, email: &str, username: &str| UserToImport { username: username.to_owned(), ..person(index, email) };
    let hashed = |index, hash: &str| UserToImport {
        password_hash: hash.to_owned(),
        ..person(index, &format!("h{index}@example.com"))
    };
    let answer = import(
        &world,
        vec![
            person(10, "first@example.com"),
            person(11, "Taken@Example.com"),
            named(12, "named@example.com", "somebody"),
            named(13, "other@example.com", "Somebody"),
            person(14, "FIRST@example.com"),
            UserToImport {
                given_name: String::new(),
                locale: "??".to_owned(),
                password_hash: "$1$x".to_owned(),
                ..person(15, "a@b@c")
            },
            hashed(16, "5f4dcc3b5aa765d61d8327deb882cf99"),
            hashed(17, "$2b$10$tooshort"),
            hashed(18, "$2b$31$Nfi7wvDw1xDSBJ3hJi7KN.8kTKFNh9Sb9FWtqj5rsCVJV0/KEkmMS"),
            UserToImport {
                memberships: vec![ImportedMembership {
                    organization_id: "x".to_owned(),
                    roles: vec!["Big Boss".to_owned()],
                }],
                ..person(19, "m@example.com")
            },
            person(-1, "negative@example.com"),
            person(21, "last@example.com"),
        ],
    )
    .await;
    assert_eq!(answer.users.iter().map(|one| one.index).collect::<Vec<_>>(), [10, 12, 21]);
    assert_eq!(counts(&answer), (3, 0, 9));
    let texts = |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).collect::<Vec<_>>();
    let expected = [
        (11, ErrorReason::EmailTaken, texts(&[]), texts(&[])),
        (13, ErrorReason::UsernameTaken, texts(&["index=12"]), texts(&[])),
        (14, ErrorReason::EmailTaken, texts(&["index=10"]), texts(&[])),
        (15, ErrorReason::InvalidRequest, texts(&[]), texts(&["email", "given_name", "locale", "password_hash"])),
        (
            16,
            ErrorReason::HashUnsupported,
            texts(&["supported=argon2, bcrypt, scrypt, PBKDF2"]),
            texts(&["password_hash"]),
        ),
        (
            17,
            ErrorReason::HashMalformed,
            texts(&["flaw=its salt and hash have not 53 characters", "scheme=bcrypt"]),
            texts(&["password_hash"]),
        ),
        (
            18,
            ErrorReason::HashTooExpensive,
            texts(&["limit=14", "parameter=cost", "scheme=bcrypt", "value=31"]),
            texts(&["password_hash"]),
        ),
        (
            19,
            ErrorReason::InvalidRequest,
            texts(&[]),
            texts(&["memberships[0].organization_id", "memberships[0].roles[0]"]),
        ),
        (-1, ErrorReason::InvalidRequest, texts(&[]), texts(&["index"])),
    ];
    assert_eq!(answer.refused.iter().map(told).collect::<Vec<_>>(), expected);
    assert!(!format!("{:?}", answer.refused).contains("5f4dcc3b"));
    // Somebody with the taken address, and the three.
    assert_eq!(users(&world).await, 4);
}

/// The same import again creates nobody twice, tells the same accounts, and goes on with those who are missing: also when the accounts have changed since.
#[wire_test]
async fn an_import_is_taken_up_again(world: World) {
    let mut feed = Feed::open(&world, world.operator_key()).await;
    let first = feed.send(crowd(0..3)).await.unwrap();
    let second = feed.send(crowd(3..5)).await.unwrap();
    assert_eq!((counts(&first), counts(&second)), ((3, 0, 0), (5, 0, 0)));
    drop(feed);
    let request = crate::support::pb::ChangeUserEmailRequest {
        user_id: first.users[1].user_id.clone(),
        email: "moved@example.com".to_owned(),
        email_verified: true,
        ..Default::default()
    };
    call!(world, users.change_user_email, world.operator_key(), request).unwrap();
    let before = traces(&world).await;

    let again = import(&world, crowd(0..3)).await;
    assert_eq!(counts(&again), (0, 3, 0));
    assert!(again.users.iter().all(|one| one.outcome() == ImportOutcome::AlreadyImported));
    let ids = |answer: &ImportUsersResponse| answer.users.iter().map(|one| one.user_id.clone()).collect::<Vec<_>>();
    assert_eq!(ids(&again), ids(&first));
    assert_eq!(traces(&world).await, before);

    let rest = import(&world, crowd(2..7)).await;
    assert_eq!((counts(&rest), users(&world).await), ((2, 3, 0), 7));
    // At another place of the same import it is a second person with the address; in another import, too.
    let moved = import(&world, vec![person(9, "p4@example.com")]).await;
    assert_eq!(told(&moved.refused[0]), (9, ErrorReason::EmailTaken, vec!["index=4".to_owned()], Vec::new()));
    let other =
        ImportUsersRequest { import_id: "5f0c6f0e-6a53-4f7e-9d7b-8a1f6f2f7a11".to_owned(), ..batch(crowd(4..5)) };
    let other = answers(&world, world.operator_key(), vec![other]).await.unwrap();
    assert_eq!(told(&other[0].refused[0]), (4, ErrorReason::EmailTaken, Vec::new(), Vec::new()));
    world.mailbox.wait_for("p1@example.com", 1).await;
}

/// A validation says what would become of everybody, and leaves nothing behind.
#[wire_test]
async fn validate_only_brings_nobody(world: World) {
    create_user(&world, "taken@example.com").await;
    let before = traces(&world).await;
    let people = vec![person(0, "a@example.com"), person(1, "taken@example.com"), person(2, "a@example.com")];
    let validation = ImportUsersRequest { validate_only: true, ..batch(people) };
    let answers = answers(&world, world.operator_key(), vec![validation.clone(), validation]).await.unwrap();
    assert_eq!(answers.iter().map(counts).collect::<Vec<_>>(), [(1, 0, 2), (2, 0, 4)]);
    assert!(answers[0].users[0].user_id.is_empty());
    assert_eq!(answers[0].refused.iter().map(|one| one.reason()).collect::<Vec<_>>(), [ErrorReason::EmailTaken; 2]);
    assert_eq!(traces(&world).await, before);
}

/// People come with memberships under the rules of CreateMember: each is one event of the organization, and who may not be a member is not brought at all.
#[wire_test]
async fn people_come_with_memberships(world: World) {
    let acme = Scenario::under(&world, "packetfabric").await;
    let other = create_organization(&world, "packetfabric", "", &acme.owner.user_id).await;
    let closed = create_organization(&world, "default", "", &acme.owner.user_id).await;
    let seat = |organization: &str, roles: &[&str]| ImportedMembership {
        organization_id: organization.to_owned(),
        roles: roles.iter().map(|role| (*role).to_owned()).collect(),
    };
    let at = |index: i64, memberships| UserToImport { memberships, ..person(index, &format!("m{index}@example.com")) };
    let events = async || {
        let of = |organization: &str| {
            format!(
                "SELECT COUNT(*) AS n FROM events WHERE kind = 'member.created' AND organization_id = {}",
                literal(&world, organization)
            )
        };
        (world.count(&of(&acme.organization_id)).await, world.count(&of(&other)).await)
    };
    assert_eq!(events().await, (0, 0));
    let answer = import(
        &world,
        vec![
            at(0, vec![seat(&other, &["admin"]), seat(&acme.organization_id, &["regular"])]),
            at(1, vec![seat(&acme.organization_id, &["support"])]),
            at(2, vec![seat(&acme.organization_id, &["admiral"])]),
            at(3, vec![seat(&other, &["support"]), seat(IMPORT, &[])]),
            at(4, vec![seat(&closed, &[])]),
            at(5, vec![seat(&other, &["support"]), seat(&other, &["admin"])]),
        ],
    )
    .await;
    assert_eq!(answer.users.iter().map(|one| one.index).collect::<Vec<_>>(), [0, 1]);
    let why: Vec<_> = answer.refused.iter().map(|one| (one.index, one.reason())).collect();
    assert_eq!(
        why,
        [
            (2, ErrorReason::RoleUnknown),
            (3, ErrorReason::OrganizationNotFound),
            (4, ErrorReason::DirectCreationNotAllowed),
            (5, ErrorReason::AlreadyMember)
        ]
    );
    assert_eq!(events().await, (2, 1));
    assert_eq!(world.count("SELECT COUNT(*) AS n FROM users").await, 3);

    let ada = sign_in(&world, "m0@example.com", LEGACY).await.unwrap();
    let mine = crate::support::pb::ListUserMembershipsRequest {
        user_id: answer.users[0].user_id.clone(),
        ..Default::default()
    };
    let mine = call!(world, members.list_user_memberships, &ada.session_token, mine).unwrap().memberships;
    let mut roles: Vec<String> = mine.into_iter().flat_map(|one| one.roles).collect();
    roles.sort();
    assert_eq!(roles, ["admin", "regular"]);
    for organization in [&acme.organization_id, &other] {
        let request =
            crate::support::pb::VerifyAuditChainRequest { organization_id: organization.clone(), ..Default::default() };
        assert!(call!(world, audit.verify_audit_chain, world.operator_key(), request).unwrap().intact);
    }
}
