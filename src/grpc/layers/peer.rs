//! Which connection a call came on.

use std::net::IpAddr;

use http::Extensions;

/// A connection, by a number that no other of this process has. Calls on one connection share what a connection may take.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub(crate) struct Peer {
    /// The number.
    pub(crate) number: u64,
    /// Where it comes from: behind a proxy, where the proxy is.
    pub(crate) address: Option<IpAddr>,
}

impl Peer {
    /// The connection of a call, by what the listener noted. Calls without a note would share.
    pub(crate) fn of(extensions: &Extensions) -> Self {
        extensions.get::<Self>().copied().unwrap_or_default()
    }
}
