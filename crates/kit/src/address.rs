//! Clients' addresses as far as limits tell them apart. An IPv6 client has a
//! whole /64 to choose its address from, so that counts as one.

use std::{
    fmt,
    net::{IpAddr, Ipv6Addr},
    str::FromStr,
};

use confab_log::mutant;
use http::uri::Authority;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::config::Config;

/// Bits of an IPv6 address that tell clients apart.
const IPV6_PREFIX: u32 = 64;

/// One client, as its address shows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct ClientAddress(u128);

impl ClientAddress {
    pub(crate) fn of(address: IpAddr) -> Self {
        match address.to_canonical() {
            IpAddr::V4(address) => Self(u128::from(address.to_ipv6_mapped())),
            IpAddr::V6(address) => Self(u128::from(address) & mask(IPV6_PREFIX)),
        }
    }

    /// The same number for the same client.
    pub(crate) fn number(self) -> u128 {
        self.0
    }
}

/// Whom the limits of one address are for.
#[derive(Clone, Debug)]
pub(crate) struct AddressRules {
    dev_mode: bool,
    trusted: Vec<AddressRange>,
}

impl AddressRules {
    pub(crate) fn of(config: &Config) -> Self {
        Self { dev_mode: config.is_dev_mode(), trusted: config.limits.trusted_proxies.clone() }
    }

    /// The limit for the address: what is configured is for everyone but
    /// proxies, the default neither for this machine nor for dev mode. 0 is no
    /// limit.
    pub(crate) fn limit(&self, configured: Option<u32>, default: u32, address: IpAddr) -> u32 {
        let trusted = self.trusted.iter().any(|range| range.contains(address));
        if trusted || mutant::is("no-address-limit") {
            return 0;
        }
        let own = self.dev_mode || address.to_canonical().is_loopback();
        configured.unwrap_or(if own { 0 } else { default })
    }
}

/// A range of addresses: `10.0.0.0/8`, `2001:db8::/32`, or one address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AddressRange {
    /// IPv4 in its IPv6 form.
    first: u128,
    prefix: u32,
}

impl AddressRange {
    /// Whether the address is in it.
    pub fn contains(&self, address: IpAddr) -> bool {
        wide(address.to_canonical()) & mask(self.prefix) == self.first
    }
}

impl FromStr for AddressRange {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let bad = || format!("{text:?} is no range of addresses such as 10.0.0.0/8");
        let (address, prefix) = match text.split_once('/') {
            Some((address, prefix)) => (address, Some(prefix)),
            None => (text, None),
        };
        let address: IpAddr = address.parse().map_err(|_| bad())?;
        let bits = if address.is_ipv4() { 32 } else { 128 };
        let prefix = match prefix {
            Some(prefix) => prefix.parse::<u32>().map_err(|_| bad())?,
            None => bits,
        };
        if prefix > bits {
            return Err(bad());
        }
        let prefix = prefix + 128 - bits;
        Ok(Self { first: wide(address) & mask(prefix), prefix })
    }
}

impl fmt::Display for AddressRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let address = Ipv6Addr::from(self.first);
        match address.to_ipv4_mapped() {
            Some(address) if self.prefix >= 96 => write!(f, "{address}/{}", self.prefix - 96),
            _ => write!(f, "{address}/{}", self.prefix),
        }
    }
}

impl Serialize for AddressRange {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for AddressRange {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

/// Whether an authority, `localhost:8080` or `[::1]`, names this machine.
pub fn is_this_machine(authority: &str) -> bool {
    let Ok(authority) = authority.parse::<Authority>() else {
        return false;
    };
    // Somebody else's name before an `@` is part of no host.
    if authority.as_str().contains('@') {
        return false;
    }
    let host = authority.host().trim_start_matches('[').trim_end_matches(']');
    let address = host.parse::<IpAddr>();
    host.eq_ignore_ascii_case("localhost") || address.is_ok_and(|address| address.is_loopback())
}

fn wide(address: IpAddr) -> u128 {
    match address {
        IpAddr::V4(address) => u128::from(address.to_ipv6_mapped()),
        IpAddr::V6(address) => u128::from(address),
    }
}

fn mask(prefix: u32) -> u128 {
    u128::MAX.checked_shl(128 - prefix).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(text: &str) -> ClientAddress {
        ClientAddress::of(text.parse().expect("an address"))
    }

    #[test]
    fn an_ipv6_client_is_its_first_64_bits() {
        assert_eq!(of("2001:db8:1:2::1"), of("2001:db8:1:2:ffff::9"));
        assert_ne!(of("2001:db8:1:2::1"), of("2001:db8:1:3::1"));
        assert_ne!(of("192.0.2.1"), of("192.0.2.2"));
        assert_eq!(of("192.0.2.1"), of("::ffff:192.0.2.1"));
    }

    #[test]
    fn defaults_are_for_strangers_and_nothing_is_for_proxies() {
        let mut config = Config::default();
        config.auth.jwks_url = Some("https://issuer.example/keys".to_owned());
        config.limits.trusted_proxies = vec!["192.0.2.0/24".parse().expect("a range")];
        let of = |rules: &AddressRules, configured, address: &str| {
            rules.limit(configured, 60, address.parse().expect("an address"))
        };
        let rules = AddressRules::of(&config);
        assert_eq!(of(&rules, None, "198.51.100.1"), 60);
        assert_eq!(of(&rules, Some(7), "198.51.100.1"), 7);
        assert_eq!(of(&rules, Some(0), "198.51.100.1"), 0);
        assert_eq!(of(&rules, None, "::ffff:127.0.0.1"), 0);
        assert_eq!(of(&rules, Some(7), "127.0.0.1"), 7);
        assert_eq!(of(&rules, Some(7), "192.0.2.9"), 0);
        let dev_mode = AddressRules::of(&Config::default());
        assert_eq!(of(&dev_mode, None, "198.51.100.1"), 0);
        assert_eq!(of(&dev_mode, Some(7), "198.51.100.1"), 7);
    }

    #[test]
    fn ranges_are_read_written_and_hold() {
        for (text, inside, outside) in [
            ("10.0.0.0/8", "10.200.3.4", "11.0.0.1"),
            ("192.0.2.7/32", "::ffff:192.0.2.7", "192.0.2.8"),
            ("2001:db8::/32", "2001:db8:9::1", "2001:db9::1"),
            ("0.0.0.0/0", "255.1.2.3", "2001:db8::1"),
            ("::/0", "192.0.2.7", ""),
        ] {
            let range: AddressRange = text.parse().expect(text);
            assert_eq!(range.to_string(), text);
            assert!(range.contains(inside.parse().expect("an address")), "{text}");
            let outside = outside.parse().ok();
            assert!(!outside.is_some_and(|address| range.contains(address)), "{text}");
        }
        let one: AddressRange = "192.0.2.7".parse().expect("one address");
        assert_eq!(one.to_string(), "192.0.2.7/32");
        for bad in ["", "10.0.0.0/33", "::/129", "10.0.0/8", "10.0.0.0/-1", "10.0.0.0/8/8"] {
            assert!(bad.parse::<AddressRange>().is_err(), "{bad}");
        }
    }
}
