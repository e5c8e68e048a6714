//! A person's data: given to them, taken out, and gone with their account (GDPR, Articles 15, 17 and 20).

pub(crate) mod deletion;
pub(crate) mod erasure;
pub(crate) mod export;
