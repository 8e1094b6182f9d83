//! Which addresses belong to the public internet. Pure; asks nobody.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

/// IPv4 blocks that are not global unicast, with what they are.
const REFUSED_V4: &[(Ipv4Addr, u8)] = &[
    (Ipv4Addr::new(0, 0, 0, 0), 8),       // this network
    (Ipv4Addr::new(10, 0, 0, 0), 8),      // private
    (Ipv4Addr::new(100, 64, 0, 0), 10),   // carrier-grade NAT
    (Ipv4Addr::new(127, 0, 0, 0), 8),     // loopback
    (Ipv4Addr::new(169, 254, 0, 0), 16),  // link-local: the metadata service of clouds
    (Ipv4Addr::new(172, 16, 0, 0), 12),   // private
    (Ipv4Addr::new(192, 0, 0, 0), 24),    // protocol assignments
    (Ipv4Addr::new(192, 0, 2, 0), 24),    // documentation
    (Ipv4Addr::new(192, 88, 99, 0), 24),  // 6to4 relays
    (Ipv4Addr::new(192, 168, 0, 0), 16),  // private
    (Ipv4Addr::new(198, 18, 0, 0), 15),   // benchmarks
    (Ipv4Addr::new(198, 51, 100, 0), 24), // documentation
    (Ipv4Addr::new(203, 0, 113, 0), 24),  // documentation
    (Ipv4Addr::new(224, 0, 0, 0), 3),     // multicast, reserved, broadcast
];

/// The only part of IPv6 that is handed out for global unicast; all else (`::1`, `fc00::/7`, `fe80::/10`, `64:ff9b::/96`,
/// `100::/64`, `ff00::/8`, …) lies outside.
const GLOBAL_V6: (Ipv6Addr, u8) = (Ipv6Addr::new(0x2000, 0, 0, 0, 0, 0, 0, 0), 3);

/// Blocks within [`GLOBAL_V6`] that are not global, or that lead to an IPv4 address of the caller's choice.
const REFUSED_V6: &[(Ipv6Addr, u8)] = &[
    (Ipv6Addr::new(0x2001, 0, 0, 0, 0, 0, 0, 0), 23), // protocol assignments, Teredo
    (Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 0), 32), // documentation
    (Ipv6Addr::new(0x2002, 0, 0, 0, 0, 0, 0, 0), 16), // 6to4
    (Ipv6Addr::new(0x3fff, 0, 0, 0, 0, 0, 0, 0), 20), // documentation
];

/// Addresses that share their first bits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cidr {
    base: IpAddr,
    prefix: u8,
}

/// A text that is no block of addresses.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("not a block of addresses such as 10.0.0.0/8 or fd00::/8")]
pub struct BadCidr;

impl Cidr {
    /// Whether the address lies within; an IPv4-mapped one counts as the IPv4 address.
    pub fn contains(&self, address: IpAddr) -> bool {
        match (self.base, address.to_canonical()) {
            (IpAddr::V4(base), IpAddr::V4(address)) => within_v4(address, base, self.prefix),
            (IpAddr::V6(base), IpAddr::V6(address)) => within_v6(address, base, self.prefix),
            (IpAddr::V4(_), IpAddr::V6(_)) | (IpAddr::V6(_), IpAddr::V4(_)) => false,
        }
    }
}

impl fmt::Display for Cidr {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}/{}", self.base, self.prefix)
    }
}

impl FromStr for Cidr {
    type Err = BadCidr;

    /// `address/bits`, or an address alone.
    fn from_str(text: &str) -> Result<Self, BadCidr> {
        let (base, prefix) = match text.split_once('/') {
            Some((base, prefix)) => (base, Some(prefix.parse().map_err(|_| BadCidr)?)),
            None => (text, None),
        };
        let base: IpAddr = base.parse().map_err(|_| BadCidr)?;
        let bits = if base.is_ipv4() { 32 } else { 128 };
        let prefix = prefix.unwrap_or(bits);
        if prefix <= bits { Ok(Self { base, prefix }) } else { Err(BadCidr) }
    }
}

/// Whether anyone on the internet could mean this one machine by it.
pub fn is_global(address: IpAddr) -> bool {
    match address.to_canonical() {
        IpAddr::V4(address) => !REFUSED_V4.iter().any(|(base, prefix)| within_v4(address, *base, *prefix)),
        IpAddr::V6(address) => {
            within_v6(address, GLOBAL_V6.0, GLOBAL_V6.1)
                && !REFUSED_V6.iter().any(|(base, prefix)| within_v6(address, *base, *prefix))
        }
    }
}

fn within_v4(address: Ipv4Addr, base: Ipv4Addr, prefix: u8) -> bool {
    let mask = u32::MAX.checked_shl(32 - u32::from(prefix)).unwrap_or(0);
    address.to_bits() & mask == base.to_bits() & mask
}

fn within_v6(address: Ipv6Addr, base: Ipv6Addr, prefix: u8) -> bool {
    let mask = u128::MAX.checked_shl(128 - u32::from(prefix)).unwrap_or(0);
    address.to_bits() & mask == base.to_bits() & mask
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_and_last_address_of_every_refused_block_is_refused_and_its_neighbours_are_not() {
        // (first, last, the address before is global, the address after is global)
        for (first, last, before, after) in [
            ("0.0.0.0", "0.255.255.255", false, true),
            ("10.0.0.0", "10.255.255.255", true, true),
            ("100.64.0.0", "100.127.255.255", true, true),
            ("127.0.0.0", "127.255.255.255", true, true),
            ("169.254.0.0", "169.254.255.255", true, true),
            ("172.16.0.0", "172.31.255.255", true, true),
            ("192.0.0.0", "192.0.0.255", true, true),
            ("192.0.2.0", "192.0.2.255", true, true),
            ("192.88.99.0", "192.88.99.255", true, true),
            ("192.168.0.0", "192.168.255.255", true, true),
            ("198.18.0.0", "198.19.255.255", true, true),
            ("198.51.100.0", "198.51.100.255", true, true),
            ("203.0.113.0", "203.0.113.255", true, true),
            ("224.0.0.0", "255.255.255.255", true, false),
        ] {
            let (first, last): (Ipv4Addr, Ipv4Addr) = (first.parse().unwrap(), last.parse().unwrap());
            assert!(!is_global(first.into()) && !is_global(last.into()), "{first}");
            let neighbour = |bits: u32| is_global(Ipv4Addr::from_bits(bits).into());
            assert_eq!(neighbour(first.to_bits().wrapping_sub(1)), before, "before {first}");
            assert_eq!(neighbour(last.to_bits().wrapping_add(1)), after, "after {last}");
        }
    }

    #[test]
    fn ipv6_is_refused_outside_global_unicast_and_wherever_it_carries_ipv4() {
        for refused in [
            "::",
            "::1",
            "::127.0.0.1",
            "::8.8.8.8",
            "::ffff:10.0.0.1",
            "::ffff:169.254.169.254",
            "64:ff9b::8.8.8.8",
            "64:ff9b:1::1",
            "100::1",
            "2001::1",
            "2001:1ff::1",
            "2001:db8::1",
            "2002:7f00:1::",
            "3fff::1",
            "4000::1",
            "fc00::1",
            "fd12:3456::1",
            "fe80::1",
            "fec0::1",
            "ff02::1",
        ] {
            assert!(!is_global(refused.parse().unwrap()), "{refused}");
        }
        for global in ["2606:4700::1111", "2001:4860:4860::8888", "2a00:1450::1", "::ffff:8.8.8.8"] {
            assert!(is_global(global.parse().unwrap()), "{global}");
        }
    }

    #[test]
    fn a_block_holds_its_addresses_and_no_others() {
        let block: Cidr = "10.1.0.0/16".parse().unwrap();
        assert!(block.contains("10.1.255.255".parse().unwrap()));
        assert!(block.contains("::ffff:10.1.0.1".parse().unwrap()));
        assert!(!block.contains("10.2.0.0".parse().unwrap()));
        assert!("0.0.0.0/0".parse::<Cidr>().unwrap().contains("1.2.3.4".parse().unwrap()));
        assert!("::1".parse::<Cidr>().unwrap().contains("::1".parse().unwrap()));
        for bad in ["10.0.0.0/33", "::/129", "10.0.0/8", "host/8", "", "10.0.0.0/-1"] {
            assert_eq!(bad.parse::<Cidr>(), Err(BadCidr), "{bad}");
        }
    }
}
