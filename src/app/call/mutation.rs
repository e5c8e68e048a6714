//! How every mutation runs: once per request id, in one transaction, tried again where another got in the way.

use std::{future::Future, time::Duration};

use uuid::Uuid;

use crate::{
    app::{
        App,
        call::{
            access::{self, Access, Asked},
            context::{Ctx, RequestIdentity},
            error::{Error, Result},
        },
    },
    domain::error::{Reason, Refusal},
    platform::keyring::KeyringError,
    store::Tx,
};

/// How long an answer is kept for a repeated call.
const REPLAY_TIME: chrono::Duration = chrono::Duration::hours(24);

/// How often a transaction is tried in all, and the first wait between two tries; each further wait is twice as long.
const TRIES: u32 = 6;
const FIRST_WAIT: Duration = Duration::from_millis(5);

/// A use case that changes something: loads under lock, asks the domain, stores the decision with its event and its messages.
pub(crate) trait Mutation: Sync {
    /// What came of it.
    type Outcome: Send;

    /// The organization that it changes, and what that asks of a user who calls: asked before anything is locked, and again by [`lock`](Self::lock). `None`: what it needs is no right in
    /// one organization.
    fn organization(&self) -> Option<(Uuid, Asked)> {
        None
    }

    /// Locks the organization that it changes, and asks again what that asks of a user who calls.
    ///
    /// # Errors
    /// Those of [`access::lock`]; internal where it names no organization.
    fn lock(&self, app: &App, ctx: &Ctx, tx: &mut Tx) -> impl Future<Output = Result<Access>> + Send {
        let named = self.organization();
        async move {
            let (organization, asked) = named.ok_or_else(|| Error::Internal("no organization is named".to_owned()))?;
            access::lock(app, ctx, tx, organization, asked).await
        }
    }

    /// Does it, in a transaction that the caller commits. May run several times; only one of them is committed.
    fn apply(&self, app: &App, ctx: &Ctx, tx: &mut Tx) -> impl Future<Output = Result<Self::Outcome>> + Send;

    /// Whether everything is to be checked and nothing to be changed.
    fn validate_only(&self) -> bool {
        false
    }
}

/// A use case that does something before its transaction: what is slow, as hashing; what asks others, as a provider; what looks at a secret, whose wrong guesses count. Every [`Mutation`] is
/// one that does nothing before.
pub(crate) trait Prepare: Send {
    /// What is then left to do in the transaction.
    type Mutation: Mutation + Send;

    /// Does it. Not called for a repeated call: the secret is used by then.
    fn prepare(self, app: &App, ctx: &Ctx) -> impl Future<Output = Result<Self::Mutation>> + Send;
}

impl<M: Mutation + Send> Prepare for M {
    type Mutation = M;

    async fn prepare(self, _app: &App, _ctx: &Ctx) -> Result<M> {
        Ok(self)
    }
}

/// What the edge answers with: made from the outcome, and kept in this form so that a later version of the program can still replay it.
pub(crate) trait Answer<T>: Sized + Send {
    /// Makes the answer.
    fn of(outcome: T) -> Self;
    /// The bytes to keep.
    fn encode(&self) -> Vec<u8>;
    /// The answer that was kept.
    fn decode(bytes: &[u8]) -> Option<Self>;
}

impl App {
    /// Runs a mutation: gives the answer that the call got before, or prepares it, applies it and keeps its answer.
    ///
    /// # Errors
    /// What the mutation refuses; `REQUEST_ID_REUSED`; the database's errors. In every case nothing has changed but what counts wrong guesses.
    pub(crate) async fn execute<P: Prepare, A>(&self, ctx: &Ctx, command: P) -> Result<A>
    where
        A: Answer<<P::Mutation as Mutation>::Outcome>,
    {
        if let Some(answer) = self.replayed(ctx).await? {
            return Ok(answer);
        }
        let mutation = match command.prepare(self, ctx).await {
            Ok(mutation) => mutation,
            // As below: what was looked at may have been used by the same call meanwhile.
            Err(error) => return self.replayed(ctx).await?.ok_or(error),
        };
        let mut tries = Tries::default();
        loop {
            let error = match self.attempt(ctx, &mutation).await {
                Ok(answer) => return Ok(answer),
                Err(error) => error,
            };
            // The same call may have been committed meanwhile by another connection: its effect is then what refused this one.
            if let Some(answer) = self.replayed(ctx).await? {
                return Ok(answer);
            }
            tries.after(self, error).await?;
        }
    }

    /// Runs a step that stands for itself in a transaction of its own, tried again as [`App::execute`] does: one that begins a session, or that counts a wrong guess although the call is
    /// refused. No answer is kept, and no right is asked for.
    ///
    /// # Errors
    /// What the step refuses; the database's errors. Then nothing has changed.
    pub(crate) async fn run<M: Mutation>(&self, ctx: &Ctx, step: &M) -> Result<M::Outcome> {
        let mut tries = Tries::default();
        loop {
            match self.step(ctx, step).await {
                Ok(outcome) => return Ok(outcome),
                Err(error) => tries.after(self, error).await?,
            }
        }
    }

    async fn step<M: Mutation>(&self, ctx: &Ctx, step: &M) -> Result<M::Outcome> {
        let mut tx = self.store.begin().await?;
        let outcome = step.apply(self, ctx, &mut tx).await?;
        tx.commit().await?;
        Ok(outcome)
    }

    async fn attempt<M: Mutation, A: Answer<M::Outcome>>(&self, ctx: &Ctx, mutation: &M) -> Result<A> {
        // Before the transaction: on SQLite, its beginning is the lock of all writers.
        if let Some((organization, asked)) = mutation.organization() {
            access::require(self, ctx, organization, asked).await?;
        }
        let models = self.models.revision();
        let mut tx = self.store.begin().await?;
        // An early return drops the transaction, which takes everything back.
        let answer = A::of(mutation.apply(self, ctx, &mut tx).await?);
        ctx.require_proof()?;
        self.models.require_those_of(&tx, &self.store, models).await?;
        if mutation.validate_only() {
            tx.rollback().await?;
            return Ok(answer);
        }
        if let (Some(key), Some(request)) = (ctx.replay_key(), &ctx.request) {
            let kept = [&belonging(ctx, request), answer.encode().as_slice()].concat();
            // Sealed: an answer may carry a session's token.
            let sealed = self.keyring.seal(&self.entropy, &key.context(), &kept);
            let kept = tx.keep_replay(&key, sealed, ctx.now, ctx.now + REPLAY_TIME);
            if !kept.await? {
                tx.rollback().await?;
                return Err(Error::Busy("the same call was committed meanwhile".to_owned()));
            }
        }
        tx.commit().await?;
        Ok(answer)
    }

    /// The answer that this very call, with this very credential, got before.
    ///
    /// # Errors
    /// `REQUEST_ID_REUSED`.
    async fn replayed<T, A: Answer<T>>(&self, ctx: &Ctx) -> Result<Option<A>> {
        let (Some(key), Some(request)) = (ctx.replay_key(), &ctx.request) else {
            return Ok(None);
        };
        let Some(sealed) = self.store.read().replay(&key, ctx.now).await? else {
            return Ok(None);
        };
        let kept = match self.keyring.open(&key.context(), &sealed) {
            // Kept for another caller, method or id.
            Err(KeyringError::Rejected) => return Err(Refusal::new(Reason::RequestIdReused).into()),
            opened => opened?,
        };
        let belonging = belonging(ctx, request);
        match kept.split_at_checked(belonging.len()) {
            Some((found, answer)) if found == belonging => {
                // This very caller had the right when the answer was made.
                ctx.proof.give();
                A::decode(answer).map(Some).ok_or_else(|| Error::Internal("a kept answer is not understood".to_owned()))
            }
            _ => Err(Refusal::new(Reason::RequestIdReused).into()),
        }
    }
}

/// The tries of a transaction that others get in the way of.
struct Tries {
    left: u32,
    wait: Duration,
}

impl Default for Tries {
    fn default() -> Self {
        Self { left: TRIES, wait: FIRST_WAIT }
    }
}

impl Tries {
    /// Waits for the next one, after one has ended in an error.
    ///
    /// # Errors
    /// That error, where another try would not help, or there is none left.
    async fn after(&mut self, app: &App, error: Error) -> Result<()> {
        self.left -= 1;
        if !error.is_busy() || self.left == 0 {
            return Err(error);
        }
        // Jitter, so that two who met do not meet again.
        let [jitter] = app.entropy.bytes::<1>();
        tokio::time::sleep(self.wait + self.wait.mul_f64(f64::from(jitter) / 256.0)).await;
        self.wait *= 2;
        Ok(())
    }
}

/// What an answer belongs to: the request, and what showed who called. Of the same length always.
fn belonging(ctx: &Ctx, request: &RequestIdentity) -> Vec<u8> {
    let [key, session] = ctx.shown().map(|id| id.unwrap_or_default().into_bytes());
    [request.fingerprint.as_slice(), &key, &session].concat()
}
