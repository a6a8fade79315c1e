//! Certificates for users of one logical cluster, who asked for them there.
//!
//! They are signed by a CA of their own, whose key follows from that of the server's CA, so that there is nothing more to keep
//! or to share. Each names its cluster's uid in an extension, and is worth nothing anywhere else (`authn::certificate`). Nobody is told
//! to believe this CA but the server itself, and only about its clients: a tenant may have it sign any name of a server. Who
//! may ask and who approves is not decided here.

use jiff::Timestamp;
use jiff::tz::TimeZone;
use rcgen::{KeyPair, SigningKey};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivatePkcs8KeyDer};
use sha2::{Digest, Sha256};
use x509_parser::certification_request::X509CertificationRequest;
use x509_parser::cri_attributes::ParsedCriAttribute;
use x509_parser::extensions::ParsedExtension;
use x509_parser::oid_registry::{OID_X509_EXT_SUBJECT_ALT_NAME, Oid};
use x509_parser::pem::Pem;
use x509_parser::prelude::{FromDer, GeneralName, X509Certificate};

use super::{Authority, Error, Pair, make_ca};
use crate::authn::certificate::{CLUSTER_EXTENSION, CLUSTERS_CA};
use atoll_api::user::SYSTEM_MASTERS;

/// Clients of the API server.
const CLIENT: &str = "kubernetes.io/kube-apiserver-client";
/// Kubelets as clients.
const KUBELET_CLIENT: &str = "kubernetes.io/kube-apiserver-client-kubelet";
/// Kubelets as servers.
const KUBELET_SERVING: &str = "kubernetes.io/kubelet-serving";
const NODES: &str = "system:nodes";
const NODE_PREFIX: &str = "system:node:";

/// How long a certificate holds at most, and by how much it begins early, for clocks that are behind; those that hold for less
/// than `SHORT` do not end early for it. All in seconds, as kube-controller-manager has them.
const LONGEST: i64 = 365 * 86_400;
const SHORTEST: i64 = 600;
const BACKDATED: i64 = 300;
const SHORT: i64 = 8 * 3600;

/// What somebody asks for.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Asked<'a> {
    /// Which of Kubernetes' signers.
    pub(crate) signer: &'a str,
    /// The certificate request, PEM.
    pub(crate) request: &'a [u8],
    /// What the certificate is for, in Kubernetes' words.
    pub(crate) usages: &'a [String],
    /// For how many seconds.
    pub(crate) seconds: Option<i64>,
}

/// Why there is no certificate.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Unsigned {
    /// The signer does not sign such requests; the text is for who asked.
    Refused(String),
    /// The server cannot.
    Failed(String),
}

/// Signs them.
pub(crate) struct ClusterSigner {
    key: KeyPair,
    /// The CA's name, DER.
    issuer: Vec<u8>,
    ends: i64,
}

/// The CA, which follows from the server's.
pub(super) fn authority(ca: &Pair, now: Timestamp) -> Result<Pair, Error> {
    const AUTHORITY: Authority = Authority { common_name: CLUSTERS_CA, certificate: "", key: "" };
    let make = |cause| Error::Make { what: "CA of clusters", cause };
    let main = KeyPair::from_pem(&ca.key).map_err(make)?;
    let mut hasher = Sha256::new_with_prefix("atoll: the key of the CA of clusters, first kind\0");
    hasher.update(main.serialized_der());
    // An Ed25519 key is any 32 bytes; this is how PKCS #8 wraps them.
    let mut key = vec![0x30, 0x2e, 0x02, 0x01, 0x00, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x04, 0x22, 0x04, 0x20];
    key.extend_from_slice(&hasher.finalize());
    let key = KeyPair::try_from(&PrivatePkcs8KeyDer::from(key)).map_err(make)?;
    let certificate = make_ca(&AUTHORITY, now.to_zoned(TimeZone::UTC).date(), &key)?;
    Ok(Pair { certificate, key: key.serialize_pem() })
}

/// When a certificate ends; `None` if it is none.
pub(crate) fn end_of(pem: &[u8]) -> Option<Timestamp> {
    let der = CertificateDer::from_pem_slice(pem).ok()?;
    let (_, parsed) = X509Certificate::from_der(&der).ok()?;
    Timestamp::from_second(parsed.validity().not_after.timestamp()).ok()
}

// === impl ClusterSigner ===

impl ClusterSigner {
    /// Signs as this CA.
    pub(crate) fn new(ca: &Pair) -> Result<Self, Error> {
        let make = |cause| Error::Make { what: "CA of clusters", cause };
        let unreadable = || Error::Tls("the CA of clusters cannot be read".into());
        let key = KeyPair::from_pem(&ca.key).map_err(make)?;
        let der = CertificateDer::from_pem_slice(ca.certificate.as_bytes()).map_err(|_| unreadable())?;
        let (_, parsed) = X509Certificate::from_der(&der).map_err(|_| unreadable())?;
        let ends = parsed.validity().not_after.timestamp();
        Ok(Self { key, issuer: parsed.subject().as_raw().to_vec(), ends })
    }

    /// A certificate that holds in the cluster of this uid, PEM; `None` if the signer is none of those that sign here.
    pub(crate) fn sign(
        &self,
        cluster_uid: &str,
        asked: &Asked<'_>,
        now: Timestamp,
    ) -> Option<Result<String, Unsigned>> {
        let check = match asked.signer {
            CLIENT => check_client,
            KUBELET_CLIENT => check_kubelet_client,
            KUBELET_SERVING => check_kubelet_serving,
            _ => return None,
        };
        Some(self.sign_checked(cluster_uid, asked, check, now))
    }

    fn sign_checked(
        &self,
        cluster_uid: &str,
        asked: &Asked<'_>,
        check: fn(&Wish<'_>, &[String]) -> Result<(), String>,
        now: Timestamp,
    ) -> Result<String, Unsigned> {
        let pem = Pem::iter_from_buffer(asked.request).next().and_then(Result::ok);
        let pem = pem.filter(|pem| pem.label == "CERTIFICATE REQUEST");
        let pem = pem.ok_or_else(|| Unsigned::Refused("PEM block type must be CERTIFICATE REQUEST".to_owned()))?;
        let (_, request) = X509CertificationRequest::from_der(&pem.contents)
            .map_err(|error| Unsigned::Refused(format!("x509: malformed certificate request: {error}")))?;
        let wish = Wish::read(&request).map_err(Unsigned::Refused)?;
        check(&wish, asked.usages).map_err(Unsigned::Refused)?;
        let body = self.body(cluster_uid, asked, &wish, now)?;
        let signature = self.key.sign(&body).map_err(|error| Unsigned::Failed(error.to_string()))?;
        let signature = der(BIT_STRING, &[&[0], &signature]);
        let certificate = der(SEQUENCE, &[&body, ED25519, &signature]);
        Ok(as_pem(&certificate))
    }

    /// What is signed (`TBSCertificate`).
    fn body(&self, cluster_uid: &str, asked: &Asked<'_>, wish: &Wish<'_>, now: Timestamp) -> Result<Vec<u8>, Unsigned> {
        let now = now.as_second();
        if now >= self.ends {
            return Err(Unsigned::Failed("the signer has expired".to_owned()));
        }
        let life = asked.seconds.map_or(LONGEST, |seconds| seconds.clamp(SHORTEST, LONGEST));
        let end = now + if life < SHORT { life } else { life - BACKDATED };
        let time = |seconds: i64| time(seconds).ok_or_else(|| Unsigned::Failed("a time is out of range".to_owned()));
        let validity = der(SEQUENCE, &[&time(now - BACKDATED)?, &time(end.min(self.ends))?]);
        let mut serial = *uuid::Uuid::new_v4().as_bytes();
        // Positive, and as long as it is.
        serial[0] = serial[0] & 0x7f | 0x40;
        let cluster =
            extension(&Oid::from(CLUSTER_EXTENSION).expect("a constant"), &der(UTF8, &[cluster_uid.as_bytes()]));
        let extensions = [
            usages(asked.usages),
            der(SEQUENCE, &[BASIC_CONSTRAINTS, &TRUE, &der(OCTETS, &[&der(SEQUENCE, &[])])]),
            wish.names.map(|names| extension(&OID_X509_EXT_SUBJECT_ALT_NAME, names)).unwrap_or_default(),
            cluster,
        ];
        let extensions = der(EXTENSIONS, &[&der(SEQUENCE, &[&extensions.concat()])]);
        let parts: [&[u8]; 8] = [
            &VERSION_3,
            &der(INTEGER, &[&serial]),
            ED25519,
            &self.issuer,
            &validity,
            wish.request.certification_request_info.subject.as_raw(),
            wish.request.certification_request_info.subject_pki.raw,
            &extensions,
        ];
        Ok(der(SEQUENCE, &parts))
    }
}

// === What is asked for ===

struct Wish<'a> {
    request: &'a X509CertificationRequest<'a>,
    common_name: String,
    organizations: Vec<String>,
    /// The value of the extension that holds the alternative names.
    names: Option<&'a [u8]>,
    dns: usize,
    addresses: usize,
    emails: usize,
    uris: usize,
}

impl<'a> Wish<'a> {
    fn read(request: &'a X509CertificationRequest<'a>) -> Result<Self, String> {
        let subject = &request.certification_request_info.subject;
        let text = |attribute: &x509_parser::x509::AttributeTypeAndValue<'_>| {
            attribute.as_str().map(str::to_owned).map_err(|_| "the subject is not text".to_owned())
        };
        let mut wish = Self {
            request,
            common_name: subject.iter_common_name().last().map(text).transpose()?.unwrap_or_default(),
            organizations: subject.iter_organization().map(text).collect::<Result<_, _>>()?,
            names: None,
            dns: 0,
            addresses: 0,
            emails: 0,
            uris: 0,
        };
        for attribute in request.certification_request_info.iter_attributes() {
            let ParsedCriAttribute::ExtensionRequest(requested) = attribute.parsed_attribute() else { continue };
            for extension in requested.extensions.iter().filter(|one| one.oid == OID_X509_EXT_SUBJECT_ALT_NAME) {
                let ParsedExtension::SubjectAlternativeName(names) = extension.parsed_extension() else {
                    return Err("x509: malformed subject alternative names".to_owned());
                };
                if wish.names.replace(extension.value).is_some() {
                    return Err("x509: certificate request contains duplicate extensions".to_owned());
                }
                names.general_names.iter().for_each(|name| wish.count(name));
            }
        }
        Ok(wish)
    }

    fn count(&mut self, name: &GeneralName<'_>) {
        match name {
            GeneralName::DNSName(_) => self.dns += 1,
            GeneralName::IPAddress(_) => self.addresses += 1,
            GeneralName::RFC822Name(_) => self.emails += 1,
            GeneralName::URI(_) => self.uris += 1,
            _ => {}
        }
    }

    fn check_node(&self) -> Result<(), String> {
        if self.common_name.starts_with(NODE_PREFIX) {
            return Ok(());
        }
        Err("subject common name does not begin with system:node:".to_owned())
    }

    fn check_nodes(&self) -> Result<(), String> {
        if self.organizations == [NODES] { Ok(()) } else { Err("subject organization is not system:nodes".to_owned()) }
    }
}

fn check_client(wish: &Wish<'_>, usages: &[String]) -> Result<(), String> {
    // Admission refuses these already; here too, since nobody else's word makes somebody one of them.
    if wish.organizations.iter().any(|group| group == SYSTEM_MASTERS) {
        return Err(format!("use of {CLIENT} signer with {SYSTEM_MASTERS} group is not allowed"));
    }
    let optional = ["digital signature", "key encipherment"];
    if let Some(other) = usages.iter().find(|usage| *usage != "client auth" && !optional.contains(&usage.as_str())) {
        return Err(format!("invalid usage for client certificate: {other}"));
    }
    if usages.iter().any(|usage| usage == "client auth") {
        return Ok(());
    }
    Err("missing required usage for client certificate: client auth".to_owned())
}

fn check_kubelet_client(wish: &Wish<'_>, usages: &[String]) -> Result<(), String> {
    wish.check_nodes()?;
    let counts = [(wish.dns, "DNS"), (wish.emails, "Email"), (wish.addresses, "IP"), (wish.uris, "URI")];
    if let Some((_, what)) = counts.iter().find(|(count, _)| *count > 0) {
        return Err(format!("{what} subjectAltNames are not allowed"));
    }
    wish.check_node()?;
    check_usages(usages, "client auth", "[client auth digital signature key encipherment]")
}

fn check_kubelet_serving(wish: &Wish<'_>, usages: &[String]) -> Result<(), String> {
    wish.check_nodes()?;
    if wish.dns + wish.addresses == 0 {
        return Err("DNS or IP subjectAltName is required".to_owned());
    }
    if let Some((_, what)) = [(wish.emails, "Email"), (wish.uris, "URI")].iter().find(|(count, _)| *count > 0) {
        return Err(format!("{what} subjectAltNames are not allowed"));
    }
    check_usages(usages, "server auth", "[digital signature key encipherment server auth]")?;
    wish.check_node()
}

/// Whether it is what kubelets ask for: that use and signatures, and encipherment if the key is good for it.
fn check_usages(usages: &[String], main: &str, all: &str) -> Result<(), String> {
    let known = ["digital signature", "key encipherment", main];
    let has = |wanted: &str| usages.iter().any(|usage| usage == wanted);
    if has(main) && has("digital signature") && usages.iter().all(|usage| known.contains(&usage.as_str())) {
        return Ok(());
    }
    Err(format!("usages did not match {all}"))
}

// === DER ===

const INTEGER: u8 = 0x02;
const BIT_STRING: u8 = 0x03;
const OCTETS: u8 = 0x04;
const UTF8: u8 = 0x0c;
const SEQUENCE: u8 = 0x30;
const EXTENSIONS: u8 = 0xa3;
const VERSION_3: [u8; 5] = [0xa0, 0x03, 0x02, 0x01, 0x02];
const TRUE: [u8; 3] = [0x01, 0x01, 0xff];
const ED25519: &[u8] = &[0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70];
const BASIC_CONSTRAINTS: &[u8] = &[0x06, 0x03, 0x55, 0x1d, 0x13];
const KEY_USAGE: &[u8] = &[0x06, 0x03, 0x55, 0x1d, 0x0f];
const EXTENDED_KEY_USAGE: &[u8] = &[0x06, 0x03, 0x55, 0x1d, 0x25];
const SERVER_AUTH: &[u8] = &[0x06, 0x08, 0x2b, 0x06, 0x01, 0x05, 0x05, 0x07, 0x03, 0x01];
const CLIENT_AUTH: &[u8] = &[0x06, 0x08, 0x2b, 0x06, 0x01, 0x05, 0x05, 0x07, 0x03, 0x02];

fn der(tag: u8, parts: &[&[u8]]) -> Vec<u8> {
    let length: usize = parts.iter().map(|part| part.len()).sum();
    let mut out = vec![tag];
    match u8::try_from(length) {
        Ok(short) if short < 0x80 => out.push(short),
        _ => {
            let bytes = length.to_be_bytes();
            let significant = &bytes[bytes.iter().take_while(|byte| **byte == 0).count()..];
            out.push(0x80 | significant.len() as u8);
            out.extend_from_slice(significant);
        }
    }
    parts.iter().for_each(|part| out.extend_from_slice(part));
    out
}

fn extension(oid: &Oid<'_>, value: &[u8]) -> Vec<u8> {
    der(SEQUENCE, &[&der(0x06, &[oid.as_bytes()]), &der(OCTETS, &[value])])
}

/// What the certificate may be used for, as extensions.
fn usages(usages: &[String]) -> Vec<u8> {
    let has = |wanted: &str| usages.iter().any(|usage| usage == wanted);
    let mut out = Vec::new();
    let (bits, unused) = match (has("digital signature"), has("key encipherment")) {
        (true, true) => (0xa0, 5),
        (true, false) => (0x80, 7),
        (false, true) => (0x20, 5),
        (false, false) => (0, 0),
    };
    if bits != 0 {
        let value = der(OCTETS, &[&der(BIT_STRING, &[&[unused, bits]])]);
        out.extend(der(SEQUENCE, &[KEY_USAGE, &TRUE, &value]));
    }
    // Never empty: a certificate that says nothing of its uses would be good for all.
    let purpose = if has("server auth") { SERVER_AUTH } else { CLIENT_AUTH };
    let value = der(OCTETS, &[&der(SEQUENCE, &[purpose])]);
    out.extend(der(SEQUENCE, &[EXTENDED_KEY_USAGE, &value]));
    out
}

/// A time, which has two digits for its year until 2049 and four from then on.
fn time(seconds: i64) -> Option<Vec<u8>> {
    let at = Timestamp::from_second(seconds).ok()?.to_zoned(TimeZone::UTC);
    let (tag, format) = if at.year() < 2050 { (0x17, "%y%m%d%H%M%SZ") } else { (0x18, "%Y%m%d%H%M%SZ") };
    Some(der(tag, &[at.strftime(format).to_string().as_bytes()]))
}

fn as_pem(der: &[u8]) -> String {
    use base64::Engine;
    let text = base64::engine::general_purpose::STANDARD.encode(der);
    let lines = text.as_bytes().chunks(64).map(|line| String::from_utf8_lossy(line));
    format!("-----BEGIN CERTIFICATE-----\n{}\n-----END CERTIFICATE-----\n", lines.collect::<Vec<_>>().join("\n"))
}

#[cfg(test)]
mod tests;
