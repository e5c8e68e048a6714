//! The rules, each held once. Pure: no I/O, no `async`, no clock and no randomness; the caller brings the facts and the time.

pub mod access_model;
pub mod actions;
pub mod activity;
pub mod attempts;
pub mod audit;
pub mod authority;
pub mod challenge;
pub mod confinement;
pub mod contact;
pub mod custom_role;
pub mod delivery;
pub mod digest;
pub mod email;
pub mod error;
pub mod id_token;
pub mod import;
pub mod invitation;
pub mod link;
pub mod mail;
pub mod mail_budget;
pub mod member;
pub mod mfa;
pub mod organization;
pub mod ownership;
pub mod password;
pub mod password_hash;
pub mod phone;
pub mod scope;
pub mod session;
pub mod sign_in;
pub mod stream;
pub mod text;
pub mod token;
pub mod totp;
pub mod user;

mod text_enum;
