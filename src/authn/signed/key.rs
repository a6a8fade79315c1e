//! The keys that sign tokens and those that verify them, and the documents that publish them.
//!
//! Knows nothing of claims.

use std::collections::BTreeMap;

use jsonwebtoken::jwk::{Jwk, ThumbprintHash};
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

/// Why a key cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The text is no key of a known sort.
    #[error("{what} is not a PEM key for ES256 (ECDSA on P-256) or RS256 (RSA)")]
    Unusable {
        /// Which key.
        what: &'static str,
        /// Why.
        #[source]
        cause: jsonwebtoken::errors::Error,
    },
    /// Signing failed.
    #[error("sign a token")]
    Sign(#[source] jsonwebtoken::errors::Error),
}

/// One key that signs, and all keys whose signatures count: its own and those that it took the place of.
pub struct KeyRing {
    signing: EncodingKey,
    header: Header,
    verifying: BTreeMap<String, Verifying>,
}

struct Verifying {
    key: DecodingKey,
    algorithm: Algorithm,
    jwk: Value,
}

// === impl KeyRing ===

impl KeyRing {
    /// Reads the private key that signs, and the keys (private or public) whose signatures count besides, all PEM.
    pub fn from_pem(signing: &str, others: &[String]) -> Result<Self, Error> {
        let unusable = |cause| Error::Unusable { what: "the token signing key", cause };
        let (key, algorithm) = private_key(signing).map_err(unusable)?;
        let jwk = Jwk::from_encoding_key(&key, algorithm).map_err(unusable)?;
        let (id, verifying) = Verifying::new(jwk, algorithm).map_err(unusable)?;
        let header = Header { kid: Some(id.clone()), typ: None, ..Header::new(algorithm) };
        let mut ring = Self { signing: key, header, verifying: [(id, verifying)].into() };
        // A key on another curve passes until it is used.
        let probe = ring.sign(&json!({"probe": true}))?;
        ring.verify::<Value>(&probe).ok_or_else(|| {
            unusable(jsonwebtoken::errors::Error::from(jsonwebtoken::errors::ErrorKind::InvalidKeyFormat))
        })?;
        for pem in others {
            let unusable = |cause| Error::Unusable { what: "a token verification key", cause };
            let (jwk, algorithm) = any_key(pem).map_err(unusable)?;
            let (id, verifying) = Verifying::new(jwk, algorithm).map_err(unusable)?;
            ring.verifying.entry(id).or_insert(verifying);
        }
        Ok(ring)
    }

    /// A token with these claims.
    pub(super) fn sign(&self, claims: &impl Serialize) -> Result<String, Error> {
        jsonwebtoken::encode(&self.header, claims, &self.signing).map_err(Error::Sign)
    }

    /// The claims of a token that one of the keys signed. Times, issuer and audience are not looked at.
    pub(super) fn verify<C: DeserializeOwned>(&self, token: &str) -> Option<C> {
        let header = jsonwebtoken::decode_header(token).ok()?;
        let key = self.verifying.get(&header.kid?)?;
        let mut validation = Validation::new(key.algorithm);
        validation.validate_exp = false;
        validation.validate_aud = false;
        validation.required_spec_claims.clear();
        jsonwebtoken::decode(token, &key.key, &validation).ok().map(|token| token.claims)
    }

    /// The document at `/openid/v1/jwks`.
    pub fn jwks(&self) -> Value {
        json!({"keys": self.verifying.values().map(|key| key.jwk.clone()).collect::<Vec<_>>()})
    }

    /// The algorithms of all keys, each once.
    pub fn algorithms(&self) -> Vec<&'static str> {
        let mut names: Vec<&str> = self.verifying.values().map(|key| name(key.algorithm)).collect();
        names.sort_unstable();
        names.dedup();
        names
    }
}

impl Verifying {
    fn new(jwk: Jwk, algorithm: Algorithm) -> jsonwebtoken::errors::Result<(String, Self)> {
        let id = jwk.thumbprint(ThumbprintHash::SHA256)?;
        let key = DecodingKey::from_jwk(&jwk)?;
        let mut jwk = serde_json::to_value(&jwk)?;
        jwk["use"] = "sig".into();
        jwk["kid"] = id.as_str().into();
        jwk["alg"] = name(algorithm).into();
        Ok((id, Self { key, algorithm, jwk }))
    }
}

fn name(algorithm: Algorithm) -> &'static str {
    if algorithm == Algorithm::RS256 { "RS256" } else { "ES256" }
}

fn private_key(pem: &str) -> jsonwebtoken::errors::Result<(EncodingKey, Algorithm)> {
    let ec = EncodingKey::from_ec_pem(pem.as_bytes()).map(|key| (key, Algorithm::ES256));
    ec.or_else(|_| EncodingKey::from_rsa_pem(pem.as_bytes()).map(|key| (key, Algorithm::RS256)))
}

fn any_key(pem: &str) -> jsonwebtoken::errors::Result<(Jwk, Algorithm)> {
    if let Ok((key, algorithm)) = private_key(pem) {
        return Ok((Jwk::from_encoding_key(&key, algorithm)?, algorithm));
    }
    let (key, algorithm) = match DecodingKey::from_ec_pem(pem.as_bytes()) {
        Ok(key) => (key, Algorithm::ES256),
        Err(_) => (DecodingKey::from_rsa_pem(pem.as_bytes())?, Algorithm::RS256),
    };
    Ok((Jwk::from_decoding_key(&key, Some(algorithm))?, algorithm))
}
