//! CredentialService, and the ways to sign in.

pub(crate) mod identities;
pub(crate) mod mfa;
pub(crate) mod mfa_bounds;
pub(crate) mod passwords;
pub(crate) mod real_provider;
pub(crate) mod recovery;
