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

impl Fields<'_> {
    /// "update mask". `changeable` says which fields can be named, each with whether a resource gives it: without a mask, those that are given change. Beside a mask that
    /// is wrong they are read as well: what is wrong with them is told in the same answer.
    pub(crate) fn mask<M: Default, const N: usize>(
        &mut self,
        mask: Option<&FieldMask>,
        resource: Option<&M>,
        changeable: fn(&M) -> [(&'static str, bool); N],
    ) -> Mask {
        let known = resource.map_or_else(|| changeable(&M::default()), changeable);
        let paths = mask.map_or(&[][..], |mask| &mask.paths);
        let (named, unknown): (Vec<&String>, Vec<&String>) =
            paths.iter().partition(|path| known.iter().any(|(field, _)| field == path));
        for path in &unknown {
            // Enough to recognize it by.
            let path: String = path.chars().take(64).collect();
            let fields = known.map(|(field, _)| field).join(", ");
            self.violation(
                "update_mask",
                format!("names {path:?}, which is unknown or cannot be changed; known: {fields}"),
            );
        }
        let by_what_is_given = mask.is_none() || !unknown.is_empty();
        let changes = |(field, given): &(&str, bool)| {
            (*given && by_what_is_given) || named.iter().any(|path| path.as_str() == *field)
        };
        Mask(known.into_iter().filter(changes).map(|(field, _)| field).collect())
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
