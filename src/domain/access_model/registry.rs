//! The access models that a server has loaded, by id.

use std::collections::BTreeMap;
use std::sync::{Arc, LazyLock};

use super::{AccessModel, ModelError};

/// The documents that come with the service.
const SHIPPED: &[(&str, &str)] = &[
    ("default.toml", include_str!("../../models/default.toml")),
    ("jethub.toml", include_str!("../../models/jethub.toml")),
    ("jetpack.toml", include_str!("../../models/jetpack.toml")),
    ("jetstack.toml", include_str!("../../models/jetstack.toml")),
    ("packetfabric.toml", include_str!("../../models/packetfabric.toml")),
    ("portal.toml", include_str!("../../models/portal.toml")),
];

/// The loaded access models, by id.
#[derive(Debug, Clone, Default)]
pub struct Models(BTreeMap<String, Arc<AccessModel>>);

/// What is wrong with one document.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DocumentError {
    /// The document is not a valid access model.
    #[error("{document}: {error}")]
    Invalid {
        /// The document's name, as it was given.
        document: String,
        /// One of its mistakes.
        error: ModelError,
    },
    /// Two of the given documents have the same id.
    #[error("{document}: the id `{id}` is already taken by {other}")]
    DuplicateId {
        /// The later document's name.
        document: String,
        /// The id of both.
        id: String,
        /// The earlier document's name.
        other: String,
    },
}

impl Models {
    /// The models that come with the service.
    ///
    /// # Errors
    /// Every mistake of a shipped document. A test makes sure that there is none.
    pub fn shipped() -> Result<Self, Vec<DocumentError>> {
        static PARSED: LazyLock<Result<Models, Vec<DocumentError>>> = LazyLock::new(|| Models::default().add(SHIPPED));
        PARSED.clone()
    }

    /// The shipped models and these documents, each with a name for messages. A document takes the place of a shipped one of the same id.
    ///
    /// # Errors
    /// Every mistake of every document, and ids that two of them share.
    pub fn with_documents(documents: &[(String, String)]) -> Result<Self, Vec<DocumentError>> {
        Self::shipped()?.add(documents)
    }

    /// The model of this id.
    pub fn get(&self, id: &str) -> Option<&Arc<AccessModel>> {
        self.0.get(id)
    }

    /// The models, by id.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<AccessModel>> {
        self.0.values()
    }

    /// Adds a model, in place of one of the same id.
    pub fn insert(&mut self, model: Arc<AccessModel>) {
        self.0.insert(model.id().to_owned(), model);
    }

    /// Takes a model out.
    pub fn remove(&mut self, id: &str) {
        self.0.remove(id);
    }

    fn add<S: AsRef<str>>(mut self, documents: &[(S, S)]) -> Result<Self, Vec<DocumentError>> {
        let mut names = BTreeMap::new();
        let mut errors = Vec::new();
        for (name, source) in documents {
            let document = name.as_ref().to_owned();
            match AccessModel::parse(source.as_ref()) {
                Ok(model) => {
                    let id = model.id().to_owned();
                    match names.insert(id.clone(), document.clone()) {
                        Some(other) => errors.push(DocumentError::DuplicateId { document, id, other }),
                        None => self.insert(Arc::new(model)),
                    }
                }
                Err(mistakes) => errors.extend(
                    mistakes.into_iter().map(|error| DocumentError::Invalid { document: document.clone(), error }),
                ),
            }
        }
        if errors.is_empty() { Ok(self) } else { Err(errors) }
    }
}
