//! Join links: made, looked at and taken back. Joining by one has a file of its own.

pub(crate) mod joining;

use chrono::{DateTime, Utc};
use secrecy::SecretString;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::{
    app::{
        App,
        call::{
            access::{self, Asked},
            context::Ctx,
            error::Result,
            mutation::Mutation,
            paging::{Page, PageRequest},
        },
        require_etag,
    },
    domain::{
        access_model::RoleSet,
        authority::Owners,
        error::Reason,
        invitation::require_step_up,
        join_link::{self, EmailDomains},
        text::DisplayName,
        token::{Token, TokenKind},
    },
    store::{Cursor, JoinLink, Tx},
};

/// Makes a link.
#[derive(Debug)]
pub(crate) struct Create {
    /// The organization.
    pub(crate) organization_id: Uuid,
    /// The roles to give; none gives the default role.
    pub(crate) roles: RoleSet,
    /// From when on nobody joins by it any more.
    pub(crate) expire_time: Option<DateTime<Utc>>,
    /// How many people join by it at the most; `None`: any number.
    pub(crate) max_uses: Option<i32>,
    /// The domains of addresses that may join.
    pub(crate) email_domains: EmailDomains,
    /// What those who manage links call it.
    pub(crate) display_name: Option<DisplayName>,
    /// Whether everything is checked and nothing is made.
    pub(crate) validate_only: bool,
}

/// A link that was made.
#[derive(Debug)]
pub(crate) struct Created {
    /// The link.
    pub(crate) link: JoinLink,
    /// Its token and the address of its page; `None` where nothing was made.
    pub(crate) shown: Option<(Token, SecretString)>,
    /// The organization's revision afterwards.
    pub(crate) revision: i64,
}

impl Mutation for Create {
    type Outcome = Created;

    fn organization(&self) -> Option<(Uuid, Asked)> {
        Some((self.organization_id, Asked::Permission))
    }

    async fn apply(&self, app: &App, ctx: &Ctx, tx: &mut Tx) -> Result<Created> {
        let mut access = self.lock(app, ctx, tx).await?;
        let owners = access::owners_where_it_matters(tx, &access, &[&self.roles]).await?;
        let situation = access.situation(ctx, owners);
        require_step_up(&situation, ctx.stepped_up())?;
        let open = tx.join_links_count(self.organization_id, Some(ctx.now)).await?;
        let roles = join_link::decide_create(&situation, &self.roles, open)?;
        let token = Token::new(TokenKind::JoinLink, app.entropy.bytes());
        let (creator_service_key_id, creator_scopes) = ctx.service_authorization();
        let link = JoinLink {
            id: app.entropy.uuid(ctx.now),
            organization_id: access.organization.id,
            display_name: self.display_name.as_ref().map(|name| name.as_str().to_owned()),
            roles,
            email_domains: self.email_domains.clone(),
            token_digest: token.digest().to_vec(),
            max_uses: self.max_uses,
            use_count: 0,
            // By whose right it stands: somebody who is only recorded gives none.
            creator_user_id: ctx.caller.user_id(),
            creator_service_account_id: ctx.actor().service_account,
            creator_service_key_id,
            creator_scopes,
            changed_revision: access.organization.next_revision(),
            create_time: ctx.now,
            expire_time: self.expire_time.unwrap_or(ctx.now + join_link::LIFETIME),
            revoke_time: None,
        };
        tx.insert_join_link(link.clone()).await?;
        let data = json!({ "after": facts(&link) });
        ctx.record(tx, &mut access.organization, "join_link.created", Some(link.id), data).await?;
        let links = &app.brands.of(&access.organization.access_model).links;
        let page = links.join.with_token(token.expose()).into();
        let shown = (!self.validate_only).then_some((token, page));
        Ok(Created { link, shown, revision: access.organization.revision })
    }

    fn validate_only(&self) -> bool {
        self.validate_only
    }
}

fn facts(link: &JoinLink) -> Value {
    json!({
        "display_name": link.display_name,
        "roles": link.roles,
        "email_domains": link.email_domains,
        "max_uses": link.max_uses,
        "expire_time": link.expire_time,
    })
}

/// Takes a link back.
#[derive(Debug)]
pub(crate) struct Revoke {
    /// The organization.
    pub(crate) organization_id: Uuid,
    /// The link.
    pub(crate) join_link_id: Uuid,
    /// The state that the change is based on.
    pub(crate) etag: String,
}

impl Mutation for Revoke {
    type Outcome = (JoinLink, i64);

    fn organization(&self) -> Option<(Uuid, Asked)> {
        Some((self.organization_id, Asked::Permission))
    }

    async fn apply(&self, app: &App, ctx: &Ctx, tx: &mut Tx) -> Result<Self::Outcome> {
        let mut access = self.lock(app, ctx, tx).await?;
        let link = tx.join_link(self.organization_id, self.join_link_id).await?;
        let mut link = link.ok_or(Reason::JoinLinkNotFound)?;
        require_etag(&self.etag, link.changed_revision)?;
        // Taking back gives nobody anything, so no owner has to be counted.
        let situation = access.situation(ctx, Owners { active: 0 });
        join_link::decide_revoke(&situation, &link.facts())?;
        link.revoke_time = Some(ctx.now);
        link.changed_revision = access.organization.next_revision();
        tx.update_join_link(link.clone()).await?;
        let data = json!({ "before": facts(&link), "after": { "revoke_time": link.revoke_time } });
        ctx.record(tx, &mut access.organization, "join_link.revoked", Some(link.id), data).await?;
        Ok((link, access.organization.revision))
    }
}

/// One link of an organization.
///
/// # Errors
/// `JOIN_LINK_NOT_FOUND`.
pub(crate) async fn get(app: &App, ctx: &Ctx, organization: Uuid, id: Uuid) -> Result<JoinLink> {
    let access = access::enter(app, ctx, organization).await?;
    let link = app.store.read().join_link(access.organization.id, id).await?;
    Ok(link.ok_or(Reason::JoinLinkNotFound)?)
}

/// Which links.
#[derive(Debug)]
pub(crate) struct List {
    /// The organization.
    pub(crate) organization_id: Uuid,
    /// Only those by which people can join.
    pub(crate) open_only: bool,
    /// Which page.
    pub(crate) page: PageRequest,
}

/// An organization's links, newest first.
///
/// # Errors
/// Those of [`access::enter`].
pub(crate) async fn list(app: &App, ctx: &Ctx, query: List) -> Result<Page<JoinLink>> {
    let access = access::enter(app, ctx, query.organization_id).await?;
    let view = app.store.read();
    let (id, open_at) = (access.organization.id, query.open_only.then_some(ctx.now));
    let rows = view.join_links_page(id, open_at, query.page.after(), query.page.limit()).await?;
    let total = query.page.total(view.join_links_count(id, open_at)).await?;
    Ok(query.page.page(rows, total, |row| Cursor::by_id(row.id)))
}
