//! The requests and answers of InvitationService that are about many invitations, or one person's, or about saying no.

use secrecy::ExposeSecret;
use uuid::Uuid;

use crate::{
    app::{
        invitations::{
            self, Issued,
            acceptance::Decline,
            batches::{self, IssuedBatch},
            lists::ListOfUser,
        },
        records::InvitationRow,
    },
    domain::{
        error::{Reason, Refusal},
        text::PersonName,
    },
    grpc::{
        invitations::{MESSAGE, by_link, hold, invitation},
        pb::{self, invitation_result::Outcome},
        wire::fields::{Fields, Parse},
    },
};

/// Addresses of one batch at the most.
const MAX_BATCH: usize = 500;

impl Parse for pb::BatchCreateInvitationsRequest {
    type Command = batches::CreateBatch;

    fn parse(&self, fields: &mut Fields<'_>) -> Option<Self::Command> {
        fields.request_id(&self.request_id);
        let organization_id = fields.uuid("organization_id", &self.organization_id);
        if self.invitations.is_empty() {
            fields.violation("invitations", "is required");
            return None;
        }
        fields.items("invitations", &self.invitations, MAX_BATCH)?;
        let read: Vec<Option<invitations::Create>> = self
            .invitations
            .iter()
            .enumerate()
            .map(|(index, one)| {
                fields.within(&format!("invitations[{index}]"), |fields| self.one(organization_id, one, fields))
            })
            .collect();
        Some(batches::CreateBatch {
            organization_id: organization_id?,
            invitations: read.into_iter().collect::<Option<_>>()?,
            include_links: self.include_links,
            validate_only: self.validate_only,
        })
    }
}

impl pb::BatchCreateInvitationsRequest {
    fn one(
        &self,
        organization_id: Option<Uuid>,
        one: &pb::NewInvitation,
        fields: &mut Fields<'_>,
    ) -> Option<invitations::Create> {
        let email = fields.email("email", &one.email);
        let roles = fields.roles("roles", &one.roles);
        let given_name = fields.optional_text("given_name", &one.given_name, PersonName::parse);
        let family_name = fields.optional_text("family_name", &one.family_name, PersonName::parse);
        let personal_message = fields.lines("personal_message", &one.personal_message, MESSAGE);
        let locale = fields.locale("locale", &one.locale);
        Some(invitations::Create {
            organization_id: organization_id?,
            email: email?,
            given_name: given_name?,
            family_name: family_name?,
            roles: roles?,
            personal_message: personal_message?,
            locale: locale?,
            include_link: self.include_links,
            validate_only: self.validate_only,
        })
    }
}

impl Parse for pb::ListUserInvitationsRequest {
    type Command = ListOfUser;

    fn parse(&self, fields: &mut Fields<'_>) -> Option<Self::Command> {
        let user_id = fields.uuid("user_id", &self.user_id);
        let page = fields.page(self);
        Some(ListOfUser { user_id: user_id?, page: page? })
    }
}

impl Parse for pb::DeclineInvitationRequest {
    type Command = Decline;

    fn parse(&self, fields: &mut Fields<'_>) -> Option<Self::Command> {
        fields.request_id(&self.request_id);
        Some(Decline { hold: hold(fields, &self.token, &self.invitation_id)? })
    }
}

impl From<(InvitationRow, i64)> for pb::DeclineInvitationResponse {
    fn from((row, revision): (InvitationRow, i64)) -> Self {
        // Declined, whatever the time.
        let now = row.invitation.sent_time;
        Self {
            organization_id: row.invitation.organization_id.to_string(),
            invitation: Some(by_link(row, now)),
            revision,
        }
    }
}

impl From<IssuedBatch> for pb::BatchCreateInvitationsResponse {
    fn from(batch: IssuedBatch) -> Self {
        Self { results: batch.results.into_iter().map(Into::into).collect(), revision: batch.revision }
    }
}

impl From<Result<Issued, Refusal>> for pb::InvitationResult {
    fn from(result: Result<Issued, Refusal>) -> Self {
        match result {
            Ok(issued) => {
                let now = issued.row.invitation.sent_time;
                Self {
                    link: issued.link.map(|link| link.expose_secret().to_owned()).unwrap_or_default(),
                    outcome: Some(Outcome::Invitation(invitation(issued.row, now))),
                }
            }
            Err(refusal) => Self { link: String::new(), outcome: Some(Outcome::Refusal(refusal.into())) },
        }
    }
}

impl From<Refusal> for pb::BatchRefusal {
    fn from(refusal: Refusal) -> Self {
        Self {
            reason: wire_reason(refusal.reason).into(),
            reason_name: refusal.reason.as_str().to_owned(),
            message: refusal.reason.message().to_owned(),
            metadata: refusal.metadata.into_iter().map(|(key, value)| (key.to_owned(), value)).collect(),
        }
    }
}

/// The contract's value of a reason; that each has one is held by a test of `status`.
pub(crate) fn wire_reason(reason: Reason) -> pb::ErrorReason {
    pb::ErrorReason::from_str_name(&format!("ERROR_REASON_{}", reason.as_str())).unwrap_or_default()
}
