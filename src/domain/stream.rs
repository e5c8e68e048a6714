//! Streams: histories without gaps, each in one order and chained by hash.

use uuid::Uuid;

use crate::domain::text_enum::text_enum;

text_enum! {
    /// What a stream is the history of.
    StreamKind {
        /// An organization, with its members and invitations.
        Organization = "organization",
        /// A user: the account, and the sessions that end.
        User = "user",
        /// The installation: service accounts and their keys, and restored backups.
        Installation = "installation",
    }
}

/// The id of the installation's stream; those of other streams are the ids of what they are about.
pub const INSTALLATION: Uuid = Uuid::nil();

/// What the first hash of a stream is chained to.
pub const CHAIN_START: [u8; 32] = [0; 32];
