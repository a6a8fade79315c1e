//! Whose certificates the server trusts when it calls a webhook.

use std::sync::{Arc, OnceLock};

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{WebPkiServerVerifier, verify_server_name};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::server::ParsedCertificate;
use rustls::{CertificateError, ClientConfig, DigitallySignedStruct, Error, RootCertStore, SignatureScheme};
use x509_parser::prelude::{FromDer, X509Certificate};

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

    /// The authorities of a bundle in PEM. A certificate of the bundle is trusted itself, too, whoever signed it.
    pub(super) fn of_bundle(&self, pem: &[u8]) -> Result<Arc<ClientConfig>, String> {
        let mut roots = RootCertStore::empty();
        let mut bundle = Vec::new();
        for certificate in CertificateDer::pem_slice_iter(pem) {
            let certificate = certificate.map_err(|error| format!("the CA bundle is not PEM: {error}"))?;
            bundle.push(certificate.clone());
            roots.add(certificate).map_err(|error| format!("the CA bundle has a bad certificate: {error}"))?;
        }
        if roots.is_empty() {
            return Err("the CA bundle has no certificate".to_owned());
        }
        pinning(roots, bundle)
    }
}

/// Trusts what Go trusts: what the authorities of a bundle have signed, and the very certificates of the bundle.
/// (controller-runtime's envtest gives a webhook's own certificate for a bundle.)
#[derive(Debug)]
struct Pinning {
    signed: Arc<WebPkiServerVerifier>,
    bundle: Vec<CertificateDer<'static>>,
}

fn pinning(roots: RootCertStore, bundle: Vec<CertificateDer<'static>>) -> Result<Arc<ClientConfig>, String> {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let signed = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), Arc::clone(&provider))
        .build()
        .map_err(|error| error.to_string())?;
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| error.to_string())?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(Pinning { signed, bundle }))
        .with_no_client_auth();
    Ok(Arc::new(config))
}

impl Pinning {
    /// What is wrong with a certificate that the bundle itself has, for this server and now.
    fn check_pinned(certificate: &CertificateDer<'_>, name: &ServerName<'_>, now: UnixTime) -> Result<(), Error> {
        verify_server_name(&ParsedCertificate::try_from(certificate)?, name)?;
        let (_, parsed) = X509Certificate::from_der(certificate).map_err(|_| CertificateError::BadEncoding)?;
        let now = i64::try_from(now.as_secs()).unwrap_or(i64::MAX);
        match parsed.validity() {
            validity if now < validity.not_before.timestamp() => Err(CertificateError::NotValidYet.into()),
            validity if now > validity.not_after.timestamp() => Err(CertificateError::Expired.into()),
            _ => Ok(()),
        }
    }
}

impl ServerCertVerifier for Pinning {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        ocsp: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        if self.bundle.iter().any(|known| known == end_entity) {
            return Self::check_pinned(end_entity, name, now).map(|()| ServerCertVerified::assertion());
        }
        self.signed.verify_server_cert(end_entity, intermediates, name, ocsp, now)
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.signed.verify_tls12_signature(message, certificate, signature)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.signed.verify_tls13_signature(message, certificate, signature)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.signed.supported_verify_schemes()
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
