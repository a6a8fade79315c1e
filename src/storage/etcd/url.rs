//! What an `etcd://` URL says: members, prefix, and how to come in.
//!
//! `etcd://HOST:PORT,HOST:PORT/PREFIX?user=NAME&password-file=FILE`, or `etcd+https://` with `ca-file`, `cert-file` and
//! `key-file`. Secrets stand in files, since command lines are read by others.

use std::path::PathBuf;
use std::time::Duration;

use crate::storage::OpenError;

const DEFAULT_PORT: u16 = 2379;
/// How long history is kept unless the URL says otherwise; Kubernetes keeps as much.
const COMPACT_EVERY: Duration = Duration::from_secs(300);

/// Where an etcd is and how it is spoken to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    /// The members, as URLs.
    pub(super) endpoints: Vec<String>,
    /// What every key begins with, for those who share an etcd; empty or `/…` without a `/` at the end.
    pub(super) prefix: String,
    /// How it is encrypted, if it is.
    pub(super) tls: Option<Tls>,
    /// A user's name and the file with the password.
    pub(super) login: Option<(String, PathBuf)>,
    /// How much history is kept; `None` if somebody else compacts.
    pub(super) compact_every: Option<Duration>,
}

/// The files of an encrypted connection.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Tls {
    /// Who signed the members' certificates; those whom the system trusts if there is none.
    pub(super) ca: Option<PathBuf>,
    /// The client's certificate and key.
    pub(super) client: Option<(PathBuf, PathBuf)>,
}

/// The parameters as they stand in the URL.
#[derive(Default)]
struct Parameters {
    ca: Option<PathBuf>,
    cert: Option<PathBuf>,
    key: Option<PathBuf>,
    user: Option<String>,
    password: Option<PathBuf>,
    compact: Option<Duration>,
    keep_all: bool,
}

// === impl Target ===

impl Target {
    /// Reads a URL; `None` if it is not one of etcd.
    pub fn parse(url: &str) -> Option<Result<Self, OpenError>> {
        let (scheme, rest) = url.split_once("://")?;
        let http = match scheme {
            "etcd" | "etcd+http" => "http",
            "etcd+https" => "https",
            _ => return None,
        };
        Some(Self::parse_rest(http, rest).map_err(|why| OpenError::EtcdUrl { why }))
    }

    fn parse_rest(http: &str, rest: &str) -> Result<Self, String> {
        let (place, query) = rest.split_once('?').unwrap_or((rest, ""));
        let (hosts, prefix) = place.split_once('/').unwrap_or((place, ""));
        let endpoints = hosts.split(',').map(|host| endpoint(http, host)).collect::<Result<_, _>>()?;
        let prefix = prefix.trim_end_matches('/');
        let prefix = if prefix.is_empty() { String::new() } else { format!("/{prefix}") };
        let said = Parameters::parse(query)?;
        let client = match (said.cert, said.key) {
            (Some(cert), Some(key)) => Some((cert, key)),
            (None, None) => None,
            _ => return Err("names one of cert-file and key-file, which belong together".to_owned()),
        };
        let tls = match http {
            "https" => Some(Tls { ca: said.ca, client }),
            _ if said.ca.is_some() || client.is_some() => {
                return Err("names certificates, but is not encrypted: it must begin with etcd+https://".to_owned());
            }
            _ => None,
        };
        let login = match (said.user, said.password) {
            (Some(user), Some(password)) => Some((user, password)),
            (None, None) => None,
            _ => return Err("names one of user and password-file, which belong together".to_owned()),
        };
        let compact_every = (!said.keep_all).then_some(said.compact.unwrap_or(COMPACT_EVERY));
        Ok(Self { endpoints, prefix, tls, login, compact_every })
    }
}

/// `host`, `host:port` or `[address]:port` as a URL.
fn endpoint(http: &str, host: &str) -> Result<String, String> {
    let bare = host.rsplit_once(']').map_or(host, |(_, after)| after);
    let url = if bare.contains(':') { format!("{http}://{host}") } else { format!("{http}://{host}:{DEFAULT_PORT}") };
    let parsed = url.parse::<http::Uri>().ok().filter(|_| !host.contains('@'));
    match parsed.and_then(|uri| uri.authority().cloned()) {
        Some(authority) if !authority.host().is_empty() && authority.port_u16().is_some() => Ok(url),
        _ => Err(format!("has {host:?} where a host and port should be")),
    }
}

// === impl Parameters ===

impl Parameters {
    fn parse(query: &str) -> Result<Self, String> {
        let mut said = Self::default();
        for pair in query.split('&').filter(|pair| !pair.is_empty()) {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            if value.is_empty() {
                return Err(format!("gives {name:?} no value"));
            }
            match name {
                "ca-file" => said.ca = Some(value.into()),
                "cert-file" => said.cert = Some(value.into()),
                "key-file" => said.key = Some(value.into()),
                "user" => said.user = Some(value.to_owned()),
                "password-file" => said.password = Some(value.into()),
                "compact" if value == "off" => said.keep_all = true,
                "compact" => said.compact = Some(duration(value)?),
                _ => {
                    return Err(format!(
                        "has the parameter {name:?}; ca-file, cert-file, key-file, user, password-file and compact are known"
                    ));
                }
            }
        }
        Ok(said)
    }
}

/// `90s`, `5m` or `1h`; at least ten seconds, so that no replica loses its place by a hiccup.
fn duration(text: &str) -> Result<Duration, String> {
    let seconds = [("s", 1), ("m", 60), ("h", 3600)].iter().find_map(|(unit, factor)| {
        let number = text.strip_suffix(unit)?.parse::<u32>().ok()?;
        Some(u64::from(number) * factor)
    });
    match seconds {
        Some(seconds) if seconds >= 10 => Ok(Duration::from_secs(seconds)),
        _ => Err(format!("has compact={text}; 10s or more, such as 5m, or off")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(url: &str) -> Result<Target, String> {
        Target::parse(url).expect("an etcd URL").map_err(|error| error.to_string())
    }

    #[test]
    fn urls_name_members_prefix_and_credentials() {
        let plain = Target {
            endpoints: vec!["http://a:2379".to_owned()],
            prefix: String::new(),
            tls: None,
            login: None,
            compact_every: Some(COMPACT_EVERY),
        };
        assert_eq!(parse("etcd://a"), Ok(plain.clone()));
        assert_eq!(parse("etcd://a:2379/"), Ok(plain.clone()));
        let three = Target {
            endpoints: ["http://a:1", "http://[::1]:2", "http://c:2379"].map(str::to_owned).into(),
            prefix: "/some/place".to_owned(),
            compact_every: None,
            ..plain.clone()
        };
        assert_eq!(parse("etcd://a:1,[::1]:2,c/some/place/?compact=off"), Ok(three));
        let guarded = Target {
            endpoints: vec!["https://a:2379".to_owned()],
            tls: Some(Tls { ca: Some("/x/ca".into()), client: Some(("/x/c".into(), "/x/k".into())) }),
            login: Some(("me".to_owned(), "/x/p".into())),
            compact_every: Some(Duration::from_secs(60)),
            ..plain
        };
        let url = "etcd+https://a?ca-file=/x/ca&cert-file=/x/c&key-file=/x/k&user=me&password-file=/x/p&compact=1m";
        assert_eq!(parse(url), Ok(guarded));
        assert!(Target::parse("memory://").is_none());
        assert!(Target::parse("/var/lib/atoll").is_none());
    }

    #[test]
    fn what_is_wrong_with_a_url_is_said() {
        for (url, why) in [
            ("etcd://", "where a host and port should be"),
            ("etcd://a,,b", "where a host and port should be"),
            ("etcd://me:secret@a", "where a host and port should be"),
            ("etcd://a:none", "where a host and port should be"),
            ("etcd://a?ca-file=/x", "must begin with etcd+https://"),
            ("etcd+https://a?cert-file=/x", "belong together"),
            ("etcd://a?user=me", "belong together"),
            ("etcd://a?color=red", "are known"),
            ("etcd://a?compact=1s", "10s or more"),
            ("etcd://a?user=", "no value"),
        ] {
            let error = parse(url).expect_err(url);
            assert!(error.contains(why), "{url}: {error}");
        }
    }
}
