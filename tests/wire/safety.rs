//! What attackers try, and what others may not see. Named by the ids of `docs/security.md`.

pub(crate) mod accounts;
pub(crate) mod addresses;
pub(crate) mod attempts;
pub(crate) mod callers;
pub(crate) mod climbing;
pub(crate) mod confined_keys;
pub(crate) mod custom_roles;
pub(crate) mod directory;
pub(crate) mod enumeration;
pub(crate) mod load;
pub(crate) mod mail_budgets;
pub(crate) mod outdated;
pub(crate) mod planted;
pub(crate) mod reads;
pub(crate) mod rights_before_locks;
pub(crate) mod text;
pub(crate) mod tokens;
pub(crate) mod what_others_see;
pub(crate) mod withdrawn;
