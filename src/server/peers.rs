//! Who is at the other end of a connection, by the certificate it shows: a user, or a front proxy that speaks for users.
//!
//! The handshake lets either pass. Here they are told apart, so that no front proxy is taken for a user, and no user for a
//! front proxy.

use std::sync::Arc;

use rustls::RootCertStore;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, UnixTime};
use rustls::server::WebPkiClientVerifier;
use rustls::server::danger::ClientCertVerifier;

use super::pki::Error;
use crate::authn::{ClientCertificate, FrontProxy};
use crate::http::Peer;

/// Tells who shows a certificate.
pub(super) struct Peers {
    /// Whose certificates are users'; none where the handshake lets nobody else pass.
    users: Option<Arc<dyn ClientCertVerifier>>,
    fronts: Vec<(Arc<dyn ClientCertVerifier>, Arc<FrontProxy>)>,
}

// === impl Peers ===

impl Peers {
    /// Users of these CAs (PEM), and front proxies.
    pub(super) fn new(user_ca: &str, fronts: &[FrontProxy]) -> Result<Self, Error> {
        let users = if fronts.is_empty() { None } else { Some(verifier(user_ca)?) };
        let fronts = fronts.iter().map(|front| Ok((verifier(&front.ca)?, Arc::new(front.clone()))));
        Ok(Self { users, fronts: fronts.collect::<Result<_, Error>>()? })
    }

    /// Who shows these certificates, which the handshake has verified.
    pub(super) fn recognise(&self, chain: Option<&[CertificateDer<'_>]>) -> Peer {
        let Some((own, further)) = chain.and_then(<[_]>::split_first) else { return Peer::default() };
        let certificate = ClientCertificate::from_der(own).unwrap_or_else(|error| {
            tracing::debug!(%error, "a client certificate names nobody");
            None
        });
        let signed =
            |verifier: &dyn ClientCertVerifier| verifier.verify_client_cert(own, further, UnixTime::now()).is_ok();
        let name = certificate.as_ref().map(|certificate| certificate.user().name.as_str()).unwrap_or_default();
        let is_named = |front: &FrontProxy| front.names.is_empty() || front.names.iter().any(|known| known == name);
        let front = self.fronts.iter().find(|(verifier, front)| is_named(front) && signed(&**verifier));
        let front_proxy = front.map(|(_, front)| Arc::clone(front));
        let is_user = self.users.as_ref().is_none_or(|verifier| signed(&**verifier));
        Peer { certificate: certificate.filter(|_| is_user).map(Arc::new), front_proxy }
    }
}

fn verifier(ca: &str) -> Result<Arc<dyn ClientCertVerifier>, Error> {
    let tls = |cause: Box<dyn std::error::Error + Send + Sync>| Error::Tls(cause);
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(ca.as_bytes()) {
        roots.add(certificate.map_err(|e| tls(e.to_string().into()))?).map_err(|e| tls(e.into()))?;
    }
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider).build();
    verifier.map_err(|error| tls(error.into()))
}
