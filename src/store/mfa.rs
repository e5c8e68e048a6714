//! Second factors and the codes that stand in for them.

use chrono::{DateTime, Utc};
use sea_orm::{
    ColumnTrait, Condition, ConnectionTrait, EntityTrait, IntoActiveModel, JoinType, PaginatorTrait, QueryFilter,
    QueryOrder, QuerySelect, RelationDef, Set,
    sea_query::{CaseStatement, Expr, ExprTrait, Func},
};
use uuid::Uuid;

use super::{
    MfaFactor, Result, Store, Tx, View,
    entities::{members, mfa_factors, organizations, recovery_codes},
};
use crate::domain::{member::MemberState, organization::OrganizationState};

impl<C: ConnectionTrait> View<C> {
    /// A user's second factor.
    pub(crate) async fn mfa_factor(&self, user: Uuid) -> Result<Option<MfaFactor>> {
        Ok(mfa_factors::Entity::find().filter(mfa_factors::Column::UserId.eq(user)).one(&self.0).await?)
    }

    /// Second factors whose sealed secret does not begin like this, in the order of their ids, from behind one on.
    pub(crate) async fn mfa_factors_sealed_otherwise(
        &self,
        prefix: &[u8],
        after: Option<Uuid>,
        limit: u64,
    ) -> Result<Vec<MfaFactor>> {
        use mfa_factors::Column;

        let beginning = Func::cust("substr")
            .arg(Expr::col(Column::SealedSecret))
            .arg(1)
            .arg(i32::try_from(prefix.len()).unwrap_or(i32::MAX));
        let mut query = mfa_factors::Entity::find().filter(Expr::expr(beginning).ne(prefix));
        if let Some(after) = after {
            query = query.filter(Column::Id.gt(after));
        }
        Ok(query.order_by_asc(Column::Id).limit(limit).all(&self.0).await?)
    }

    /// How many recovery codes a user has left.
    pub(crate) async fn count_recovery_codes(&self, user: Uuid) -> Result<u64> {
        Ok(recovery_codes::Entity::find()
            .filter(recovery_codes::Column::UserId.eq(user))
            .filter(recovery_codes::Column::UseTime.is_null())
            .count(&self.0)
            .await?)
    }

    /// What could ask a user for a second factor: of each organization in use in which they are an active member, its id, its access model, and whether it asks by itself.
    pub(crate) async fn mfa_demands(&self, user: Uuid) -> Result<Vec<(Uuid, String, bool)>> {
        let membership: RelationDef = organizations::Entity::belongs_to(members::Entity)
            .from(organizations::Column::Id)
            .to(members::Column::OrganizationId)
            .into();
        Ok(organizations::Entity::find()
            .select_only()
            .column(organizations::Column::Id)
            .column(organizations::Column::AccessModel)
            .column(organizations::Column::MfaRequired)
            .join(JoinType::InnerJoin, membership)
            .filter(members::Column::UserId.eq(user))
            .filter(members::Column::State.eq(MemberState::Active))
            .filter(organizations::Column::State.eq(OrganizationState::Active))
            .into_tuple()
            .all(&self.0)
            .await?)
    }
}

impl Tx {
    /// Gives a user their second factor in place of any before it, with the digests of its recovery codes.
    pub(crate) async fn set_mfa_factor(&mut self, factor: MfaFactor, codes: Vec<(Uuid, Vec<u8>)>) -> Result<()> {
        let (user, now) = (factor.user_id, factor.create_time);
        self.delete_mfa_factor(user).await?;
        mfa_factors::Entity::insert(factor.into_active_model()).exec_without_returning(&self.view.0).await?;
        self.set_recovery_codes(user, codes, now).await
    }

    /// Takes a user's second factor away, with the recovery codes.
    pub(crate) async fn remove_mfa_factor(&mut self, user: Uuid, now: DateTime<Utc>) -> Result<()> {
        self.delete_mfa_factor(user).await?;
        self.set_recovery_codes(user, Vec::new(), now).await
    }

    /// Gives a user recovery codes in place of those before them.
    pub(crate) async fn set_recovery_codes(
        &mut self,
        user: Uuid,
        codes: Vec<(Uuid, Vec<u8>)>,
        now: DateTime<Utc>,
    ) -> Result<()> {
        recovery_codes::Entity::delete_many()
            .filter(recovery_codes::Column::UserId.eq(user))
            .exec(&self.view.0)
            .await?;
        if codes.is_empty() {
            return Ok(());
        }
        let rows = codes.into_iter().map(|(id, digest)| recovery_codes::ActiveModel {
            id: Set(id),
            user_id: Set(user),
            digest: Set(digest),
            create_time: Set(now),
            use_time: Set(None),
        });
        recovery_codes::Entity::insert_many(rows).exec_without_returning(&self.view.0).await?;
        Ok(())
    }

    /// Takes a code of a time step, once, and forgives the wrong ones before it: `false` where a code of that step or a later one was taken (ab_21).
    ///
    /// The race it prevents: one code comes over twenty connections, and each finds it unused.
    pub(crate) async fn use_totp_step(&mut self, factor: Uuid, step: i64, now: DateTime<Utc>) -> Result<bool> {
        let earlier =
            Condition::any().add(mfa_factors::Column::LastStep.is_null()).add(mfa_factors::Column::LastStep.lt(step));
        let used = forgiven(now)
            .col_expr(mfa_factors::Column::LastStep, Expr::value(step))
            .filter(mfa_factors::Column::Id.eq(factor))
            .filter(earlier)
            .exec(&self.view.0)
            .await?;
        Ok(used.rows_affected == 1)
    }

    /// Takes a recovery code, once, and forgives the wrong ones before it: `false` where the user has no such code left (ab_22).
    pub(crate) async fn use_recovery_code(&mut self, user: Uuid, digest: &[u8], now: DateTime<Utc>) -> Result<bool> {
        let used = recovery_codes::Entity::update_many()
            .col_expr(recovery_codes::Column::UseTime, Expr::value(now))
            .filter(recovery_codes::Column::UserId.eq(user))
            .filter(recovery_codes::Column::Digest.eq(digest))
            .filter(recovery_codes::Column::UseTime.is_null())
            .exec(&self.view.0)
            .await?;
        if used.rows_affected != 1 {
            return Ok(false);
        }
        forgiven(now).filter(mfa_factors::Column::UserId.eq(user)).exec(&self.view.0).await?;
        Ok(true)
    }

    /// Forgives the wrong codes that a user's second factor was shown.
    pub(crate) async fn forgive_mfa_failures(&mut self, user: Uuid) -> Result<()> {
        mfa_factors::Entity::update_many()
            .col_expr(mfa_factors::Column::Failures, Expr::value(0))
            .col_expr(mfa_factors::Column::FailuresInRow, Expr::value(0))
            .filter(mfa_factors::Column::UserId.eq(user))
            .exec(&self.view.0)
            .await?;
        Ok(())
    }

    async fn delete_mfa_factor(&mut self, user: Uuid) -> Result<()> {
        mfa_factors::Entity::delete_many().filter(mfa_factors::Column::UserId.eq(user)).exec(&self.view.0).await?;
        Ok(())
    }
}

fn forgiven(now: DateTime<Utc>) -> sea_orm::UpdateMany<mfa_factors::Entity> {
    mfa_factors::Entity::update_many()
        .col_expr(mfa_factors::Column::Failures, Expr::value(0))
        .col_expr(mfa_factors::Column::FailuresInRow, Expr::value(0))
        .col_expr(mfa_factors::Column::FailuresSince, Expr::value(now))
        .col_expr(mfa_factors::Column::LastUsedTime, Expr::value(now))
}

impl Store {
    /// Puts another sealed secret in place of the one that was read: 0 where another process was first.
    pub(crate) async fn reseal_mfa_factor(&self, read: &MfaFactor, sealed: Vec<u8>) -> Result<u64> {
        let changed = mfa_factors::Entity::update_many()
            .col_expr(mfa_factors::Column::SealedSecret, Expr::value(sealed))
            .filter(mfa_factors::Column::Id.eq(read.id))
            .filter(mfa_factors::Column::SealedSecret.eq(read.sealed_secret.as_slice()))
            .exec(&self.write)
            .await?;
        Ok(changed.rows_affected)
    }

    /// Takes one of the wrong codes that an account allows within a time, and of those that it allows in a row, before it is known whether the code is right: `false` where none is
    /// left. Those within the time are forgotten that are from before `since`. In a commit of its own, so that a wrong code counts although the call is refused.
    pub(crate) async fn take_mfa_attempt(
        &self,
        factor: Uuid,
        (most, most_in_row): (i32, i32),
        since: DateTime<Utc>,
        now: DateTime<Utc>,
    ) -> Result<bool> {
        use mfa_factors::Column;

        let over = || Expr::col(Column::FailuresSince).lte(since);
        let failures = CaseStatement::new().case(over(), 1).finally(Expr::col(Column::Failures).add(1));
        let beginning = CaseStatement::new().case(over(), now).finally(Expr::col(Column::FailuresSince));
        let taken = mfa_factors::Entity::update_many()
            .col_expr(Column::Failures, failures.into())
            .col_expr(Column::FailuresSince, beginning.into())
            .col_expr(Column::FailuresInRow, Expr::col(Column::FailuresInRow).add(1))
            .filter(Column::Id.eq(factor))
            .filter(Column::FailuresInRow.lt(most_in_row))
            .filter(Condition::any().add(over()).add(Column::Failures.lt(most)))
            .exec(&self.write)
            .await?;
        Ok(taken.rows_affected == 1)
    }
}
