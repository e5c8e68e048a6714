//! What requests have in common, as the build reads it from the contract: the fields that access rules name, and those of pages (AIP-158).

use crate::{
    app::call::paging::PageRequest,
    domain::digest::sha256,
    grpc::wire::{fields::Fields, mask::Resource},
};

/// A request, by the access rule of its method.
pub(crate) trait Ruled {
    /// The organization that the rule's permission is looked up in, as the request names it.
    fn organization(&self) -> Option<&str> {
        None
    }

    /// The user who may call for themselves, as the request names them.
    fn user(&self) -> Option<&str> {
        None
    }
}

/// A request for a page of a list.
pub(crate) trait Paged: prost::Message + Clone {
    /// How many rows, behind which token, and whether they are counted.
    fn paging(&self) -> (i32, &str, bool);

    /// The request without its paging fields: what the pages of one list have in common.
    fn unpaged(&self) -> Self;
}

/// Declares a resource by all its fields.
macro_rules! resource {
    ($message:ident, $($field:ident),*) => {
        impl Resource for crate::grpc::pb::$message {
            fn given(&self) -> Vec<&'static str> {
                let blank = Self::default();
                let mut given = Vec::new();
                $(if self.$field != blank.$field {
                    given.push(stringify!($field));
                })*
                given
            }
        }
    };
}

macro_rules! paged {
    ($request:ty) => {
        impl Paged for $request {
            fn paging(&self) -> (i32, &str, bool) {
                (self.page_size, &self.page_token, self.include_total_size)
            }

            fn unpaged(&self) -> Self {
                let mut unpaged = self.clone();
                unpaged.page_size = 0;
                unpaged.page_token.clear();
                unpaged.include_total_size = false;
                unpaged
            }
        }
    };
}

include!(concat!(env!("OUT_DIR"), "/requests.rs"));

impl Fields<'_> {
    /// The paging fields. A token only fits requests that are the same in everything else.
    pub(crate) fn page(&mut self, request: &impl Paged) -> Option<PageRequest> {
        let list = [self.method().as_bytes(), &request.unpaged().encode_to_vec()].concat();
        let binding = sha256(&list).first_chunk().copied().unwrap_or_default();
        let (size, token, count) = request.paging();
        match PageRequest::parse(size, token, count, binding) {
            Ok(page) => Some(page),
            Err(wrong) => {
                for (field, description) in wrong {
                    self.violation(field, description);
                }
                None
            }
        }
    }
}
