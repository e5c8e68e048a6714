//! The tables as sea-orm sees them. What each column means stands in the migration; rules stand in the domain, never here.
//! No entity uses sea-orm's relations or hooks: joins are written where they are needed.
//! One file for each table.

pub(crate) mod access_models;
pub(crate) mod activities;
pub(crate) mod activity_reports;
pub(crate) mod attempts;
pub(crate) mod challenges;
pub(crate) mod contact_roles;
pub(crate) mod contacts;
pub(crate) mod events;
pub(crate) mod identities;
pub(crate) mod imported_users;
pub(crate) mod installation;
pub(crate) mod invitations;
pub(crate) mod join_links;
pub(crate) mod member_activity;
pub(crate) mod member_counters;
pub(crate) mod members;
pub(crate) mod mfa_factors;
pub(crate) mod organization_slugs;
pub(crate) mod organizations;
pub(crate) mod outbox_messages;
pub(crate) mod ownership_transfers;
pub(crate) mod recovery_codes;
pub(crate) mod replays;
pub(crate) mod role_holders;
pub(crate) mod search_progress;
pub(crate) mod search_terms;
pub(crate) mod service_accounts;
pub(crate) mod service_keys;
pub(crate) mod sessions;
pub(crate) mod sign_ins;
pub(crate) mod stream_heads;
pub(crate) mod user_events;
pub(crate) mod users;
