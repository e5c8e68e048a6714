//! ActivityService.

use tonic::{Request, Response, Status};

use crate::{
    app::organizations::activity::{self, ActivityEntry, Kind, ListedActivity},
    domain::{
        activity::{Report, ReportOutcome},
        sign_in::SignInOutcome,
        text::one_line,
    },
    grpc::{
        pb::{self, activity_service_server::ActivityService},
        wire::{
            convert::{id, timestamp},
            edge::Edge,
            fields::{Fields, Parse},
        },
    },
};

/// Reports of one batch at the most, and counters of one report.
const BATCH: usize = 500;
const COUNTERS: usize = 20;
/// By how much one report may move a counter at the most.
const INCREMENT: i64 = 1_000_000_000;
/// Characters of a summary at the most.
const SUMMARY: usize = 300;
/// Actions that a list may be narrowed to.
const ACTIONS: usize = 50;

#[tonic::async_trait]
impl ActivityService for Edge {
    async fn report_activity(
        &self,
        request: Request<pb::ReportActivityRequest>,
    ) -> Result<Response<pb::ReportActivityResponse>, Status> {
        let (ctx, command) = self.admit(request).await?;
        Ok(Response::new(self.app.execute(&ctx, command).await?))
    }

    async fn list_activity(
        &self,
        request: Request<pb::ListActivityRequest>,
    ) -> Result<Response<pb::ListActivityResponse>, Status> {
        let (ctx, query) = self.admit(request).await?;
        let page = activity::list(&self.app, &ctx, query).await?;
        Ok(Response::new(page.map(pb::Activity::from).await.into()))
    }
}

impl Parse for pb::ReportActivityRequest {
    type Command = activity::TakeReports;

    fn parse(&self, fields: &mut Fields<'_>) -> Option<Self::Command> {
        fields.items("reports", &self.reports, BATCH)?;
        if self.reports.is_empty() {
            fields.violation("reports", "is required");
            return None;
        }
        let read: Vec<Option<Report>> = self
            .reports
            .iter()
            .enumerate()
            .map(|(index, one)| fields.within(&format!("reports[{index}]"), |fields| report(one, fields)))
            .collect();
        Some(activity::TakeReports { reports: read.into_iter().collect::<Option<_>>()? })
    }
}

fn report(report: &pb::ActivityReport, fields: &mut Fields<'_>) -> Option<Report> {
    let report_id = fields.uuid("report_id", &report.report_id);
    let organization_id = fields.uuid("organization_id", &report.organization_id);
    let user_id = fields.uuid("user_id", &report.user_id);
    let time = fields.past("time", report.time.as_ref());
    let action = fields.optional_identifier("action", &report.action);
    let summary = fields.optional_text("summary", &report.summary, |text| one_line(text, SUMMARY));
    let counters = fields.items("counters", &report.counters, COUNTERS).and_then(|()| {
        let read: Vec<Option<(String, i64)>> = report
            .counters
            .iter()
            .enumerate()
            .map(|(index, one)| {
                fields.within(&format!("counters[{index}]"), |fields| {
                    let counter = fields.identifier("counter", &one.counter);
                    let increment = fields.between("increment", one.increment, 1, INCREMENT);
                    Some((counter?, increment?))
                })
            })
            .collect();
        read.into_iter().collect()
    });
    Some(Report {
        id: report_id?,
        organization_id: organization_id?,
        user_id: user_id?,
        time: time?,
        action: action?,
        summary: summary?,
        counters: counters?,
    })
}

impl Parse for pb::ListActivityRequest {
    type Command = activity::List;

    fn parse(&self, fields: &mut Fields<'_>) -> Option<Self::Command> {
        let organization_id = fields.optional_uuid("organization_id", &self.organization_id);
        let user_id = fields.optional_uuid("user_id", &self.user_id);
        if self.organization_id.is_empty() && self.user_id.is_empty() {
            fields.violation("organization_id", "is required where no user is named");
        }
        let page = fields.page(self);
        let kinds = fields.values("kinds", &self.kinds, kind);
        let actions = fields.identifiers("actions", &self.actions, ACTIONS);
        let from = fields.time("start_time", self.start_time.as_ref());
        let until = fields.time("end_time", self.end_time.as_ref());
        Some(activity::List {
            organization_id: organization_id?,
            user_id: user_id?,
            kinds: kinds?,
            actions: actions?,
            from: from?,
            until: until?,
            page: page?,
        })
    }
}

fn kind(number: i32) -> Option<Kind> {
    match pb::ActivityKind::try_from(number).ok()? {
        pb::ActivityKind::Unspecified => None,
        pb::ActivityKind::Action => Some(Kind::Action),
        pb::ActivityKind::SignIn => Some(Kind::SignIn),
        pb::ActivityKind::FailedSignIn => Some(Kind::FailedSignIn),
    }
}

impl From<ReportOutcome> for pb::ReportOutcome {
    fn from(outcome: ReportOutcome) -> Self {
        match outcome {
            ReportOutcome::Accepted => pb::ReportOutcome::Accepted,
            ReportOutcome::Duplicate => pb::ReportOutcome::Duplicate,
            ReportOutcome::NotAMember => pb::ReportOutcome::NotAMember,
        }
    }
}

impl From<Vec<(uuid::Uuid, ReportOutcome)>> for pb::ReportActivityResponse {
    fn from(outcomes: Vec<(uuid::Uuid, ReportOutcome)>) -> Self {
        let result = |(id, outcome): (uuid::Uuid, ReportOutcome)| pb::ActivityReportResult {
            report_id: id.to_string(),
            outcome: pb::ReportOutcome::from(outcome).into(),
        };
        Self { results: outcomes.into_iter().map(result).collect() }
    }
}

impl From<ListedActivity> for pb::Activity {
    fn from(listed: ListedActivity) -> Self {
        let shown = match listed.entry {
            ActivityEntry::Action(row) => pb::Activity {
                activity_id: row.id.to_string(),
                kind: pb::ActivityKind::Action.into(),
                time: Some(timestamp(row.create_time)),
                user_id: row.user_id.to_string(),
                organization_id: row.organization_id.to_string(),
                action: row.action,
                summary: row.summary.unwrap_or_default(),
                service_account_id: row.service_account_id.to_string(),
                ..pb::Activity::default()
            },
            ActivityEntry::SignIn(row) => pb::Activity {
                activity_id: row.id.to_string(),
                kind: pb::ActivityKind::from(row.outcome).into(),
                time: Some(timestamp(row.create_time)),
                user_id: id(row.user_id),
                ip_address: row.ip_address.unwrap_or_default(),
                user_agent: row.user_agent.unwrap_or_default(),
                ..pb::Activity::default()
            },
        };
        Self { user_display_name: listed.user_name, ..shown }
    }
}

impl From<SignInOutcome> for pb::ActivityKind {
    fn from(outcome: SignInOutcome) -> Self {
        match outcome {
            SignInOutcome::Succeeded => pb::ActivityKind::SignIn,
            SignInOutcome::Failed => pb::ActivityKind::FailedSignIn,
        }
    }
}
