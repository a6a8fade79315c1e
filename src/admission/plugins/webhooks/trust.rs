//! Whose certificates the server trusts when it calls a webhook.

use std::sync::{Arc, OnceLock};

use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::{ClientConfig, RootCertStore};

/// What is trusted, by those who do not say whom they trust.
#[derive(Default)]
pub(super) struct Trust {
    system: OnceLock<Result<Arc<ClientConfig>, String>>,
}

impl Trust {
    /// The authorities of the machine, read when first needed.
    pub(super) fn of_system(&self) -> Result<Arc<ClientConfig>, String> {
        let read = || {
            let mut roots = RootCertStore::empty();
            // What cannot be read is left out: a machine may well have one bad file among many.
            roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
            if roots.is_empty() {
                return Err("the machine trusts no certificate authority; set a CA bundle".to_owned());
            }
            client(roots)
        };
        self.system.get_or_init(read).clone()
    }

    /// The authorities of a bundle in PEM.
    pub(super) fn of_bundle(&self, pem: &[u8]) -> Result<Arc<ClientConfig>, String> {
        let mut roots = RootCertStore::empty();
        for certificate in CertificateDer::pem_slice_iter(pem) {
            let certificate = certificate.map_err(|error| format!("the CA bundle is not PEM: {error}"))?;
            roots.add(certificate).map_err(|error| format!("the CA bundle has a bad certificate: {error}"))?;
        }
        if roots.is_empty() {
            return Err("the CA bundle has no certificate".to_owned());
        }
        client(roots)
    }
}

fn client(roots: RootCertStore) -> Result<Arc<ClientConfig>, String> {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| error.to_string())?
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(Arc::new(config))
}
