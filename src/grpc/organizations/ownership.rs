//! OwnershipService.

use chrono::{DateTime, Utc};
use tonic::{Request, Response, Status};

use crate::{
    app::{
        etag,
        ownership::transfers::{self, Outcome, Settle, Start, TransferAnswer},
        records::Transfer,
    },
    domain::ownership::{self, TransferStatus},
    grpc::{
        pb::{self, ownership_service_server::OwnershipService},
        wire::{
            convert::{roles, timestamp},
            edge::Edge,
            fields::{ETAG, Fields, Parse},
        },
    },
};

#[tonic::async_trait]
impl OwnershipService for Edge {
    async fn transfer_ownership(
        &self,
        request: Request<pb::TransferOwnershipRequest>,
    ) -> Result<Response<pb::TransferOwnershipResponse>, Status> {
        let (ctx, command) = self.admit(request).await?;
        Ok(Response::new(self.app.execute(&ctx, command).await?))
    }

    async fn list_ownership_transfers(
        &self,
        request: Request<pb::ListOwnershipTransfersRequest>,
    ) -> Result<Response<pb::ListOwnershipTransfersResponse>, Status> {
        let (ctx, query) = self.admit(request).await?;
        let page = transfers::list(&self.app, &ctx, query).await?;
        Ok(Response::new(page.map(|row| transfer(row, ctx.now)).await.into()))
    }

    async fn confirm_ownership_transfer(
        &self,
        request: Request<pb::ConfirmOwnershipTransferRequest>,
    ) -> Result<Response<pb::ConfirmOwnershipTransferResponse>, Status> {
        let (ctx, command) = self.admit(request).await?;
        Ok(Response::new(self.app.execute(&ctx, command).await?))
    }

    async fn cancel_ownership_transfer(
        &self,
        request: Request<pb::CancelOwnershipTransferRequest>,
    ) -> Result<Response<pb::CancelOwnershipTransferResponse>, Status> {
        let (ctx, command) = self.admit(request).await?;
        Ok(Response::new(self.app.execute(&ctx, command).await?))
    }
}

impl Parse for pb::TransferOwnershipRequest {
    type Command = Start;

    fn parse(&self, fields: &mut Fields<'_>) -> Option<Self::Command> {
        fields.request_id(&self.request_id);
        let organization_id = fields.uuid("organization_id", &self.organization_id);
        let nominee_user_id = fields.uuid("nominee_user_id", &self.nominee_user_id);
        let owner_user_id = fields.optional_uuid("owner_user_id", &self.owner_user_id);
        let etag = fields.at_most("etag", &self.etag, ETAG);
        Some(Start {
            organization_id: organization_id?,
            nominee_user_id: nominee_user_id?,
            owner_user_id: owner_user_id?,
            etag: etag?,
            validate_only: self.validate_only,
        })
    }
}

impl Parse for pb::ListOwnershipTransfersRequest {
    type Command = transfers::List;

    fn parse(&self, fields: &mut Fields<'_>) -> Option<Self::Command> {
        let organization_id = fields.uuid("organization_id", &self.organization_id);
        let page = fields.page(self);
        Some(transfers::List { organization_id: organization_id?, page: page? })
    }
}

/// Requests that settle a transfer which waits.
macro_rules! settlements {
    ($($request:ty => $outcome:expr),* $(,)?) => {
        $(impl Parse for $request {
            type Command = Settle;

            fn parse(&self, fields: &mut Fields<'_>) -> Option<Self::Command> {
                fields.request_id(&self.request_id);
                let organization_id = fields.uuid("organization_id", &self.organization_id);
                let transfer_id = fields.uuid("transfer_id", &self.transfer_id);
                let etag = fields.at_most("etag", &self.etag, ETAG);
                Some(Settle {
                    organization_id: organization_id?,
                    transfer_id: transfer_id?,
                    outcome: $outcome,
                    etag: etag?,
                })
            }
        })*
    };
}

settlements!(
    pb::ConfirmOwnershipTransferRequest => TransferAnswer::Confirm,
    pb::CancelOwnershipTransferRequest => TransferAnswer::Cancel,
);

fn transfer(row: Transfer, now: DateTime<Utc>) -> pb::OwnershipTransfer {
    let state = match row.status(now) {
        TransferStatus::Pending => pb::OwnershipTransferState::Pending,
        TransferStatus::Completed => pb::OwnershipTransferState::Completed,
        TransferStatus::Cancelled => pb::OwnershipTransferState::Cancelled,
        TransferStatus::Expired => pb::OwnershipTransferState::Expired,
    };
    let waited = row.settle_time != Some(row.create_time);
    pb::OwnershipTransfer {
        transfer_id: row.id.to_string(),
        organization_id: row.organization_id.to_string(),
        owner_user_id: row.owner_user_id.to_string(),
        nominee_user_id: row.nominee_user_id.to_string(),
        state: state.into(),
        create_time: Some(timestamp(row.create_time)),
        expire_time: waited.then(|| timestamp(row.expire_time)),
        settle_time: row.settle_time.map(timestamp),
        etag: etag(row.changed_revision),
    }
}

/// The roles of both sides in the contract's terms.
fn exchanged(decided: ownership::Transfer) -> pb::ExchangedRoles {
    pb::ExchangedRoles {
        new_owner_roles: roles(&decided.new_owner_roles),
        replaced_roles: roles(&decided.replaced_roles),
        previous_owner_roles: roles(&decided.previous_owner_roles),
    }
}

/// Responses that carry the transfer as it is right after the call: of a settled one, the time plays no part.
macro_rules! changed {
    ($($response:ident $([$roles:ident])?),*) => {
        $(impl From<Outcome> for pb::$response {
            fn from(outcome: Outcome) -> Self {
                let now = outcome.transfer.create_time;
                Self {
                    transfer: Some(transfer(outcome.transfer, now)),
                    revision: outcome.revision,
                    $($roles: outcome.decided.map(exchanged),)?
                }
            }
        })*
    };
}

changed!(TransferOwnershipResponse[roles], ConfirmOwnershipTransferResponse[roles], CancelOwnershipTransferResponse);
