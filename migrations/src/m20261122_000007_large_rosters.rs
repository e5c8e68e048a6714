//! Rosters that cost the same however large they are: who is in a state, and who holds a role, in the roster's order.

use sea_orm_migration::{
    prelude::*,
    schema::{binary, text},
};

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
        // One column for each statement: SQLite adds no two at once.
        for column in [text("state").default("active").take(), binary("sort_key").default(Expr::cust("''")).take()] {
            let alter = Table::alter().table("role_holders").add_column(column).take();
            manager.alter_table(alter).await?;
        }
        manager.exec_stmt(copied_from_members()).await?;
        for index in indexes() {
            manager.create_index(index).await?;
        }
        let mut replaced = Index::drop();
        replaced.name("members_by_organization_id_sort_key_user_id").table("members");
        manager.drop_index(replaced).await
    }
}

/// Gives the holders of roles what stands in their members' rows.
fn copied_from_members() -> UpdateStatement {
    let of_member = |column: &'static str| {
        Query::select()
            .column(("members", column))
            .from("members")
            .and_where(Expr::col(("members", "organization_id")).equals(("role_holders", "organization_id")))
            .and_where(Expr::col(("members", "user_id")).equals(("role_holders", "user_id")))
            .take()
    };
    Query::update()
        .table("role_holders")
        .value("state", SimpleExpr::SubQuery(None, Box::new(of_member("state").into_sub_query_statement())))
        .value("sort_key", SimpleExpr::SubQuery(None, Box::new(of_member("sort_key").into_sub_query_statement())))
        .take()
}

fn indexes() -> [IndexCreateStatement; 2] {
    [
        // The roster of a state, page by page; it takes the place of the index without the state.
        index("members", &["organization_id", "state", "sort_key", "user_id"]),
        // The same of the holders of a role.
        index("role_holders", &["organization_id", "role", "state", "sort_key", "user_id"]),
    ]
}

fn index(table: &'static str, columns: &[&'static str]) -> IndexCreateStatement {
    let mut index = Index::create();
    index.name(format!("{table}_by_{}", columns.join("_"))).table(table);
    for column in columns {
        index.col(*column);
    }
    index
}
