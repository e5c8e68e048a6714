//! What people prove who they are with: passwords, identities at providers, second factors and secrets that are used once; and what guessing them costs.

pub(crate) mod attempts;
pub(crate) mod challenges;
pub(crate) mod chosen_password;
pub(crate) mod identities;
pub(crate) mod mfa;
pub(crate) mod passwords;
pub(crate) mod providers;
pub(crate) mod resealing;
