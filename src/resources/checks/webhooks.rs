//! Checks of where webhooks are: a URL, or a path of a service.

use atoll_api::validation::{dns1123_subdomain, port_number};
use atoll_api::{FieldErrors, FieldPath};
use serde_json::Value;

use super::{invalid, required};
use crate::resources::read::{int, is_set, text};

/// How a webhook's URL looks.
const FORM: &str = "; desired format: https://host[/path]";

/// Where a webhook is: exactly one of `url` and `service`.
pub(in crate::resources) fn client_config(errors: &mut FieldErrors, config: &Value, path: &FieldPath) {
    let (url, service) = (&config["url"], &config["service"]);
    match (is_set(url), is_set(service)) {
        (true, false) => check_url(errors, text(url), &path.child("url")),
        (false, true) => check_service(errors, service, &path.child("service")),
        _ => required(errors, path, "exactly one of url or service is required"),
    }
}

/// The parts of a URL that matter here, as Go takes it apart.
#[derive(Debug, PartialEq, Eq)]
struct Parts<'a> {
    scheme: String,
    host: &'a str,
    user: Option<&'a str>,
    query: &'a str,
    fragment: &'a str,
}

fn take_apart(url: &str) -> Result<Parts<'_>, String> {
    let fault = |why: &str| Err(format!("parse {url:?}: {why}"));
    if url.bytes().any(|byte| byte < b' ' || byte == 0x7f) {
        return fault("net/url: invalid control character in URL");
    }
    let (rest, fragment) = url.split_once('#').unwrap_or((url, ""));
    if let Some(escape) = bad_escape(rest.split('?').next().unwrap_or_default()) {
        return fault(&format!("invalid URL escape {escape:?}"));
    }
    let is_scheme = |scheme: &str| {
        scheme.starts_with(|c: char| c.is_ascii_alphabetic())
            && scheme.chars().all(|c| c.is_ascii_alphanumeric() || "+-.".contains(c))
    };
    let (scheme, rest) = match rest.split_once(':') {
        Some(("", _)) => return fault("missing protocol scheme"),
        Some((scheme, rest)) if is_scheme(scheme) => (scheme.to_ascii_lowercase(), rest),
        _ => (String::new(), rest),
    };
    let (rest, query) = rest.split_once('?').unwrap_or((rest, ""));
    let Some(rest) = rest.strip_prefix("//") else {
        let first = rest.split('/').next().unwrap_or_default();
        if scheme.is_empty() && first.contains(':') {
            return fault("first path segment in URL cannot contain colon");
        }
        return Ok(Parts { scheme, host: "", user: None, query, fragment });
    };
    let authority = rest.split('/').next().unwrap_or_default();
    let (user, host) = match authority.rsplit_once('@') {
        Some((user, host)) => (Some(user), host),
        None => (None, authority),
    };
    if let Some(bad) = host.chars().find(|c| " \"<>\\^`{|}".contains(*c)) {
        return fault(&format!("invalid character {:?} in host name", bad.to_string()));
    }
    let port = host.rsplit_once(']').map_or(host, |(_, port)| port).split_once(':').map_or("", |(_, port)| port);
    if !port.bytes().all(|byte| byte.is_ascii_digit()) {
        return fault(&format!("invalid port {:?} after host", format!(":{port}")));
    }
    Ok(Parts { scheme, host, user, query, fragment })
}

/// The first percent sign that two hexadecimal digits do not follow, with up to two characters.
fn bad_escape(text: &str) -> Option<&str> {
    let mut rest = text;
    while let Some(at) = rest.find('%') {
        rest = &rest[at..];
        let is_escape = rest.len() >= 3 && rest.as_bytes()[1..3].iter().all(u8::is_ascii_hexdigit);
        if !is_escape {
            let end = rest.char_indices().nth(3).map_or(rest.len(), |(end, _)| end);
            return Some(&rest[..end]);
        }
        rest = &rest[1..];
    }
    None
}

fn check_url(errors: &mut FieldErrors, url: &str, path: &FieldPath) {
    let parts = match take_apart(url) {
        Ok(parts) => parts,
        Err(why) => return required(errors, path, format!("url must be a valid URL: {why}{FORM}")),
    };
    let mut wrong = |value: &str, detail: &str| invalid(errors, path, &value.into(), detail);
    if parts.scheme != "https" {
        wrong(&parts.scheme, &format!("'https' is the only allowed URL scheme{FORM}"));
    }
    if parts.host.is_empty() {
        wrong("", &format!("host must be specified{FORM}"));
    }
    if let Some(user) = parts.user {
        wrong(user, "user information is not permitted in the URL");
    }
    if !parts.fragment.is_empty() {
        wrong(parts.fragment, "fragments are not permitted in the URL");
    }
    if !parts.query.is_empty() {
        wrong(parts.query, "query parameters are not permitted in the URL");
    }
}

fn check_service(errors: &mut FieldErrors, service: &Value, path: &FieldPath) {
    // Kubernetes confuses the two: without a name it is the namespace that is told to be missing, and the reverse.
    for (given, told) in [("namespace", "name"), ("name", "namespace")] {
        if text(&service[given]).is_empty() {
            required(errors, &path.child(told), "");
        }
    }
    let port = int(&service["port"]);
    let wrong = port_number(port);
    if !wrong.is_empty() {
        invalid(errors, &path.child("port"), &port.into(), format!("port is not valid: {}", wrong.join(", ")));
    }
    if let Some(location) = service["path"].as_str() {
        check_path(errors, location, &path.child("path"));
    }
}

fn check_path(errors: &mut FieldErrors, location: &str, path: &FieldPath) {
    let mut wrong = |detail: String| invalid(errors, path, &location.into(), detail);
    match location {
        "" | "/" => return,
        "//" => return wrong("segment[0] may not be empty".into()),
        _ if !location.starts_with('/') => wrong("must start with a '/'".into()),
        _ => {}
    }
    // The first character is skipped whatever it is.
    let mut rest = location.chars();
    rest.next();
    let rest = rest.as_str();
    for (index, part) in rest.strip_suffix('/').unwrap_or(rest).split('/').enumerate() {
        if part.is_empty() {
            wrong(format!("segment[{index}] may not be empty"));
            continue;
        }
        for why in dns1123_subdomain(part) {
            wrong(format!("segment[{index}]: {why}"));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_are_taken_apart_as_go_does() {
        let check = |url: &str, scheme: &str, host: &str, user: Option<&str>, query: &str, fragment: &str| {
            let scheme = scheme.to_owned();
            assert_eq!(take_apart(url), Ok(Parts { scheme, host, user, query, fragment }), "{url}");
        };
        check("https://a.b:8443/c", "https", "a.b:8443", None, "", "");
        check("HTTPS://u:p@h/x?q=1#f", "https", "h", Some("u:p"), "q=1", "f");
        check("https://[::1]:443/", "https", "[::1]:443", None, "", "");
        check("", "", "", None, "", "");
        check("host/path", "", "", None, "", "");
        for bad in [":foo", "https://h:x/", "https://a b/", "a b:c", "https://h/\n"] {
            assert!(take_apart(bad).is_err(), "{bad}");
        }
    }
}
