//! Putting a server together and running it.
pub mod kubeconfig;
pub mod pki;
