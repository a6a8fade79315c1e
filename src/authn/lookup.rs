//! The objects that tokens are bound to, as far as authentication must know them.

use std::fmt;

use atoll_api::{LogicalClusterName, Uid};
use jiff::Timestamp;

/// A kind of object that tokens are bound to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[allow(missing_docs)]
pub enum Referent {
    ServiceAccount,
    Pod,
    Secret,
    /// At the cluster scope; the namespace is empty.
    Node,
}

/// What is known of an object that exists.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// Its uid.
    pub uid: Uid,
    /// When its deletion began, if it has.
    pub deleted: Option<Timestamp>,
    /// Of a pod, the name of its service account; else empty.
    pub service_account: String,
    /// Of a pod, the name of its node, if it has one; else empty.
    pub node: String,
}

/// Finds logical clusters and the objects that tokens are bound to.
///
/// Called for every request with a signed token, before it is authorized; answers come from memory. It must not tell of
/// a cluster or object that is gone: that is what revokes tokens.
pub trait ObjectLookup: Send + Sync {
    /// The uid of a logical cluster that exists.
    fn cluster_uid(&self, cluster: &LogicalClusterName) -> Option<Uid>;

    /// An object of a cluster, by namespace (empty for nodes) and name.
    fn find(&self, cluster: &LogicalClusterName, referent: Referent, namespace: &str, name: &str) -> Option<Found>;
}

// === impl Referent ===

impl Referent {
    /// The plural resource name.
    pub fn resource(self) -> &'static str {
        match self {
            Self::ServiceAccount => "serviceaccounts",
            Self::Pod => "pods",
            Self::Secret => "secrets",
            Self::Node => "nodes",
        }
    }
}

impl fmt::Display for Referent {
    /// As it is called in what TokenReviews say.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::ServiceAccount => "service account",
            Self::Pod => "pod",
            Self::Secret => "secret",
            Self::Node => "node",
        })
    }
}
