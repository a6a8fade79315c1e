//! The server's own keys and certificates: made when absent, kept under the data directory, renewed when due.
//!
//! One CA signs the serving certificate and the administrator's client certificate. Another signs what the server shows
//! the API servers of clusters as their front proxy (`front.rs`). Certificates that somebody else made are given to
//! [`server_config`] as they are; nothing here judges them.

use std::collections::BTreeMap;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;

use atoll_api::user::SYSTEM_MASTERS;
use jiff::civil::Date;
use jiff::tz::TimeZone;
use jiff::{Span, Timestamp};
use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, KeyUsagePurpose,
    PublicKeyData, SanType,
};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig};
use x509_parser::prelude::{FromDer, GeneralName, X509Certificate};

use super::kubeconfig::{Auth, Kubeconfig};
use super::shared::Shared;

mod clusters;
mod files;
mod front;

pub(super) use clusters::{Asked, ClusterSigner, Unsigned, end_of};
use files::Files;
pub use front::FrontProxy;

/// The user name in the administrator's certificate.
pub const ADMIN: &str = "atoll-admin";

const CA_DAYS: i64 = 3650;
const LEAF_DAYS: i64 = 365;
/// Leaves with fewer days left are made anew.
const RENEW_DAYS: i64 = 30;

/// Why there are no usable keys and certificates.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A file cannot be read or written.
    #[error("{action} {path}")]
    File {
        /// `read`, `write` or `make directory`.
        action: &'static str,
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        cause: io::Error,
    },
    /// A file does not hold what it should.
    #[error("{path} holds no usable {what}; restore it, or move it away to have a new one made")]
    Unusable {
        /// The file.
        path: PathBuf,
        /// What should be there.
        what: &'static str,
        /// Why.
        #[source]
        cause: Box<dyn std::error::Error + Send + Sync>,
    },
    /// There is a CA certificate, but not its key.
    #[error(
        "{certificate} is there, but its key {key} is not: restore the key, or move the certificate away to have a new CA made, which makes all earlier client certificates worthless"
    )]
    NoCaKey {
        /// The certificate.
        certificate: PathBuf,
        /// The missing key.
        key: PathBuf,
    },
    /// The CA certificate has ended.
    #[error("the CA certificate {path} has expired; move it away to have it renewed with the same key")]
    CaExpired {
        /// The certificate.
        path: PathBuf,
    },
    /// A file holds another key than the servers over the store have in common.
    #[error(
        "{path} is not what the servers over this store have in common; move the directory's `pki` away, so that it is taken from the store"
    )]
    Foreign {
        /// The file.
        path: PathBuf,
    },
    /// A name cannot stand in a certificate.
    #[error("{name:?} cannot stand in a certificate: a DNS name or an IP address is needed")]
    Name {
        /// The name.
        name: String,
    },
    /// Making a key or certificate failed.
    #[error("make the {what}")]
    Make {
        /// Of which.
        what: &'static str,
        /// Why.
        #[source]
        cause: rcgen::Error,
    },
    /// The TLS library does not take the certificates.
    #[error("set up TLS")]
    Tls(#[source] Box<dyn std::error::Error + Send + Sync>),
}

/// What the certificates are to say.
#[derive(Debug, Clone)]
pub struct Options {
    /// Where files are kept; none to keep everything in memory, as test servers do.
    pub data_dir: Option<PathBuf>,
    /// Where the server listens.
    pub listen: SocketAddr,
    /// Further DNS names and IP addresses by which clients reach the server.
    pub names: Vec<String>,
    /// The URL in the administrator's kubeconfig.
    pub server_url: String,
    /// What the servers over a common store have in common; none for a server with a store of its own.
    pub shared: Option<Shared>,
}

/// A certificate and its private key, both PEM.
#[derive(Clone)]
pub struct Pair {
    /// The certificate.
    pub certificate: String,
    /// The key.
    pub key: String,
}

/// The server's keys and certificates.
#[derive(Debug, Clone)]
pub struct Pki {
    /// The CA that signed the others.
    pub ca: Pair,
    /// What the server shows.
    pub serving: Pair,
    /// The administrator's client certificate.
    pub admin: Pair,
    /// The CA of the server's certificates as a front proxy.
    pub front_proxy: Pair,
    /// The CA of certificates that hold in one logical cluster each. Only the server itself is to believe it, about its clients.
    pub clusters: Pair,
    /// The key that signs tokens, PEM.
    pub token_key: String,
    /// The text of the administrator's kubeconfig.
    pub admin_kubeconfig: String,
    /// When the first of the certificates is due for renewal: call [`Pki::ensure`] again then.
    pub renew_at: Timestamp,
}

impl Pki {
    /// What cannot be made anew without everybody noticing: the texts of the files that a backup needs, by their names.
    pub fn kept_files(&self) -> BTreeMap<String, String> {
        let front = &self.front_proxy;
        let texts = [&self.ca.certificate, &self.ca.key, &self.token_key, &front.certificate, &front.key];
        KEPT_FILES.into_iter().map(str::to_owned).zip(texts.into_iter().cloned()).collect()
    }
}

/// The files of the data directory that a backup needs. All else there follows from these, or is made anew.
pub const KEPT_FILES: [&str; 5] =
    [CA.certificate, CA.key, "pki/service-account.key", FRONT_PROXY_CA.certificate, FRONT_PROXY_CA.key];

/// The file that is in a data directory as long as only part of it is restored.
pub const RESTORING: &str = "restore-unfinished";

/// The URL by which a client on the same machine reaches a server.
pub fn local_url(listen: SocketAddr) -> String {
    let ip = match listen.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => IpAddr::V4(Ipv4Addr::LOCALHOST),
        IpAddr::V6(ip) if ip.is_unspecified() => IpAddr::V6(Ipv6Addr::LOCALHOST),
        ip => ip,
    };
    format!("https://{}", SocketAddr::new(ip, listen.port()))
}

/// What the TLS listener works by: HTTP/2 and HTTP/1.1, and client certificates where the client has one of `client_ca`.
pub fn server_config(serving: &Pair, client_ca: &str) -> Result<Arc<ServerConfig>, Error> {
    let tls = |cause: Box<dyn std::error::Error + Send + Sync>| Error::Tls(cause);
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(client_ca.as_bytes()) {
        roots.add(certificate.map_err(|e| tls(e.to_string().into()))?).map_err(|e| tls(e.into()))?;
    }
    let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), Arc::clone(&provider))
        .allow_unauthenticated()
        .build()
        .map_err(|e| tls(e.into()))?;
    let chain = CertificateDer::pem_slice_iter(serving.certificate.as_bytes())
        .collect::<Result<Vec<_>, _>>()
        .map_err(|e| tls(e.to_string().into()))?;
    let key = PrivateKeyDer::from_pem_slice(serving.key.as_bytes()).map_err(|e| tls(e.to_string().into()))?;
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|e| tls(e.into()))?
        .with_client_cert_verifier(verifier)
        .with_single_cert(chain, key)
        .map_err(|e| tls(e.into()))?;
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(Arc::new(config))
}

// === impl Pair ===

impl std::fmt::Debug for Pair {
    /// Without the key.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Pair").field("certificate", &self.certificate).finish_non_exhaustive()
    }
}

/// Seeds the source of random numbers, which takes a while the first time; what needs them later need not wait.
pub(super) fn seed() {
    // If it fails, so does whatever needs them, and tells.
    let _ = rustls::crypto::aws_lc_rs::default_provider().secure_random.fill(&mut [0; 1]);
}

// === impl Pki ===

impl Pki {
    /// Loads what is there, makes what is not, renews what ends soon, and writes `admin.kubeconfig` and `ca.crt`.
    pub fn ensure(options: &Options, now: Timestamp) -> Result<Self, Error> {
        let files = Files::open(options.data_dir.as_deref())?;
        let today = now.to_zoned(TimeZone::UTC).date();
        if let Some(shared) = &options.shared {
            adopt(&files, shared)?;
        }
        // Without files there is nothing to be found but what is shared.
        let in_memory = options.shared.as_ref().filter(|_| options.data_dir.is_none());
        let (ca, front_proxy) = match in_memory {
            Some(shared) => (shared.ca.clone(), shared.front_proxy.clone()),
            None => (ensure_ca(&files, &CA, today, now)?, ensure_ca(&files, &FRONT_PROXY_CA, today, now)?),
        };
        let issuer = issuer(&files, &ca)?;
        let clusters = clusters::authority(&ca, now)?;
        let names = subject_names(options)?;
        let serving = ensure_pair(&files, "server", &Wanted { ca: &ca, names: &names, now }, || {
            make_leaf("serving certificate", &issuer, today, |params| {
                params.distinguished_name.push(DnType::CommonName, "atoll");
                params.subject_alt_names = names.clone();
                params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
            })
        })?;
        let admin = ensure_pair(&files, "admin", &Wanted { ca: &ca, names: &[], now }, || {
            make_leaf("administrator's certificate", &issuer, today, |params| {
                params.distinguished_name.push(DnType::CommonName, ADMIN);
                params.distinguished_name.push(DnType::OrganizationName, SYSTEM_MASTERS);
                params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
            })
        })?;
        let token_key = match in_memory {
            Some(shared) => shared.token_key.clone(),
            None => ensure_token_key(&files)?,
        };
        let admin_kubeconfig = Kubeconfig {
            name: "atoll",
            server: &options.server_url,
            certificate_authority: Some(&ca.certificate),
            auth: Auth::Certificate { certificate: &admin.certificate, key: &admin.key },
            namespace: "",
        }
        .to_yaml();
        files.write_if_changed("admin.kubeconfig", &admin_kubeconfig)?;
        files.write_if_changed("ca.crt", &ca.certificate)?;
        files.settle()?;
        let ends = [&serving, &admin].into_iter().filter_map(|pair| not_after(&pair.certificate)).min();
        let renew_at = ends.unwrap_or_default() - RENEW_DAYS * 86_400;
        let renew_at = Timestamp::from_second(renew_at).unwrap_or(now);
        Ok(Self { ca, serving, admin, front_proxy, clusters, token_key, admin_kubeconfig, renew_at })
    }

    /// What the TLS listener works by.
    pub fn server_config(&self) -> Result<Arc<ServerConfig>, Error> {
        server_config(&self.serving, &[&*self.ca.certificate, &self.clusters.certificate].join("\n"))
    }
}

/// A CA of the server, and the files it is kept in.
struct Authority {
    common_name: &'static str,
    certificate: &'static str,
    key: &'static str,
}

const CA: Authority = Authority { common_name: "atoll-ca", certificate: "pki/ca.crt", key: "pki/ca.key" };
/// Apart from the other: whom it signs may speak for anybody, and must not be taken for somebody.
const FRONT_PROXY_CA: Authority = Authority {
    common_name: "atoll-front-proxy-ca",
    certificate: "pki/front-proxy-ca.crt",
    key: "pki/front-proxy-ca.key",
};

// === making ===

fn dated(today: Date, days: i64) -> Result<CertificateParams, Error> {
    let at = |span: i64| {
        let date = today.saturating_add(Span::new().days(span));
        rcgen::date_time_ymd(date.year().into(), date.month().unsigned_abs(), date.day().unsigned_abs())
    };
    let mut params = CertificateParams::default();
    params.distinguished_name = rcgen::DistinguishedName::new();
    // A day back, for clients whose clocks are behind.
    params.not_before = at(-1);
    params.not_after = at(days);
    Ok(params)
}

fn make_ca(authority: &Authority, today: Date, key: &KeyPair) -> Result<String, Error> {
    let mut params = dated(today, CA_DAYS)?;
    params.distinguished_name.push(DnType::CommonName, authority.common_name);
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign, KeyUsagePurpose::DigitalSignature];
    let certificate = params.self_signed(key).map_err(|cause| Error::Make { what: "CA certificate", cause })?;
    Ok(certificate.pem())
}

fn make_leaf(
    what: &'static str,
    issuer: &Issuer<'_, KeyPair>,
    today: Date,
    describe: impl FnOnce(&mut CertificateParams),
) -> Result<Pair, Error> {
    let key = make_key(what)?;
    let mut params = dated(today, LEAF_DAYS)?;
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.use_authority_key_identifier_extension = true;
    describe(&mut params);
    let certificate = params.signed_by(&key, issuer).map_err(|cause| Error::Make { what, cause })?;
    Ok(Pair { certificate: certificate.pem(), key: key.serialize_pem() })
}

fn make_key(what: &'static str) -> Result<KeyPair, Error> {
    KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256).map_err(|cause| Error::Make { what, cause })
}

/// Every name by which clients may reach the server.
impl Options {
    /// Whether all names can stand in a certificate.
    pub(super) fn check_names(&self) -> Result<(), Error> {
        subject_names(self).map(drop)
    }
}

fn subject_names(options: &Options) -> Result<Vec<SanType>, Error> {
    let mut names = vec!["localhost".to_owned(), "127.0.0.1".to_owned(), "::1".to_owned()];
    if !options.listen.ip().is_unspecified() {
        names.push(options.listen.ip().to_string());
    }
    let mut all = Vec::new();
    // The machine's name is taken where it can be; it is nobody's fault if it cannot.
    let own = host_name().and_then(|name| san(&name).ok());
    for name in names.iter().chain(&options.names).map(|name| san(name)).chain(own.map(Ok)) {
        let name = name?;
        if !all.contains(&name) {
            all.push(name);
        }
    }
    Ok(all)
}

fn san(name: &str) -> Result<SanType, Error> {
    let refuse = || Error::Name { name: name.to_owned() };
    if let Ok(ip) = name.parse::<IpAddr>() {
        return Ok(SanType::IpAddress(ip));
    }
    let good = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '.' | '_' | '*');
    if name.is_empty() || name.len() > 253 || !name.chars().all(good) {
        return Err(refuse());
    }
    Ok(SanType::DnsName(name.try_into().map_err(|_| refuse())?))
}

fn host_name() -> Option<String> {
    let name = std::fs::read_to_string("/proc/sys/kernel/hostname").ok().or_else(|| std::env::var("HOSTNAME").ok())?;
    Some(name.trim().to_ascii_lowercase()).filter(|name| !name.is_empty())
}

// === loading ===

/// Puts what is shared into files that are not there, and refuses files that say something else.
fn adopt(files: &Files<'_>, shared: &Shared) -> Result<(), Error> {
    let common = [
        ("pki/ca.key", &shared.ca.key),
        ("pki/ca.crt", &shared.ca.certificate),
        ("pki/service-account.key", &shared.token_key),
        (FRONT_PROXY_CA.key, &shared.front_proxy.key),
        (FRONT_PROXY_CA.certificate, &shared.front_proxy.certificate),
    ];
    for (name, text) in common {
        match files.read(name)? {
            None => files.write(name, text)?,
            Some(found) if found == *text => {}
            Some(_) => return Err(Error::Foreign { path: files.path(name) }),
        }
    }
    Ok(())
}

fn ensure_ca(files: &Files<'_>, authority: &Authority, today: Date, now: Timestamp) -> Result<Pair, Error> {
    let (certificate_file, key_file) = (authority.certificate, authority.key);
    let key = match files.read(key_file)? {
        Some(key) => key,
        None if files.read(certificate_file)?.is_some() => {
            return Err(Error::NoCaKey { certificate: files.path(certificate_file), key: files.path(key_file) });
        }
        None => {
            let key = make_key("CA key")?.serialize_pem();
            files.write(key_file, &key)?;
            key
        }
    };
    let pair = parse_key(files, key_file, &key)?;
    // A key without a certificate is left by a crash between the two writes, or asks for a renewal.
    let Some(certificate) = files.read(certificate_file)? else {
        let certificate = make_ca(authority, today, &pair)?;
        files.write(certificate_file, &certificate)?;
        return Ok(Pair { certificate, key });
    };
    let unusable = |cause: &str| Error::Unusable {
        path: files.path(certificate_file),
        what: "CA certificate for the key beside it",
        cause: cause.to_owned().into(),
    };
    let der = CertificateDer::from_pem_slice(certificate.as_bytes()).map_err(|e| unusable(&e.to_string()))?;
    let (_, parsed) = X509Certificate::from_der(&der).map_err(|e| unusable(&e.to_string()))?;
    if !parsed.is_ca() || parsed.public_key().raw != pair.subject_public_key_info() {
        return Err(unusable("it is no CA, or not of this key"));
    }
    if parsed.validity().not_after.timestamp() <= now.as_second() {
        return Err(Error::CaExpired { path: files.path(certificate_file) });
    }
    Ok(Pair { certificate, key })
}

/// Keeps a certificate and key that fit, else makes both anew.
fn ensure_pair(
    files: &Files<'_>,
    name: &str,
    wanted: &Wanted<'_>,
    make: impl FnOnce() -> Result<Pair, Error>,
) -> Result<Pair, Error> {
    let (certificate, key) = (format!("pki/{name}.crt"), format!("pki/{name}.key"));
    if let (Some(certificate), Some(key)) = (files.read(&certificate)?, files.read(&key)?) {
        let pair = Pair { certificate, key };
        if wanted.fits(&pair) {
            return Ok(pair);
        }
    }
    let pair = make()?;
    files.write(&key, &pair.key)?;
    files.write(&certificate, &pair.certificate)?;
    Ok(pair)
}

fn ensure_token_key(files: &Files<'_>) -> Result<String, Error> {
    const NAME: &str = "pki/service-account.key";
    if let Some(key) = files.read(NAME)? {
        parse_key(files, NAME, &key)?;
        return Ok(key);
    }
    let key = make_key("token signing key")?.serialize_pem();
    files.write(NAME, &key)?;
    Ok(key)
}

fn parse_key(files: &Files<'_>, name: &str, pem: &str) -> Result<KeyPair, Error> {
    KeyPair::from_pem(pem).map_err(|cause| Error::Unusable {
        path: files.path(name),
        what: "private key",
        cause: cause.into(),
    })
}

fn issuer(files: &Files<'_>, ca: &Pair) -> Result<Issuer<'static, KeyPair>, Error> {
    let key = parse_key(files, "pki/ca.key", &ca.key)?;
    Issuer::from_ca_cert_pem(&ca.certificate, key).map_err(|cause| Error::Make { what: "CA", cause })
}

fn not_after(certificate: &str) -> Option<i64> {
    let der = CertificateDer::from_pem_slice(certificate.as_bytes()).ok()?;
    let (_, parsed) = X509Certificate::from_der(&der).ok()?;
    Some(parsed.validity().not_after.timestamp())
}

/// What a leaf that is there must be, to be kept.
struct Wanted<'a> {
    ca: &'a Pair,
    names: &'a [SanType],
    now: Timestamp,
}

impl Wanted<'_> {
    fn fits(&self, pair: &Pair) -> bool {
        let Ok(key) = KeyPair::from_pem(&pair.key) else { return false };
        let Ok(ca) = CertificateDer::from_pem_slice(self.ca.certificate.as_bytes()) else { return false };
        let Ok(der) = CertificateDer::from_pem_slice(pair.certificate.as_bytes()) else { return false };
        let (Ok((_, ca)), Ok((_, leaf))) = (X509Certificate::from_der(&ca), X509Certificate::from_der(&der)) else {
            return false;
        };
        let left = leaf.validity().not_after.timestamp() - self.now.as_second();
        leaf.public_key().raw == key.subject_public_key_info()
            && leaf.issuer().as_raw() == ca.subject().as_raw()
            && leaf.verify_signature(Some(ca.public_key())).is_ok()
            && left > RENEW_DAYS * 86_400
            && self.names.iter().all(|name| has_name(&leaf, name))
    }
}

fn has_name(leaf: &X509Certificate<'_>, wanted: &SanType) -> bool {
    let Ok(Some(names)) = leaf.subject_alternative_name() else { return false };
    names.value.general_names.iter().any(|name| match (name, wanted) {
        (GeneralName::DNSName(name), SanType::DnsName(wanted)) => *name == wanted.as_str(),
        (GeneralName::IPAddress(bytes), SanType::IpAddress(IpAddr::V4(wanted))) => *bytes == wanted.octets(),
        (GeneralName::IPAddress(bytes), SanType::IpAddress(IpAddr::V6(wanted))) => *bytes == wanted.octets(),
        _ => false,
    })
}

#[cfg(test)]
mod tests;
