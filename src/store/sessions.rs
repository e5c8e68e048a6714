//! Sessions of users.

use chrono::{DateTime, Utc};
use sea_orm::{
    ColumnTrait, Condition, ConnectionTrait, EntityTrait, IntoActiveModel, JoinType, Order, PaginatorTrait,
    QueryFilter, QuerySelect, RelationDef, Select,
    sea_query::{Expr, ExprTrait},
};
use uuid::Uuid;

use crate::domain::challenge::ENDED_WITH_SESSIONS;

use super::{
    Cursor, Result, Session, Store, Tx, User, View,
    entities::{sessions, users},
    page,
};

/// A session and whose it is.
#[derive(Debug, Clone)]
pub(crate) struct SessionHolder {
    /// The session, live or not.
    pub(crate) session: Session,
    /// Its user.
    pub(crate) user: User,
}

impl<C: ConnectionTrait> View<C> {
    /// The session that a token's digest belongs to, live or not.
    pub(crate) async fn session_by_token(&self, digest: &[u8]) -> Result<Option<SessionHolder>> {
        let owner: RelationDef =
            sessions::Entity::belongs_to(users::Entity).from(sessions::Column::UserId).to(users::Column::Id).into();
        let found = sessions::Entity::find()
            .filter(sessions::Column::TokenDigest.eq(digest))
            .join(JoinType::InnerJoin, owner)
            .select_also(users::Entity)
            .one(&self.0)
            .await?;
        Ok(found.and_then(|(session, user)| Some(SessionHolder { session, user: user? })))
    }

    /// Whether a user has or had a session with this id.
    pub(crate) async fn has_session(&self, user: Uuid, id: Uuid) -> Result<bool> {
        let found = sessions::Entity::find_by_id(id).filter(sessions::Column::UserId.eq(user)).one(&self.0).await?;
        Ok(found.is_some())
    }

    /// Whether a session has not been revoked.
    pub(crate) async fn session_stands(&self, id: Uuid) -> Result<bool> {
        let found =
            sessions::Entity::find_by_id(id).filter(sessions::Column::RevokeTime.is_null()).one(&self.0).await?;
        Ok(found.is_some())
    }

    /// A user's sessions that are neither revoked nor past one of their limits, newest first. `used_after` is where the idle limit begins.
    pub(crate) async fn sessions_page(
        &self,
        user: Uuid,
        now: DateTime<Utc>,
        used_after: DateTime<Utc>,
        after: Option<&Cursor>,
        limit: u64,
    ) -> Result<Vec<Session>> {
        let query = page::by_id(live(user, now, used_after), sessions::Column::Id, Order::Desc, after, limit);
        self.page(query).await
    }

    /// How many sessions of a user are neither revoked nor past one of their limits.
    pub(crate) async fn sessions_count(
        &self,
        user: Uuid,
        now: DateTime<Utc>,
        used_after: DateTime<Utc>,
    ) -> Result<u64> {
        Ok(live(user, now, used_after).count(&self.0).await?)
    }
}

fn live(user: Uuid, now: DateTime<Utc>, used_after: DateTime<Utc>) -> Select<sessions::Entity> {
    sessions::Entity::find()
        .filter(sessions::Column::UserId.eq(user))
        .filter(sessions::Column::RevokeTime.is_null())
        .filter(sessions::Column::ExpireTime.gt(now))
        .filter(sessions::Column::LastUsedTime.gt(used_after))
}

impl Store {
    /// Notes that a session and its user were active. Not a change of any organization: no lock, no revision.
    pub(crate) async fn touch_session(&self, session: Uuid, user: Uuid, now: DateTime<Utc>) -> Result<()> {
        sessions::Entity::update_many()
            .col_expr(sessions::Column::LastUsedTime, Expr::value(now))
            .filter(sessions::Column::Id.eq(session))
            .filter(sessions::Column::LastUsedTime.lt(now))
            .exec(&self.write)
            .await?;
        users::Entity::update_many()
            .col_expr(users::Column::LastActiveTime, Expr::value(now))
            .filter(users::Column::Id.eq(user))
            .filter(
                Expr::col(users::Column::LastActiveTime).is_null().or(Expr::col(users::Column::LastActiveTime).lt(now)),
            )
            .exec(&self.write)
            .await?;
        Ok(())
    }
}

impl Store {
    /// Deletes sessions that were over before a time, revoked or not.
    pub(crate) async fn forget_sessions(&self, before: DateTime<Utc>) -> Result<u64> {
        let over =
            Condition::any().add(sessions::Column::ExpireTime.lt(before)).add(sessions::Column::RevokeTime.lt(before));
        let forgotten = sessions::Entity::delete_many().filter(over).exec(&self.write).await?;
        Ok(forgotten.rows_affected)
    }
}

impl Tx {
    /// Adds a session.
    pub(crate) async fn insert_session(&mut self, session: Session) -> Result<()> {
        sessions::Entity::insert(session.into_active_model()).exec_without_returning(&self.view.0).await?;
        Ok(())
    }

    /// Revokes one session of a user. `false` where the user has no such session, or it is revoked already.
    pub(crate) async fn revoke_session(&mut self, user: Uuid, session: Uuid, now: DateTime<Utc>) -> Result<bool> {
        let revoked = sessions::Entity::update_many()
            .col_expr(sessions::Column::RevokeTime, Expr::value(now))
            .filter(sessions::Column::Id.eq(session))
            .filter(sessions::Column::UserId.eq(user))
            .filter(sessions::Column::RevokeTime.is_null())
            .exec(&self.view.0)
            .await?;
        Ok(revoked.rows_affected == 1)
    }

    /// Ends every session of a user but one, and what any of them has begun and nobody has finished: half-finished sign-ins, a change of the address that waits for its link
    /// (also one that the spared session asked for: who asked is not known), a second factor that waits for its code. Needs the user's lock. Answers with how many sessions ended.
    pub(crate) async fn end_sessions(&mut self, user: Uuid, spared: Option<Uuid>, now: DateTime<Utc>) -> Result<u64> {
        self.end_challenges(user, &ENDED_WITH_SESSIONS, now).await?;
        self.revoke_sessions(user, spared, now).await
    }

    /// Revokes every session of a user but one. Answers with how many.
    async fn revoke_sessions(&mut self, user: Uuid, but: Option<Uuid>, now: DateTime<Utc>) -> Result<u64> {
        let mut revoking = sessions::Entity::update_many()
            .col_expr(sessions::Column::RevokeTime, Expr::value(now))
            .filter(sessions::Column::UserId.eq(user))
            .filter(sessions::Column::RevokeTime.is_null());
        if let Some(spared) = but {
            revoking = revoking.filter(sessions::Column::Id.ne(spared));
        }
        Ok(revoking.exec(&self.view.0).await?.rows_affected)
    }

    /// Notes that a session is confirmed by a second step, until a time. `false` where it has been revoked meanwhile.
    pub(crate) async fn step_up_session(&mut self, session: Uuid, until: DateTime<Utc>) -> Result<bool> {
        let noted = sessions::Entity::update_many()
            .col_expr(sessions::Column::StepUpExpireTime, Expr::value(until))
            .filter(sessions::Column::Id.eq(session))
            .filter(sessions::Column::RevokeTime.is_null())
            .exec(&self.view.0)
            .await?;
        Ok(noted.rows_affected == 1)
    }
}
