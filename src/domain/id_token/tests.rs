use serde_json::{Value, json};

use super::*;

fn provider() -> Provider {
    Provider::parse_all("https://id.example=app https://id.example=web").unwrap().remove(0)
}

fn now() -> DateTime<Utc> {
    DateTime::from_timestamp(1_800_000_000, 0).unwrap()
}

/// What `check` says to good claims with some of them changed; `null` takes one out.
fn checked(changes: &Value) -> Result<Identity, Flaw> {
    let at = now().timestamp();
    let mut claims =
        json!({"iss": "https://id.example", "sub": "7", "aud": "app", "exp": at + 600, "iat": at, "nonce": "n"});
    for (name, value) in changes.as_object().unwrap() {
        claims[name] = value.clone();
    }
    let claimed =
        Claimed { algorithm: Algorithm::ES256, key_id: None, issuer: "https://id.example".to_owned(), digest: [7; 32] };
    let claims = serde_json::from_value(claims).map_err(|_| Flaw::Malformed)?;
    check(claims, &claimed, &provider(), "n", now())
}

#[test]
fn each_claim_is_looked_at() {
    let at = now().timestamp();
    let good = checked(&json!({})).unwrap();
    assert_eq!((good.issuer.as_str(), good.subject.as_str()), ("https://id.example", "7"));
    assert_eq!(good.remember_until, now() + Duration::seconds(660));
    for fine in [
        json!({"aud": ["app"]}),
        json!({"aud": "web", "azp": "web"}),
        json!({"aud": ["other", "app"], "azp": "app"}),
        json!({"exp": at - 59}),
        json!({"iat": at + 60, "nbf": at + 60}),
        json!({"exp": 1_800_000_300.5}),
        json!({"sub": "x".repeat(255)}),
    ] {
        assert!(checked(&fine).is_ok(), "{fine}: {:?}", checked(&fine));
    }
    for (wrong, flaw) in [
        (json!({"iss": "https://id.example/"}), Flaw::Issuer),
        (json!({"aud": null}), Flaw::Audience),
        (json!({"aud": []}), Flaw::Audience),
        (json!({"aud": "application"}), Flaw::Audience),
        (json!({"aud": 7}), Flaw::Malformed),
        (json!({"azp": "other"}), Flaw::AuthorizedParty),
        (json!({"aud": ["app", "other"]}), Flaw::AuthorizedParty),
        (json!({"exp": null}), Flaw::Expired),
        (json!({"exp": at - 60}), Flaw::Expired),
        (json!({"exp": -1}), Flaw::Expired),
        (json!({"exp": 1e300}), Flaw::Expired),
        (json!({"exp": at + 32 * 86_400}), Flaw::Malformed),
        (json!({"iat": null}), Flaw::IssuedAt),
        (json!({"iat": at + 61}), Flaw::IssuedAt),
        (json!({"nbf": at + 61}), Flaw::NotYetValid),
        (json!({"nbf": 1e300}), Flaw::NotYetValid),
        (json!({"nonce": null}), Flaw::Nonce),
        (json!({"nonce": "m"}), Flaw::Nonce),
        (json!({"sub": null}), Flaw::Subject),
        (json!({"sub": ""}), Flaw::Subject),
        (json!({"sub": "x".repeat(256)}), Flaw::Subject),
        (json!({"sub": "ü"}), Flaw::Subject),
        (json!({"sub": "a\nb"}), Flaw::Subject),
    ] {
        assert_eq!(checked(&wrong), Err(flaw), "{wrong}");
    }
}

fn token(header: &Value) -> String {
    let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
    format!("{}.{}.AAAA", part(header), part(&json!({"iss": "https://id.example"})))
}

#[test]
fn a_header_that_proves_nothing_is_refused_before_any_key() {
    let claimed = Claimed::read(&token(&json!({"alg": "ES256", "kid": "k", "typ": "jwt"}))).unwrap();
    assert_eq!((claimed.issuer.as_str(), claimed.key_id.as_deref()), ("https://id.example", Some("k")));
    for (header, flaw) in [
        (json!({"alg": "none"}), Flaw::Algorithm),
        (json!({"alg": "None"}), Flaw::Algorithm),
        (json!({"alg": "HS256"}), Flaw::Algorithm),
        (json!({"alg": "RS512"}), Flaw::Algorithm),
        (json!({"alg": "ES256", "typ": "at+jwt"}), Flaw::Type),
        (json!({"alg": "ES256", "jwk": {}}), Flaw::Header),
        (json!({"alg": "ES256", "jku": "https://evil.example"}), Flaw::Header),
        (json!({"alg": "ES256", "x5u": "https://evil.example"}), Flaw::Header),
        (json!({"alg": "ES256", "crit": ["b64"]}), Flaw::Header),
        (json!({}), Flaw::Malformed),
    ] {
        assert_eq!(Claimed::read(&token(&header)).map(drop), Err(flaw), "{header}");
    }
    for text in ["", "a", "a.b", "a.b.c", "....", &token(&json!({"alg": "ES256"}))[1..]] {
        assert_eq!(Claimed::read(text).map(drop), Err(Flaw::Malformed), "{text}");
    }
}

#[test]
fn a_token_is_remembered_by_what_is_signed() {
    let text = token(&json!({"alg": "ES256"}));
    let other = text.replace(".AAAA", ".BBBB");
    assert_eq!(Claimed::read(&text).unwrap().digest, Claimed::read(&other).unwrap().digest);
}

#[test]
fn keys_are_good_for_what_they_are() {
    let (x, y) = ("f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU", "x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0");
    let set = |keys: Value| KeySet::parse(json!({ "keys": keys }).to_string().as_bytes());
    let ec = json!({"kty": "EC", "crv": "P-256", "x": x, "y": y, "kid": "k"});
    let found = set(json!([ec, {"kty": "oct", "k": "AAAA", "kid": "o"}, {"kty": "new"}])).unwrap();
    assert!(found.knows(Some("k")) && found.knows(None) && !found.knows(Some("o")));
    assert!(found.find(Some("k"), Algorithm::ES256).is_ok() && found.find(None, Algorithm::ES256).is_ok());
    assert_eq!(found.find(Some("k"), Algorithm::RS256).err(), Some(Flaw::Algorithm));
    assert_eq!(found.find(Some("o"), Algorithm::ES256).err(), Some(Flaw::Key));
    // Without a name there is no choice between two.
    assert_eq!(set(json!([ec, ec])).unwrap().find(None, Algorithm::ES256).err(), Some(Flaw::Key));
    let mut encrypting = ec.clone();
    encrypting["use"] = json!("enc");
    for none in [json!([]), json!([encrypting]), json!([{"kty": "oct", "k": "AAAA"}])] {
        assert!(set(none).is_err());
    }
    assert!(KeySet::parse(b"[]").is_err());
}

#[test]
fn an_issuer_is_read_as_the_operator_wrote_it() {
    let read = Provider::parse_all(
        " https://accounts.google.com=1-a.apps.example\nhttps://id.example/t=a=b https://id.example/t=c ",
    )
    .unwrap();
    assert_eq!(read[0].issuer, "https://accounts.google.com");
    assert_eq!(read[1].audiences, BTreeSet::from(["a=b".to_owned(), "c".to_owned()]));
    assert_eq!(read[1].discovery_url().unwrap().as_str(), "https://id.example/t/.well-known/openid-configuration");
    assert_eq!(Provider::parse_all(""), Ok(Vec::new()));
    for wrong in [
        "https://id.example",
        "https://id.example=",
        "http://id.example=a",
        "id.example=a",
        "https://u@id.example=a",
        "https://id.example#f=a",
    ] {
        assert_eq!(Provider::parse_all(wrong).unwrap_err().len(), 1, "{wrong}");
    }
    assert_eq!(Provider::parse_all("a b").unwrap_err().len(), 2);
}

#[test]
fn the_discovery_document_is_the_issuers_own() {
    let keys = |issuer: &str, uri: &str| {
        provider().keys_url(json!({"issuer": issuer, "jwks_uri": uri}).to_string().as_bytes())
    };
    assert_eq!(keys("https://id.example", "https://keys.example/k").unwrap().as_str(), "https://keys.example/k");
    assert!(keys("https://id.example/", "https://keys.example/k").is_err());
    assert!(keys("https://id.example", "k").is_err());
    assert!(provider().keys_url(b"{}").is_err());
}
