//! The access models with organizations' own roles laid over them, kept for as long as the roles stay what they are.
//!
//! Laying fifty roles over a model takes milliseconds, and every check of the organization asks for the result (ab_44). What is kept is used only where the
//! organization's row, as it was just read, has the very same roles: a role that was changed is changed from the next call on, on every replica, and a
//! change that was taken back leaves nothing behind.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use opentelemetry::{global, metrics::Counter};
use uuid::Uuid;

use crate::{app::call::error::Result, domain::access_model::AccessModel, store::OwnRoles};

/// Bytes of the models that are kept, about. The largest take two megabytes, common ones fifty kilobytes.
const KEPT_BYTES: usize = 64 * 1024 * 1024;

/// One model with one organization's own roles.
#[derive(Clone)]
struct CachedModel {
    base: Arc<AccessModel>,
    own: OwnRoles,
    model: Arc<AccessModel>,
    /// When it was used last: larger is later.
    used: u64,
}

#[derive(Default)]
struct Cache {
    models: BTreeMap<Uuid, CachedModel>,
    bytes: usize,
    uses: u64,
}

/// The models that are kept, one for each organization that was asked about lately.
pub(crate) struct EffectiveModels {
    cache: Mutex<Cache>,
    limit: usize,
    laid: Counter<u64>,
}

impl EffectiveModels {
    /// None yet.
    pub(crate) fn new() -> Self {
        Self::within(KEPT_BYTES)
    }

    fn within(limit: usize) -> Self {
        Self {
            cache: Mutex::default(),
            limit,
            laid: global::meter("roster")
                .u64_counter("roster.access_models.overlays")
                .with_description("Access models that an organization's own roles were laid over: once for each change of them, unless too many take turns.")
                .build(),
        }
    }

    /// An organization's model with its own roles.
    ///
    /// # Errors
    /// The roles that rest there are not understood.
    pub(crate) fn model(&self, organization: Uuid, base: Arc<AccessModel>, own: &OwnRoles) -> Result<Arc<AccessModel>> {
        if let Some(found) = self.find(organization)
            && Arc::ptr_eq(&found.base, &base)
            && found.own == *own
        {
            return Ok(found.model);
        }
        let model = Arc::new(base.with_custom_roles(&own.read()?));
        self.laid.add(1, &[]);
        self.keep(organization, base, own.clone(), model.clone());
        Ok(model)
    }

    fn find(&self, organization: Uuid) -> Option<CachedModel> {
        let mut cache = self.lock();
        cache.uses += 1;
        let now = cache.uses;
        let found = cache.models.get_mut(&organization)?;
        found.used = now;
        Some(found.clone())
    }

    fn keep(&self, organization: Uuid, base: Arc<AccessModel>, own: OwnRoles, model: Arc<AccessModel>) {
        let mut cache = self.lock();
        cache.uses += 1;
        cache.bytes += model.size();
        let used = cache.uses;
        let cached = CachedModel { base, own, model, used };
        let mut gone = cache.models.insert(organization, cached);
        loop {
            cache.bytes = cache.bytes.saturating_sub(gone.map_or(0, |gone| gone.model.size()));
            // The one that was just asked for stays, however large it is.
            if cache.bytes <= self.limit || cache.models.len() <= 1 {
                return;
            }
            let longest_unused = cache.models.iter().min_by_key(|(_, one)| one.used).map(|(id, _)| *id);
            gone = longest_unused.and_then(|id| cache.models.remove(&id));
        }
    }

    /// Guards the map against two calls that look something up at once. Nothing is computed under it.
    fn lock(&self) -> MutexGuard<'_, Cache> {
        // A panic under it, should there ever be one, leaves at worst a count that is a little wrong.
        self.cache.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::access_model::{CustomRole, CustomRoles, Models};

    fn role(name: &str) -> CustomRole {
        CustomRole {
            id: format!("custom.{name}").into(),
            name: name.to_owned(),
            description: String::new(),
            permissions: ["audit.read".into()].into_iter().collect(),
            grants: [].into_iter().collect(),
            manages: [].into_iter().collect(),
            changed_revision: 1,
        }
    }

    fn own(names: &[&str]) -> OwnRoles {
        let none = CustomRoles::default();
        OwnRoles::of(&names.iter().fold(none, |roles, name| roles.with(role(name))))
    }

    fn base(id: &str) -> Arc<AccessModel> {
        Models::shipped().unwrap().get(id).unwrap().clone()
    }

    #[test]
    fn what_is_kept_is_used_for_the_very_same_roles_of_the_very_same_model() {
        let (models, acme) = (EffectiveModels::new(), Uuid::from_u128(1));
        let model = base("default");
        let first = models.model(acme, model.clone(), &own(&["auditor"])).unwrap();
        assert!(Arc::ptr_eq(&first, &models.model(acme, model.clone(), &own(&["auditor"])).unwrap()));
        let changed = models.model(acme, model.clone(), &own(&["auditor", "seller"])).unwrap();
        assert!(first.role("custom.seller").is_none() && changed.role("custom.seller").is_some());
        let back = models.model(acme, model, &own(&["auditor"])).unwrap();
        assert_eq!(first, back);
        let other = models.model(acme, base("jetpack"), &own(&["auditor"])).unwrap();
        assert_eq!((other.id(), other.role("custom.auditor").is_some()), ("jetpack", true));
    }

    #[test]
    fn those_that_were_not_used_for_longest_go_first() {
        let model = base("default");
        let one = model.with_custom_roles(&own(&["auditor"]).read().unwrap()).size();
        let models = EffectiveModels::within(2 * one);
        let asked = |number: u128| models.model(Uuid::from_u128(number), model.clone(), &own(&["auditor"])).unwrap();
        let kept = || models.lock().models.keys().map(Uuid::as_u128).collect::<Vec<_>>();
        let (first, _) = (asked(1), asked(2));
        assert!(Arc::ptr_eq(&first, &asked(1)));
        asked(3);
        assert_eq!((kept(), models.lock().bytes), (vec![1, 3], 2 * one));
        // One that is too large by itself is kept alone.
        let large = EffectiveModels::within(1);
        large.model(Uuid::from_u128(1), model.clone(), &own(&["auditor"])).unwrap();
        large.model(Uuid::from_u128(2), model.clone(), &own(&["auditor"])).unwrap();
        let cache = large.lock();
        assert_eq!((cache.models.len(), cache.bytes), (1, one));
    }
}
