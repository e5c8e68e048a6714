//! The requests of UserService about a person's data: its export, its erasure, and deletion later.

use std::sync::Arc;

use prost::Message;
use secrecy::SecretString;
use tonic::Status;
use uuid::Uuid;

use crate::{
    app::{
        personal_data::{
            deletion::{Cancel, Schedule},
            erasure::{Erase, Report},
            export::{self, Place, Record},
        },
        records::User,
    },
    grpc::{
        credentials, invitations,
        layers::authenticate::Admitted,
        members::memberships::membership,
        pb,
        users::shown::user,
        wire::{
            edge::Edge,
            fields::{ETAG, Fields, PASSWORD, Parse},
            pieces::Pieces,
        },
    },
};

/// An export that is under way.
pub(super) struct Export {
    edge: Edge,
    admitted: Arc<Admitted>,
    request: pb::ExportUserRequest,
    /// Where it goes on; `None` behind the last piece.
    place: Option<Place>,
}

impl Export {
    /// Begins with the account.
    pub(super) fn of(edge: Edge, admitted: Arc<Admitted>, request: pb::ExportUserRequest) -> Self {
        Self { edge, admitted, request, place: Some(Place::default()) }
    }
}

impl Pieces for Export {
    type Piece = pb::ExportUserResponse;

    fn admitted(&self) -> &Arc<Admitted> {
        &self.admitted
    }

    async fn next(&mut self) -> Result<Option<Self::Piece>, Status> {
        while let Some(place) = self.place.take() {
            let (ctx, user_id) = self.edge.admit_again(&self.admitted, &self.request).await?;
            let (records, next) = export::read(&self.edge.app, &ctx, user_id, place).await?;
            ctx.require_proof()?;
            self.place = next;
            if !records.is_empty() {
                let records = records.into_iter().map(|record| exported(&self.edge, record)).collect();
                return Ok(Some(pb::ExportUserResponse { records }));
            }
        }
        Ok(None)
    }
}

fn exported(edge: &Edge, record: Record) -> prost_types::Any {
    match record {
        Record::User(row) => any("User", &user(row)),
        Record::Membership(row) => any("Membership", &membership(row)),
        Record::Invitation(row) => any("Invitation", &invitations::by_link(row, edge.app.clock.now())),
        Record::UserInvitation(row) => any("UserInvitation", &invitations::user_invitation(row)),
        Record::Session(row) => any("Session", &edge.session(row)),
        Record::Identity(row) => any("Identity", &credentials::identity(row)),
        Record::MfaFactor(row) => any("MfaFactor", &credentials::factor(row)),
        Record::Activity(row) => any("Activity", &pb::Activity::from(row)),
        Record::AuditEntry(row) => any("AuditEntry", &pb::AuditEntry::from(row)),
    }
}

fn any(name: &str, message: &impl Message) -> prost_types::Any {
    prost_types::Any { type_url: format!("type.googleapis.com/roster.v1.{name}"), value: message.encode_to_vec() }
}

impl Parse for pb::ExportUserRequest {
    type Command = Uuid;

    fn parse(&self, fields: &mut Fields<'_>) -> Option<Uuid> {
        fields.uuid("user_id", &self.user_id)
    }
}

impl Parse for pb::ScheduleUserDeletionRequest {
    type Command = Schedule;

    fn parse(&self, fields: &mut Fields<'_>) -> Option<Schedule> {
        fields.request_id(&self.request_id);
        let user_id = fields.uuid("user_id", &self.user_id);
        let password = fields.at_most("password", &self.password, PASSWORD);
        let etag = fields.at_most("etag", &self.etag, ETAG);
        Some(Schedule {
            user_id: user_id?,
            password: Some(password?).filter(|password| !password.is_empty()).map(SecretString::from),
            etag: etag?,
            validate_only: self.validate_only,
        })
    }
}

impl Parse for pb::CancelUserDeletionRequest {
    type Command = Cancel;

    fn parse(&self, fields: &mut Fields<'_>) -> Option<Cancel> {
        fields.request_id(&self.request_id);
        let user_id = fields.uuid("user_id", &self.user_id);
        let etag = fields.at_most("etag", &self.etag, ETAG);
        Some(Cancel { user_id: user_id?, etag: etag? })
    }
}

impl Parse for pb::EraseUserRequest {
    type Command = Erase;

    fn parse(&self, fields: &mut Fields<'_>) -> Option<Erase> {
        fields.request_id(&self.request_id);
        let user_id = fields.uuid("user_id", &self.user_id);
        let etag = fields.at_most("etag", &self.etag, ETAG);
        Some(Erase { user_id: user_id?, etag: etag?, validate_only: self.validate_only })
    }
}

impl From<(User, Report)> for pb::EraseUserResponse {
    fn from((row, report): (User, Report)) -> Self {
        let count = |rows: u64| i64::try_from(rows).unwrap_or(i64::MAX);
        let remaining = report.remaining_contacts.into_iter().map(|contact| pb::RemainingContact {
            organization_id: contact.organization_id.to_string(),
            contact_id: contact.id.to_string(),
        });
        Self {
            user: Some(user(row)),
            report: Some(pb::ErasureReport {
                memberships: count(report.memberships),
                sessions: count(report.rows.sessions),
                sign_ins: count(report.rows.sign_ins),
                identities: count(report.rows.identities),
                mfa_factors: count(report.rows.mfa_factors),
                activities: count(report.rows.activities),
                invitations: count(report.invitations),
                messages: count(report.messages),
                audit_entries: count(report.audit_entries),
                remaining_contacts: remaining.collect(),
            }),
        }
    }
}
