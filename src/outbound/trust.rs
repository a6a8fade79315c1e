//! Whose certificates the server trusts when it calls somebody for a tenant.

use std::sync::{Arc, OnceLock};

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{WebPkiServerVerifier, verify_server_name};
use rustls::crypto::{WebPkiSupportedAlgorithms, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::server::ParsedCertificate;
use rustls::{CertificateError, ClientConfig, DigitallySignedStruct, Error, RootCertStore, SignatureScheme};
use x509_parser::prelude::{FromDer, X509Certificate};

/// Who is believed to be the server that is called.
type Verifier = Arc<dyn ServerCertVerifier>;

/// What is trusted, by those who do not say whom they trust.
#[derive(Default)]
pub(crate) struct Trust {
    system: OnceLock<Result<Verifier, String>>,
}

/// By what the server shows those whom it calls who it is: certificates in DER, the first its own, and the key of that.
pub(crate) struct Shown {
    /// The certificates.
    pub(crate) chain: Vec<CertificateDer<'static>>,
    /// The key.
    pub(crate) key: PrivateKeyDer<'static>,
}

// === impl Trust ===

impl Trust {
    /// The authorities of the machine, read when first needed.
    pub(crate) fn of_system(&self) -> Result<Verifier, String> {
        let read = || {
            let mut roots = RootCertStore::empty();
            // What cannot be read is left out: a machine may well have one bad file among many.
            roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
            if roots.is_empty() {
                return Err("the machine trusts no certificate authority; set a CA bundle".to_owned());
            }
            Ok(signed_by(roots)? as Verifier)
        };
        self.system.get_or_init(read).clone()
    }

    /// The authorities of a bundle in PEM. A certificate of the bundle is trusted itself, too, whoever signed it.
    pub(crate) fn of_bundle(&self, pem: &[u8]) -> Result<Verifier, String> {
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
        Ok(Arc::new(Believing { whom: Whom::SignedOr { signed: signed_by(roots)?, bundle }, algorithms: algorithms() }))
    }

    /// Anybody.
    pub(crate) fn of_anybody(&self) -> Verifier {
        Arc::new(Believing { whom: Whom::Anybody, algorithms: algorithms() })
    }
}

/// How to speak TLS with somebody who must be whom the verifier believes.
pub(crate) fn client(verifier: Verifier, shown: Option<Shown>) -> Result<ClientConfig, String> {
    let config = ClientConfig::builder_with_provider(Arc::new(rustls::crypto::aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(|error| error.to_string())?
        .dangerous()
        .with_custom_certificate_verifier(verifier);
    match shown {
        None => Ok(config.with_no_client_auth()),
        Some(Shown { chain, key }) => config.with_client_auth_cert(chain, key).map_err(|error| error.to_string()),
    }
}

fn signed_by(roots: RootCertStore) -> Result<Arc<WebPkiServerVerifier>, String> {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let verifier = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider).build();
    verifier.map_err(|error| error.to_string())
}

fn algorithms() -> WebPkiSupportedAlgorithms {
    rustls::crypto::aws_lc_rs::default_provider().signature_verification_algorithms
}

/// Verifies what rustls' own verifier would refuse.
#[derive(Debug)]
struct Believing {
    whom: Whom,
    algorithms: WebPkiSupportedAlgorithms,
}

/// Whose certificates are believed; that they have the key to them is checked of everybody.
#[derive(Debug)]
enum Whom {
    /// Whom Go believes: what the authorities of a bundle have signed, and the very certificates of the bundle.
    /// (controller-runtime's envtest gives a webhook's own certificate for a bundle.)
    SignedOr { signed: Arc<WebPkiServerVerifier>, bundle: Vec<CertificateDer<'static>> },
    /// Everybody, as a tenant may ask for its own servers.
    Anybody,
}

impl Believing {
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

impl ServerCertVerifier for Believing {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        ocsp: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        match &self.whom {
            Whom::Anybody => Ok(ServerCertVerified::assertion()),
            Whom::SignedOr { bundle, .. } if bundle.iter().any(|known| known == end_entity) => {
                Self::check_pinned(end_entity, name, now).map(|()| ServerCertVerified::assertion())
            }
            Whom::SignedOr { signed, .. } => signed.verify_server_cert(end_entity, intermediates, name, ocsp, now),
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, certificate, signature, &self.algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, certificate, signature, &self.algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.algorithms.supported_schemes()
    }
}
