//! Rosters by when somebody joined or was invited, at the same cost however large they are.

use sea_orm_migration::prelude::*;

/// The migration.
#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    // On SQLite a failed migration would otherwise stay half applied.
    fn use_transaction(&self) -> Option<bool> {
        Some(true)
    }

    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let members = Index::create()
            .name("members_by_organization_id_state_create_time_user_id")
            .table("members")
            .col("organization_id")
            .col("state")
            .col("create_time")
            .col("user_id")
            .take();
        manager.create_index(members).await?;
        let invited = Index::create()
            .name("invitations_by_organization_id_create_time_id")
            .table("invitations")
            .col("organization_id")
            .col("create_time")
            .col("id")
            .and_where(Expr::col("state").eq("pending"))
            .take();
        manager.create_index(invited).await
    }
}
