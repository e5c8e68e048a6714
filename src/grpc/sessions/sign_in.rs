//! Sign-ins in the contract's terms: what is shown, and what it leads to.

use chrono::{DateTime, Utc};
use secrecy::SecretString;

use crate::{
    app::{
        credentials::{
            mfa::{Code, Proof, Setup},
            providers::ShownToken,
        },
        records::Session,
        sessions::{
            first_factor::{FirstFactor, Identifier, Password, ShownIdentity},
            sign_in::{Complete, Completed, Entry, Pending},
        },
    },
    domain::text::one_line,
    grpc::{
        pb,
        users::shown::user,
        wire::{
            convert::timestamp,
            fields::{Fields, PASSWORD, Parse, TOKEN},
        },
    },
};

/// Characters of an address that is compared and not kept.
const SIGN_IN_EMAIL: usize = 320;
/// Characters of a user agent at the most.
const USER_AGENT: usize = 300;
/// Characters of a code at the most.
pub(crate) const CODE: usize = 64;
/// Characters of an ID token at the most: providers put groups into them.
const ID_TOKEN: usize = 16_384;
/// Characters of a nonce at the most.
const NONCE: usize = 512;

/// What somebody shows, by the contract's choice of it.
pub(crate) enum Shown<'a> {
    Totp(&'a str),
    Recovery(&'a str),
    Password(&'a str),
}

impl Fields<'_> {
    /// An ID token with its nonce.
    pub(crate) fn id_token(&mut self, field: &str, token: &pb::OpenIdConnectToken) -> Option<ShownToken> {
        self.within(field, |fields| {
            let id_token = fields.secret("id_token", &token.id_token, ID_TOKEN);
            let nonce = fields.secret("nonce", &token.nonce, NONCE);
            Some(ShownToken { id_token: id_token?, nonce: nonce? })
        })
    }

    /// A text that has to be empty because another field says the same in another way.
    pub(crate) fn absent_beside(&mut self, other: &str, field: &str, text: &str) {
        if !text.is_empty() {
            self.violation(field, format!("must be empty beside {other}"));
        }
    }

    /// A code or a password out of a `oneof`; `choice` is its name.
    pub(crate) fn proof(&mut self, choice: &str, shown: Option<Shown<'_>>) -> Option<Proof> {
        let secret = |fields: &mut Self, field: &str, text: &str, longest| {
            fields.at_most(field, text, longest).map(SecretString::from)
        };
        match shown {
            None => {
                self.violation(choice, "is required");
                None
            }
            Some(Shown::Totp(text)) => secret(self, "totp_code", text, CODE).map(|code| Proof::Code(Code::Totp(code))),
            Some(Shown::Recovery(text)) => {
                secret(self, "recovery_code", text, CODE).map(|code| Proof::Code(Code::Recovery(code)))
            }
            Some(Shown::Password(text)) => secret(self, "present_password", text, PASSWORD).map(Proof::Password),
        }
    }
}

impl Parse for pb::SignInRequest {
    type Command = FirstFactor;

    fn parse(&self, fields: &mut Fields<'_>) -> Option<Self::Command> {
        let user_agent = fields.optional_text("user_agent", &self.user_agent, |text| one_line(text, USER_AGENT));
        if let Some(token) = &self.open_id_connect {
            for (field, text) in [("email", &self.email), ("password", &self.password), ("username", &self.username)] {
                fields.absent_beside("open_id_connect", field, text);
            }
            let shown = fields.id_token("open_id_connect", token);
            return Some(FirstFactor::Identity(ShownIdentity { shown: shown?, user_agent: user_agent? }));
        }
        let email = fields.at_most("email", &self.email, SIGN_IN_EMAIL);
        let username = fields.username("username", &self.username);
        let identifier = match (email.filter(|email| !email.is_empty()), username) {
            (Some(email), Some(_)) => Some(Identifier::Email(email)),
            (None, Some(Some(username))) => Some(Identifier::Username(username)),
            (None, Some(None)) if self.email.is_empty() => {
                fields.violation("email", "is required, or a username");
                None
            }
            _ => None,
        };
        let password = fields.secret("password", &self.password, PASSWORD);
        Some(FirstFactor::Password(Password { identifier: identifier?, password: password?, user_agent: user_agent? }))
    }
}

impl Parse for pb::CompleteSignInRequest {
    type Command = Complete;

    fn parse(&self, fields: &mut Fields<'_>) -> Option<Self::Command> {
        use pb::complete_sign_in_request::Code as Choice;

        fields.request_id(&self.request_id);
        let token = fields.secret("token", &self.token, TOKEN);
        let shown = self.code.as_ref().map(|code| match code {
            Choice::TotpCode(text) => Shown::Totp(text),
            Choice::RecoveryCode(text) => Shown::Recovery(text),
        });
        let code = match fields.proof("code", shown) {
            Some(Proof::Code(code)) => Some(code),
            Some(Proof::Password(_)) | None => None,
        };
        Some(Complete { token: token?, code: code? })
    }
}

/// The session in the contract's terms; it ends at `idle_end` unless it is used before.
pub(crate) fn session(row: Session, idle_end: DateTime<Utc>) -> pb::Session {
    pb::Session {
        session_id: row.id.to_string(),
        user_id: row.user_id.to_string(),
        create_time: Some(timestamp(row.create_time)),
        last_used_time: Some(timestamp(row.last_used_time)),
        idle_expire_time: Some(timestamp(idle_end)),
        expire_time: Some(timestamp(row.expire_time)),
        ip_address: row.ip_address.unwrap_or_default(),
        user_agent: row.user_agent.unwrap_or_default(),
        step_up_expire_time: row.step_up_expire_time.map(timestamp),
    }
}

/// A factor to set up.
pub(crate) fn mfa_setup(setup: &Setup) -> pb::MfaSetup {
    pb::MfaSetup { secret: setup.secret.to_string(), otpauth_uri: setup.uri.to_string() }
}

/// The question for a second factor.
pub(crate) fn sign_in_challenge(pending: &Pending) -> pb::SignInChallenge {
    use pb::SignInChallengeKind::{RecoveryCode, Totp, TotpEnrollment};

    let kinds: &[pb::SignInChallengeKind] = match pending.setup {
        Some(_) => &[TotpEnrollment],
        None => &[Totp, RecoveryCode],
    };
    pb::SignInChallenge {
        token: pending.token.expose().to_owned(),
        expire_time: Some(timestamp(pending.expire_time)),
        kinds: kinds.iter().map(|kind| (*kind).into()).collect(),
        setup: pending.setup.as_ref().map(mfa_setup),
    }
}

/// What a right password leads to; `idle` says when a session ends unless it is used before.
pub(crate) fn entered(entry: Entry, idle: impl FnOnce(&Session) -> DateTime<Utc>) -> pb::SignInResponse {
    match entry {
        Entry::Session(begun) => {
            let idle_end = idle(&begun.session);
            pb::SignInResponse {
                session_token: begun.token.expose().to_owned(),
                session: Some(session(begun.session, idle_end)),
                user: Some(user(begun.user)),
                challenge: None,
            }
        }
        Entry::Pending(pending) => {
            pb::SignInResponse { challenge: Some(sign_in_challenge(&pending)), ..pb::SignInResponse::default() }
        }
    }
}

impl From<Completed> for pb::CompleteSignInResponse {
    fn from(completed: Completed) -> Self {
        Self {
            session_token: completed.begun.token.expose().to_owned(),
            session: Some(session(completed.begun.session, completed.idle_expire_time)),
            user: Some(user(completed.begun.user)),
            recovery_codes: completed.recovery_codes.iter().map(|code| code.to_string()).collect(),
        }
    }
}
