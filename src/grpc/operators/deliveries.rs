//! DeliveryService.

use tonic::{Request, Response, Status};

use crate::{
    app::{
        operators::deliveries,
        records::{Message, MessageFilter},
    },
    domain::delivery::DeliveryState,
    grpc::{
        pb::{self, delivery_service_server::DeliveryService},
        wire::{
            convert::{id, timestamp},
            edge::Edge,
            fields::{Fields, Parse},
        },
    },
};

#[tonic::async_trait]
impl DeliveryService for Edge {
    async fn list_messages(
        &self,
        request: Request<pb::ListMessagesRequest>,
    ) -> Result<Response<pb::ListMessagesResponse>, Status> {
        let (ctx, query) = self.admit(request).await?;
        let page = deliveries::list(&self.app, &ctx, query).await?;
        Ok(Response::new(page.map(message).await.into()))
    }

    async fn get_message(
        &self,
        request: Request<pb::GetMessageRequest>,
    ) -> Result<Response<pb::GetMessageResponse>, Status> {
        let (ctx, id) = self.admit(request).await?;
        Ok(Response::new(deliveries::get(&self.app, &ctx, id).await?.into()))
    }

    async fn retry_message(
        &self,
        request: Request<pb::RetryMessageRequest>,
    ) -> Result<Response<pb::RetryMessageResponse>, Status> {
        let (ctx, command) = self.admit(request).await?;
        Ok(Response::new(self.app.execute(&ctx, command).await?))
    }
}

impl Parse for pb::ListMessagesRequest {
    type Command = deliveries::List;

    fn parse(&self, fields: &mut Fields<'_>) -> Option<Self::Command> {
        let page = fields.page(self);
        let states = fields.values("states", &self.states, pb::DeliveryState::known);
        let organization_id = fields.optional_uuid("organization_id", &self.organization_id);
        Some(deliveries::List {
            filter: MessageFilter { states: states?, organization_id: organization_id? },
            page: page?,
        })
    }
}

impl Parse for pb::GetMessageRequest {
    type Command = uuid::Uuid;

    fn parse(&self, fields: &mut Fields<'_>) -> Option<Self::Command> {
        fields.uuid("message_id", &self.message_id)
    }
}

impl Parse for pb::RetryMessageRequest {
    type Command = deliveries::Retry;

    fn parse(&self, fields: &mut Fields<'_>) -> Option<Self::Command> {
        fields.request_id(&self.request_id);
        Some(deliveries::Retry { message_id: fields.uuid("message_id", &self.message_id)? })
    }
}

fn message(row: Message) -> pb::Message {
    let waits = row.state == DeliveryState::Queued;
    pb::Message {
        message_id: row.id.to_string(),
        kind: row.kind,
        organization_id: id(row.organization_id),
        recipient: row.recipient,
        state: pb::DeliveryState::from(row.state).into(),
        attempts: row.attempts,
        next_attempt_time: waits.then(|| timestamp(row.available_time)),
        last_error: row.last_error.unwrap_or_default(),
        create_time: Some(timestamp(row.create_time)),
        settle_time: row.settle_time.map(timestamp),
    }
}

impl From<Message> for pb::GetMessageResponse {
    fn from(row: Message) -> Self {
        Self { message: Some(message(row)) }
    }
}

impl From<Message> for pb::RetryMessageResponse {
    fn from(row: Message) -> Self {
        Self { message: Some(message(row)) }
    }
}
