//! AuditService.

use std::sync::Arc;

use futures_util::stream::BoxStream;
use tonic::{Request, Response, Status};

use crate::{
    app::{
        audit::{self, Entry, Verified},
        records::EventFilter,
    },
    domain::{
        audit::{Anchor, Flaw},
        stream::StreamKind,
    },
    grpc::{
        layers::authenticate::Admitted,
        pb::{self, audit_service_server::AuditService},
        wire::{
            convert::{hex, id, json, timestamp},
            edge::{Edge, admitted},
            fields::{Fields, Parse},
            pieces::{Pieces, in_pieces},
        },
    },
};

/// Characters of a hash at the most: SHA-256 in hexadecimal.
const HASH: usize = 64;

#[tonic::async_trait]
impl AuditService for Edge {
    async fn list_audit_entries(
        &self,
        request: Request<pb::ListAuditEntriesRequest>,
    ) -> Result<Response<pb::ListAuditEntriesResponse>, Status> {
        let (ctx, query) = self.admit(request).await?;
        let page = audit::list(&self.app, &ctx, query).await?;
        Ok(Response::new(page.map(pb::AuditEntry::from).await.into()))
    }

    type ExportAuditEntriesStream = BoxStream<'static, Result<pb::ExportAuditEntriesResponse, Status>>;

    async fn export_audit_entries(
        &self,
        request: Request<pb::ExportAuditEntriesRequest>,
    ) -> Result<Response<Self::ExportAuditEntriesStream>, Status> {
        let export = Export { edge: self.clone(), admitted: admitted(&request)?, request: request.into_inner() };
        Ok(Response::new(in_pieces(export).await?))
    }

    async fn verify_audit_chain(
        &self,
        request: Request<pb::VerifyAuditChainRequest>,
    ) -> Result<Response<pb::VerifyAuditChainResponse>, Status> {
        let (ctx, question) = self.admit(request).await?;
        Ok(Response::new(audit::verify(&self.app, &ctx, question).await?.into()))
    }

    async fn list_user_audit_entries(
        &self,
        request: Request<pb::ListUserAuditEntriesRequest>,
    ) -> Result<Response<pb::ListUserAuditEntriesResponse>, Status> {
        let (ctx, query) = self.admit(request).await?;
        let page = audit::list_user(&self.app, &ctx, query).await?;
        Ok(Response::new(page.map(pb::AuditEntry::from).await.into()))
    }

    async fn verify_user_audit_chain(
        &self,
        request: Request<pb::VerifyUserAuditChainRequest>,
    ) -> Result<Response<pb::VerifyUserAuditChainResponse>, Status> {
        let (ctx, question) = self.admit(request).await?;
        Ok(Response::new(audit::verify_user(&self.app, &ctx, question).await?.into()))
    }

    async fn list_installation_audit_entries(
        &self,
        request: Request<pb::ListInstallationAuditEntriesRequest>,
    ) -> Result<Response<pb::ListInstallationAuditEntriesResponse>, Status> {
        let (_, query) = self.admit(request).await?;
        let page = audit::list_installation(&self.app, query).await?;
        Ok(Response::new(page.map(pb::AuditEntry::from).await.into()))
    }

    async fn verify_installation_audit_chain(
        &self,
        request: Request<pb::VerifyInstallationAuditChainRequest>,
    ) -> Result<Response<pb::VerifyInstallationAuditChainResponse>, Status> {
        let (_, known) = self.admit(request).await?;
        Ok(Response::new(audit::verify_installation(&self.app, known).await?.into()))
    }
}

/// An export that is under way.
struct Export {
    edge: Edge,
    admitted: Arc<Admitted>,
    /// The request for what is left.
    request: pb::ExportAuditEntriesRequest,
}

impl Pieces for Export {
    type Piece = pb::ExportAuditEntriesResponse;

    fn admitted(&self) -> &Arc<Admitted> {
        &self.admitted
    }

    async fn next(&mut self) -> Result<Option<Self::Piece>, Status> {
        let (ctx, (organization, after)) = self.edge.admit_again(&self.admitted, &self.request).await?;
        let batch = audit::export(&self.edge.app, &ctx, organization, after).await?;
        ctx.require_proof()?;
        self.request.after_revision = batch.last().map_or(after, |entry| entry.event.revision);
        Ok(Some(batch).filter(|batch| !batch.is_empty()).map(Into::into))
    }
}

impl Parse for pb::ListAuditEntriesRequest {
    type Command = audit::List;

    fn parse(&self, fields: &mut Fields<'_>) -> Option<Self::Command> {
        let organization_id = fields.uuid("organization_id", &self.organization_id);
        let page = fields.page(self);
        let actor = fields.optional_uuid("actor_user_id", &self.actor_user_id);
        let subject = fields.optional_uuid("subject_user_id", &self.subject_user_id);
        let kinds = fields.identifiers("kinds", &self.kinds, 50);
        let from = fields.time("start_time", self.start_time.as_ref());
        let until = fields.time("end_time", self.end_time.as_ref());
        Some(audit::List {
            organization_id: organization_id?,
            filter: EventFilter {
                actor: actor?,
                subject: subject?,
                kinds: kinds?,
                from: from?,
                until: until?,
                ..EventFilter::default()
            },
            page: page?,
        })
    }
}

impl Parse for pb::ExportAuditEntriesRequest {
    type Command = (uuid::Uuid, i64);

    fn parse(&self, fields: &mut Fields<'_>) -> Option<Self::Command> {
        let organization = fields.uuid("organization_id", &self.organization_id);
        let after = fields.not_negative("after_revision", self.after_revision);
        Some((organization?, after?))
    }
}

impl Parse for pb::VerifyAuditChainRequest {
    type Command = audit::Verify;

    fn parse(&self, fields: &mut Fields<'_>) -> Option<Self::Command> {
        let organization_id = fields.uuid("organization_id", &self.organization_id);
        let known = known(fields, self.known_revision, &self.known_hash);
        Some(audit::Verify { organization_id: organization_id?, known: known? })
    }
}

impl Parse for pb::ListUserAuditEntriesRequest {
    type Command = audit::ListOfUser;

    fn parse(&self, fields: &mut Fields<'_>) -> Option<Self::Command> {
        let user_id = fields.uuid("user_id", &self.user_id);
        let page = fields.page(self);
        let kinds = fields.identifiers("kinds", &self.kinds, 50);
        let from = fields.time("start_time", self.start_time.as_ref());
        let until = fields.time("end_time", self.end_time.as_ref());
        let filter = EventFilter { kinds: kinds?, from: from?, until: until?, ..EventFilter::default() };
        Some(audit::ListOfUser { user_id: user_id?, filter, page: page? })
    }
}

impl Parse for pb::VerifyUserAuditChainRequest {
    type Command = audit::VerifyUser;

    fn parse(&self, fields: &mut Fields<'_>) -> Option<Self::Command> {
        let user_id = fields.uuid("user_id", &self.user_id);
        let known = known(fields, self.known_revision, &self.known_hash);
        Some(audit::VerifyUser { user_id: user_id?, known: known? })
    }
}

impl Parse for pb::ListInstallationAuditEntriesRequest {
    type Command = audit::ListOfInstallation;

    fn parse(&self, fields: &mut Fields<'_>) -> Option<Self::Command> {
        let page = fields.page(self);
        let service = fields.optional_uuid("actor_service_account_id", &self.actor_service_account_id);
        let subject = fields.optional_uuid("subject_id", &self.subject_id);
        let kinds = fields.identifiers("kinds", &self.kinds, 50);
        let from = fields.time("start_time", self.start_time.as_ref());
        let until = fields.time("end_time", self.end_time.as_ref());
        let filter = EventFilter {
            service: service?,
            subject: subject?,
            kinds: kinds?,
            from: from?,
            until: until?,
            ..EventFilter::default()
        };
        Some(audit::ListOfInstallation { filter, page: page? })
    }
}

impl Parse for pb::VerifyInstallationAuditChainRequest {
    type Command = Option<Anchor>;

    fn parse(&self, fields: &mut Fields<'_>) -> Option<Self::Command> {
        known(fields, self.known_revision, &self.known_hash)
    }
}

/// An entry that the caller has kept outside; `Some(None)` where they name none.
fn known(fields: &mut Fields<'_>, revision: i64, hash: &str) -> Option<Option<Anchor>> {
    let revision = fields.not_negative("known_revision", revision);
    let hash = fields.at_most("known_hash", hash, HASH);
    let known = Anchor { revision: revision?, hash: unhex(&hash?) };
    Some((known.revision > 0).then_some(known))
}

impl From<Vec<Entry>> for pb::ExportAuditEntriesResponse {
    fn from(batch: Vec<Entry>) -> Self {
        Self { entries: batch.into_iter().map(Into::into).collect() }
    }
}

impl From<Entry> for pb::AuditEntry {
    fn from(entry: Entry) -> Self {
        let event = entry.event;
        Self {
            organization_id: match event.stream {
                StreamKind::Organization => event.stream_id.to_string(),
                StreamKind::User | StreamKind::Installation => String::new(),
            },
            revision: event.revision,
            kind: event.kind,
            create_time: Some(timestamp(event.create_time)),
            actor_user_id: id(event.actor_user_id),
            actor_service_account_id: id(event.actor_service_account_id),
            actor_display_name: entry.actor_name.unwrap_or_default(),
            subject_id: id(event.subject_id),
            subject_user_id: id(entry.subject_user_id),
            subject_display_name: entry.subject_name.unwrap_or_default(),
            before: entry.before.map(json),
            after: entry.after.map(json),
            hash: hex(&event.hash),
        }
    }
}

impl From<Verified> for pb::VerifyAuditChainResponse {
    fn from(verified: Verified) -> Self {
        Self {
            organization_id: verified.stream_id.to_string(),
            intact: verified.broken.is_none(),
            verified_entries: verified.last.revision,
            broken_revision: verified.broken.map_or(0, |broken| broken.revision),
            flaw: verified.broken.map_or(pb::AuditFlaw::Unspecified, |broken| broken.flaw.into()).into(),
            hash: hex(&verified.last.hash),
            sealed_entries: verified.sealed,
        }
    }
}

impl From<Verified> for pb::VerifyUserAuditChainResponse {
    fn from(verified: Verified) -> Self {
        let found = pb::VerifyAuditChainResponse::from(verified);
        Self {
            user_id: found.organization_id,
            intact: found.intact,
            verified_entries: found.verified_entries,
            broken_revision: found.broken_revision,
            flaw: found.flaw,
            hash: found.hash,
            sealed_entries: found.sealed_entries,
        }
    }
}

impl From<Verified> for pb::VerifyInstallationAuditChainResponse {
    fn from(verified: Verified) -> Self {
        let found = pb::VerifyAuditChainResponse::from(verified);
        Self {
            intact: found.intact,
            verified_entries: found.verified_entries,
            broken_revision: found.broken_revision,
            flaw: found.flaw,
            hash: found.hash,
            sealed_entries: found.sealed_entries,
        }
    }
}

impl From<Flaw> for pb::AuditFlaw {
    fn from(flaw: Flaw) -> Self {
        match flaw {
            Flaw::EntryChanged => pb::AuditFlaw::EntryChanged,
            Flaw::EntryMissing => pb::AuditFlaw::EntryMissing,
            Flaw::EndMissing => pb::AuditFlaw::EndMissing,
            Flaw::EntryAdded => pb::AuditFlaw::EntryAdded,
            Flaw::ChainReplaced => pb::AuditFlaw::ChainReplaced,
            Flaw::SealBroken => pb::AuditFlaw::SealBroken,
        }
    }
}

/// The octets of a hash as it was given. What is no hash is nobody's, and equals none.
fn unhex(text: &str) -> Vec<u8> {
    let octet = |pair: &[u8]| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok();
    text.as_bytes().chunks(2).map(octet).collect::<Option<_>>().unwrap_or_default()
}
