//! Update masks (AIP-134): which fields of a resource an update changes.

use prost_types::FieldMask;

use crate::grpc::wire::fields::Fields;

/// The fields that an update changes.
#[derive(Debug, Clone)]
pub(crate) struct Mask(Vec<&'static str>);

impl Mask {
    /// Whether this field changes.
    pub(crate) fn names(&self, field: &str) -> bool {
        self.0.contains(&field)
    }

    /// The fields, as the domain takes them.
    pub(crate) fn into_paths(self) -> Vec<String> {
        self.0.into_iter().map(ToOwned::to_owned).collect()
    }
}

/// What an update changes.
pub(crate) trait Resource {
    /// The fields that are not empty.
    fn given(&self) -> Vec<&'static str>;
}

impl Fields<'_> {
    /// "update mask". `named_by` are the fields by which the resource is found, `changeable` those that a mask can name. Without a mask, those that the resource gives change, and it may give no
    /// others: what cannot be changed is not passed over in silence. Beside a mask that is wrong they are read as well: what is wrong with them is told in the same answer.
    pub(crate) fn mask<M: Resource>(
        &mut self,
        mask: Option<&FieldMask>,
        resource: Option<&M>,
        named_by: &[&str],
        changeable: &[&'static str],
    ) -> Mask {
        let given = resource.map(M::given).unwrap_or_default();
        let paths = mask.map_or(&[][..], |mask| &mask.paths);
        let unknown: Vec<&String> = paths.iter().filter(|path| !changeable.contains(&path.as_str())).collect();
        for path in &unknown {
            // Enough to recognize it by.
            let path: String = path.chars().take(64).collect();
            let known = changeable.join(", ");
            self.violation(
                "update_mask",
                format!("names {path:?}, which is unknown or cannot be changed; known: {known}"),
            );
        }
        let fixed: Vec<&str> =
            given.iter().filter(|field| !named_by.contains(field) && !changeable.contains(field)).copied().collect();
        if mask.is_none() && !fixed.is_empty() {
            let fixed = fixed.join(", ");
            self.violation(
                "update_mask",
                format!("is required where fields are given that cannot be changed: {fixed}"),
            );
        }
        let by_what_is_given = mask.is_none() || !unknown.is_empty();
        let changes = |field: &&str| {
            (by_what_is_given && given.contains(field)) || paths.iter().any(|path| path.as_str() == *field)
        };
        Mask(changeable.iter().copied().filter(changes).collect())
    }

    /// The value of a field that the mask names; `Some(None)` where it names it not.
    pub(crate) fn changed<T>(
        &mut self,
        mask: &Mask,
        field: &str,
        read: impl FnOnce(&mut Self, &str) -> Option<T>,
    ) -> Option<Option<T>> {
        match mask.names(field) {
            true => read(self, field).map(Some),
            false => Some(None),
        }
    }
}
