//! Users whom a front proxy names in headers: another API server that has recognised them and passes their requests on.
//!
//! Whether a connection comes from a front proxy is for the listener to say, by the certificate; headers of anybody else
//! mean nothing.

use std::collections::BTreeMap;

use atoll_api::UserInfo;
use atoll_api::user::{ALL_AUTHENTICATED, ALL_UNAUTHENTICATED, ANONYMOUS};
use serde_json::Value;

use crate::request::percent_decode;

/// Who is believed to be a front proxy, and in which headers it names users: the flags `--requestheader-…` of
/// kube-apiserver.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FrontProxy {
    /// The CA of its certificates (PEM).
    pub ca: String,
    /// The common names they may have; none for any.
    pub names: Vec<String>,
    /// The headers in which a user's name is: the first that is there counts.
    pub user_headers: Vec<String>,
    /// The same for a user's uid.
    pub uid_headers: Vec<String>,
    /// The headers in which groups are.
    pub group_headers: Vec<String>,
    /// How headers with further attributes begin.
    pub extra_prefixes: Vec<String>,
}

// === impl FrontProxy ===

impl FrontProxy {
    /// Front proxies of this CA and of these names (none: of any), with the headers that Kubernetes uses.
    pub fn of_ca(ca: impl Into<String>, names: Vec<String>) -> Self {
        let one = |name: &str| vec![name.to_owned()];
        Self {
            ca: ca.into(),
            names,
            user_headers: one("X-Remote-User"),
            uid_headers: one("X-Remote-Uid"),
            group_headers: one("X-Remote-Group"),
            extra_prefixes: one("X-Remote-Extra-"),
        }
    }

    /// The front proxies of an API server, as the data of its config map `extension-apiserver-authentication` (in
    /// `kube-system`) name them; `None` if it has none.
    pub fn of_config_map(data: &BTreeMap<String, String>) -> Option<Self> {
        let ca = data.get("requestheader-client-ca-file").filter(|ca| !ca.trim().is_empty())?.clone();
        let list = |name: &str| -> Vec<String> {
            let list = data.get(name).and_then(|text| serde_json::from_str::<Value>(text).ok());
            let items = list.as_ref().and_then(Value::as_array).into_iter().flatten();
            items.filter_map(Value::as_str).map(str::to_owned).collect()
        };
        Some(Self {
            ca,
            names: list("requestheader-allowed-names"),
            user_headers: list("requestheader-username-headers"),
            uid_headers: list("requestheader-uid-headers"),
            group_headers: list("requestheader-group-headers"),
            extra_prefixes: list("requestheader-extra-headers-prefix"),
        })
    }

    /// The user whom a front proxy names; `None` if it names nobody.
    pub(crate) fn user(&self, headers: &[(&str, &str)]) -> Option<UserInfo> {
        let first = |wanted: &[String]| {
            let mut wanted = wanted.iter();
            wanted.find_map(|wanted| {
                let mut values = headers.iter().filter(|(name, _)| name.eq_ignore_ascii_case(wanted));
                values.next().map(|(_, value)| value.trim().to_owned()).filter(|value| !value.is_empty())
            })
        };
        let name = first(&self.user_headers)?;
        let is_group = |name: &str| self.group_headers.iter().any(|header| header.eq_ignore_ascii_case(name));
        let in_groups = headers.iter().filter(|(name, _)| is_group(name));
        let mut groups: Vec<String> = in_groups.map(|(_, group)| (*group).to_owned()).collect();
        let known = groups.iter().any(|group| group == ALL_AUTHENTICATED || group == ALL_UNAUTHENTICATED);
        if !known && name != ANONYMOUS {
            groups.push(ALL_AUTHENTICATED.to_owned());
        }
        let mut extra: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for (header, value) in headers {
            let header = header.to_ascii_lowercase();
            let prefixes = self.extra_prefixes.iter().map(|prefix| prefix.to_ascii_lowercase());
            let Some(key) = prefixes.filter_map(|prefix| header.strip_prefix(&prefix)).map(str::to_owned).next() else {
                continue;
            };
            let key = percent_decode(&key).map_or(key.clone(), |decoded| decoded.to_ascii_lowercase());
            extra.entry(key).or_default().push((*value).to_owned());
        }
        Some(UserInfo { name, uid: first(&self.uid_headers).unwrap_or_default(), groups, extra })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(headers: &[(&str, &str)], expected: Option<(&str, &str, &[&str])>) -> UserInfo {
        let proxy = FrontProxy::of_ca("", Vec::new());
        let user = proxy.user(headers);
        let shown = user.as_ref().map(|user| (user.name.as_str(), user.uid.as_str(), user.groups.clone()));
        let expected =
            expected.map(|(name, uid, groups)| (name, uid, groups.iter().map(|g| (*g).to_owned()).collect()));
        assert_eq!(shown, expected, "{headers:?}");
        user.unwrap_or_default()
    }

    #[test]
    fn users_are_named_in_headers() {
        check(&[], None);
        check(&[("x-remote-user", " "), ("x-remote-group", "a")], None);
        check(
            &[("x-remote-group", "b"), ("x-remote-user", "alice"), ("x-remote-group", "a"), ("x-remote-uid", "7")],
            Some(("alice", "7", &["b", "a", "system:authenticated"])),
        );
        check(
            &[("x-remote-user", "system:anonymous"), ("x-remote-group", "system:unauthenticated")],
            Some(("system:anonymous", "", &["system:unauthenticated"])),
        );
    }

    #[test]
    fn further_attributes_are_unescaped() {
        let headers = [
            ("x-remote-user", "alice"),
            ("x-remote-extra-kcp.io%2Fcluster", "team"),
            ("x-remote-extra-scopes", "a"),
            ("x-remote-extra-scopes", "b"),
        ];
        let user = check(&headers, Some(("alice", "", &["system:authenticated"])));
        let extra = [("kcp.io/cluster", vec!["team"]), ("scopes", vec!["a", "b"])];
        for (key, values) in extra {
            assert_eq!(user.extra.get(key).map(|all| all.iter().map(String::as_str).collect()), Some(values), "{key}");
        }
    }

    #[test]
    fn a_config_map_tells_whom_to_believe() {
        let data = |pairs: &[(&str, &str)]| pairs.iter().map(|(a, b)| ((*a).to_owned(), (*b).to_owned())).collect();
        assert_eq!(FrontProxy::of_config_map(&data(&[("client-ca-file", "x")])), None);
        let found = FrontProxy::of_config_map(&data(&[
            ("requestheader-client-ca-file", "ca"),
            ("requestheader-allowed-names", "[\"front\"]"),
            ("requestheader-username-headers", "[\"X-Remote-User\"]"),
            ("requestheader-group-headers", "nonsense"),
        ]));
        let found = found.expect("it names a CA");
        assert_eq!((found.names, found.user_headers), (vec!["front".to_owned()], vec!["X-Remote-User".to_owned()]));
        assert!(found.group_headers.is_empty());
    }
}
