//! Every mail that there is, to try templates with before anything is sent.

use chrono::{DateTime, Utc};

use crate::domain::mail::{InvitationMail, Notice, NoticeMail, OwnershipMail, OwnershipNews, Payload, SecretMail};

/// Every mail, with everything given and with as little as possible.
pub(crate) fn samples(locale: &str) -> Vec<Payload> {
    let secret = |secret: &str| SecretMail {
        secret: secret.to_owned(),
        email: "bob@example.org".into(),
        expire_time: DateTime::<Utc>::UNIX_EPOCH,
        locale: locale.to_owned(),
    };
    let notice = |notice| {
        Payload::SecurityNotice(NoticeMail {
            notice,
            email: "bob@example.org".into(),
            time: DateTime::<Utc>::UNIX_EPOCH,
            locale: locale.to_owned(),
        })
    };
    let mut samples = vec![
        Payload::Invitation(sample(locale)),
        Payload::Invitation(bare_sample(locale)),
        Payload::PasswordReset(secret("sample-token")),
        Payload::EmailVerification(secret("sample-token")),
        Payload::StepUp(secret("27182818")),
    ];
    samples.extend(Notice::ALL.map(notice));
    samples.extend(OwnershipNews::ALL.map(|news| {
        Payload::Ownership(OwnershipMail {
            news,
            email: "bob@example.org".into(),
            organization_name: "Example & Sons".into(),
            other_name: "Ada Lovelace".into(),
            time: DateTime::<Utc>::UNIX_EPOCH,
            expire_time: DateTime::<Utc>::UNIX_EPOCH,
            locale: locale.to_owned(),
        })
    }));
    samples
}

/// An invitation with everything given.
pub(crate) fn sample(locale: &str) -> InvitationMail {
    InvitationMail {
        token: "sample-token".into(),
        inviter_name: Some("Ada Lovelace".into()),
        inviter_email: Some("ada@example.com".into()),
        organization_name: "Example & Sons".into(),
        role_names: vec!["Admin".into(), "Billing".into()],
        invitee_email: "bob@example.org".into(),
        expire_time: DateTime::<Utc>::UNIX_EPOCH,
        locale: locale.to_owned(),
        message: Some("Welcome!\nSee you on Monday.".into()),
    }
}

/// One with as little as possible.
pub(crate) fn bare_sample(locale: &str) -> InvitationMail {
    let mut mail = sample(locale);
    mail.inviter_name = None;
    mail.inviter_email = None;
    mail.role_names.clear();
    mail.message = None;
    mail
}
