//! Checks of addresses, ranges, ports and protocols.

use std::net::{IpAddr, Ipv4Addr};

use atoll_api::validation::port_number;
use atoll_api::{FieldErrors, FieldPath};
use serde_json::Value;

use super::{invalid, invalid_each};

/// The protocols ports may have.
pub(in crate::resources) const PROTOCOLS: &[&str] = &["SCTP", "TCP", "UDP"];

/// Reads an address as old fields do: octets may have zeros before them.
pub(in crate::resources) fn parse_ip_sloppily(text: &str) -> Option<IpAddr> {
    if text.contains(':') {
        return text.parse().ok();
    }
    let octets: Vec<&str> = text.split('.').collect();
    let [a, b, c, d] = octets.as_slice() else { return None };
    let octet = |text: &str| match text.bytes().all(|b| b.is_ascii_digit()) && !text.is_empty() {
        true => {
            text.trim_start_matches('0').parse::<u8>().ok().or((text.trim_start_matches('0').is_empty()).then_some(0))
        }
        false => None,
    };
    Some(Ipv4Addr::new(octet(a)?, octet(b)?, octet(c)?, octet(d)?).into())
}

/// An address in a field that is older than strict checks: it need not be in canonical form.
pub(in crate::resources) fn legacy_ip(errors: &mut FieldErrors, path: &FieldPath, value: &str) {
    match parse_ip_sloppily(value) {
        None => {
            let detail = "must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)";
            invalid(errors, path, &value.into(), detail);
        }
        Some(IpAddr::V4(_)) if value.parse::<IpAddr>().is_err() => {
            invalid(errors, path, &value.into(), "must not have leading 0s");
        }
        Some(IpAddr::V6(address)) if address.to_ipv4_mapped().is_some() => {
            invalid(errors, path, &value.into(), "must not be an IPv4-mapped IPv6 address");
        }
        Some(_) => {}
    }
}

/// An address in canonical form.
pub(in crate::resources) fn strict_ip(errors: &mut FieldErrors, path: &FieldPath, value: &str) {
    let before = errors.len();
    legacy_ip(errors, path, value);
    if errors.len() == before
        && let Ok(address) = value.parse::<IpAddr>()
        && address.to_string() != value
    {
        invalid(errors, path, &value.into(), format!("must be in canonical form ({:?})", address.to_string()));
    }
}

/// A range of addresses: the first of them, and how many bits they share.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::resources) struct Cidr {
    pub(in crate::resources) address: IpAddr,
    pub(in crate::resources) bits: u8,
}

impl Cidr {
    /// Reads `10.0.0.0/8`; octets may have zeros before them.
    pub(in crate::resources) fn parse(text: &str) -> Option<Self> {
        let (address, bits) = text.split_once('/')?;
        let address = parse_ip_sloppily(address)?;
        let most = if address.is_ipv4() { 32 } else { 128 };
        let plain = !bits.is_empty() && bits.len() <= 3 && bits.bytes().all(|b| b.is_ascii_digit());
        let bits: u8 = if plain { bits.parse().ok()? } else { return None };
        (bits <= most).then_some(Self { address, bits })
    }

    /// The range with the bits that its addresses do not share set to zero.
    pub(in crate::resources) fn masked(self) -> Self {
        let address = match self.address {
            IpAddr::V4(v4) => {
                let mask = u32::MAX.checked_shl(32 - u32::from(self.bits)).unwrap_or(0);
                IpAddr::V4((v4.to_bits() & mask).into())
            }
            IpAddr::V6(v6) => {
                let mask = u128::MAX.checked_shl(128 - u32::from(self.bits)).unwrap_or(0);
                IpAddr::V6((v6.to_bits() & mask).into())
            }
        };
        Self { address, ..self }
    }

    /// Whether another range lies within this one.
    pub(in crate::resources) fn contains(self, other: Self) -> bool {
        self.address.is_ipv4() == other.address.is_ipv4()
            && self.bits <= other.bits
            && Self { bits: self.bits, ..other }.masked() == self.masked()
    }
}

impl std::fmt::Display for Cidr {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/{}", self.address, self.bits)
    }
}

/// A range in a field that is older than strict checks.
pub(in crate::resources) fn legacy_cidr(errors: &mut FieldErrors, path: &FieldPath, value: &str) {
    let Some(cidr) = Cidr::parse(value) else {
        return invalid(errors, path, &value.into(), "must be a valid CIDR value, (e.g. 10.9.8.0/24 or 2001:db8::/64)");
    };
    if has_zeros(value) {
        invalid(errors, path, &value.into(), "must not have leading 0s in IP or prefix length");
    } else if matches!(cidr.address, IpAddr::V6(v6) if v6.to_ipv4_mapped().is_some()) {
        invalid(errors, path, &value.into(), "must not have an IPv4-mapped IPv6 address");
    } else if cidr.masked() != cidr {
        invalid(errors, path, &value.into(), "must not have bits set beyond the prefix length");
    }
}

/// A range in canonical form.
pub(in crate::resources) fn strict_cidr(errors: &mut FieldErrors, path: &FieldPath, value: &str) {
    let before = errors.len();
    legacy_cidr(errors, path, value);
    if errors.len() == before
        && let Some(cidr) = Cidr::parse(value)
        && cidr.to_string() != value
    {
        invalid(errors, path, &value.into(), format!("must be in canonical form ({:?})", cidr.to_string()));
    }
}

/// What is unusual about an address, for a warning.
pub(in crate::resources) fn ip_warning(path: &FieldPath, value: &str) -> Option<String> {
    let address = parse_ip_sloppily(value)?;
    let plain = match address {
        IpAddr::V6(v6) => v6.to_ipv4_mapped(),
        IpAddr::V4(v4) => value.parse::<IpAddr>().is_err().then_some(v4),
    };
    if let Some(v4) = plain {
        let better = v4.to_string();
        return Some(format!("{path}: non-standard IP address {value:?} is invalid: use {better:?}"));
    }
    let canonical = address.to_string();
    (address.is_ipv6() && canonical != value)
        .then(|| format!("{path}: IPv6 address {value:?} should be in RFC 5952 canonical format ({canonical:?})"))
}

/// What is unusual about a range, for warnings.
pub(in crate::resources) fn cidr_warnings(path: &FieldPath, value: &str) -> Vec<String> {
    let Some(cidr) = Cidr::parse(value) else { return Vec::new() };
    let mut warnings = Vec::new();
    let masked = cidr.masked().to_string();
    if cidr.masked() != cidr {
        let one = Cidr { bits: if cidr.address.is_ipv4() { 32 } else { 128 }, ..cidr }.to_string();
        warnings.push(format!(
            "{path}: CIDR value {value:?} is ambiguous in this context (should be {masked:?} or {one:?}?)"
        ));
    }
    let mapped = matches!(cidr.address, IpAddr::V6(v6) if v6.to_ipv4_mapped().is_some());
    if has_zeros(value) || mapped {
        warnings.push(format!("{path}: non-standard CIDR value {value:?} is invalid: use {masked:?}"));
    } else if warnings.is_empty() && cidr.address.is_ipv6() && cidr.to_string() != value {
        let canonical = cidr.to_string();
        warnings
            .push(format!("{path}: IPv6 CIDR value {value:?} should be in RFC 5952 canonical format ({canonical:?})"));
    }
    warnings
}

/// Whether a range has zeros before its numbers.
fn has_zeros(cidr: &str) -> bool {
    let (address, bits) = cidr.split_once('/').unwrap_or((cidr, ""));
    address.parse::<IpAddr>().is_err() || (bits.len() > 1 && bits.starts_with('0'))
}

/// An address that traffic for a service may be sent to.
pub(in crate::resources) fn endpoint_ip(errors: &mut FieldErrors, path: &FieldPath, value: &str) {
    let Some(address) = parse_ip_sloppily(value) else {
        return invalid(errors, path, &value.into(), "must be a valid IP address");
    };
    let (link_local, link_local_multicast) = match address {
        IpAddr::V4(v4) => (v4.is_link_local(), v4.octets()[..3] == [224, 0, 0]),
        IpAddr::V6(v6) => (v6.is_unicast_link_local(), v6.segments()[0] & 0xff0f == 0xff02),
    };
    let mut wrong = |detail: String| invalid(errors, path, &value.into(), detail);
    if address.is_unspecified() {
        wrong(format!("may not be unspecified ({value})"));
    }
    if address.is_loopback() {
        wrong("may not be in the loopback range (127.0.0.0/8, ::1/128)".into());
    }
    if link_local {
        wrong("may not be in the link-local range (169.254.0.0/16, fe80::/10)".into());
    }
    if link_local_multicast {
        wrong("may not be in the link-local multicast range (224.0.0.0/24, ff02::/10)".into());
    }
}

/// The number of a port.
pub(in crate::resources) fn port(errors: &mut FieldErrors, path: &FieldPath, value: i64) {
    for detail in port_number(value) {
        invalid(errors, path, &value.into(), detail);
    }
}

/// The number or the name of a port.
pub(in crate::resources) fn port_number_or_name(errors: &mut FieldErrors, path: &FieldPath, value: &Value) {
    match value {
        Value::String(name) => invalid_each(errors, path, name, atoll_api::validation::port_name(name)),
        other => port(errors, path, other.as_i64().unwrap_or_default()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_contain_their_parts() {
        let cidr = |text| Cidr::parse(text).expect("a range");
        assert!(cidr("10.0.0.0/8").contains(cidr("10.1.0.0/16")));
        assert!(!cidr("10.1.0.0/16").contains(cidr("10.0.0.0/8")));
        assert!(!cidr("10.0.0.0/8").contains(cidr("fd00::/16")));
        assert!(cidr("0.0.0.0/0").contains(cidr("192.0.2.0/24")));
        for bad in ["10.0.0.0", "10.0.0.0/33", "10.0.0.0/+8", "10.0.0/8", "x/8", "::/129", "10.0.0.0/"] {
            assert_eq!(Cidr::parse(bad), None, "{bad}");
        }
    }

    #[test]
    fn old_fields_accept_zeros_before_octets_only_to_refuse_them_with_a_reason() {
        let fault = |text: &str| {
            let mut errors = FieldErrors::new();
            legacy_ip(&mut errors, &FieldPath::new("ip"), text);
            errors.first().map(|error| error.detail.clone())
        };
        assert_eq!(fault("010.0.0.1").as_deref(), Some("must not have leading 0s"));
        assert_eq!(fault("10.0.0.1"), None);
        assert_eq!(fault("::ffff:1.2.3.4").as_deref(), Some("must not be an IPv4-mapped IPv6 address"));
        assert!(fault("10.0.0.256").is_some_and(|detail| detail.starts_with("must be a valid IP address")));
    }
}
