//! What members did: taking reports of it, and listing it together with their sign-ins.

use std::collections::BTreeSet;

use chrono::{DateTime, TimeDelta, Utc};
use uuid::Uuid;

use crate::{
    app::{
        App,
        call::{
            access,
            context::Ctx,
            error::Result,
            mutation::Mutation,
            paging::{Page, PageRequest},
        },
    },
    domain::{
        activity::{Report, ReportOutcome, Tally, acceptable, outcomes},
        error::Reason,
        member::MemberState,
        sign_in::SignInOutcome,
    },
    store::{Activity, ActivityFilter, Cursor, Member, SignInFilter, SignInRecord, Tx, User},
};

/// Takes reports.
#[derive(Debug)]
pub(crate) struct TakeReports {
    /// The reports.
    pub(crate) reports: Vec<Report>,
}

impl Mutation for TakeReports {
    type Outcome = Vec<(Uuid, ReportOutcome)>;

    async fn apply(&self, app: &App, ctx: &Ctx, tx: &mut Tx) -> Result<Self::Outcome> {
        // No user reports by themselves: the method's rule lets services in only.
        let service = ctx.caller.service.as_ref().ok_or(Reason::CallerNotAllowed)?.account_id;
        // Where the key does not reach, nobody belongs (ab_48).
        let reached = self.reports.iter().filter(|report| ctx.caller.reaches(report.organization_id));
        let named: BTreeSet<_> = reached.map(Report::member).collect();
        let members = tx.members_among(&named).await?;
        let fresh = tx.take_reports(service, &acceptable(&self.reports, &members), ctx.now).await?;
        let outcomes = outcomes(&self.reports, &members, fresh);
        let counting = || {
            let both = self.reports.iter().zip(&outcomes);
            both.filter(|(_, outcome)| **outcome == ReportOutcome::Accepted).map(|(report, _)| report)
        };
        let row = |report: &Report| {
            report.action.as_ref().map(|action| Activity {
                // Of the time at which it was done, so that the ids are in the order of the list.
                id: app.entropy.uuid(report.time),
                organization_id: report.organization_id,
                user_id: report.user_id,
                action: action.clone(),
                summary: report.summary.clone(),
                service_account_id: service,
                create_time: report.time,
            })
        };
        tx.insert_activities(counting().filter_map(row).collect()).await?;
        let tally = Tally::of(counting());
        tx.add_activity(&tally).await?;
        tally.last_active.keys().for_each(|(_, user)| app.active.note(*user));
        Ok(self.reports.iter().map(|report| report.id).zip(outcomes).collect())
    }
}

/// What an entry of the list tells of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// A reported action.
    Action,
    /// A sign-in.
    SignIn,
    /// A refused attempt to sign in.
    FailedSignIn,
}

/// Which entries.
#[derive(Debug)]
pub(crate) struct List {
    /// Only in this organization; `None`: a user's, in every organization.
    pub(crate) organization_id: Option<Uuid>,
    /// Only of this user. One of the two is there.
    pub(crate) user_id: Option<Uuid>,
    /// Only these kinds; empty means all.
    pub(crate) kinds: Vec<Kind>,
    /// Only these actions; empty means all, and sign-ins too.
    pub(crate) actions: Vec<String>,
    /// Only from this time on.
    pub(crate) from: Option<DateTime<Utc>>,
    /// Only before this time.
    pub(crate) until: Option<DateTime<Utc>>,
    /// Which page.
    pub(crate) page: PageRequest,
}

/// Something that somebody did.
#[derive(Debug, Clone)]
pub(crate) enum ActivityEntry {
    /// As a service reported it.
    Action(Activity),
    /// They signed in, or tried to.
    SignIn(SignInRecord),
}

impl ActivityEntry {
    fn id(&self) -> Uuid {
        match self {
            ActivityEntry::Action(row) => row.id,
            ActivityEntry::SignIn(row) => row.id,
        }
    }

    fn user_id(&self) -> Option<Uuid> {
        match self {
            ActivityEntry::Action(row) => Some(row.user_id),
            ActivityEntry::SignIn(row) => row.user_id,
        }
    }
}

/// An entry as this caller sees it.
#[derive(Debug)]
pub(crate) struct ListedActivity {
    /// What was done.
    pub(crate) entry: ActivityEntry,
    /// The name of who did it.
    pub(crate) user_name: String,
}

/// Entries, newest first. Each half is read in order by its own index and the two are merged, so a page costs the same however long the list is.
///
/// # Errors
/// Those of [`access::enter`], though a member needs no permission to see their own; `MEMBER_NOT_FOUND`; `USER_NOT_FOUND`.
pub(crate) async fn list(app: &App, ctx: &Ctx, query: List) -> Result<Page<ListedActivity>> {
    let membership = admit(app, ctx, &query).await?;
    let view = app.store.read();
    let (after, limit) = (query.page.after(), query.page.limit());
    let actions = ActivityFilter {
        organization_id: query.organization_id,
        user_id: query.user_id,
        actions: query.actions.clone(),
        from: query.from,
        until: query.until,
    };
    let wants = |kind: Kind| query.kinds.is_empty() || query.kinds.contains(&kind);
    let sign_ins = sign_ins_of(&query, membership.as_ref());
    let (mut entries, mut total) = (Vec::new(), 0);
    if wants(Kind::Action) {
        let rows = view.activities_page(&actions, after, limit).await?;
        entries.extend(rows.into_iter().map(ActivityEntry::Action));
        if query.page.count {
            total += view.activities_count(&actions).await?;
        }
    }
    if let Some(filter) = sign_ins {
        let rows = view.sign_ins_page(&filter, after, limit).await?;
        entries.extend(rows.into_iter().map(ActivityEntry::SignIn));
        if query.page.count {
            total += view.sign_ins_count(&filter).await?;
        }
    }
    entries.sort_by_key(|entry| std::cmp::Reverse(entry.id()));
    entries.truncate(usize::try_from(limit).unwrap_or(usize::MAX));
    let page = query.page.page(entries, query.page.count.then_some(total), |entry| Cursor::by_id(entry.id()));
    let names = view.users_named(page.items.iter().filter_map(ActivityEntry::user_id).collect()).await?;
    // Where somebody signs in from is their own affair, and that of the services that look after their account.
    let whole = ctx.caller.is_service_alone() || ctx.caller.user.as_ref().map(|caller| caller.user.id) == query.user_id;
    Ok(page
        .map(|entry| ListedActivity {
            user_name: entry
                .user_id()
                .and_then(|id| names.get(&id))
                .map(User::effective_display_name)
                .unwrap_or_default(),
            entry: if whole { entry } else { without_origin(entry) },
        })
        .await)
}

/// Admits a caller to what they ask for; answers with the membership of the user in question, where there is an organization.
async fn admit(app: &App, ctx: &Ctx, query: &List) -> Result<Option<Member>> {
    let view = app.store.read();
    match (query.organization_id, query.user_id) {
        (Some(organization), Some(user)) => {
            access::enter_about(app, ctx, organization, user).await?;
            let member = view.member(organization, user).await?;
            Ok(Some(member.ok_or(Reason::MemberNotFound)?))
        }
        (Some(organization), None) => {
            access::enter(app, ctx, organization).await?;
            Ok(None)
        }
        (None, Some(user)) => {
            ctx.require_self(user)?;
            view.user(user).await?.ok_or(Reason::UserNotFound)?;
            Ok(None)
        }
        (None, None) => Err(Reason::UserNotFound.into()),
    }
}

/// Which sign-ins belong to the list: a named user's, in an organization only those of their time there.
fn sign_ins_of(query: &List, membership: Option<&Member>) -> Option<SignInFilter> {
    let user_id = query.user_id.filter(|_| query.actions.is_empty())?;
    let outcome = match (
        query.kinds.is_empty() || query.kinds.contains(&Kind::SignIn),
        query.kinds.is_empty() || query.kinds.contains(&Kind::FailedSignIn),
    ) {
        (true, true) => None,
        (true, false) => Some(SignInOutcome::Succeeded),
        (false, true) => Some(SignInOutcome::Failed),
        (false, false) => return None,
    };
    // A removed member's row does not change any more. Times are kept to the microsecond: a sign-in in the one of the removal was before it.
    let left = membership
        .filter(|member| member.state == MemberState::Removed)
        .map(|member| member.update_time + TimeDelta::microseconds(1));
    Some(SignInFilter {
        user_id,
        outcome,
        from: query.from.max(membership.map(|member| member.create_time)),
        until: [query.until, left].into_iter().flatten().min(),
    })
}

fn without_origin(entry: ActivityEntry) -> ActivityEntry {
    match entry {
        ActivityEntry::SignIn(row) => ActivityEntry::SignIn(SignInRecord { ip_address: None, user_agent: None, ..row }),
        action @ ActivityEntry::Action(_) => action,
    }
}
