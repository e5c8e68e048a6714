//! Access models, as they are loaded.

use std::sync::Arc;

use crate::{
    app::{App, call::error::Result},
    domain::access_model::AccessModel,
};

/// The access models, by id.
pub(crate) fn list(app: &App) -> Vec<Arc<AccessModel>> {
    app.models.iter().cloned().collect()
}

/// One access model.
///
/// # Errors
/// `ACCESS_MODEL_NOT_FOUND`.
pub(crate) fn get(app: &App, id: &str) -> Result<Arc<AccessModel>> {
    app.model(id)
}
