//! The keys that all servers over one store must have alike: the CA's and the one that signs tokens.
//!
//! The first server to come writes them into the store; whoever comes later takes them from there, so that it needs nothing but the
//! store's URL. Who can write the store rules every cluster anyway, by its roles. With a store of one process they stay in files.

use std::sync::Arc;

use atoll_api::{GroupResource, LogicalClusterName};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::pki::{self, Pair, Pki};
use crate::storage::{CommitError, Entry, Key, Store, Txn};

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

/// What is common to all servers over a store.
#[derive(Debug, Clone)]
pub struct Shared {
    /// The CA, which signs servers' and administrators' certificates.
    pub ca: Pair,
    /// The key that signs tokens, PEM.
    pub token_key: String,
}

/// As it is stored: beginning with metadata, as everything the cache holds.
#[derive(Serialize, Deserialize)]
struct Stored {
    metadata: Metadata,
    ca_certificate: String,
    ca_key: String,
    token_key: String,
}

#[derive(Serialize, Deserialize)]
struct Metadata {
    name: String,
}

impl Shared {
    /// The keys of the store; those of this server's files, or new ones, are put there if there are none.
    pub(super) async fn ensure(store: &Arc<Store>, options: &pki::Options) -> Result<Self, Error> {
        if let Some(entry) = store.get(&key()) {
            return Self::read(&entry);
        }
        // What is made now goes into files only when it has become everybody's.
        let files = options.data_dir.clone().filter(|dir| dir.join("pki/ca.key").exists());
        let own = pki::Options { data_dir: files, ..options.clone() };
        let own = Pki::ensure(&own, Timestamp::now()).map_err(Error::Pki)?;
        let shared = Self { ca: own.ca, token_key: own.token_key };
        match store.commit(Txn::create(key(), shared.stored().map_err(Error::Read)?)).await {
            Ok(_) => Ok(shared),
            Err(error @ CommitError::Conflict { .. }) => match store.get(&key()) {
                Some(entry) => Self::read(&entry),
                None => Err(Error::Commit(error)),
            },
            Err(error) => Err(Error::Commit(error)),
        }
    }

    fn stored(&self) -> Result<Vec<u8>, serde_json::Error> {
        serde_json::to_vec(&Stored {
            metadata: Metadata { name: key().name.into() },
            ca_certificate: self.ca.certificate.clone(),
            ca_key: self.ca.key.clone(),
            token_key: self.token_key.clone(),
        })
    }

    fn read(entry: &Entry) -> Result<Self, Error> {
        let stored: Stored = serde_json::from_slice(&entry.bytes).map_err(Error::Read)?;
        let ca = Pair { certificate: stored.ca_certificate, key: stored.ca_key };
        Ok(Self { ca, token_key: stored.token_key })
    }
}

/// A resource that no definition can name, so that no API ever shows it.
fn key() -> Key {
    Key::new(GroupResource::new("-atoll", "keys"), LogicalClusterName::root(), "", "shared")
}
