//! How far a message of the outbox is.

use crate::domain::text_enum::text_enum;

text_enum! {
    /// How far a message of the outbox is.
    DeliveryState {
        /// Waits for its delivery or its next try.
        Queued = "queued",
        /// Was taken over by the mail server.
        Sent = "sent",
        /// Was given up.
        Failed = "failed",
        /// Was called off before it was sent.
        Cancelled = "cancelled",
    }
}
