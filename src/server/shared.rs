//! The keys that all servers over one store must have alike: those of the CAs and the one that signs tokens.
//!
//! The first server to come writes them into the store; whoever comes later takes them from there, so that it needs nothing but the
//! store's URL. Who can write the store rules every cluster anyway, by its roles. With a store of one process they stay in files.

use std::sync::Arc;

use atoll_api::{GroupResource, LogicalClusterName};
use bytes::Bytes;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::pki::{self, Pair, Pki};
use crate::storage::{CommitError, Key, Store, Txn};

/// Why there are no common keys.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// This server's own could not be made or read.
    #[error("make them")]
    Pki(#[source] pki::Error),
    /// The store did not take them.
    #[error("write them to the store")]
    Commit(#[source] CommitError),
    /// What the store holds is something else.
    #[error("read them from the store")]
    Read(#[source] serde_json::Error),
}

/// The names under which they are stored.
const KEYS: &str = "shared";
const FRONT: &str = "front-proxy";

/// What is common to all servers over a store.
#[derive(Debug, Clone)]
pub struct Shared {
    /// The CA, which signs servers' and administrators' certificates.
    pub ca: Pair,
    /// The key that signs tokens, PEM.
    pub token_key: String,
    /// The CA of the servers' certificates as front proxies.
    pub front_proxy: Pair,
}

/// As it is stored: beginning with metadata, as everything the cache holds.
#[derive(Serialize, Deserialize)]
struct Stored {
    metadata: Metadata,
    ca_certificate: String,
    ca_key: String,
    token_key: String,
}

/// The CA of front proxies, by itself: stores that were there before it have none.
#[derive(Serialize, Deserialize)]
struct StoredFront {
    metadata: Metadata,
    ca_certificate: String,
    ca_key: String,
}

#[derive(Serialize, Deserialize)]
struct Metadata {
    name: String,
}

impl Shared {
    /// The keys of the store; those of this server's files, or new ones, are put there if there are none.
    pub(super) async fn ensure(store: &Arc<Store>, options: &pki::Options) -> Result<Self, Error> {
        if let (Some(keys), Some(front)) = (store.get(&key(KEYS)), store.get(&key(FRONT))) {
            return Self::read(&keys.bytes(), &front.bytes());
        }
        // What is made now goes into files only when it has become everybody's.
        let files = options.data_dir.clone().filter(|dir| dir.join("pki/ca.key").exists());
        let own = pki::Options { data_dir: files, ..options.clone() };
        let own = Pki::ensure(&own, Timestamp::now()).map_err(Error::Pki)?;
        let metadata = |name: &str| Metadata { name: name.to_owned() };
        let keys = Stored {
            metadata: metadata(KEYS),
            ca_certificate: own.ca.certificate,
            ca_key: own.ca.key,
            token_key: own.token_key,
        };
        let front = StoredFront {
            metadata: metadata(FRONT),
            ca_certificate: own.front_proxy.certificate,
            ca_key: own.front_proxy.key,
        };
        let keys = found_or_put(store, KEYS, serde_json::to_vec(&keys)).await?;
        let front = found_or_put(store, FRONT, serde_json::to_vec(&front)).await?;
        Self::read(&keys, &front)
    }

    fn read(keys: &[u8], front: &[u8]) -> Result<Self, Error> {
        let keys: Stored = serde_json::from_slice(keys).map_err(Error::Read)?;
        let front: StoredFront = serde_json::from_slice(front).map_err(Error::Read)?;
        Ok(Self {
            ca: Pair { certificate: keys.ca_certificate, key: keys.ca_key },
            token_key: keys.token_key,
            front_proxy: Pair { certificate: front.ca_certificate, key: front.ca_key },
        })
    }
}

/// What is stored under a name: what was there, or what is put there now.
async fn found_or_put(store: &Arc<Store>, name: &str, new: serde_json::Result<Vec<u8>>) -> Result<Bytes, Error> {
    let key = key(name);
    if let Some(entry) = store.get(&key) {
        return Ok(entry.bytes());
    }
    let new = Bytes::from(new.map_err(Error::Read)?);
    match store.commit(Txn::create(key.clone(), new.clone())).await {
        Ok(_) => Ok(new),
        // Whoever was faster has become everybody's.
        Err(error @ CommitError::Conflict { .. }) => match store.get(&key) {
            Some(entry) => Ok(entry.bytes()),
            None => Err(Error::Commit(error)),
        },
        Err(error) => Err(Error::Commit(error)),
    }
}

/// A resource that no definition can name, so that no API ever shows it.
fn key(name: &str) -> Key {
    Key::new(GroupResource::new("-atoll", "keys"), LogicalClusterName::root(), "", name)
}
