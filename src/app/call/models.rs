//! The access models as they are now: those of the documents that the server was started with, and in their stead or beside them those that operators have put in place since.
//!
//! They are in memory, and as exact as the [`Directory`](super::directory::Directory), which reads in the log that one was put in place and has it loaded before anything is decided by what the log
//! said. A change of an organization asks once more under the organization's lock ([`LoadedModels::require_those_of`]).

use std::sync::{Arc, PoisonError, RwLock};

use crate::{
    app::call::error::{Error, Result},
    domain::access_model::{AccessModel, Models},
    store::{Store, StoreError, Tx},
};

/// The kind of the event that tells of a model that was put in place.
pub(crate) const PUT: &str = "access_model.put";

/// What is loaded.
#[derive(Debug, Default)]
struct Loaded {
    /// The installation's revision that told of the last change.
    revision: i64,
    models: Models,
}

/// The access models of one process.
pub(crate) struct LoadedModels {
    /// Those of documents.
    documents: Models,
    now: RwLock<Arc<Loaded>>,
    /// One after the other: what was read last has to be what is there last.
    loading: tokio::sync::Mutex<()>,
}

impl LoadedModels {
    /// Those of documents, until others are loaded.
    pub(crate) fn of(documents: Models) -> Self {
        let loaded = Loaded { revision: 0, models: documents.clone() };
        Self { documents, now: RwLock::new(Arc::new(loaded)), loading: tokio::sync::Mutex::default() }
    }

    /// The model of this id.
    pub(crate) fn get(&self, id: &str) -> Option<Arc<AccessModel>> {
        self.now().models.get(id).cloned()
    }

    /// All models, by id.
    pub(crate) fn all(&self) -> Vec<Arc<AccessModel>> {
        self.now().models.iter().cloned().collect()
    }

    /// The installation's revision that told of the last change of one; 0 where there was none.
    pub(crate) fn revision(&self) -> i64 {
        self.now().revision
    }

    /// Loads those that were put in place, if any was since the last time.
    ///
    /// # Errors
    /// The database's.
    pub(crate) async fn catch_up(&self, store: &Store) -> std::result::Result<(), StoreError> {
        match store.read().models_revision().await? == self.revision() {
            true => Ok(()),
            false => self.load(store).await,
        }
    }

    /// Loads those that were put in place. One that this version of the program does not understand is not there at all: deciding by what it was before would be wrong.
    ///
    /// # Errors
    /// The database's.
    pub(crate) async fn load(&self, store: &Store) -> std::result::Result<(), StoreError> {
        let _alone = self.loading.lock().await;
        let stored = store.read().stored_models().await?;
        let before = self.now();
        let mut loaded = Loaded { revision: 0, models: self.documents.clone() };
        for model in stored {
            loaded.revision = loaded.revision.max(model.revision);
            // The very same one, where it has not changed: what was made from it is still good.
            let same = before.models.get(&model.id).filter(|known| known.source() == model.document);
            let read = same.cloned().map_or_else(|| AccessModel::parse(&model.document).map(Arc::new), Ok);
            match read {
                Ok(read) => loaded.models.insert(read),
                Err(mistakes) => {
                    loaded.models.remove(&model.id);
                    let mistakes: Vec<String> = mistakes.iter().map(ToString::to_string).collect();
                    tracing::error!(
                        access_model = model.id,
                        mistakes = mistakes.join("; "),
                        "an access model that was put in place is not understood"
                    );
                }
            }
        }
        *self.now.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(loaded);
        Ok(())
    }

    /// Refuses a change that was decided by other access models than those that hold until its transaction ends; it is then tried again with these. `decided` is [`Self::revision`] from before the
    /// transaction.
    ///
    /// # Errors
    /// Busy; the database's.
    pub(crate) async fn require_those_of(&self, tx: &Tx, store: &Store, decided: i64) -> Result<()> {
        if tx.held_models_revision().is_none_or(|held| held == decided) {
            return Ok(());
        }
        self.load(store).await?;
        Err(Error::Busy("an access model was put in place meanwhile".to_owned()))
    }

    fn now(&self) -> Arc<Loaded> {
        self.now.read().unwrap_or_else(PoisonError::into_inner).clone()
    }
}
