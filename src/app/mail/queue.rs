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
        mail::{Notice, NoticeMail, Payload, SecretMail, StoredMail},
    },
    store::{Message, Organization, Tx, User},
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

    /// The outbox's row for a mail of an organization, which has the brand of its access model.
    ///
    /// # Errors
    /// Internal, where the payload has no stored form.
    pub(crate) fn message_of(
        &self,
        ctx: &Ctx,
        id: Uuid,
        organization: &Organization,
        payload: Payload,
    ) -> Result<Message> {
        let brand = Some(organization.access_model.clone());
        self.message(ctx, id, Some(organization.id), &StoredMail { brand, payload })
    }

    fn message(&self, ctx: &Ctx, id: Uuid, organization: Option<Uuid>, mail: &StoredMail) -> Result<Message> {
        let plain = mail.to_bytes().map_err(|error| Error::Internal(error.to_string()))?;
        let payload = &mail.payload;
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

    /// Queues a mail to the owner of an account, and answers with its id. `named`: the access model of the product that asks for it.
    ///
    /// # Errors
    /// The database's.
    pub(crate) async fn queue(
        &self,
        ctx: &Ctx,
        tx: &mut Tx,
        user: Option<Uuid>,
        named: Option<&str>,
        payload: Payload,
    ) -> Result<Uuid> {
        let id = self.entropy.uuid(ctx.now);
        let brand = match self.brands.products.is_empty() {
            true => None,
            // Nobody belongs to anything, by the same statement as somebody does.
            false => {
                let theirs = tx.access_models_of(user.unwrap_or_default()).await?;
                self.brands.of_person(theirs, named)
            }
        };
        let message = self.message(ctx, id, None, &StoredMail { brand, payload })?;
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
        self.queue(ctx, tx, Some(user.id), None, payload).await.map(drop)
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
