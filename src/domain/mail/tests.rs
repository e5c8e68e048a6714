use super::*;

fn sample() -> Payload {
    Payload::Invitation(InvitationMail {
        token: "s3cret-token".into(),
        inviter_name: Some("Ada".into()),
        inviter_email: None,
        organization_name: "Example".into(),
        role_names: vec!["Admin".into()],
        invitee_email: "Bob@Example.com".into(),
        expire_time: DateTime::from_timestamp_micros(1_795_000_000_123_456).unwrap_or_default(),
        locale: "en".into(),
        message: Some("Hi\nthere".into()),
    })
}

#[test]
fn a_payload_comes_back_as_it_was_written() {
    for brand in [None, Some("jetstack".to_owned())] {
        let mail = StoredMail { brand, payload: sample() };
        let bytes = mail.to_bytes().map(|bytes| bytes.to_vec());
        assert_eq!(bytes.and_then(|bytes| StoredMail::from_bytes(&bytes)), Ok(mail));
    }
}

#[test]
fn the_stored_form_is_the_one_that_rows_already_have() {
    let stored = br#"{"kind":"invitation","token":"t","inviter_name":null,"inviter_email":null,"organization_name":"o",
        "role_names":[],"invitee_email":"a@b.c","expire_time":1,"locale":"en","message":null,"of_a_newer_release":true}"#;
    let read = StoredMail::from_bytes(stored);
    assert!(
        matches!(&read, Ok(StoredMail { brand: None, payload }) if payload.secret() == Some("t") && payload.expire_time().timestamp_micros() == 1),
        "{read:?}"
    );
}

#[test]
fn each_kind_comes_back_under_its_name() {
    let secret = || SecretMail {
        secret: "s3cret-token".into(),
        email: "Bob@Example.com".into(),
        expire_time: DateTime::UNIX_EPOCH,
        locale: "en".into(),
    };
    let notice = |notice| {
        Payload::SecurityNotice(NoticeMail {
            notice,
            email: "Bob@Example.com".into(),
            time: DateTime::UNIX_EPOCH,
            locale: "en".into(),
        })
    };
    let secrets = [Payload::PasswordReset(secret()), Payload::EmailVerification(secret()), Payload::StepUp(secret())];
    for payload in secrets.into_iter().chain(Notice::ALL.map(notice)) {
        let mail = StoredMail { brand: None, payload };
        let bytes = mail.to_bytes().unwrap();
        let text = String::from_utf8(bytes.to_vec()).unwrap();
        assert_eq!(StoredMail::from_bytes(&bytes), Ok(mail.clone()));
        let payload = mail.payload;
        assert!(text.contains(&format!("\"kind\":\"{}\"", payload.kind())), "{text}");
        assert_eq!(payload.recipient(), "Bob@Example.com");
        assert!(!format!("{payload:?}").contains("s3cret"));
        if let Payload::SecurityNotice(mail) = &payload {
            assert!(text.contains(&format!("\"notice\":\"{}\"", mail.notice.as_str())), "{text}");
        }
    }
}

#[test]
fn ab_19_neither_debug_nor_an_error_shows_the_token() {
    assert!(!format!("{:?}", sample()).contains("s3cret"));
    let broken = br#"{"kind":"invitation","token":["s3cret-token"]}"#;
    let error = StoredMail::from_bytes(broken);
    assert!(error.is_err());
    assert!(!format!("{error:?}").contains("s3cret"));
}
