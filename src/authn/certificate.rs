//! The identity in a client certificate that the TLS handshake has verified.
//!
//! Who has a certificate of the platform's own CA, or of one that the platform was told to believe, is somebody everywhere. One of the
//! CA of clusters was asked for in one cluster, which it names, and holds there alone. Verifies no signatures: that is
//! done by the handshake, against these CAs only.

use atoll_api::user::SYSTEM_MASTERS;
use atoll_api::{Uid, UserInfo};
use jiff::Timestamp;
use sha2::{Digest, Sha256};
use x509_parser::oid_registry::Oid;
use x509_parser::prelude::{FromDer, X509Certificate};

use super::{Attempt, Authenticator, CREDENTIAL_ID, Identity, Method, Scope, common_audiences};

/// The attribute of a subject in which Kubernetes puts a user's uid.
const UID_ATTRIBUTE: &[u64] = &[1, 3, 6, 1, 4, 1, 57683, 2];

/// The common name of the CA that signs for clusters: by it, since the handshake checks that a certificate names its CA, its
/// certificates are told from all others.
pub const CLUSTERS_CA: &str = "atoll-clusters-ca";
/// The extension that names the uid of the one cluster where a certificate holds (below the arc that anybody may use). Go reads
/// no certificate with a number of more than 31 bits in an identifier.
pub const CLUSTER_EXTENSION: &[u64] = &[2, 25, 1_846_350_671, 1_902_847_561, 1];

/// Why a certificate cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// It is not a certificate.
    #[error("the client certificate is malformed")]
    Malformed,
    /// Its uid attribute is empty, not text, or there twice.
    #[error("the client certificate must have at most one, non-empty uid attribute")]
    Uid,
    /// The CA of clusters has signed it, but it names no cluster, or two; or it is for a group whose members may do everything.
    #[error("the client certificate is none that holds in a logical cluster")]
    Cluster,
}

/// What a client certificate tells about its owner; read once for a connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClientCertificate {
    user: UserInfo,
    /// The uid of the only cluster where it holds, if there is one.
    cluster: Option<Uid>,
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
        let cluster = cluster_of(&certificate)?;
        if cluster.is_some() && groups.iter().any(|group| group == SYSTEM_MASTERS) {
            return Err(Error::Cluster);
        }
        let validity = certificate.validity();
        Ok(Some(Self {
            user: UserInfo { name, uid, groups, extra },
            cluster,
            not_before: validity.not_before.timestamp(),
            not_after: validity.not_after.timestamp(),
        }))
    }

    /// The owner.
    pub fn user(&self) -> &UserInfo {
        &self.user
    }

    /// The uid of the only logical cluster where the certificate makes somebody of its owner; none if it does so in all.
    pub fn cluster(&self) -> Option<&Uid> {
        self.cluster.as_ref()
    }
}

/// The uid of the cluster that the certificate is bound to. One of the CA of clusters always is; whoever else binds one means it.
fn cluster_of(certificate: &X509Certificate<'_>) -> Result<Option<Uid>, Error> {
    let oid = Oid::from(CLUSTER_EXTENSION).expect("the constant is a well-formed object identifier");
    let mut bound = certificate.extensions().iter().filter(|extension| extension.oid == oid);
    match (bound.next(), bound.next()) {
        (None, _) => {
            let is_of_clusters = |name: &str| name == CLUSTERS_CA;
            let names = certificate.issuer().iter_common_name();
            let of_clusters = names.into_iter().any(|name| name.as_str().is_ok_and(is_of_clusters));
            if of_clusters { Err(Error::Cluster) } else { Ok(None) }
        }
        // A text of at most 127 bytes, as DER has it.
        (Some(extension), None) => match extension.value {
            [0x0c, length, uid @ ..] if usize::from(*length) == uid.len() && (1..128).contains(length) => {
                let uid = std::str::from_utf8(uid).map_err(|_| Error::Cluster)?;
                Ok(Some(Uid::new(uid)))
            }
            _ => Err(Error::Cluster),
        },
        (Some(_), Some(_)) => Err(Error::Cluster),
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
            scope: match &certificate.cluster {
                None => Scope::Global,
                // Whichever cluster is asked for: it must be the one of this uid.
                Some(uid) => Scope::Cluster { name: attempt.cluster.clone(), uid: uid.clone() },
            },
            method: Method::Certificate,
            audiences: common_audiences(attempt.audiences, attempt.audiences),
            expires: Timestamp::from_second(certificate.not_after).ok(),
        }))
    }
}
