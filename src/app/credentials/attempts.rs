//! Wrong answers: counted by what they have in common, looked at before the next one costs anything (ab_25).
//!
//! For each account one answer at a time is looked at. While it is, nobody else's is counted for the account, so that twenty at once get no more guesses than twenty one after the other.

use chrono::TimeDelta;
use opentelemetry::{KeyValue, global, metrics::Counter};
use uuid::Uuid;

use crate::{
    app::{
        App,
        call::{
            context::Ctx,
            error::{Error, Result},
        },
        credentials::challenges::too_many,
    },
    domain::attempts::{AFTER_RESET, AttemptPolicy, MEMORY},
    platform::{
        keyed_lock::{KeyedLockGuard, KeyedLocks},
        network::Network,
    },
    store::{Attempts as Counted, Tx, User},
};

/// How many answers for one account wait while one is looked at: of a person with several pages open there are not more.
const WAITING: usize = 8;
/// Of how many of the last sign-ins of an account the places in the network are its owner's.
const REMEMBERED_SIGN_INS: u64 = 50;

/// What is needed to count.
pub(crate) struct Attempts {
    policy: AttemptPolicy,
    locks: KeyedLocks,
    failed: Counter<u64>,
    refused: Counter<u64>,
}

impl Attempts {
    /// Counts by this policy.
    pub(crate) fn new(policy: AttemptPolicy) -> Self {
        let meter = global::meter("roster");
        let counter = |name: &'static str, description: &'static str| {
            meter.u64_counter(name).with_description(description).build()
        };
        Self {
            policy,
            locks: KeyedLocks::new(WAITING),
            failed: counter("roster.attempts.failed", "Wrong passwords and codes."),
            refused: counter(
                "roster.attempts.refused",
                "Attempts that were refused before they were looked at, by what there were too many of.",
            ),
        }
    }
}

/// Whose answer it is said to be.
#[derive(Clone, Copy)]
pub(crate) enum Account<'a> {
    /// The account with this address, if there is one.
    Email(&'a str),
    /// The account with this username, if there is one.
    Username(&'a str),
    /// What was typed instead of an address, and is none.
    Nobody(&'a str),
    /// The user who calls, by a session.
    Session(Uuid),
}

/// The right to have one answer looked at; until it is dropped, nobody has another one for the account.
pub(crate) struct Pass {
    _lock: KeyedLockGuard,
    account: Digest,
    /// What a wrong answer is counted under.
    counts: Vec<Digest>,
    /// What a right answer takes away.
    clears: Vec<Digest>,
}

type Digest = Vec<u8>;

impl Pass {
    /// Whether a right answer has anything to take away.
    pub(crate) fn is_counted(&self) -> bool {
        !self.clears.is_empty()
    }

    /// A number that tells the account from others.
    pub(crate) fn number(&self) -> u128 {
        let beginning = self.account.first_chunk().copied();
        beginning.map(u128::from_be_bytes).unwrap_or_default()
    }
}

impl App {
    /// The right to have an answer checked for an account: a sign-in, from any network. `user` is the account's user, where there is one.
    ///
    /// # Errors
    /// `TOO_MANY_ATTEMPTS`; overloaded, where enough answers for the account wait already.
    pub(crate) async fn pass(&self, ctx: &Ctx, account: Account<'_>, user: Option<Uuid>) -> Result<Pass> {
        let name = self.account(account);
        let locks = &self.attempts.locks;
        let lock = match locks.try_lock(&name) {
            Some(lock) => lock,
            None => {
                // A caller who is refused anyway waits for nobody, and nobody waits for them.
                self.standing(ctx, account, user).await?;
                locks.lock(&name).await.ok_or(Error::Overloaded)?
            }
        };
        let (counts, clears) = self.standing(ctx, account, user).await?;
        Ok(Pass { _lock: lock, account: name, counts, clears })
    }

    /// Counts a wrong answer.
    ///
    /// # Errors
    /// The database's.
    pub(crate) async fn count_wrong(&self, ctx: &Ctx, tx: &mut Tx, pass: &Pass) -> Result<()> {
        self.attempts.failed.add(1, &[]);
        self.count_under(ctx, tx, &pass.counts).await
    }

    /// Takes away what was counted, after a right answer. Where nothing was, nothing is written.
    ///
    /// # Errors
    /// The database's.
    pub(crate) async fn count_right(&self, tx: &mut Tx, pass: &Pass) -> Result<()> {
        Ok(tx.clear_attempts(&pass.clears).await?)
    }

    /// Takes away what was counted for an account, and lets its owner in from where they are now: they have read its mail.
    ///
    /// # Errors
    /// The database's.
    pub(crate) async fn begin_anew(&self, ctx: &Ctx, tx: &mut Tx, user: &User) -> Result<()> {
        let accounts = [
            Some(Account::Session(user.id)),
            Some(Account::Email(&user.email_key)),
            user.username.as_deref().map(Account::Username),
        ];
        let counted: Vec<Digest> = accounts.into_iter().flatten().map(|account| self.account(account)).collect();
        tx.clear_attempts(&counted).await?;
        if let Some(network) = ctx.network() {
            let here = Counted {
                digest: self.device(user.id, network),
                failures: 0,
                last_time: ctx.now,
                forget_time: ctx.now + AFTER_RESET,
            };
            tx.begin_attempts(here).await?;
        }
        tx.forgive_mfa_failures(user.id).await?;
        Ok(())
    }

    /// Refuses a second factor where there are too many wrong answers from there or by who calls, unless it comes from where the user has signed in before.
    ///
    /// # Errors
    /// `TOO_MANY_ATTEMPTS`.
    pub(crate) async fn require_quiet(&self, ctx: &Ctx, user: Uuid) -> Result<()> {
        let places = self.places(ctx);
        let found = self.store.read().attempts(&places.all(), ctx.now).await?;
        match self.beyond(ctx, &found, &places, None) {
            Some(refusal) if self.at_home(ctx, user).await?.is_none() => Err(refusal),
            _ => Ok(()),
        }
    }

    /// Counts a wrong second factor by where it comes from and by who calls; by account its factor counts it.
    ///
    /// # Errors
    /// The database's.
    pub(crate) async fn count_wrong_factor(&self, ctx: &Ctx, tx: &mut Tx) -> Result<()> {
        self.attempts.failed.add(1, &[]);
        self.count_under(ctx, tx, &self.places(ctx).all()).await
    }

    async fn count_under(&self, ctx: &Ctx, tx: &mut Tx, digests: &[Digest]) -> Result<()> {
        let (_, end) = AttemptPolicy::window(ctx.now);
        let places = self.places(ctx).all();
        let until = |digest: &Digest| match places.contains(digest) {
            true => end,
            false => ctx.now + MEMORY,
        };
        let rows = digests.iter().map(|digest| (digest.clone(), until(digest))).collect();
        Ok(tx.count_attempts(rows, ctx.now).await?)
    }

    /// Whether an answer may be looked at now: what a wrong one is counted under then, and what a right one takes away.
    async fn standing(
        &self,
        ctx: &Ctx,
        account: Account<'_>,
        user: Option<Uuid>,
    ) -> Result<(Vec<Digest>, Vec<Digest>)> {
        let (own, places) = (self.account(account), self.places(ctx));
        // A session counts for itself: its holder is no stranger.
        let session = matches!(account, Account::Session(_));
        let mut asked = vec![own.clone()];
        if !session {
            asked.extend(places.all());
        }
        let found = self.store.read().attempts(&asked, ctx.now).await?;
        let Some(refusal) = self.beyond(ctx, &found, &places, Some(&own)) else {
            let clears = found.into_iter().map(|row| row.digest).filter(|digest| *digest == own);
            return Ok((asked, clears.collect()));
        };
        if session {
            return Err(refusal);
        }
        // Of nobody the same is asked, so that the time does not tell (ab_15).
        let Some((device, found)) = self.at_home(ctx, user.unwrap_or_default()).await? else {
            return Err(refusal);
        };
        // The owner has a count of their own here, which no stranger elsewhere fills.
        match self.beyond(ctx, &found, &places, Some(&device)) {
            Some(refusal) => Err(refusal),
            None => Ok((vec![device.clone()], vec![device])),
        }
    }

    /// Refuses where there are too many wrong answers. `account` is the digest that is about one account.
    fn beyond(&self, ctx: &Ctx, found: &[Counted], places: &Places, account: Option<&Digest>) -> Option<Error> {
        let policy = &self.attempts.policy;
        let full = |row: &Counted, most: u32| u32::try_from(row.failures).unwrap_or_default() >= most;
        let until = |row: &Counted| {
            let digest = Some(&row.digest);
            if digest == account {
                Some((policy.next_answer(row.failures, row.last_time), "account"))
            } else if digest == places.network.as_ref() {
                full(row, policy.from_network).then_some((row.forget_time, "network"))
            } else {
                full(row, policy.by_caller).then_some((row.forget_time, "caller"))
            }
        };
        let (until, by) = found.iter().filter_map(until).max().filter(|(until, _)| *until > ctx.now)?;
        self.attempts.refused.add(1, &[KeyValue::new("by", by)]);
        // Rounded up: who comes back then is not refused again for a fraction of a second.
        Some(too_many(until - ctx.now + TimeDelta::milliseconds(999)).into())
    }

    /// Where a call comes from where the user has signed in before, or has just chosen a new password by a link: the digest for it, and what is counted there.
    async fn at_home(&self, ctx: &Ctx, user: Uuid) -> Result<Option<(Digest, Vec<Counted>)>> {
        let Some(network) = ctx.network() else {
            return Ok(None);
        };
        let device = self.device(user, network);
        let view = self.store.read();
        let addresses = view.sign_in_addresses(user, REMEMBERED_SIGN_INS).await?;
        let found = view.attempts(std::slice::from_ref(&device), ctx.now).await?;
        let before = addresses.iter().any(|address| Network::parse(address) == Some(network));
        Ok((before || !found.is_empty()).then_some((device, found)))
    }

    fn account(&self, account: Account<'_>) -> Digest {
        let parts: [&[u8]; 2] = match &account {
            Account::Email(key) => [b"email", key.as_bytes()],
            Account::Username(name) => [b"username", name.as_bytes()],
            Account::Nobody(typed) => [b"nobody", typed.as_bytes()],
            Account::Session(user) => [b"session", user.as_bytes()],
        };
        self.keyring.digest("attempts for an account", &parts)
    }

    fn device(&self, user: Uuid, network: Network) -> Digest {
        let place = network.number().to_be_bytes();
        self.keyring.digest("attempts of a device", &[user.as_bytes(), &place])
    }

    fn places(&self, ctx: &Ctx) -> Places {
        let (hour, _) = AttemptPolicy::window(ctx.now);
        let digest = |kind: &str, number: u128| {
            let parts: [&[u8]; 2] = [&number.to_be_bytes(), &hour.to_be_bytes()];
            self.keyring.digest(kind, &parts)
        };
        Places {
            caller: digest("attempts by a caller", ctx.caller_number()),
            network: ctx.network().map(|network| digest("attempts from a network", network.number())),
        }
    }
}

/// Who calls, and where the person is, in this hour.
struct Places {
    caller: Digest,
    network: Option<Digest>,
}

impl Places {
    fn all(&self) -> Vec<Digest> {
        std::iter::once(&self.caller).chain(&self.network).cloned().collect()
    }
}
