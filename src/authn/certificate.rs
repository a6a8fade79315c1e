//! The identity in a client certificate that the TLS handshake has verified.
//!
//! Verifies no signatures: that is done by the handshake, against the platform's own CA only.

use atoll_api::UserInfo;
use jiff::Timestamp;
use sha2::{Digest, Sha256};
use x509_parser::oid_registry::Oid;
use x509_parser::prelude::{FromDer, X509Certificate};

use super::{Attempt, Authenticator, CREDENTIAL_ID, Identity, Method, Scope, common_audiences};

/// The attribute of a subject in which Kubernetes puts a user's uid.
const UID_ATTRIBUTE: &[u64] = &[1, 3, 6, 1, 4, 1, 57683, 2];

/// Why a certificate cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// It is not a certificate.
    #[error("the client certificate is malformed")]
    Malformed,
    /// Its uid attribute is empty, not text, or there twice.
    #[error("the client certificate must have at most one, non-empty uid attribute")]
    Uid,
}

/// What a client certificate tells about its owner; read once for a connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClientCertificate {
    user: UserInfo,
    not_before: i64,
    not_after: i64,
}

/// Recognises the owners of client certificates.
pub(super) struct Certificates;

// === impl ClientCertificate ===

impl ClientCertificate {
    /// Reads the client's own (first) certificate of a verified chain; `None` if it has no common name, in which case
    /// the client counts as one without certificate.
    pub fn from_der(der: &[u8]) -> Result<Option<Self>, Error> {
        let (_, certificate) = X509Certificate::from_der(der).map_err(|_| Error::Malformed)?;
        let subject = certificate.subject();
        let text = |attribute: &x509_parser::x509::AttributeTypeAndValue<'_>| {
            attribute.as_str().map(str::to_owned).map_err(|_| Error::Malformed)
        };
        // The last one counts, as in Go, should there be several.
        let name = subject.iter_common_name().last().map(text).transpose()?.unwrap_or_default();
        if name.is_empty() {
            return Ok(None);
        }
        let groups = subject.iter_organization().map(text).collect::<Result<Vec<_>, _>>()?;
        let fingerprint: String = Sha256::digest(der).iter().map(|byte| format!("{byte:02x}")).collect();
        let extra = [(CREDENTIAL_ID.to_owned(), vec![format!("X509SHA256={fingerprint}")])].into();
        let uid = uid_of(&certificate)?;
        let validity = certificate.validity();
        Ok(Some(Self {
            user: UserInfo { name, uid, groups, extra },
            not_before: validity.not_before.timestamp(),
            not_after: validity.not_after.timestamp(),
        }))
    }

    /// The owner.
    pub fn user(&self) -> &UserInfo {
        &self.user
    }
}

fn uid_of(certificate: &X509Certificate<'_>) -> Result<String, Error> {
    let oid = Oid::from(UID_ATTRIBUTE).expect("the constant is a well-formed object identifier");
    let mut uids = certificate.subject().iter_by_oid(&oid);
    match (uids.next(), uids.next()) {
        (None, _) => Ok(String::new()),
        (Some(uid), None) => match uid.as_str() {
            Ok(text) if !text.is_empty() => Ok(text.to_owned()),
            _ => Err(Error::Uid),
        },
        (Some(_), Some(_)) => Err(Error::Uid),
    }
}

impl Authenticator for Certificates {
    fn authenticate(&self, attempt: &Attempt<'_>) -> Result<Option<Identity>, String> {
        let Some(certificate) = attempt.credentials.certificate else { return Ok(None) };
        // A connection may live longer than the certificate it was opened with.
        if !(certificate.not_before..=certificate.not_after).contains(&attempt.now.as_second()) {
            return Err("the client certificate has expired or is not yet valid".to_owned());
        }
        Ok(Some(Identity {
            user: certificate.user.clone(),
            scope: Scope::Global,
            method: Method::Certificate,
            audiences: common_audiences(attempt.audiences, attempt.audiences),
            expires: Timestamp::from_second(certificate.not_after).ok(),
        }))
    }
}
