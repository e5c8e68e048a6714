//! The schema of Roster: the same migrations for SQLite and PostgreSQL. They run forwards only, and one that has landed is never edited.

use sea_orm_migration::prelude::*;

mod m20261121_000001_foundation;
mod m20261122_000002_lifecycle;
mod m20261122_000003_records;
mod m20261122_000004_credentials;
mod m20261122_000006_import;
mod m20261122_000007_large_rosters;
mod m20261122_000008_phone_numbers;
mod m20261122_000009_identities;
mod m20261122_000010_invited_names;
mod m20261126_000011_ways_in;
mod m20261126_000012_attempts;
mod m20261126_000013_states_and_recipients;
mod m20261126_000014_installation;
mod m20261126_000015_streams;
mod m20261126_000016_user_streams;
mod m20261127_000017_sealed_heads;
mod m20261130_000018_access_models;
mod m20261130_000019_organization_locale;
mod m20261130_000020_confined_keys;
mod m20261130_000021_erasure;
mod m20261201_000022_search;
mod m20261201_000023_attributes_and_slugs;
mod m20261201_000024_newest_members;
mod m20261201_000025_join_links;

/// All migrations, oldest first.
pub struct Migrator;

#[async_trait::async_trait]
impl MigratorTrait for Migrator {
    fn migrations() -> Vec<Box<dyn MigrationTrait>> {
        vec![
            Box::new(m20261121_000001_foundation::Migration),
            Box::new(m20261122_000002_lifecycle::Migration),
            Box::new(m20261122_000003_records::Migration),
            Box::new(m20261122_000004_credentials::Migration),
            Box::new(m20261122_000006_import::Migration),
            Box::new(m20261122_000007_large_rosters::Migration),
            Box::new(m20261122_000008_phone_numbers::Migration),
            Box::new(m20261122_000009_identities::Migration),
            Box::new(m20261122_000010_invited_names::Migration),
            Box::new(m20261126_000011_ways_in::Migration),
            Box::new(m20261126_000012_attempts::Migration),
            Box::new(m20261126_000013_states_and_recipients::Migration),
            Box::new(m20261126_000014_installation::Migration),
            Box::new(m20261126_000015_streams::Migration),
            Box::new(m20261126_000016_user_streams::Migration),
            Box::new(m20261127_000017_sealed_heads::Migration),
            Box::new(m20261130_000018_access_models::Migration),
            Box::new(m20261130_000019_organization_locale::Migration),
            Box::new(m20261130_000020_confined_keys::Migration),
            Box::new(m20261130_000021_erasure::Migration),
            Box::new(m20261201_000022_search::Migration),
            Box::new(m20261201_000023_attributes_and_slugs::Migration),
            Box::new(m20261201_000024_newest_members::Migration),
            Box::new(m20261201_000025_join_links::Migration),
        ]
    }
}
