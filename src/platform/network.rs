//! Where in the network somebody is, as far as it tells people apart.

use std::net::IpAddr;

/// The part of the network that one person is given: an address of IPv4, and of IPv6 the /64, in which they may take any address they like.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Network(u128);

impl Network {
    /// Where an address is.
    #[must_use]
    pub fn of(address: IpAddr) -> Self {
        match address.to_canonical() {
            IpAddr::V4(address) => Self(address.to_ipv6_mapped().to_bits()),
            IpAddr::V6(address) => Self(address.to_bits() >> 64 << 64),
        }
    }

    /// Where an address in its written form is; `None` where it is none.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        text.parse().ok().map(Self::of)
    }

    /// The network as a number, to be compared.
    #[must_use]
    pub const fn number(self) -> u128 {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_version_four_every_address_is_one_and_of_version_six_every_64() {
        let same = |one: &str, other: &str| Network::parse(one).unwrap() == Network::parse(other).unwrap();
        assert!(same("192.0.2.7", "192.0.2.7") && !same("192.0.2.7", "192.0.2.8"));
        assert!(same("::ffff:192.0.2.7", "192.0.2.7"));
        assert!(same("2001:db8:0:1::1", "2001:db8:0:1:ffff:ffff:ffff:ffff"));
        assert!(!same("2001:db8:0:1::1", "2001:db8:0:2::1"));
        assert_eq!(Network::parse("example.com"), None);
    }
}
