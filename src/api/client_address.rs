//! Where a request came from: the other end of its connection or, behind a proxy that the operator trusts, what that proxy
//! says. What anybody else writes into `X-Forwarded-For` is not believed.

use std::net::{IpAddr, Ipv6Addr, SocketAddr};

use actix_web::HttpRequest;

use crate::domain::address::Cidr;

const FORWARDED_FOR: &str = "x-forwarded-for";

/// The part of an IPv6 address that one customer of a provider has; the rest is theirs to choose.
const V6_CUSTOMER_BITS: u32 = 64;

/// Who asked, as far as strangers are told apart; `None` without a connection.
pub(crate) fn client_address(request: &HttpRequest, trusted: &[Cidr]) -> Option<IpAddr> {
    let peer = request.peer_addr()?.ip();
    let headers = request.headers().get_all(FORWARDED_FOR);
    let hops: Vec<&str> =
        headers.filter_map(|value| value.to_str().ok()).flat_map(|text| text.split(',')).collect();
    Some(customer(client(peer, &hops, trusted)))
}

/// Walks back from the peer for as long as it is a trusted proxy that speaks.
fn client(peer: IpAddr, hops: &[&str], trusted: &[Cidr]) -> IpAddr {
    let mut client = peer;
    for hop in hops.iter().rev() {
        let Some(address) = address(hop.trim()) else { break };
        if !trusted.iter().any(|proxy| proxy.contains(client)) {
            break;
        }
        client = address;
    }
    client
}

/// With or without a port.
fn address(text: &str) -> Option<IpAddr> {
    let bare = || text.strip_prefix('[')?.strip_suffix(']')?.parse::<Ipv6Addr>().ok().map(IpAddr::V6);
    text.parse().ok().or_else(|| text.parse::<SocketAddr>().ok().map(|pair| pair.ip())).or_else(bare)
}

fn customer(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => {
            let mask = u128::MAX << (u128::BITS - V6_CUSTOMER_BITS);
            IpAddr::V6(Ipv6Addr::from_bits(address.to_bits() & mask))
        }
        address @ IpAddr::V4(_) => address,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_trusted_proxies_are_believed() {
        let trusted = ["10.0.0.0/8".parse().unwrap(), "fd00::/8".parse().unwrap()];
        for (peer, hops, expected) in [
            ("203.0.113.9", &["198.51.100.7"][..], "203.0.113.9"),
            ("10.0.0.1", &["198.51.100.7"], "198.51.100.7"),
            ("10.0.0.1", &["1.2.3.4", " 198.51.100.7 "], "198.51.100.7"),
            ("10.0.0.1", &["198.51.100.7", "10.0.0.2"], "198.51.100.7"),
            ("10.0.0.1", &["198.51.100.7:4711"], "198.51.100.7"),
            ("fd00::1", &["[2001:db8::7]:80"], "2001:db8::7"),
            ("fd00::1", &["[2001:db8::7]"], "2001:db8::7"),
            ("10.0.0.1", &["198.51.100.7", "unknown"], "10.0.0.1"),
            ("10.0.0.1", &[], "10.0.0.1"),
        ] {
            let seen = client(peer.parse().unwrap(), hops, &trusted);
            assert_eq!(seen.to_string(), expected, "{peer} {hops:?}");
        }
    }

    #[test]
    fn the_addresses_of_one_customer_are_one() {
        let one = |text: &str| customer(text.parse().unwrap()).to_string();
        assert_eq!(one("2001:db8:1:2:3:4:5:6"), one("2001:db8:1:2::1"));
        assert_ne!(one("2001:db8:1:2::1"), one("2001:db8:1:3::1"));
        assert_eq!(one("::ffff:198.51.100.7"), "198.51.100.7");
    }
}
