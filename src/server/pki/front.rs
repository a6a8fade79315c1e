//! What the server shows the API servers of a cluster, when it passes requests on to them and tells whose they are.
//!
//! Each cluster has a name of its own in these certificates, and tells its API servers to believe that one only. So nobody
//! can have a server of another cluster told what is only true in their own.

use jiff::Timestamp;
use jiff::tz::TimeZone;
use rcgen::{DnType, ExtendedKeyUsagePurpose, Issuer, KeyPair, KeyUsagePurpose};
use rustls::pki_types::PrivateKeyDer;
use rustls::pki_types::pem::PemObject;

use super::{CA_DAYS, Error, Pair, dated, make_key};
use crate::outbound::Shown;
use crate::resources::front_proxy_name;

/// Makes certificates of the front proxy, one for each cluster.
pub struct FrontProxy {
    issuer: Issuer<'static, KeyPair>,
    key: KeyPair,
    today: jiff::civil::Date,
}

impl FrontProxy {
    /// The front proxy of this CA.
    pub fn new(ca: &Pair, now: Timestamp) -> Result<Self, Error> {
        let make = |cause| Error::Make { what: "front proxy's certificate", cause };
        let ca_key = KeyPair::from_pem(&ca.key).map_err(make)?;
        let issuer = Issuer::from_ca_cert_pem(&ca.certificate, ca_key).map_err(make)?;
        let today = now.to_zoned(TimeZone::UTC).date();
        Ok(Self { issuer, key: make_key("front proxy's key")?, today })
    }

    /// What it shows the API servers of a cluster of this identity. It is kept in memory only, so that it need not end
    /// before its CA.
    pub(crate) fn shown_to(&self, cluster_uid: &str) -> Result<Shown, Error> {
        let make = |cause| Error::Make { what: "front proxy's certificate", cause };
        let mut params = dated(self.today, CA_DAYS)?;
        params.distinguished_name.push(DnType::CommonName, front_proxy_name(cluster_uid));
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        params.use_authority_key_identifier_extension = true;
        let certificate = params.signed_by(&self.key, &self.issuer).map_err(make)?;
        let key = self.key.serialize_pem();
        let key =
            PrivateKeyDer::from_pem_slice(key.as_bytes()).map_err(|error| Error::Tls(error.to_string().into()))?;
        Ok(Shown { chain: vec![certificate.der().clone()], key })
    }
}
