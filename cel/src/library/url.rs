//! URLs, read and written as Go's `net/url` does, whose `ParseRequestURI` decides what is one.

use std::collections::BTreeMap;

use super::network::parse_address;
use super::{LibraryValue, Row, text};
use crate::fault::{Eval, EvalError};
use crate::value::{Key, Map, Value, ValueMap};

/// A parsed URL.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Url {
    scheme: String,
    opaque: String,
    /// User and password as they are written again, if there is a user.
    user: Option<String>,
    host: String,
    path: Vec<u8>,
    /// The path as it was written, if that is not how it would be written again.
    raw_path: Option<String>,
    query: String,
    /// Whether there is a `?` with nothing behind it.
    has_empty_query: bool,
    /// Whether there are not even the slashes before a host.
    has_no_host: bool,
    fragment: String,
}

/// What a part of a URL is, which decides what must be escaped in it.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Part {
    Path,
    Host,
    Zone,
    User,
    Query,
    Fragment,
}

/// Which way of reading: fragments are no part of what a request names.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Mode {
    Request,
    Reference,
}

pub(super) const ROWS: &[Row] = &[
    Row("string_to_url", "url(string) -> URL", |_, args| {
        let text = text(args, 0)?;
        let fault = |fault| EvalError::new(format!("URL parse error during conversion from string: {fault}"));
        check(text).map_err(fault)?;
        Url::parse(text).map(|url| Value::library(LibraryValue::Url(url))).map_err(fault)
    }),
    Row("is_url_string", "isURL(string) -> bool", |_, args| Ok(Value::Bool(check(text(args, 0)?).is_ok()))),
    Row("url_get_scheme", "<URL>.getScheme() -> string", |_, args| Ok(Value::owned(&*url(args)?.scheme))),
    Row("url_get_host", "<URL>.getHost() -> string", |_, args| Ok(Value::owned(&*url(args)?.host))),
    Row("url_get_hostname", "<URL>.getHostname() -> string", |_, args| {
        Ok(Value::owned(url(args)?.hostname_and_port().0))
    }),
    Row("url_get_port", "<URL>.getPort() -> string", |_, args| Ok(Value::owned(url(args)?.hostname_and_port().1))),
    Row("url_get_escaped_path", "<URL>.getEscapedPath() -> string", |_, args| {
        Ok(Value::owned(url(args)?.escaped_path()))
    }),
    Row("url_get_query", "<URL>.getQuery() -> map(string, list(string))", |work, args| {
        let parameters = url(args)?.parameters();
        work.allocate_list(parameters.values().map(Vec::len).sum())?;
        let entries = parameters
            .into_iter()
            .map(|(name, values)| (Key::String(crate::value::Text::owned(name)), Value::strings(values)));
        Ok(Value::Map(Map::new(entries.collect::<ValueMap>())))
    }),
];

fn url<'v>(args: &'v [Value<'_>]) -> Eval<&'v Url> {
    match &args[0] {
        Value::Library(value) => match &**value {
            LibraryValue::Url(url) => Ok(url),
            _ => Err(EvalError::no_overload()),
        },
        _ => Err(EvalError::no_overload()),
    }
}

/// Whether a text is an absolute URL or path; the fault is Go's.
pub(super) fn check(text: &str) -> Result<(), String> {
    match read(text, Mode::Request) {
        Ok(_) => Ok(()),
        Err(fault) => Err(format!("parse {text:?}: {fault}")),
    }
}

impl Url {
    fn parse(text: &str) -> Result<Self, String> {
        let (rest, fragment) = text.split_once('#').unwrap_or((text, ""));
        let mut url = read(rest, Mode::Reference).map_err(|fault| format!("parse {rest:?}: {fault}"))?;
        if !fragment.is_empty() {
            let decoded = unescape(fragment, Part::Fragment).map_err(|fault| format!("parse {text:?}: {fault}"))?;
            let is_encoded = fragment
                .bytes()
                .all(|byte| is_sub_delimiter(byte) || byte == b'%' || !must_escape(byte, Part::Fragment));
            url.fragment = if is_encoded { fragment.to_owned() } else { escape(&decoded, Part::Fragment) };
        }
        Ok(url)
    }

    fn hostname_and_port(&self) -> (&str, &str) {
        let (mut host, mut port) = (self.host.as_str(), "");
        if let Some(colon) = host.rfind(':').filter(|colon| is_optional_port(&host[*colon..])) {
            (host, port) = (&host[..colon], &host[colon + 1..]);
        }
        (host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host), port)
    }

    fn escaped_path(&self) -> String {
        if let Some(raw) = &self.raw_path
            && raw.bytes().all(|byte| {
                is_sub_delimiter(byte) || matches!(byte, b'%' | b'[' | b']') || !must_escape(byte, Part::Path)
            })
        {
            return raw.clone();
        }
        if self.path == b"*" { "*".to_owned() } else { escape(&self.path, Part::Path) }
    }

    /// The parameters of the query; what cannot be read is left out.
    fn parameters(&self) -> BTreeMap<String, Vec<String>> {
        let mut parameters: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for pair in self.query.split('&').filter(|pair| !pair.is_empty() && !pair.contains(';')) {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            if let (Ok(name), Ok(value)) = (unescape(name, Part::Query), unescape(value, Part::Query)) {
                parameters.entry(lossy(name)).or_default().push(lossy(value));
            }
        }
        parameters
    }
}

impl std::fmt::Display for Url {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if !self.scheme.is_empty() {
            write!(f, "{}:", self.scheme)?;
        }
        if self.opaque.is_empty() {
            let names_host = !self.host.is_empty() || self.user.is_some();
            let may_be_empty = !self.scheme.is_empty() && !self.has_no_host && !self.path.is_empty();
            if names_host || may_be_empty {
                f.write_str("//")?;
            }
            if let Some(user) = &self.user {
                write!(f, "{user}@")?;
            }
            f.write_str(&escape(self.host.as_bytes(), Part::Host))?;
            f.write_str(&self.escaped_path())?;
        } else {
            f.write_str(&self.opaque)?;
        }
        if self.has_empty_query || !self.query.is_empty() {
            write!(f, "?{}", self.query)?;
        }
        if !self.fragment.is_empty() {
            write!(f, "#{}", self.fragment)?;
        }
        Ok(())
    }
}

fn read(text: &str, mode: Mode) -> Result<Url, String> {
    if text.bytes().any(|byte| byte < b' ' || byte == 0x7f) {
        return Err("net/url: invalid control character in URL".to_owned());
    }
    if text.is_empty() && mode == Mode::Request {
        return Err("empty url".to_owned());
    }
    let mut url = Url::default();
    if text == "*" {
        url.path = b"*".to_vec();
        return Ok(url);
    }
    let (scheme, rest) = split_scheme(text)?;
    url.scheme = scheme.to_ascii_lowercase();
    let rest = match rest.strip_suffix('?') {
        Some(rest) if !rest.contains('?') => {
            url.has_empty_query = true;
            rest
        }
        _ => {
            let (rest, query) = rest.split_once('?').unwrap_or((rest, ""));
            url.query = query.to_owned();
            rest
        }
    };
    if !rest.starts_with('/') {
        if !url.scheme.is_empty() {
            url.opaque = rest.to_owned();
            return Ok(url);
        }
        if mode == Mode::Request {
            return Err("invalid URI for request".to_owned());
        }
        if rest.split('/').next().is_some_and(|segment| segment.contains(':')) {
            return Err("first path segment in URL cannot contain colon".to_owned());
        }
    }
    let may_have_host = !url.scheme.is_empty() || (mode == Mode::Reference && !rest.starts_with("///"));
    let path = match rest.strip_prefix("//").filter(|_| may_have_host) {
        Some(after) => {
            let (authority, path) = after.split_at(after.find('/').unwrap_or(after.len()));
            read_authority(&mut url, authority)?;
            path
        }
        None => {
            url.has_no_host = !url.scheme.is_empty() && rest.starts_with('/');
            rest
        }
    };
    url.path = unescape(path, Part::Path)?;
    url.raw_path = (escape(&url.path, Part::Path) != path).then(|| path.to_owned());
    Ok(url)
}

fn split_scheme(text: &str) -> Result<(&str, &str), String> {
    for (index, c) in text.char_indices() {
        match c {
            'a'..='z' | 'A'..='Z' => {}
            '0'..='9' | '+' | '-' | '.' if index > 0 => {}
            ':' if index == 0 => return Err("missing protocol scheme".to_owned()),
            ':' => return Ok((&text[..index], &text[index + 1..])),
            _ => break,
        }
    }
    Ok(("", text))
}

fn read_authority(url: &mut Url, authority: &str) -> Result<(), String> {
    let (user, host) = match authority.rsplit_once('@') {
        Some((user, host)) => (Some(user), host),
        None => (None, authority),
    };
    url.host = read_host(&url.scheme, host)?;
    if let Some(user) = user {
        let is_valid = |c: char| c.is_ascii_alphanumeric() || "-._:~!$&'()*+,;=%@".contains(c);
        if !user.chars().all(is_valid) {
            return Err("net/url: invalid userinfo".to_owned());
        }
        let parts: Result<Vec<String>, String> =
            user.splitn(2, ':').map(|part| unescape(part, Part::User).map(|part| escape(&part, Part::User))).collect();
        url.user = Some(parts?.join(":"));
    }
    Ok(())
}

fn read_host(scheme: &str, host: &str) -> Result<String, String> {
    let bad_port = |port: &str| format!("invalid port {port:?} after host");
    match host.rfind('[') {
        Some(0) => {
            let Some(close) = host.rfind(']') else { return Err("missing ']' in host".to_owned()) };
            let port = &host[close + 1..];
            if !is_optional_port(port) {
                return Err(bad_port(port));
            }
            let name = &host[1..close];
            let (address, zone) = name.split_at(name.find("%25").unwrap_or(name.len()));
            let decoded = lossy(unescape(address, Part::Host)?) + &lossy(unescape(zone, Part::Zone)?);
            let parsed = parse_address(&decoded).map_err(|fault| format!("invalid host: {fault}"))?;
            if parsed.0.is_ipv4() {
                return Err("invalid IP-literal".to_owned());
            }
            Ok(format!("[{decoded}]{port}"))
        }
        Some(_) => Err("invalid IP-literal".to_owned()),
        None => {
            // Only for schemes of the web must the first colon begin the port.
            let colon = if matches!(scheme, "http" | "https") { host.find(':') } else { host.rfind(':') };
            if let Some(colon) = colon
                && !is_optional_port(&host[colon..])
            {
                return Err(bad_port(&host[colon..]));
            }
            unescape(host, Part::Host).map(lossy)
        }
    }
}

/// Whether a text is empty or a colon and digits.
fn is_optional_port(text: &str) -> bool {
    text.is_empty() || text.strip_prefix(':').is_some_and(|port| port.bytes().all(|byte| byte.is_ascii_digit()))
}

fn is_sub_delimiter(byte: u8) -> bool {
    b"!$&'()*+,;=:@".contains(&byte)
}

fn must_escape(byte: u8, part: Part) -> bool {
    if byte.is_ascii_alphanumeric() || b"-_.~".contains(&byte) {
        return false;
    }
    match part {
        Part::Host | Part::Zone => !b"!$&'()*+,;=:[]<>\"".contains(&byte),
        Part::Path => !b"$&+,/:;=@".contains(&byte),
        Part::User => !b"$&+,;=".contains(&byte),
        Part::Query => true,
        Part::Fragment => !b"$&+,/:;=?@!()*".contains(&byte),
    }
}

fn escape(bytes: &[u8], part: Part) -> String {
    let mut text = String::with_capacity(bytes.len());
    for byte in bytes {
        if must_escape(*byte, part) {
            text.push_str(&format!("%{byte:02X}"));
        } else {
            text.push(char::from(*byte));
        }
    }
    text
}

fn unescape(text: &str, part: Part) -> Result<Vec<u8>, String> {
    let bytes = text.as_bytes();
    let mut decoded = Vec::with_capacity(bytes.len());
    let mut index = 0;
    while let Some(byte) = bytes.get(index) {
        match byte {
            b'%' => {
                let sequence = &bytes[index..bytes.len().min(index + 3)];
                let fault = || format!("invalid URL escape {:?}", String::from_utf8_lossy(sequence));
                let digits =
                    sequence.get(1..3).filter(|digits| digits.iter().all(u8::is_ascii_hexdigit)).ok_or_else(fault)?;
                let value = digits.iter().fold(0, |value, digit| value * 16 + hex_value(*digit));
                let is_percent = sequence == b"%25";
                // Hosts may only escape what is not ASCII, zones also what they could not hold otherwise.
                let is_refused = match part {
                    Part::Host => value < 0x80 && !is_percent,
                    Part::Zone => !is_percent && value != b' ' && must_escape(value, Part::Host),
                    _ => false,
                };
                if is_refused {
                    return Err(fault());
                }
                decoded.push(value);
                index += 3;
                continue;
            }
            b'+' if part == Part::Query => decoded.push(b' '),
            byte if matches!(part, Part::Host | Part::Zone) && byte.is_ascii() && must_escape(*byte, part) => {
                return Err(format!("invalid character {:?} in host name", char::from(*byte).to_string()));
            }
            byte => decoded.push(*byte),
        }
        index += 1;
    }
    Ok(decoded)
}

fn hex_value(digit: u8) -> u8 {
    char::from(digit).to_digit(16).unwrap_or_default() as u8
}

fn lossy(bytes: Vec<u8>) -> String {
    String::from_utf8(bytes).unwrap_or_else(|error| String::from_utf8_lossy(error.as_bytes()).into_owned())
}
