//! Clusters and the objects tokens are bound to, in memory, for tests.

use std::collections::HashMap;
use std::sync::Arc;

use atoll_api::{LogicalClusterName, Uid};
use jiff::Timestamp;
use parking_lot::Mutex;

use super::signed::{Extension, Issuer, KeyRing, Options};
use super::{AnonymousAccess, Config, Found, ObjectLookup, Referent, SignedTokens, Union, default_chain};

/// The audience, and issuer, of the API.
pub(super) const API: &str = "https://kubernetes.default.svc";

type Place = (String, Referent, String, String);

/// Objects that tests may change.
#[derive(Default)]
pub(super) struct FakeObjects {
    clusters: Mutex<HashMap<String, String>>,
    objects: Mutex<HashMap<Place, Found>>,
}

pub(super) fn cluster(name: &str) -> LogicalClusterName {
    LogicalClusterName::parse(name).expect("a cluster's name")
}

pub(super) fn now() -> Timestamp {
    "2026-06-01T12:00:00Z".parse().expect("a time")
}

/// Tokens over these objects, signed with a key of their own.
pub(super) fn tokens(objects: impl Into<Arc<FakeObjects>>) -> Arc<SignedTokens> {
    tokens_with(objects, Issuer::Fixed(API.to_owned()))
}

pub(super) fn tokens_with(objects: impl Into<Arc<FakeObjects>>, issuer: Issuer) -> Arc<SignedTokens> {
    let pem = rcgen::KeyPair::generate().expect("a key").serialize_pem();
    let keys = KeyRing::from_pem(&pem, &[]).expect("a usable key");
    let audiences = vec![API.to_owned()];
    let options = Options { issuer, audiences, max_expiration_seconds: None, extension: Extension::Year };
    let lookup: Arc<FakeObjects> = objects.into();
    Arc::new(SignedTokens::new(options, move || keys, lookup))
}

pub(super) fn union(tokens: &Arc<SignedTokens>) -> Union {
    default_chain(Config {
        token_file: None,
        signed_tokens: Some(Arc::clone(tokens)),
        anonymous: AnonymousAccess::Allowed,
        audiences: tokens.audiences().to_vec(),
    })
}

impl FakeObjects {
    /// Two clusters, each with a service account `robot` in the namespace `ns`.
    pub(super) fn two_clusters() -> Self {
        let objects = Self::default();
        for name in ["team-a", "team-b"] {
            objects.add_cluster(name, &format!("uid-{name}"));
            let uid = format!("{name}-robot");
            objects.set(name, Referent::ServiceAccount, "ns", "robot", Some((&uid, None)));
        }
        objects
    }

    pub(super) fn add_cluster(&self, name: &str, uid: &str) {
        self.clusters.lock().insert(name.to_owned(), uid.to_owned());
    }

    pub(super) fn remove_cluster(&self, name: &str) {
        self.clusters.lock().remove(name);
    }

    /// Puts an object there, with its uid and the time its deletion began, or takes it away.
    pub(super) fn set(
        &self,
        cluster: &str,
        referent: Referent,
        namespace: &str,
        name: &str,
        what: Option<(&str, Option<Timestamp>)>,
    ) {
        let found = what.map(|(uid, deleted)| Found {
            uid: Uid::new(uid),
            deleted,
            service_account: String::new(),
            node: String::new(),
        });
        self.put(cluster, referent, namespace, name, found);
    }

    pub(super) fn put(&self, cluster: &str, referent: Referent, namespace: &str, name: &str, found: Option<Found>) {
        let place = (cluster.to_owned(), referent, namespace.to_owned(), name.to_owned());
        match found {
            Some(found) => self.objects.lock().insert(place, found),
            None => self.objects.lock().remove(&place),
        };
    }
}

impl ObjectLookup for FakeObjects {
    fn cluster_uid(&self, cluster: &LogicalClusterName) -> Option<Uid> {
        self.clusters.lock().get(cluster.as_str()).map(|uid| Uid::new(uid.as_str()))
    }

    fn find(&self, cluster: &LogicalClusterName, referent: Referent, namespace: &str, name: &str) -> Option<Found> {
        let place = (cluster.as_str().to_owned(), referent, namespace.to_owned(), name.to_owned());
        self.objects.lock().get(&place).cloned()
    }
}
