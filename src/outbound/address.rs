//! Which addresses the server may call for tenants, who name them: it does so in its own network.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;
use std::sync::Arc;

/// Where webhooks and aggregated API servers may be.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Addresses {
    /// Anywhere but at the server itself and in its immediate network, where cloud providers answer questions about it.
    #[default]
    Remote,
    /// Only at addresses of the internet: not in private networks, either.
    Public,
    /// Anywhere.
    Any,
    /// In these networks, whatever they are, and nowhere else.
    Within(Arc<[Network]>),
}

/// A range of addresses that have their first bits in common.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Network {
    first: IpAddr,
    bits: u8,
}

/// A text that names no addresses.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is neither remote, public nor any, nor a list of networks such as 10.0.0.0/8,fd00::/8")]
pub struct NoAddresses(String);

/// The address at which Amazon's machines answer questions about themselves in IPv6; the others use link-local ones.
const METADATA: Ipv6Addr = Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254);

impl Addresses {
    /// Why an address may not be called, if so.
    pub(crate) fn refuses(&self, address: IpAddr) -> Option<&'static str> {
        match self {
            Self::Any => None,
            Self::Within(networks) => {
                let address = address.to_canonical();
                let known = networks.iter().any(|network| network.has(address));
                (!known).then_some("it is in none of the networks that are permitted")
            }
            Self::Remote | Self::Public => match address {
                IpAddr::V4(address) => self.fault_of_v4(address),
                IpAddr::V6(address) => self.fault_of_v6(address),
            },
        }
    }

    fn fault_of_v4(&self, address: Ipv4Addr) -> Option<&'static str> {
        let [first, second, ..] = address.octets();
        // All of 0.0.0.0/8 is this machine.
        if address.is_loopback() || first == 0 {
            Some("it is the server itself")
        } else if address.is_link_local() {
            Some("it is a link-local address")
        } else if address.is_multicast() || address.is_broadcast() {
            Some("it is not one machine's address")
        } else if *self == Self::Public && (address.is_private() || (first == 100 && second & 0xc0 == 64)) {
            Some("it is in a private network")
        } else {
            None
        }
    }

    fn fault_of_v6(&self, address: Ipv6Addr) -> Option<&'static str> {
        let segments = address.segments();
        if address.is_loopback() || address.is_unspecified() {
            return Some("it is the server itself");
        }
        if (segments[0] & 0xffc0) == 0xfe80 || address == METADATA {
            return Some("it is a link-local address");
        }
        if address.is_multicast() {
            return Some("it is not one machine's address");
        }
        if *self == Self::Public && (segments[0] & 0xfe00) == 0xfc00 {
            return Some("it is in a private network");
        }
        // Addresses in which one of version 4 is wrapped: mapped, compatible, translated, and tunnelled.
        let wrapped = |high: u16, low: u16| {
            let ([a, b], [c, d]) = (high.to_be_bytes(), low.to_be_bytes());
            self.fault_of_v4(Ipv4Addr::new(a, b, c, d))
        };
        match segments {
            [0, 0, 0, 0, 0, 0 | 0xffff, high, low]
            | [0x64, 0xff9b, _, _, _, _, high, low]
            | [0x2002, high, low, ..] => wrapped(high, low),
            _ => None,
        }
    }
}

impl FromStr for Addresses {
    type Err = NoAddresses;

    fn from_str(text: &str) -> Result<Self, NoAddresses> {
        match text {
            "remote" => Ok(Self::Remote),
            "public" => Ok(Self::Public),
            "any" => Ok(Self::Any),
            networks => {
                let networks = networks.split(',').map(|network| Network::parse(network.trim()));
                let networks: Option<Arc<[Network]>> = networks.collect();
                networks.map(Self::Within).ok_or_else(|| NoAddresses(text.to_owned()))
            }
        }
    }
}

// === impl Network ===

impl Network {
    /// Reads `10.0.0.0/8`, or a single address.
    pub fn parse(text: &str) -> Option<Self> {
        let (address, bits) = match text.split_once('/') {
            Some((address, bits)) => (address, Some(bits.parse().ok()?)),
            None => (text, None),
        };
        let first: IpAddr = address.parse().ok()?;
        let most = if first.is_ipv4() { 32 } else { 128 };
        let bits = bits.unwrap_or(most);
        (bits <= most).then_some(Self { first, bits })
    }

    fn has(&self, address: IpAddr) -> bool {
        match (self.first, address) {
            (IpAddr::V4(first), IpAddr::V4(address)) => {
                let differing = u32::from(first) ^ u32::from(address);
                differing.checked_shr(32 - u32::from(self.bits)).unwrap_or(0) == 0
            }
            (IpAddr::V6(first), IpAddr::V6(address)) => {
                let differing = u128::from(first) ^ u128::from(address);
                differing.checked_shr(128 - u32::from(self.bits)).unwrap_or(0) == 0
            }
            _ => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_server_and_its_immediate_network_are_not_called() {
        for address in [
            "127.0.0.1",
            "127.8.9.1",
            "0.0.0.0",
            "0.1.2.3",
            "169.254.169.254",
            "224.0.0.1",
            "255.255.255.255",
            "::1",
            "::",
            "::127.0.0.1",
            "::ffff:127.0.0.1",
            "::ffff:169.254.169.254",
            "64:ff9b::7f00:1",
            "64:ff9b:1::a9fe:a9fe",
            "2002:7f00:1::",
            "fe80::1",
            "febf::1",
            "ff02::1",
            "fd00:ec2::254",
        ] {
            let parsed = address.parse().expect(address);
            assert!(Addresses::Remote.refuses(parsed).is_some(), "{address}");
            assert!(Addresses::Any.refuses(parsed).is_none(), "{address}");
        }
    }

    #[test]
    fn other_machines_are_called() {
        for address in
            ["10.0.0.1", "192.168.1.1", "8.8.8.8", "::ffff:10.0.0.1", "64:ff9b::808:808", "fd00::1", "2001:db8::1"]
        {
            assert_eq!(Addresses::Remote.refuses(address.parse().expect(address)), None, "{address}");
        }
    }

    #[test]
    fn only_networks_that_are_named_are_called() {
        let addresses: Addresses = "127.0.0.1, 10.1.0.0/16,fd00::/8".parse().expect("networks");
        for (address, permitted) in [
            ("127.0.0.1", true),
            ("127.0.0.2", false),
            ("10.1.255.255", true),
            ("10.2.0.0", false),
            ("::ffff:10.1.0.1", true),
            ("::10.1.0.1", false),
            ("fdff::1", true),
            ("fe80::1", false),
            ("8.8.8.8", false),
        ] {
            assert_eq!(addresses.refuses(address.parse().expect(address)).is_none(), permitted, "{address}");
        }
        let everything: Addresses = "0.0.0.0/0".parse().expect("a network");
        assert_eq!(everything.refuses(Ipv4Addr::LOCALHOST.into()), None);
        assert_eq!("public".parse(), Ok(Addresses::Public));
        for bad in ["", "near", "10.0.0.0/33", "10.0.0.0/", "10.0.0.0/8,", "fd00::/129", "300.0.0.1"] {
            assert!(bad.parse::<Addresses>().is_err(), "{bad}");
        }
    }

    #[test]
    fn private_networks_are_not_called_where_only_the_internet_is() {
        for address in
            ["10.0.0.1", "192.168.1.1", "172.16.0.1", "100.64.0.1", "::ffff:10.0.0.1", "fd00::1", "127.0.0.1"]
        {
            assert!(Addresses::Public.refuses(address.parse().expect(address)).is_some(), "{address}");
        }
        for address in ["8.8.8.8", "100.128.0.1", "2001:db8::1"] {
            assert_eq!(Addresses::Public.refuses(address.parse().expect(address)), None, "{address}");
        }
    }
}
