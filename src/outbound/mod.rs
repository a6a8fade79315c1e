//! Connections to whom tenants name: their webhooks, and the API servers that serve groups of theirs.
//!
//! The one place that decides where such connections may lead. Names are looked up here, and the address that is checked
//! is the one that is called. What is said over a connection is not decided here.

mod address;
mod connect;
mod services;
mod trust;

use std::sync::Arc;

pub use address::{Addresses, Network, NoAddresses};
pub(crate) use connect::{Destination, Stream, connect};
pub use services::{ServiceAddress, Services, StoredServices};
pub(crate) use trust::{Shown, Trust, client};

/// Where what tenants name may be.
#[derive(Clone, Default)]
pub struct Outbound {
    /// The addresses that may be called.
    pub addresses: Addresses,
    /// Who knows where services are. A server that is given nobody asks the objects of the cluster itself
    /// ([`StoredServices`]).
    pub services: Option<Arc<dyn Services>>,
}
