//! How a page becomes the answer to a list, which every list has under the same names (AIP-158). The build reads the answers from the contract.

use crate::{
    app::call::paging::Page,
    grpc::{pb, wire::convert::count},
};

macro_rules! page {
    ($response:ident, $row:ident, $rows:ident $(, $rest:expr)?) => {
        impl From<Page<pb::$row>> for pb::$response {
            fn from(page: Page<pb::$row>) -> Self {
                Self {
                    $rows: page.items,
                    next_page_token: page.next_page_token,
                    total_size: count(page.total_size),
                    $(..$rest)?
                }
            }
        }
    };
}

include!(concat!(env!("OUT_DIR"), "/responses.rs"));
