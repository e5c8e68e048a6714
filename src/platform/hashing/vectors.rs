//! Hashes that other programs have made (`vectors.txt` says how), and texts that are no hashes.

use proptest::prelude::*;

use super::*;

const CHEAP: HashParams = HashParams { memory_kib: 64, iterations: 1, parallelism: 1 };

/// Who made it, the password, and the hash.
fn vectors() -> Vec<(&'static str, String, &'static str)> {
    let lines = include_str!("vectors.txt").lines().filter(|line| !line.starts_with('#'));
    lines
        .map(|line| match line.split('\t').collect::<Vec<_>>()[..] {
            [maker, password, hash] => (maker, serde_json::from_str(password).unwrap(), hash),
            _ => panic!("{line}"),
        })
        .collect()
}

async fn verdict(hasher: &Hasher, password: &str, hash: &str) -> Verdict {
    hasher.verify(SecretString::from(password), Some(hash.to_owned())).await.unwrap()
}

#[tokio::test]
async fn what_other_programs_have_made_verifies_and_is_outdated() {
    let hasher = Hasher::start(CHEAP, 1, 8).unwrap();
    let vectors = vectors();
    assert!(vectors.len() > 40, "{} vectors", vectors.len());
    for (maker, password, hash) in &vectors {
        let right = verdict(&hasher, password, hash).await;
        assert_eq!(right, Verdict::Match { outdated: true }, "{maker}, {password:?}: {hash}");
        // What stands within the octets that bcrypt looks at.
        for wrong in [format!("y{password}"), "Correct horse battery staple".to_owned()] {
            assert_eq!(verdict(&hasher, &wrong, hash).await, Verdict::Mismatch, "{maker}, {wrong:?}: {hash}");
        }
    }
}

#[tokio::test]
async fn bcrypt_looks_at_72_octets_and_a_nul_matches_nothing() {
    let hasher = Hasher::start(CHEAP, 1, 8).unwrap();
    let long = |password: &&(&str, String, &str)| password.1.len() == 72;
    let vectors = vectors();
    let (_, password, hash) = vectors.iter().find(long).unwrap();
    let same = [format!("{password}, and more"), format!("{password}\u{e9}")];
    for same in same {
        assert_eq!(verdict(&hasher, &same, hash).await, Verdict::Match { outdated: true });
    }
    assert_eq!(verdict(&hasher, &password[..71], hash).await, Verdict::Mismatch);
    let short = vectors.iter().find(|(_, password, hash)| password.len() == 28 && hash.starts_with("$2b"));
    let (_, password, hash) = short.unwrap();
    for with_nul in [format!("{password}\0"), format!("{password}\0{password}")] {
        assert_eq!(verdict(&hasher, &with_nul, hash).await, Verdict::Mismatch);
    }
}

#[test]
fn every_part_that_is_wrong_is_named_and_nothing_is_repeated() {
    let bcrypt = "CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOeW";
    let (salt, hash) = ("c29tZXNhbHQ", "CTFhFdXPJO1aFaMaO6Mm5c8y7cJHAph8ArZWb2GRPPc");
    for (text, flaw) in [
        (format!("$2b$10${bcrypt}"), None),
        (format!("$2b$3${bcrypt}"), Some("cost")),
        (format!("$2b$+9${bcrypt}"), Some("cost")),
        (format!("$2b$32${bcrypt}"), Some("cost")),
        (format!("$2b$10${}", &bcrypt[1..]), Some("53 characters")),
        (format!("$2b$10${}!", &bcrypt[1..]), Some("alphabet")),
        (format!("$2b$10${}é", &bcrypt[2..]), Some("alphabet")),
        (format!("$2b$10$x${bcrypt}"), Some("parts")),
        (format!("$scrypt$ln=4,r=8,p=1${salt}${hash}"), None),
        (format!("$scrypt$ln=0,r=8,p=1${salt}${hash}"), Some("ln")),
        (format!("$scrypt$ln=64,r=8,p=1${salt}${hash}"), Some("ln")),
        (format!("$scrypt$n=16,r=8,p=1${salt}${hash}"), Some("ln, r and p")),
        (format!("$scrypt$ln=4,r=0,p=1${salt}${hash}"), Some("impossible")),
        (format!("$scrypt$ln=63,r=4294967295,p=1${salt}${hash}"), Some("impossible")),
        // What 32 bits do not hold.
        (format!("$scrypt$ln=4,r=65536,p=65537${salt}${hash}"), Some("impossible")),
        (format!("$scrypt$ln=4,r=8,p=+1${salt}${hash}"), Some("numbers")),
        (format!("$scrypt$ln=4,r=8,p=1$${hash}"), Some("salt")),
        (format!("$scrypt$ln=4,r=8,p=1$!!${hash}"), Some("salt")),
        (format!("$scrypt$ln=4,r=8,p=1${salt}${}", &hash[..20]), Some("16 and 64")),
        (format!("$pbkdf2-sha256$1000${salt}${hash}"), None),
        (format!("$pbkdf2-sha256$i=1000${salt}${hash}"), None),
        (format!("$pbkdf2-sha256$i=1000,l=20${salt}${hash}"), Some("as long as")),
        (format!("$pbkdf2-sha256$i=0${salt}${hash}"), Some("no rounds")),
        (format!("$pbkdf2-sha256$-1${salt}${hash}"), Some("numbers")),
        (format!("$pbkdf2-sha256$99999999999${salt}${hash}"), Some("numbers")),
        (format!("$pbkdf2-sha256$i=1,x=2${salt}${hash}"), Some("i and l")),
        (format!("$pbkdf2-sha256$1000${salt}"), Some("parts")),
        (format!("$argon2id$v=19$m=64,t=1,p=1${salt}"), Some("missing")),
        (format!("$argon2id$v=18$m=64,t=1,p=1${salt}${hash}"), Some("version")),
        (format!("$argon2id$v=19$m=1,t=1,p=1${salt}${hash}"), Some("parameters")),
        (format!("$argon2id$v=19$m=64,t=1,p=1$!!${hash}"), Some("PHC string")),
    ] {
        let found = examine(&text);
        match flaw {
            None => assert!(found.is_ok(), "{text}: {found:?}"),
            Some(flaw) => {
                let told = found.unwrap_err().to_string();
                assert!(told.contains(flaw), "{text}: {told}");
                assert!(!told.contains(hash) && !told.contains(salt) && !told.contains(bcrypt), "{told}");
            }
        }
    }
    for foreign in [
        "",
        "$",
        "hunter2",
        "$1$abcdefgh$0123456789",
        "$6$abcdefgh$0123456789",
        "$2x$10$abc",
        "$2$10$abc",
        "sha1$salt$hash",
        "5f4dcc3b5aa765d61d8327deb882cf99",
        &format!("$2b$10${}", "C".repeat(600)),
    ] {
        assert_eq!(examine(foreign), Err(Unusable::Unsupported), "{foreign}");
    }
}

#[test]
fn costs_are_read_out_of_hashes() {
    let (salt, hash) = ("c29tZXNhbHQ", "CTFhFdXPJO1aFaMaO6Mm5c8y7cJHAph8ArZWb2GRPPc");
    for (text, cost) in [
        ("$scrypt$ln=17,r=8,p=3", Cost::Scrypt { memory_kib: 128 * 1024, passes: 3, blocks: 24 }),
        ("$scrypt$ln=1,r=524288,p=64", Cost::Scrypt { memory_kib: 128 * 1024, passes: 64, blocks: 1 << 25 }),
        ("$pbkdf2-sha256$i=600000", Cost::Pbkdf2 { rounds: 600_000 }),
        // Each block of output takes all rounds.
        ("$pbkdf2-sha1$i=600000", Cost::Pbkdf2 { rounds: 1_200_000 }),
        ("$argon2d$v=16$m=1024,t=3,p=2", Cost::Argon2 { memory_kib: 1024, iterations: 3, lanes: 2 }),
    ] {
        assert_eq!(examine(&format!("{text}${salt}${hash}")), Ok(cost), "{text}");
    }
}

/// Of the dearest hash of each scheme that the bounds at import let in.
#[tokio::test]
#[ignore = "measures the machine: run it alone, in a release build"]
async fn what_the_dearest_hashes_cost() {
    let hasher = Hasher::start(HashParams::default(), 1, 8).unwrap();
    let (salt, hash) = ("c29tZXNhbHQ", "CTFhFdXPJO1aFaMaO6Mm5c8y7cJHAph8ArZWb2GRPPc");
    let tail = format!("${salt}${hash}");
    for stored in [
        "$2b$12$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOeW".to_owned(),
        "$2b$14$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOeW".to_owned(),
        format!("$scrypt$ln=17,r=8,p=1{tail}"),
        format!("$scrypt$ln=17,r=8,p=4{tail}"),
        format!("$pbkdf2-sha1$i=1000000{tail}"),
        format!("$pbkdf2-sha256$i=2000000{tail}"),
        format!("$pbkdf2-sha512$i=2000000{tail}"),
        format!("$argon2id$v=19$m=131072,t=8,p=1{tail}"),
    ] {
        let watch = crate::platform::Stopwatch::start();
        assert_eq!(verdict(&hasher, "p", &stored).await, Verdict::Mismatch);
        eprintln!("{:?} {stored}", watch.elapsed());
    }
}

proptest! {
    #[test]
    fn no_text_panics_and_what_is_examined_can_be_compared(
        scheme in prop::sample::select(vec!["2b", "scrypt", "pbkdf2-sha256", "pbkdf2", "argon2id"]),
        middle in "[a-z0-9=,.+$]{0,30}",
        end in "[a-zA-Z0-9./+$]{0,70}",
        any in any::<String>(),
    ) {
        let _ = examine(&any);
        let _ = examine(&format!("${any}"));
        let _ = examine(&format!("${scheme}${middle}${end}"));
        let _ = examine(&format!("${scheme}${any}${end}"));
    }
}
