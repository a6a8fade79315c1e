//! Formats of names and addresses in networks.

use std::net::{IpAddr, Ipv6Addr};
use std::sync::LazyLock;

use regex::Regex;

static LETTERS_AND_SYMBOLS: LazyLock<Regex> =
    LazyLock::new(|| Regex::new(r"^[0-9A-Za-z\p{S}\p{L}.-]*$").expect("a constant expression that is tested"));
static LETTERS: LazyLock<Regex> =
    LazyLock::new(|| Regex::new(r"^[A-Za-z\p{L}]*$").expect("a constant expression that is tested"));

/// An IPv4 address, or an IPv6 address that ends in one; leading zeros are tolerated.
pub(super) fn is_ipv4(text: &str) -> bool {
    text.contains('.') && (is_dotted_quad(text) || text.parse::<Ipv6Addr>().is_ok())
}

pub(super) fn is_ipv6(text: &str) -> bool {
    text.contains(':') && text.parse::<Ipv6Addr>().is_ok()
}

fn is_dotted_quad(text: &str) -> bool {
    let is_part = |part: &str| {
        let digits = part.trim_start_matches('0');
        !part.is_empty()
            && part.bytes().all(|b| b.is_ascii_digit())
            && (digits.is_empty() || digits.parse::<u8>().is_ok())
    };
    text.split('.').count() == 4 && text.split('.').all(is_part)
}

pub(super) fn is_cidr(text: &str) -> bool {
    let Some((address, length)) = text.split_once('/') else { return false };
    let most = match address.parse::<IpAddr>() {
        Ok(IpAddr::V6(_)) => 128,
        Ok(IpAddr::V4(_)) => 32,
        Err(_) if is_dotted_quad(address) => 32,
        Err(_) => return false,
    };
    let is_number = !length.is_empty() && length.bytes().all(|b| b.is_ascii_digit());
    is_number && length.trim_start_matches('0').len() <= 3 && length.parse::<u32>().is_ok_and(|length| length <= most)
}

/// 6, 8 or 20 bytes as pairs with colons or dashes, or as groups of four digits with dots.
pub(super) fn is_mac(text: &str) -> bool {
    let (separator, group) = match text.as_bytes() {
        [_, _, separator @ (b':' | b'-'), ..] => (*separator as char, 2),
        [_, _, _, _, b'.', ..] => ('.', 4),
        _ => return false,
    };
    let is_group = |part: &str| part.len() == group && part.bytes().all(|b| b.is_ascii_hexdigit());
    text.split(separator).all(is_group) && matches!(text.split(separator).count() * group / 2, 6 | 8 | 20)
}

/// A host name of one label, or of several that end in a top-level domain of letters.
pub(super) fn is_hostname(text: &str) -> bool {
    if text.len() > 255 || text.split('.').any(|label| label.len() > 63) || !LETTERS_AND_SYMBOLS.is_match(text) {
        return false;
    }
    let Some((labels, top)) = text.rsplit_once('.') else {
        // A lone label may have a dash as its second character only (kube-openapi's expression is built so).
        let mut chars = text.chars();
        return chars.next().is_some_and(|c| c != '-') && !chars.skip(1).any(|c| c == '-');
    };
    let is_label = |label: &str| !label.is_empty() && !label.starts_with('-') && !label.ends_with('-');
    labels.split('.').all(is_label) && top.chars().count() >= 2 && LETTERS.is_match(top)
}

/// A label of lower-case letters, digits and dashes.
pub(super) fn is_short_name(text: &str) -> bool {
    text.len() <= 63 && is_name_segment(text)
}

/// Such labels of any length, joined by dots.
pub(super) fn is_long_name(text: &str) -> bool {
    text.len() <= 253 && text.split('.').all(is_name_segment)
}

fn is_name_segment(text: &str) -> bool {
    let is_inner = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
    !text.is_empty() && text.bytes().all(is_inner) && !text.starts_with('-') && !text.ends_with('-')
}

/// A URI with a scheme, or an absolute path, as Go's `url.ParseRequestURI` takes it.
pub(super) fn is_request_uri(text: &str) -> bool {
    if text.bytes().any(|b| b < 0x20 || b == 0x7f) || text.is_empty() {
        return false;
    }
    if text == "*" {
        return true;
    }
    let Some((has_scheme, rest)) = split_scheme(text) else { return false };
    let rest = rest.split_once('?').map_or(rest, |(before, _)| before);
    match (has_scheme, rest.starts_with('/')) {
        // Opaque, such as `mailto:a@b.c`.
        (true, false) => true,
        (false, false) => false,
        (true, true) if rest.starts_with("//") => {
            let authority = &rest[2..];
            let (authority, path) = authority.split_at(authority.find('/').unwrap_or(authority.len()));
            is_authority(authority) && has_valid_escapes(path)
        }
        (_, true) => has_valid_escapes(rest),
    }
}

/// Takes the scheme off; `None` if there is a colon with nothing before it.
fn split_scheme(text: &str) -> Option<(bool, &str)> {
    for (at, c) in text.char_indices() {
        match c {
            'a'..='z' | 'A'..='Z' => {}
            '0'..='9' | '+' | '-' | '.' if at > 0 => {}
            ':' if at == 0 => return None,
            ':' => return Some((true, &text[at + 1..])),
            _ => break,
        }
    }
    Some((false, text))
}

fn is_authority(text: &str) -> bool {
    let (user, host) = text.rsplit_once('@').map_or(("", text), |(user, host)| (user, host));
    let is_user = |c: char| c.is_ascii_alphanumeric() || "-._:~!$&'()*+,;=%@".contains(c);
    let (name, port) = match host.strip_prefix('[') {
        Some(inner) => match inner.rsplit_once(']') {
            Some((name, port)) => (name, port),
            None => return false,
        },
        None => host.rfind(':').map_or((host, ""), |at| host.split_at(at)),
    };
    let is_host = |c: char| !c.is_ascii() || c.is_ascii_alphanumeric() || "-._~!$&'()*+,;=:[]<>\"%".contains(c);
    let is_port = port.is_empty() || port.strip_prefix(':').is_some_and(|p| p.bytes().all(|b| b.is_ascii_digit()));
    user.chars().all(is_user)
        && has_valid_escapes(user)
        && name.chars().all(is_host)
        && has_valid_escapes(name)
        && is_port
        // In host names only bytes beyond ASCII, and the `%25` of zones, may be escaped.
        && name.match_indices('%').all(|(at, _)| name[at..].starts_with("%25") || !name[at + 1..].starts_with(|c| c < '8'))
}

fn has_valid_escapes(text: &str) -> bool {
    let bytes = text.as_bytes();
    let is_hex = |at: usize| bytes.get(at).is_some_and(u8::is_ascii_hexdigit);
    text.match_indices('%').all(|(at, _)| is_hex(at + 1) && is_hex(at + 2))
}

/// An address of RFC 5322, with or without a display name: `bob@example.com`, `Bob <bob@example.com>`.
pub(super) fn is_email(text: &str) -> bool {
    let Some(text) = without_comments(text) else { return false };
    let text = text.trim_matches([' ', '\t']);
    match text.strip_suffix('>') {
        None => is_address(text),
        Some(rest) => {
            let Some((name, address)) = rest.rsplit_once('<') else { return false };
            is_display_name(name) && is_address(address.trim_matches([' ', '\t']))
        }
    }
}

/// Replaces comments in parentheses by blanks; `None` if one is not closed.
fn without_comments(text: &str) -> Option<String> {
    let mut plain = String::with_capacity(text.len());
    let (mut depth, mut quoted, mut escaped) = (0_usize, false, false);
    for c in text.chars() {
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            '"' if depth == 0 => quoted = !quoted,
            '(' if !quoted => depth += 1,
            ')' if !quoted && depth > 0 => {
                depth -= 1;
                plain.push(' ');
                continue;
            }
            _ => {}
        }
        if depth == 0 {
            plain.push(c);
        }
    }
    (depth == 0).then_some(plain)
}

fn is_display_name(text: &str) -> bool {
    let text = text.trim_matches([' ', '\t']);
    is_quoted(text)
        || text.split([' ', '\t']).all(|word| is_quoted(word) || word.chars().all(|c| is_atom(c) || c == '.'))
}

fn is_address(text: &str) -> bool {
    let Some((local, domain)) = text.rsplit_once('@') else { return false };
    let is_literal = domain.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
    let is_domain = match is_literal {
        Some(inner) => !inner.contains(['[', ']', '\\']),
        None => is_dotted_atom(domain),
    };
    is_domain && (is_dotted_atom(local) || is_quoted(local))
}

fn is_dotted_atom(text: &str) -> bool {
    text.split('.').all(|part| !part.is_empty() && part.chars().all(is_atom))
}

fn is_quoted(text: &str) -> bool {
    let Some(inner) = text.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')) else { return false };
    let mut escaped = false;
    let is_plain = inner.chars().all(|c| {
        let fits = escaped || (c != '"' && (c >= ' ' || c == '\t'));
        escaped = !escaped && c == '\\';
        fits
    });
    !inner.is_empty() && is_plain && !escaped
}

fn is_atom(c: char) -> bool {
    !c.is_ascii() || c.is_ascii_alphanumeric() || "!#$%&'*+-/=?^_`{|}~".contains(c)
}
