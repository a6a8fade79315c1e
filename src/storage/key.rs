//! Where a value lives: keys, their encoded form, their order, and the ranges that reads and deletions speak of.
//!
//! No other file builds keys. Whether a name is a good name is not decided here: any text encodes and decodes.

use std::cmp::Ordering;
use std::fmt;
use std::sync::Arc;

use atoll_api::{GroupResource, LogicalClusterName};

/// What every encoded key begins with.
pub(super) const PREFIX: &str = "/atoll/";

/// The address of one value: a resource, a logical cluster, a namespace and a name.
///
/// Encoded as `/atoll/<group>/<resource>/<cluster>/<namespace>/<name>`, with `core` for the core group and `-` for the
/// namespace of what has none. A `/` or `%` inside a part is escaped, so that no two keys share an encoding and no part
/// reaches into its neighbour, whatever a client sent.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Key {
    /// The resource, by group and plural.
    pub resource: GroupResource,
    /// The logical cluster.
    pub cluster: LogicalClusterName,
    /// The namespace; empty for what has none.
    pub namespace: Arc<str>,
    /// The name.
    pub name: Box<str>,
}

/// Where an object stands in its resource's order: by cluster, namespace and name.
///
/// The order is that of the encoded keys, as etcd would give it: `a-b/x` comes before `a/x`, because `-` is less than `/`.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Position {
    /// The logical cluster.
    pub cluster: LogicalClusterName,
    /// The namespace; empty for what has none.
    pub namespace: Arc<str>,
    /// The name.
    pub name: Box<str>,
}

/// A position's parts, borrowed from wherever they live. Bytes, since comparing needs no text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Parts<'a> {
    pub(super) cluster: &'a [u8],
    pub(super) namespace: &'a [u8],
    pub(super) name: &'a [u8],
}

/// Encoded keys from `start` up to, not including, `end`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyRange {
    /// The first key that belongs to the range.
    pub start: Vec<u8>,
    /// The first key beyond it.
    pub end: Vec<u8>,
}

/// Bytes that are not an encoded key.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is not a key of this store: {why}")]
pub struct KeyError {
    /// The bytes, as text.
    pub text: String,
    /// What is wrong with them.
    pub why: &'static str,
}

/// Decodes many keys and lets neighbours share their resource, cluster and namespace.
#[derive(Debug, Default)]
pub struct Decoder {
    last: Option<Key>,
}

// === impl Key ===

impl Key {
    /// Names a value; the namespace is empty for what has none.
    pub fn new(
        resource: GroupResource,
        cluster: LogicalClusterName,
        namespace: impl Into<Arc<str>>,
        name: impl Into<Box<str>>,
    ) -> Self {
        Self { resource, cluster, namespace: namespace.into(), name: name.into() }
    }

    /// The bytes under which engines store the value.
    pub fn encode(&self) -> Vec<u8> {
        let mut out = range_prefix(&self.resource, Some(&self.cluster), Some(&self.namespace), self.name.len());
        push_part(&mut out, &self.name);
        out
    }

    /// Reads an encoded key back.
    pub fn decode(bytes: &[u8]) -> Result<Self, KeyError> {
        Decoder::default().decode(bytes)
    }

    /// Where the key stands in its resource's order.
    pub fn position(&self) -> Position {
        Position { cluster: self.cluster.clone(), namespace: self.namespace.clone(), name: self.name.clone() }
    }

    pub(super) fn parts(&self) -> Parts<'_> {
        Parts::new(self.cluster.as_str(), &self.namespace, &self.name)
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&String::from_utf8_lossy(&self.encode()))
    }
}

// === impl Position ===

impl Position {
    /// Names a position, as it comes back from a client that continues a list.
    pub fn new(cluster: LogicalClusterName, namespace: impl Into<Arc<str>>, name: impl Into<Box<str>>) -> Self {
        Self { cluster, namespace: namespace.into(), name: name.into() }
    }

    pub(super) fn parts(&self) -> Parts<'_> {
        Parts::new(self.cluster.as_str(), &self.namespace, &self.name)
    }
}

impl Ord for Position {
    fn cmp(&self, other: &Self) -> Ordering {
        self.parts().cmp(&other.parts())
    }
}

impl PartialOrd for Position {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

// === impl Parts ===

impl<'a> Parts<'a> {
    pub(super) fn new(cluster: &'a str, namespace: &'a str, name: &'a str) -> Self {
        Self { cluster: cluster.as_bytes(), namespace: namespace.as_bytes(), name: name.as_bytes() }
    }

    /// This position compared with the span of everything in `cluster` (and in `namespace`, if one is given): `Equal`
    /// means inside.
    pub(super) fn cmp_span(&self, cluster: &str, namespace: Option<&str>) -> Ordering {
        let by_cluster = cmp_part(self.cluster, cluster.as_bytes());
        match namespace {
            Some(namespace) if by_cluster.is_eq() => cmp_part(self.namespace, namespace.as_bytes()),
            _ => by_cluster,
        }
    }
}

impl Ord for Parts<'_> {
    fn cmp(&self, other: &Self) -> Ordering {
        cmp_part(self.cluster, other.cluster)
            .then_with(|| cmp_part(self.namespace, other.namespace))
            .then_with(|| self.name.cmp(other.name))
    }
}

impl PartialOrd for Parts<'_> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

/// Compares two parts as if a `/` followed each, which is how they stand in an encoded key.
fn cmp_part(a: &[u8], b: &[u8]) -> Ordering {
    let common = a.len().min(b.len());
    a[..common].cmp(&b[..common]).then_with(|| match (a.get(common), b.get(common)) {
        (None, None) => Ordering::Equal,
        (None, Some(next)) => b'/'.cmp(next).then(Ordering::Less),
        (Some(next), None) => next.cmp(&b'/').then(Ordering::Greater),
        (Some(_), Some(_)) => Ordering::Equal,
    })
}

// === impl KeyRange ===

impl KeyRange {
    /// Every value of a resource, in all logical clusters.
    pub fn resource(resource: &GroupResource) -> Self {
        Self::under(range_prefix(resource, None, None, 0))
    }

    /// Every value of a resource in one logical cluster.
    pub fn cluster(resource: &GroupResource, cluster: &LogicalClusterName) -> Self {
        Self::under(range_prefix(resource, Some(cluster), None, 0))
    }

    /// Every value of a resource in one namespace of one logical cluster.
    pub fn namespace(resource: &GroupResource, cluster: &LogicalClusterName, namespace: &str) -> Self {
        Self::under(range_prefix(resource, Some(cluster), Some(namespace), 0))
    }

    /// Whether an encoded key lies in the range.
    pub fn contains(&self, key: &[u8]) -> bool {
        self.start.as_slice() <= key && key < self.end.as_slice()
    }

    /// The range of all keys that begin with `prefix`, which ends in `/`.
    fn under(prefix: Vec<u8>) -> Self {
        let mut end = prefix.clone();
        if let Some(last) = end.last_mut() {
            *last += 1;
        }
        Self { start: prefix, end }
    }
}

// === impl Decoder ===

impl Decoder {
    /// Reads an encoded key.
    pub fn decode(&mut self, bytes: &[u8]) -> Result<Key, KeyError> {
        let fail = |why| KeyError { text: String::from_utf8_lossy(bytes).into_owned(), why };
        let text = std::str::from_utf8(bytes).map_err(|_| fail("it is not UTF-8"))?;
        let rest = text.strip_prefix(PREFIX).ok_or_else(|| fail("it does not begin with the store's prefix"))?;
        let mut parts = rest.split('/');
        let mut next = || parts.next().ok_or_else(|| fail("it has too few parts"));
        let (group, resource, cluster, namespace, name) = (next()?, next()?, next()?, next()?, next()?);
        if parts.next().is_some() {
            return Err(fail("it has too many parts"));
        }
        let group = if group == "core" { String::new() } else { plain(group).ok_or_else(|| fail("bad escape"))? };
        let resource = plain(resource).ok_or_else(|| fail("bad escape"))?;
        let namespace =
            if namespace == "-" { String::new() } else { plain(namespace).ok_or_else(|| fail("bad escape"))? };
        let name = plain(name).ok_or_else(|| fail("bad escape"))?;
        let key = match &self.last {
            Some(last) => Key {
                resource: if *last.resource.group == *group && *last.resource.resource == *resource {
                    last.resource.clone()
                } else {
                    GroupResource::new(group, resource)
                },
                cluster: if last.cluster.as_str() == cluster {
                    last.cluster.clone()
                } else {
                    LogicalClusterName::parse(cluster).map_err(|_| fail("bad logical cluster name"))?
                },
                namespace: if *last.namespace == *namespace { last.namespace.clone() } else { namespace.into() },
                name: name.into(),
            },
            None => Key {
                resource: GroupResource::new(group, resource),
                cluster: LogicalClusterName::parse(cluster).map_err(|_| fail("bad logical cluster name"))?,
                namespace: namespace.into(),
                name: name.into(),
            },
        };
        self.last = Some(key.clone());
        Ok(key)
    }
}

/// The encoded parts that are given, each with its `/`; room for `more` bytes after them.
fn range_prefix(
    resource: &GroupResource,
    cluster: Option<&LogicalClusterName>,
    namespace: Option<&str>,
    more: usize,
) -> Vec<u8> {
    let length = resource.group.len().max(4)
        + resource.resource.len()
        + cluster.map_or(0, |cluster| cluster.as_str().len())
        + namespace.map_or(0, str::len);
    let mut out = Vec::with_capacity(PREFIX.len() + length + more + 5);
    out.extend_from_slice(PREFIX.as_bytes());
    match &*resource.group {
        "" => out.extend_from_slice(b"core"),
        // The word is taken by the core group, so a group of that name is escaped.
        "core" => out.extend_from_slice(b"%63ore"),
        group => push_part(&mut out, group),
    }
    out.push(b'/');
    push_part(&mut out, &resource.resource);
    out.push(b'/');
    let Some(cluster) = cluster else { return out };
    push_part(&mut out, cluster.as_str());
    out.push(b'/');
    let Some(namespace) = namespace else { return out };
    match namespace {
        "" => out.push(b'-'),
        "-" => out.extend_from_slice(b"%2D"),
        namespace => push_part(&mut out, namespace),
    }
    out.push(b'/');
    out
}

/// Appends a part with `/` and `%` escaped; names of Kubernetes contain neither.
fn push_part(out: &mut Vec<u8>, part: &str) {
    for &byte in part.as_bytes() {
        match byte {
            b'/' => out.extend_from_slice(b"%2F"),
            b'%' => out.extend_from_slice(b"%25"),
            byte => out.push(byte),
        }
    }
}

/// A part without its escapes, or `None` when one is malformed.
fn plain(part: &str) -> Option<String> {
    if !part.contains('%') {
        return Some(part.to_owned());
    }
    let mut out = Vec::with_capacity(part.len());
    let mut bytes = part.bytes();
    while let Some(byte) = bytes.next() {
        if byte == b'%' {
            let digit = |b: Option<u8>| b.and_then(|b| char::from(b).to_digit(16));
            let (high, low) = (digit(bytes.next())?, digit(bytes.next())?);
            out.push(u8::try_from(high * 16 + low).ok()?);
        } else {
            out.push(byte);
        }
    }
    String::from_utf8(out).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(group: &str, resource: &str, cluster: &str, namespace: &str, name: &str) -> Key {
        let cluster = LogicalClusterName::parse(cluster).unwrap();
        Key::new(GroupResource::new(group, resource), cluster, namespace, name)
    }

    #[test]
    fn keys_read_as_paths() {
        for (key, text) in [
            (key("", "pods", "team-a", "default", "web-0"), "/atoll/core/pods/team-a/default/web-0"),
            (key("apps", "deployments", "root:org", "x", "y"), "/atoll/apps/deployments/root:org/x/y"),
            (key("", "nodes", "c", "", "n1"), "/atoll/core/nodes/c/-/n1"),
        ] {
            assert_eq!(key.to_string(), text);
        }
    }

    #[test]
    fn every_key_decodes_to_itself_and_no_two_encode_alike() {
        let texts = ["", "-", "a", "a/b", "b", "core", "%2F", "%", "/", "//", "é", "system:node", "a\0b", "\u{ffff}"];
        let mut seen = std::collections::HashMap::new();
        for group in ["", "core", "apps", "a/b"] {
            for namespace in texts {
                for name in texts {
                    let key = key(group, "things", "c", namespace, name);
                    assert_eq!(Key::decode(&key.encode()).as_ref(), Ok(&key));
                    assert_eq!(seen.insert(key.encode(), key.clone()), None, "{key}");
                }
            }
        }
    }

    #[test]
    fn foreign_bytes_are_not_keys() {
        for bad in ["", "/", "/atoll/", "/other/core/pods/c/n/x", "/atoll/core/pods/c/n", "/atoll/core/pods/C/n/x"] {
            assert!(Key::decode(bad.as_bytes()).is_err(), "{bad}");
        }
        assert!(Key::decode(b"/atoll/core/pods/c/n/x/y").is_err());
        assert!(Key::decode(b"/atoll/core/pods/c/n/%zz").is_err());
        assert!(Key::decode(b"/atoll/core/pods/c/n/%F").is_err());
        assert!(Key::decode(b"/atoll/core/pods/c/n/\xff").is_err());
    }

    #[test]
    fn positions_stand_in_the_order_of_encoded_keys() {
        let mut keys = Vec::new();
        for cluster in ["a", "a-b", "a:b", "ab", "a0", "b"] {
            for namespace in ["n", "n-1", "n.x", "n0", "na"] {
                for name in ["x", "x-1", "x.y", "x0", "xa", "y"] {
                    keys.push(key("", "pods", cluster, namespace, name));
                }
            }
        }
        let mut by_position = keys.clone();
        by_position.sort_by_key(Key::position);
        keys.sort_by_key(Key::encode);
        assert_eq!(by_position, keys);
    }

    #[test]
    fn ranges_hold_exactly_their_keys() {
        let pods = GroupResource::new("", "pods");
        let cluster = LogicalClusterName::parse("a").unwrap();
        let inside = key("", "pods", "a", "n", "x").encode();
        assert!(KeyRange::resource(&pods).contains(&inside));
        assert!(KeyRange::cluster(&pods, &cluster).contains(&inside));
        assert!(KeyRange::namespace(&pods, &cluster, "n").contains(&inside));
        for (resource, other, namespace) in
            [("pods", "a-b", "n"), ("pods", "a:n", "n"), ("pods", "b", "n"), ("podsx", "a", "n")]
        {
            assert!(!KeyRange::cluster(&pods, &cluster).contains(&key("", resource, other, namespace, "x").encode()));
        }
        for namespace in ["n-1", "n0", "", "-", "n/x"] {
            let other = key("", "pods", "a", namespace, "x").encode();
            assert!(!KeyRange::namespace(&pods, &cluster, "n").contains(&other), "{namespace}");
        }
        assert!(!KeyRange::resource(&pods).contains(&key("", "podsx", "a", "n", "x").encode()));
    }
}
