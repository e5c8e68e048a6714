//! Pages of lists: keyset order, with a token that only fits the request it came from.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use uuid::Uuid;

use crate::{
    app::call::error::Result,
    platform::in_steps,
    store::{self, Cursor},
};

/// Rows of a page where the request does not say.
const DEFAULT_SIZE: u64 = 50;
/// Rows of a page at the most.
const MAX_SIZE: u64 = 1000;
/// Bytes that bind a token to its request.
const BINDING: usize = 8;
const ID: usize = 16;

/// Which page of a list.
#[derive(Debug, Clone)]
pub(crate) struct PageRequest {
    size: u64,
    after: Option<Cursor>,
    binding: [u8; BINDING],
    /// Whether the whole list is counted.
    pub(crate) count: bool,
}

/// A page of a list.
#[derive(Debug, Clone)]
pub(crate) struct Page<T> {
    /// The rows.
    pub(crate) items: Vec<T>,
    /// Asks for the next page; empty on the last.
    pub(crate) next_page_token: String,
    /// How many rows there are in all, where it was counted.
    pub(crate) total_size: Option<u64>,
}

impl PageRequest {
    /// Reads the paging fields of a request. `binding` stands for the rest of it.
    ///
    /// # Errors
    /// The field that is wrong, and how.
    pub(crate) fn parse(
        size: i32,
        token: &str,
        count: bool,
        binding: [u8; BINDING],
    ) -> std::result::Result<Self, Vec<(&'static str, &'static str)>> {
        let mut wrong = Vec::new();
        let size = match u64::try_from(size) {
            Ok(0) => DEFAULT_SIZE,
            Ok(size) => size.min(MAX_SIZE),
            Err(_) => {
                wrong.push(("page_size", "must be 0 or more"));
                DEFAULT_SIZE
            }
        };
        let after = match (token.is_empty(), read_token(token, binding)) {
            (true, _) => None,
            (false, Some(cursor)) => Some(cursor),
            (false, None) => {
                wrong.push(("page_token", "must be the next_page_token of the same request"));
                None
            }
        };
        if !wrong.is_empty() {
            return Err(wrong);
        }
        Ok(Self { size, after, binding, count })
    }

    /// Where the page begins.
    pub(crate) fn after(&self) -> Option<&Cursor> {
        self.after.as_ref()
    }

    /// How many rows to read: one more than the page has, to know whether there is another page.
    pub(crate) fn limit(&self) -> u64 {
        self.size + 1
    }

    /// How many rows there are in all, which is counted where the request asks for it.
    ///
    /// # Errors
    /// The database's.
    pub(crate) async fn total(&self, count: impl Future<Output = store::Result<u64>>) -> Result<Option<u64>> {
        match self.count {
            true => Ok(Some(count.await?)),
            false => Ok(None),
        }
    }

    /// Whether the rows are counted.
    pub(crate) fn counts(&self) -> bool {
        self.count
    }

    /// Makes the page of the rows that were read.
    pub(crate) fn page<T>(&self, mut items: Vec<T>, total_size: Option<u64>, cursor: impl Fn(&T) -> Cursor) -> Page<T> {
        let size = usize::try_from(self.size).unwrap_or(usize::MAX);
        let more = items.len() > size;
        items.truncate(size);
        let last = items.last().filter(|_| more);
        Page {
            next_page_token: last.map_or_else(String::new, |item| self.write_token(&cursor(item))),
            items,
            total_size,
        }
    }

    fn write_token(&self, cursor: &Cursor) -> String {
        URL_SAFE_NO_PAD.encode([self.binding.as_slice(), cursor.id.as_bytes(), &cursor.key].concat())
    }
}

impl<T> Page<T> {
    /// The same page with other rows. Made in steps, so that large pages hold nobody up.
    pub(crate) async fn map<U>(self, change: impl FnMut(T) -> U) -> Page<U> {
        Page {
            items: in_steps(self.items, change).await,
            next_page_token: self.next_page_token,
            total_size: self.total_size,
        }
    }
}

fn read_token(token: &str, binding: [u8; BINDING]) -> Option<Cursor> {
    let bytes = URL_SAFE_NO_PAD.decode(token).ok()?;
    let (bound, rest) = bytes.split_at_checked(BINDING)?;
    let (id, key) = rest.split_at_checked(ID)?;
    (bound == binding).then_some(Cursor { key: key.to_vec(), id: Uuid::from_slice(id).ok()? })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows(range: std::ops::Range<u128>) -> Vec<Uuid> {
        range.map(Uuid::from_u128).collect()
    }

    fn cursor(id: &Uuid) -> Cursor {
        Cursor { key: vec![7], id: *id }
    }

    #[test]
    fn a_token_leads_on_and_only_fits_its_own_request() {
        let first = PageRequest::parse(2, "", false, [1; 8]).unwrap();
        let page = first.page(rows(0..3), None, cursor);
        assert_eq!(page.items, rows(0..2));
        let next = PageRequest::parse(2, &page.next_page_token, false, [1; 8]).unwrap();
        assert_eq!(next.after(), Some(&cursor(&Uuid::from_u128(1))));
        assert!(PageRequest::parse(2, &page.next_page_token, false, [2; 8]).is_err());
        assert_eq!(next.page(rows(2..4), None, cursor).next_page_token, "");
    }

    #[test]
    fn sizes_are_bounded_and_every_wrong_field_is_named() {
        assert_eq!(PageRequest::parse(0, "", false, [0; 8]).unwrap().limit(), 51);
        assert_eq!(PageRequest::parse(5000, "", false, [0; 8]).unwrap().limit(), 1001);
        assert_eq!(PageRequest::parse(-1, "x", false, [0; 8]).unwrap_err().len(), 2);
    }
}
