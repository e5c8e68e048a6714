//! Access models: what is loaded, and putting one in place while organizations are at work.

use std::{collections::BTreeSet, sync::Arc};

use serde_json::json;

use crate::{
    app::{
        App,
        call::{context::Ctx, error::Result, models, mutation::Mutation},
        records::HeldRoles,
        require_state,
    },
    domain::{
        access_model::{
            AccessModel, PermissionChange, RightsChange, RoleSet, Usage, difference, rights_changes, stranded,
        },
        error::{Reason, Refusal},
    },
    store::{StoredModel, Tx},
};

/// Differences that the log names; of more, how many there are.
const TOLD_DIFFERENCES: usize = 200;
/// Sentences about whom a model would strand that a refusal carries.
const TOLD_STRANDED: usize = 10;
/// Rows of each list of an answer at the most: of differences, of changes of rights, and of members who are named one by one.
const LISTED: usize = 1000;

/// The access models, by id.
pub(crate) fn list(app: &App) -> Vec<Arc<AccessModel>> {
    app.models.all()
}

/// One access model.
///
/// # Errors
/// `ACCESS_MODEL_NOT_FOUND`.
pub(crate) fn get(app: &App, id: &str) -> Result<Arc<AccessModel>> {
    app.model(id)
}

/// Puts an access model in place: a new one, or another document of one that organizations are under.
pub(crate) struct Put {
    /// The model.
    pub(crate) model: Arc<AccessModel>,
    /// The document that the change is based on.
    pub(crate) etag: String,
    /// Whether everything is checked and told, and nothing is changed.
    pub(crate) validate_only: bool,
}

/// What came of an access model that was put in place.
pub(crate) struct Replaced {
    /// The model.
    pub(crate) model: Arc<AccessModel>,
    /// What it decides otherwise than the one before.
    pub(crate) differences: Vec<String>,
    /// Whose rights change.
    pub(crate) changes: Vec<RightsChange>,
    /// How many members there are whose rights change.
    pub(crate) changed_members: u64,
    /// Members whose rights change, one by one: so many of them as are named.
    pub(crate) members: Vec<ChangedMember>,
    /// The installation's revision that tells of the last change of a model.
    pub(crate) revision: i64,
}

/// A member whose rights change.
pub(crate) struct ChangedMember {
    /// Who it is, and with which roles.
    pub(crate) held: HeldRoles,
    /// What changes for them.
    pub(crate) change: PermissionChange,
}

impl Mutation for Put {
    type Outcome = Replaced;

    async fn apply(&self, app: &App, ctx: &Ctx, tx: &mut Tx) -> Result<Replaced> {
        if !self.validate_only {
            tx.lock_all_organizations().await?;
        }
        // Under the lock: what another call has put in place meanwhile is what this one replaces.
        app.models.load(&app.store).await?;
        let before = app.models.get(self.model.id());
        let present = before.as_ref().map(|model| model.etag()).unwrap_or_default();
        require_state(&self.etag, present)?;
        let unchanged = before.as_ref().is_some_and(|before| before.source() == self.model.source());
        let mut answer = Replaced {
            model: self.model.clone(),
            differences: Vec::new(),
            changes: Vec::new(),
            changed_members: 0,
            members: Vec::new(),
            revision: app.models.revision(),
        };
        if unchanged {
            return Ok(answer);
        }
        if let Some(before) = &before {
            self.replace(tx, before, &mut answer).await?;
        }
        if !self.validate_only {
            answer.revision = self.store(ctx, tx, before.as_deref(), &answer.differences).await?;
        }
        answer.differences.truncate(LISTED);
        Ok(answer)
    }

    fn validate_only(&self) -> bool {
        self.validate_only
    }
}

impl Put {
    /// Says what the model changes in place of another one, and refuses one that would strand somebody.
    async fn replace(&self, tx: &Tx, before: &AccessModel, answer: &mut Replaced) -> Result<()> {
        let owner_roles = [before, &self.model].map(|model| model.owner_role().as_str());
        let [owner_role, other_owner_role] = owner_roles;
        let usage = tx.model_usage(before.id(), owner_role, other_owner_role).await?;
        self.refuse_stranding(&usage)?;
        answer.differences = difference(before, &self.model);
        answer.changes = rights_changes(before, &self.model, &usage);
        answer.changed_members = answer.changes.iter().map(|change| change.members).sum();
        answer.members = self.named(tx, before, &answer.changes).await?;
        answer.changes.truncate(LISTED);
        Ok(())
    }

    fn refuse_stranding(&self, usage: &Usage) -> Result<()> {
        let sentences = stranded(&self.model, usage);
        if sentences.is_empty() {
            return Ok(());
        }
        let told: Vec<&str> = sentences.iter().take(TOLD_STRANDED).map(String::as_str).collect();
        Err(Refusal::new(Reason::AccessModelInUse)
            .with("access_model", self.model.id())
            .with("stranded", told.join("; "))
            .with("ways", sentences.len().to_string())
            .with("hint", "keep what is in use in the model, change who uses it, and take it out then")
            .into())
    }

    /// Stores the document under the revision of the event that tells of it.
    async fn store(&self, ctx: &Ctx, tx: &mut Tx, before: Option<&AccessModel>, differences: &[String]) -> Result<i64> {
        let told: Vec<&String> = differences.iter().take(TOLD_DIFFERENCES).collect();
        let data = json!({
            "before": before.map(|model| json!({ "access_model": model.id(), "etag": model.etag() })),
            "after": {
                "access_model": self.model.id(),
                "etag": self.model.etag(),
                "differences": told,
                "difference_count": differences.len(),
            },
        });
        let revision = ctx.record_installation(tx, models::PUT, None, data).await?;
        let (id, document) = (self.model.id().to_owned(), self.model.source().to_owned());
        tx.insert_access_model(StoredModel { revision, id, document, put_time: ctx.now }).await?;
        Ok(revision)
    }

    /// The first members whose rights change, by organization and user.
    async fn named(&self, tx: &Tx, before: &AccessModel, changes: &[RightsChange]) -> Result<Vec<ChangedMember>> {
        let roles: BTreeSet<RoleSet> = changes.iter().map(|change| change.roles.clone()).collect();
        let mut members = Vec::new();
        let mut after = None;
        while !roles.is_empty() && members.len() < LISTED {
            let held = tx.members_with_roles(before.id(), &roles, after, LISTED as u64).await?;
            let Some(last) = held.last() else { break };
            after = Some((last.organization_id, last.user_id));
            let changed = held.into_iter().map(|held| {
                let change = PermissionChange::by_model(before, &self.model, &held.custom_roles, &held.roles);
                ChangedMember { held, change }
            });
            members.extend(changed.filter(|member| !member.change.is_empty()));
        }
        members.truncate(LISTED);
        Ok(members)
    }
}
