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

/// What mail to a stored address is counted under.
pub(crate) fn mailbox_key(address: &str) -> Option<String> {
    EmailAddress::parse(address).ok().map(|address| address.mailbox_key())
}

impl App {
    /// The language of a message: the first that is named, or the server's.
    pub(crate) fn language<'a>(&self, named: impl IntoIterator<Item = &'a Option<String>>) -> String {
        named.into_iter().flatten().next().cloned().unwrap_or_else(|| self.default_locale.as_str().to_owned())
    }

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
            locale: self.language([&user.locale]),
        });
        self.queue(ctx, tx, &payload).await.map(drop)
    }

    /// A mail to the owner of an account, or of an address that has none, that carries a secret.
    pub(crate) fn secret_mail(
        &self,
        secret: &str,
        email: &str,
        user: Option<&User>,
        expire: chrono::DateTime<chrono::Utc>,
    ) -> SecretMail {
        SecretMail {
            secret: secret.to_owned(),
            email: email.to_owned(),
            expire_time: expire,
            locale: self.language(user.map(|user| &user.locale)),
        }
    }
}
