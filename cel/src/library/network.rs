//! IP addresses and ranges of them.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::{LibraryValue, Row, text};
use crate::fault::{Eval, EvalError};
use crate::value::Value;

/// A range of addresses: those that begin with the same bits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cidr {
    pub(crate) address: IpAddr,
    /// How many bits are the same.
    pub(crate) bits: u8,
}

pub(super) const ROWS: &[Row] = &[
    Row("string_to_ip", "ip(string) -> IP", |_, args| to_ip(text(args, 0)?)),
    Row("ip_family", "<IP>.family() -> int", |_, args| Ok(Value::Int(if ip(args, 0)?.is_ipv4() { 4 } else { 6 }))),
    Row("ip_is_canonical", "ip.isCanonical(string) -> bool", |_, args| {
        let text = text(args, 0)?;
        let address = parse(text).map_err(EvalError::new)?;
        Ok(Value::Bool(show(address) == **text))
    }),
    Row("ip_is_unspecified", "<IP>.isUnspecified() -> bool", |_, args| Ok(Value::Bool(ip(args, 0)?.is_unspecified()))),
    Row("ip_is_loopback", "<IP>.isLoopback() -> bool", |_, args| Ok(Value::Bool(ip(args, 0)?.is_loopback()))),
    Row("ip_is_link_local_multicast", "<IP>.isLinkLocalMulticast() -> bool", |_, args| {
        Ok(Value::Bool(match ip(args, 0)? {
            IpAddr::V4(address) => address.octets()[..3] == [224, 0, 0],
            IpAddr::V6(address) => address.segments()[0] & 0xff0f == 0xff02,
        }))
    }),
    Row("ip_is_link_local_unicast", "<IP>.isLinkLocalUnicast() -> bool", |_, args| {
        Ok(Value::Bool(is_link_local_unicast(ip(args, 0)?)))
    }),
    Row("ip_is_global_unicast", "<IP>.isGlobalUnicast() -> bool", |_, args| {
        let address = ip(args, 0)?;
        let is_special = address.is_unspecified()
            || address.is_loopback()
            || address.is_multicast()
            || is_link_local_unicast(address)
            || address == IpAddr::V4(Ipv4Addr::BROADCAST);
        Ok(Value::Bool(!is_special))
    }),
    Row("is_ip", "isIP(string) -> bool", |_, args| Ok(Value::Bool(parse(text(args, 0)?).is_ok()))),
    Row("ip_to_string", "string(IP) -> string", |_, args| Ok(Value::owned(show(ip(args, 0)?)))),
    Row("string_to_cidr", "cidr(string) -> CIDR", |_, args| to_cidr(text(args, 0)?)),
    Row("cidr_contains_ip_string", "<CIDR>.containsIP(string) -> bool", |_, args| {
        let address = parse(text(args, 1)?).map_err(|_| EvalError::no_overload())?;
        Ok(Value::Bool(cidr(args, 0)?.contains(address)))
    }),
    Row("cidr_contains_ip_ip", "<CIDR>.containsIP(IP) -> bool", |_, args| {
        Ok(Value::Bool(cidr(args, 0)?.contains(ip(args, 1)?)))
    }),
    Row("cidr_contains_cidr_string", "<CIDR>.containsCIDR(string) -> bool", |_, args| {
        let inner = to_cidr(text(args, 1)?)?;
        Ok(Value::Bool(cidr(args, 0)?.contains_range(cidr(&[inner], 0)?)))
    }),
    Row("cidr_contains_cidr", "<CIDR>.containsCIDR(CIDR) -> bool", |_, args| {
        Ok(Value::Bool(cidr(args, 0)?.contains_range(cidr(args, 1)?)))
    }),
    Row("cidr_ip", "<CIDR>.ip() -> IP", |_, args| Ok(Value::library(LibraryValue::Ip(cidr(args, 0)?.address)))),
    Row("cidr_prefix_length", "<CIDR>.prefixLength() -> int", |_, args| Ok(Value::Int(i64::from(cidr(args, 0)?.bits)))),
    Row("cidr_masked", "<CIDR>.masked() -> CIDR", |_, args| {
        let range = cidr(args, 0)?;
        Ok(Value::library(LibraryValue::Cidr(Cidr { address: masked(range.address, range.bits), ..range })))
    }),
    Row("is_cidr", "isCIDR(string) -> bool", |_, args| Ok(Value::Bool(parse_cidr(text(args, 0)?).is_ok()))),
    Row("cidr_to_string", "string(CIDR) -> string", |_, args| Ok(Value::owned(cidr(args, 0)?.show()))),
];

fn ip(args: &[Value<'_>], index: usize) -> Eval<IpAddr> {
    match &args[index] {
        Value::Library(value) => match **value {
            LibraryValue::Ip(address) => Ok(address),
            _ => Err(EvalError::no_overload()),
        },
        _ => Err(EvalError::no_overload()),
    }
}

fn cidr(args: &[Value<'_>], index: usize) -> Eval<Cidr> {
    match &args[index] {
        Value::Library(value) => match **value {
            LibraryValue::Cidr(range) => Ok(range),
            _ => Err(EvalError::no_overload()),
        },
        _ => Err(EvalError::no_overload()),
    }
}

fn to_ip<'a>(text: &str) -> Eval<Value<'a>> {
    parse(text).map(|address| Value::library(LibraryValue::Ip(address))).map_err(EvalError::new)
}

fn to_cidr<'a>(text: &str) -> Eval<Value<'a>> {
    let fault = |fault| EvalError::new(format!("network address parse error during conversion from string: {fault}"));
    parse_cidr(text).map(|range| Value::library(LibraryValue::Cidr(range))).map_err(fault)
}

fn is_link_local_unicast(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => address.is_link_local(),
        IpAddr::V6(address) => address.segments()[0] & 0xffc0 == 0xfe80,
    }
}

/// An address as it is written canonically.
pub(super) fn show(address: IpAddr) -> String {
    address.to_string()
}

/// An address that Kubernetes accepts; the fault is the one that clients see.
fn parse(text: &str) -> Result<IpAddr, String> {
    let (address, zone) = parse_address(text)
        .map_err(|fault| format!("IP Address {text:?} parse error during conversion from string: {fault}"))?;
    if zone.is_some() {
        return Err(format!("IP address {text:?} with zone value is not allowed"));
    }
    if is_mapped(address) {
        return Err(format!("IPv4-mapped IPv6 address {text:?} is not allowed"));
    }
    Ok(address)
}

fn is_mapped(address: IpAddr) -> bool {
    matches!(address, IpAddr::V6(address) if address.to_ipv4_mapped().is_some())
}

/// An address and its zone, as Go's `netip.ParseAddr` reads them.
pub(super) fn parse_address(text: &str) -> Result<(IpAddr, Option<&str>), String> {
    let fault = |what: &str| Err(format!("ParseAddr({text:?}): {what}"));
    match text.find(['.', ':', '%']).map(|at| &text[at..=at]) {
        Some(".") => match ipv4_fault(text) {
            None => Ok((IpAddr::V4(text.parse().unwrap_or(Ipv4Addr::UNSPECIFIED)), None)),
            Some(what) => fault(&what),
        },
        Some(":") => {
            let (address, zone) = match text.split_once('%') {
                Some((_, "")) => return fault("zone must be a non-empty string"),
                Some((address, zone)) => (address, Some(zone)),
                None => (text, None),
            };
            match address.parse::<Ipv6Addr>() {
                Ok(address) => Ok((IpAddr::V6(address), zone)),
                Err(_) => fault(&ipv6_fault(address)),
            }
        }
        Some(_) => fault("missing IPv6 address"),
        None => fault("unable to parse IP"),
    }
}

/// What is wrong with an IPv4 address.
fn ipv4_fault(text: &str) -> Option<String> {
    let mut rest = text;
    for index in 0.. {
        let length = rest.bytes().take_while(u8::is_ascii_digit).count();
        let (digits, after) = rest.split_at(length);
        if !(after.is_empty() || after.starts_with('.')) {
            return Some(format!("unexpected character (at {after:?})"));
        }
        if digits.is_empty() || (after == ".") {
            let at =
                if digits.is_empty() && !after.is_empty() { after } else { &text[text.len() - after.len().max(1)..] };
            return Some(format!("IPv4 field must have at least one digit (at {at:?})"));
        }
        if length > 1 && digits.starts_with('0') {
            return Some("IPv4 field has octet with leading zero".to_owned());
        }
        if digits.parse::<u8>().is_err() {
            return Some("IPv4 field has value >255".to_owned());
        }
        match after.strip_prefix('.') {
            None if index < 3 => return Some("IPv4 address too short".to_owned()),
            None => return None,
            Some(_) if index == 3 => return Some("IPv4 address too long".to_owned()),
            Some(after) => rest = after,
        }
    }
    None
}

/// What is wrong with an IPv6 address; the commonest faults are told as Go tells them.
fn ipv6_fault(text: &str) -> String {
    let mut rest = text.strip_prefix("::").unwrap_or(text);
    let mut fields = 0;
    loop {
        let length = rest.bytes().take_while(u8::is_ascii_hexdigit).count();
        if length > 4 {
            return format!("each group must have 4 or less digits (at {rest:?})");
        }
        if length == 0 {
            return format!("each colon-separated field must have at least one digit (at {rest:?})");
        }
        fields += 1;
        let after = &rest[length..];
        if after.is_empty() {
            return "address string too short".to_owned();
        }
        if !after.starts_with(':') {
            return format!("unexpected character, want colon (at {after:?})");
        }
        if after.len() == 1 {
            return format!("colon must be followed by more characters (at {after:?})");
        }
        if fields == 8 {
            return format!("trailing garbage after address (at {:?})", &after[1..]);
        }
        rest = &after[1..];
        if let Some(after) = rest.strip_prefix(':') {
            if text[..text.len() - rest.len()].contains("::") {
                return format!("multiple :: in address (at {rest:?})");
            }
            rest = after;
        }
    }
}

fn parse_cidr(text: &str) -> Result<Cidr, String> {
    let prefix = |what: &str| {
        Err(format!("network address parse error during conversion from string: netip.ParsePrefix({text:?}): {what}"))
    };
    let Some((address, bits)) = text.rsplit_once('/') else { return prefix("no '/'") };
    let (address, zone) = match parse_address(address) {
        Ok(parsed) => parsed,
        Err(fault) => return prefix(&fault),
    };
    if zone.is_some() {
        return prefix("IPv6 zones cannot be present in a prefix");
    }
    let is_number =
        !bits.is_empty() && bits.bytes().all(|byte| byte.is_ascii_digit()) && (bits == "0" || !bits.starts_with('0'));
    if !is_number {
        return prefix(&format!("bad bits after slash: {bits:?}"));
    }
    let most = if address.is_ipv4() { 32 } else { 128 };
    let Some(bits) = bits.parse().ok().filter(|bits: &u8| *bits <= most) else {
        return prefix("prefix length out of range");
    };
    if is_mapped(address) {
        return Err(format!("IPv4-mapped IPv6 address {text:?} is not allowed"));
    }
    Ok(Cidr { address, bits })
}

/// The address with all bits behind the first ones cleared.
fn masked(address: IpAddr, bits: u8) -> IpAddr {
    match address {
        IpAddr::V4(address) => {
            let mask = u32::MAX.checked_shl(32 - u32::from(bits)).unwrap_or_default();
            IpAddr::V4(Ipv4Addr::from(u32::from(address) & mask))
        }
        IpAddr::V6(address) => {
            let mask = u128::MAX.checked_shl(128 - u32::from(bits)).unwrap_or_default();
            IpAddr::V6(Ipv6Addr::from(u128::from(address) & mask))
        }
    }
}

impl Cidr {
    pub(crate) fn show(self) -> String {
        format!("{}/{}", show(self.address), self.bits)
    }

    fn contains(self, address: IpAddr) -> bool {
        self.address.is_ipv4() == address.is_ipv4() && masked(address, self.bits) == masked(self.address, self.bits)
    }

    fn contains_range(self, inner: Cidr) -> bool {
        self.bits <= inner.bits && self.contains(inner.address)
    }
}
