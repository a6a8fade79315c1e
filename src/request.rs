//! What a request is about: the logical cluster and the Kubernetes request its path names, and who asks.
//!
//! Reads method, path and query only; decides nothing about rights or about what exists.

use std::borrow::Cow;
use std::collections::HashSet;

use atoll_api::{ApiError, ClusterScope, LogicalClusterName, Uid, UserInfo};
use jiff::Timestamp;
use parking_lot::Mutex;

/// What the path and method of a request name, in the words of Kubernetes' `RequestInfo`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct RequestInfo {
    /// Whether the request is for a resource; else for a plain path such as `/healthz`.
    pub is_resource: bool,
    /// `get`, `list`, `watch`, `create`, `update`, `patch`, `delete`, `deletecollection`; the method for plain paths.
    pub verb: String,
    /// The API group, empty for the core group.
    pub group: String,
    /// The version.
    pub version: String,
    /// The namespace, empty if none is named.
    pub namespace: String,
    /// The plural resource name.
    pub resource: String,
    /// The subresource, empty if none.
    pub subresource: String,
    /// The object's name, empty if none is named.
    pub name: String,
    /// Whether the name is that of a field selector, for a list or watch of one object, and not of the path.
    pub name_is_selected: bool,
    /// What follows the subresource, as path segments (`proxy` has them).
    pub rest: Vec<String>,
    /// The path below the cluster's prefix.
    pub path: String,
}

/// The cluster part of a path, and what is below it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClusterPath<'a> {
    /// Which clusters the request speaks of.
    pub scope: ClusterScope,
    /// The path below, beginning with a slash, as it was sent.
    pub rest: &'a str,
}

/// The prefix that names a cluster in a URL.
pub const CLUSTERS_PREFIX: &str = "/clusters/";

/// The deepest path a request may have, in segments.
const MAX_SEGMENTS: usize = 64;

/// Splits `/clusters/<name>/…`; a path without the prefix belongs to the system cluster.
///
/// The name is taken as it stands: an encoded slash or dot never becomes part of a name.
pub fn split_cluster(path: &str) -> Result<ClusterPath<'_>, ApiError> {
    // HTTP has targets that are no paths, such as `*`; none of them is served.
    if !path.starts_with('/') {
        return Err(ApiError::bad_request("the path does not begin with a slash"));
    }
    let Some(after) = path.strip_prefix(CLUSTERS_PREFIX) else {
        return Ok(ClusterPath { scope: ClusterScope::One(LogicalClusterName::root()), rest: path });
    };
    let end = after.find('/').unwrap_or(after.len());
    let (name, rest) = after.split_at(end);
    let rest = if rest.is_empty() { "/" } else { rest };
    if name == "*" {
        return Ok(ClusterPath { scope: ClusterScope::All, rest });
    }
    let plain: Cow<'_, str> =
        if name.contains("%3") { name.replace("%3A", ":").replace("%3a", ":").into() } else { name.into() };
    match LogicalClusterName::parse(&plain) {
        Ok(cluster) => Ok(ClusterPath { scope: ClusterScope::One(cluster), rest }),
        Err(error) => Err(ApiError::bad_request(error.to_string())),
    }
}

/// Reads what a method, a path below a cluster and a query ask for.
pub fn parse(method: &str, path: &str, query: &str) -> Result<RequestInfo, ApiError> {
    let path =
        percent_decode(path).ok_or_else(|| ApiError::bad_request("the path is not valid percent-encoded UTF-8"))?;
    let mut info =
        RequestInfo { verb: method.to_ascii_lowercase(), path: path.clone().into_owned(), ..RequestInfo::default() };
    let segments: Vec<&str> = path.trim_matches('/').split('/').collect();
    if segments.len() > MAX_SEGMENTS {
        return Err(ApiError::bad_request(format!("the path has more than {MAX_SEGMENTS} segments")));
    }
    let rest = match segments.as_slice() {
        ["api", version, rest @ ..] if !rest.is_empty() => {
            info.version = (*version).to_owned();
            rest
        }
        ["apis", group, version, rest @ ..] if !rest.is_empty() => {
            info.group = (*group).to_owned();
            info.version = (*version).to_owned();
            rest
        }
        _ => return Ok(info),
    };
    info.is_resource = true;
    info.verb = verb_of(method).to_owned();
    let rest = match rest {
        // The old way of asking for a watch; only its spelling differs.
        ["watch", rest @ ..] if !rest.is_empty() => {
            info.verb = "watch".to_owned();
            rest
        }
        _ => rest,
    };
    place(&mut info, rest);
    if info.name.is_empty() {
        info.verb = match info.verb.as_str() {
            "get" => collection_read(query, &mut info),
            "delete" => "deletecollection",
            _ => return Ok(info),
        }
        .to_owned();
    }
    Ok(info)
}

/// Fills in namespace, resource, name and subresource from the segments after the version.
fn place(info: &mut RequestInfo, segments: &[&str]) {
    let parts = match segments {
        ["namespaces", name, rest @ ..] => {
            info.namespace = (*name).to_owned();
            match rest {
                [] | ["status" | "finalize"] => segments,
                _ => rest,
            }
        }
        _ => segments,
    };
    let mut parts = parts.iter().map(|part| (*part).to_owned());
    info.resource = parts.next().unwrap_or_default();
    info.name = parts.next().unwrap_or_default();
    info.subresource = parts.next().unwrap_or_default();
    info.rest = parts.collect();
}

fn verb_of(method: &str) -> &'static str {
    match method {
        "POST" => "create",
        "GET" | "HEAD" => "get",
        "PUT" => "update",
        "PATCH" => "patch",
        "DELETE" => "delete",
        _ => "",
    }
}

/// A GET of a collection lists or, with `watch`, watches; a field selector for one name counts as that name for authorization.
fn collection_read(query: &str, info: &mut RequestInfo) -> &'static str {
    let mut verb = "list";
    for pair in query.split('&') {
        let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
        match key {
            "watch" if !matches!(value, "" | "0" | "false" | "False" | "FALSE" | "f" | "F") => verb = "watch",
            "fieldSelector" => {
                let selector = percent_decode(&value.replace('+', " ")).unwrap_or_default().into_owned();
                let named = selector.split(',').find_map(|term| term.strip_prefix("metadata.name="));
                if let Some(name) = named.map(|n| n.trim_start_matches('=')).filter(|n| is_plain_name(n)) {
                    info.name = name.to_owned();
                    info.name_is_selected = true;
                }
            }
            _ => {}
        }
    }
    verb
}

fn is_plain_name(name: &str) -> bool {
    !name.is_empty() && name != "." && name != ".." && !name.contains(['/', '%', '\\'])
}

/// Decodes `%XX`; `None` if that is malformed or not UTF-8.
pub fn percent_decode(text: &str) -> Option<Cow<'_, str>> {
    if !text.contains('%') {
        return Some(Cow::Borrowed(text));
    }
    let mut decoded = Vec::with_capacity(text.len());
    let mut bytes = text.bytes();
    while let Some(byte) = bytes.next() {
        if byte == b'%' {
            let high = (bytes.next()? as char).to_digit(16)?;
            let low = (bytes.next()? as char).to_digit(16)?;
            decoded.push((high * 16 + low) as u8);
        } else {
            decoded.push(byte);
        }
    }
    String::from_utf8(decoded).ok().map(Cow::Owned)
}

/// What travels with a request through the floors: for whom, in which cluster, and what to warn of.
#[derive(Debug)]
pub struct RequestContext {
    /// The logical cluster. For a request over all clusters, the system cluster, whose policy decides.
    pub cluster: LogicalClusterName,
    /// Its identity when the request began; none for work of the server's own.
    pub cluster_uid: Option<Uid>,
    /// Which clusters are read.
    pub scope: ClusterScope,
    /// Who asks.
    pub user: UserInfo,
    /// The client's name for itself, up to the first slash: the default field manager.
    pub user_agent: String,
    /// The time at which the request is handled.
    pub now: Timestamp,
    warnings: Mutex<Warnings>,
}

/// The most characters of all warnings of an answer, as in kube-apiserver; when there are more, each is cut.
const MAX_WARNINGS: usize = 4096;
/// The characters of a warning that is cut.
const CUT_WARNING: usize = 256;

/// What a client is to be warned of, each once, in the order in which it came up.
#[derive(Debug, Default)]
struct Warnings {
    texts: Vec<String>,
    /// The texts as they were given.
    known: HashSet<String>,
    /// The characters in `texts`.
    length: usize,
    cut: bool,
}

impl RequestContext {
    /// The context of a request in one cluster.
    pub fn new(cluster: LogicalClusterName, user: UserInfo, now: Timestamp) -> Self {
        let scope = ClusterScope::One(cluster.clone());
        Self { cluster, cluster_uid: None, scope, user, user_agent: String::new(), now, warnings: Mutex::default() }
    }

    /// The context of the same request, for what is done for it at a later time.
    #[must_use]
    pub fn at(&self, now: Timestamp) -> Self {
        Self {
            cluster: self.cluster.clone(),
            cluster_uid: self.cluster_uid.clone(),
            scope: self.scope.clone(),
            user: self.user.clone(),
            user_agent: self.user_agent.clone(),
            now,
            warnings: Mutex::default(),
        }
    }

    /// Adds a `Warning` header to the answer, once for each text. Of very many not all are told.
    pub fn warn(&self, text: impl Into<String>) {
        self.warnings.lock().add(text.into());
    }

    /// Takes the warnings given so far.
    pub fn take_warnings(&self) -> Vec<String> {
        std::mem::take(&mut *self.warnings.lock()).texts
    }
}

// === impl Warnings ===

impl Warnings {
    fn add(&mut self, text: String) {
        if text.is_empty() || (self.cut && self.length >= MAX_WARNINGS) || self.known.contains(&text) {
            return;
        }
        let whole = text.chars().count();
        if !self.cut && self.length + whole > MAX_WARNINGS {
            // From here on all are cut, those given before too.
            self.cut = true;
            self.texts.iter_mut().for_each(|text| *text = cut(text));
            self.length = self.texts.iter().map(|text| text.chars().count()).sum();
        }
        let told = if self.cut { cut(&text) } else { text.clone() };
        self.length += if self.cut { whole.min(CUT_WARNING) } else { whole };
        self.texts.push(told);
        self.known.insert(text);
    }
}

fn cut(text: &str) -> String {
    text.chars().take(CUT_WARNING).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(method: &str, path: &str, expected: &str) {
        let (path, query) = path.split_once('?').unwrap_or((path, ""));
        let i = parse(method, path, query).expect("parses");
        let shown = format!(
            "{} {}/{} ns={} {}/{} sub={} rest={}",
            i.verb,
            i.group,
            i.version,
            i.namespace,
            i.resource,
            i.name,
            i.subresource,
            i.rest.join("/")
        );
        assert_eq!(shown, expected, "{method} {path}");
    }

    #[test]
    fn paths_and_methods_name_requests_as_in_kubernetes() {
        check("GET", "/api/v1/namespaces", "list /v1 ns= namespaces/ sub= rest=");
        check("GET", "/api/v1/namespaces/a", "get /v1 ns=a namespaces/a sub= rest=");
        check("PUT", "/api/v1/namespaces/a/finalize", "update /v1 ns=a namespaces/a sub=finalize rest=");
        check("POST", "/api/v1/namespaces/a/pods", "create /v1 ns=a pods/ sub= rest=");
        check("GET", "/apis/apps/v1/deployments?watch=1", "watch apps/v1 ns= deployments/ sub= rest=");
        check("GET", "/apis/apps/v1/watch/deployments", "watch apps/v1 ns= deployments/ sub= rest=");
        check(
            "DELETE",
            "/apis/apps/v1/namespaces/a/deployments",
            "deletecollection apps/v1 ns=a deployments/ sub= rest=",
        );
        check(
            "PATCH",
            "/apis/apps/v1/namespaces/a/deployments/b/scale",
            "patch apps/v1 ns=a deployments/b sub=scale rest=",
        );
        check("GET", "/api/v1/namespaces/a/pods/b/proxy/x/y", "get /v1 ns=a pods/b sub=proxy rest=x/y");
        check("GET", "/api/v1/pods?fieldSelector=metadata.name%3Da", "list /v1 ns= pods/a sub= rest=");
    }

    #[test]
    fn warnings_are_told_once_and_cut_when_there_are_too_many() {
        let cx = RequestContext::new(LogicalClusterName::root(), UserInfo::default(), Timestamp::UNIX_EPOCH);
        let given = |texts: &[String]| {
            texts.iter().for_each(|text| cx.warn(text.clone()));
            cx.take_warnings().iter().map(|text| text.chars().count()).collect::<Vec<_>>()
        };
        assert_eq!(given(&["a".into(), String::new(), "a".into(), "b".into()]), [1, 1]);
        assert_eq!(given(&["é".repeat(4000), "b".repeat(96)]), [4000, 96]);
        assert_eq!(given(&["é".repeat(4000), "b".repeat(97), "c".into()]), [256, 97, 1]);
        let many: Vec<String> = (0..100_000).map(|n| format!("{n:300}")).collect();
        assert_eq!(given(&many), [256; 16]);
    }

    #[test]
    fn short_paths_are_not_resources() {
        for path in ["/", "/api", "/api/v1", "/apis/apps", "/apis/apps/v1", "/healthz", "/version/"] {
            assert!(!parse("GET", path, "").expect("parses").is_resource, "{path}");
        }
    }

    #[test]
    fn only_well_formed_names_make_a_cluster_prefix() {
        let one = |name| ClusterScope::One(LogicalClusterName::parse(name).expect("name"));
        let check = |path, scope, rest| assert_eq!(split_cluster(path).expect(path), ClusterPath { scope, rest });
        check("/clusters/a/api", one("a"), "/api");
        check("/clusters/a", one("a"), "/");
        check("/clusters/root%3Aorg/api", one("root:org"), "/api");
        check("/clusters/*/api", ClusterScope::All, "/api");
        check("/api/v1", one("root"), "/api/v1");
        for bad in
            ["/clusters//api", "/clusters/../api", "/clusters/%2e%2e/api", "/clusters/a%2fb/api", "/clusters/A/api"]
        {
            assert!(split_cluster(bad).is_err(), "{bad}");
        }
    }
}
