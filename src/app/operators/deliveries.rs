//! A look into the outbox.

use uuid::Uuid;

use crate::{
    app::{
        App,
        call::{
            context::Ctx,
            error::Result,
            mutation::Mutation,
            paging::{Page, PageRequest},
        },
    },
    domain::error::{Reason, Refusal},
    store::{Cursor, Message, MessageFilter, Tx},
};

/// Which messages.
#[derive(Debug)]
pub(crate) struct List {
    /// The filter.
    pub(crate) filter: MessageFilter,
    /// Which page.
    pub(crate) page: PageRequest,
}

/// Messages, newest first.
///
/// # Errors
/// The database's.
pub(crate) async fn list(app: &App, _ctx: &Ctx, query: List) -> Result<Page<Message>> {
    let view = app.store.read();
    let rows = view.messages_page(&query.filter, query.page.after(), query.page.limit()).await?;
    let total = query.page.total(view.messages_count(&query.filter)).await?;
    Ok(query.page.page(rows, total, |row| Cursor::by_id(row.id)))
}

/// One message.
///
/// # Errors
/// `MESSAGE_NOT_FOUND`.
pub(crate) async fn get(app: &App, _ctx: &Ctx, id: Uuid) -> Result<Message> {
    let message = app.store.read().message(id).await?;
    Ok(message.ok_or(Reason::MessageNotFound)?)
}

/// Queues a failed message again.
#[derive(Debug)]
pub(crate) struct Retry {
    /// The message.
    pub(crate) message_id: Uuid,
}

impl Mutation for Retry {
    type Outcome = Message;

    async fn apply(&self, _app: &App, ctx: &Ctx, tx: &mut Tx) -> Result<Message> {
        let queued = tx.requeue_message(self.message_id, ctx.now).await?;
        let message = tx.message(self.message_id).await?.ok_or(Reason::MessageNotFound)?;
        if !queued {
            return Err(Refusal::new(Reason::MessageNotFailed)
                .with("state", message.state.as_str().to_uppercase())
                .into());
        }
        Ok(message)
    }
}
