//! Puts a mail into the outbox: sealed, and delivered if and only if the transaction commits.

use uuid::Uuid;

use crate::{
    app::{
        App,
        call::{
            context::Ctx,
            error::{Error, Result},
        },
    },
    domain::{
        delivery::DeliveryState,
        email::EmailAddress,
        mail::{Notice, NoticeMail, Payload, SecretMail},
    },
    store::{Message, Tx, User},
};

/// The language of a message where nobody says.
pub(crate) const DEFAULT_LOCALE: &str = "en";

/// What mail to a stored address is counted under.
pub(crate) fn mailbox_key(address: &str) -> Option<String> {
    EmailAddress::parse(address).ok().map(|address| address.mailbox_key())
}

/// The language of messages to a user.
pub(crate) fn locale_of(user: &User) -> String {
    user.locale.clone().unwrap_or_else(|| DEFAULT_LOCALE.to_owned())
}

impl App {
    /// The outbox's row for a payload.
    ///
    /// # Errors
    /// Internal, where the payload has no stored form.
    pub(crate) fn message(
        &self,
        ctx: &Ctx,
        id: Uuid,
        organization: Option<Uuid>,
        payload: &Payload,
    ) -> Result<Message> {
        let plain = payload.to_bytes().map_err(|error| Error::Internal(error.to_string()))?;
        Ok(Message {
            id,
            kind: payload.kind().to_owned(),
            organization_id: organization,
            recipient: payload.recipient().to_owned(),
            state: DeliveryState::Queued,
            sealed: Some(self.keyring.seal(&self.entropy, id.as_bytes(), &plain)),
            attempts: 0,
            available_time: ctx.now,
            fence: 0,
            last_error: None,
            create_time: ctx.now,
            queue_time: ctx.now,
            settle_time: None,
            recipient_key: mailbox_key(payload.recipient()),
        })
    }

    /// Queues a mail that belongs to no organization, and answers with its id.
    ///
    /// # Errors
    /// The database's.
    pub(crate) async fn queue(&self, ctx: &Ctx, tx: &mut Tx, payload: &Payload) -> Result<Uuid> {
        let id = self.entropy.uuid(ctx.now);
        let message = self.message(ctx, id, None, payload)?;
        tx.insert_message(message).await?;
        Ok(id)
    }

    /// Tells the owner of an account what changed about it (ab_20).
    ///
    /// # Errors
    /// The database's.
    pub(crate) async fn notify(&self, ctx: &Ctx, tx: &mut Tx, user: &User, notice: Notice) -> Result<()> {
        let payload = Payload::SecurityNotice(NoticeMail {
            notice,
            email: user.email.clone(),
            time: ctx.now,
            locale: locale_of(user),
        });
        self.queue(ctx, tx, &payload).await.map(drop)
    }
}

/// A mail to the owner of an account that carries a secret.
pub(crate) fn secret_mail(
    secret: &str,
    email: &str,
    user: Option<&User>,
    expire: chrono::DateTime<chrono::Utc>,
) -> SecretMail {
    SecretMail {
        secret: secret.to_owned(),
        email: email.to_owned(),
        expire_time: expire,
        locale: user.map_or_else(|| DEFAULT_LOCALE.to_owned(), locale_of),
    }
}
