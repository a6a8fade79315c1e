//! What stands in a token: Kubernetes' claims for service accounts, and for which logical cluster it is.

use serde::{Deserialize, Deserializer, Serialize};

/// The claims of a token that Atoll signed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Claims {
    pub(super) iss: String,
    pub(super) sub: String,
    #[serde(deserialize_with = "one_or_many")]
    pub(super) aud: Vec<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) exp: Option<i64>,
    pub(super) iat: i64,
    pub(super) nbf: i64,
    pub(super) jti: String,
    #[serde(default, rename = "kubernetes.io", skip_serializing_if = "Option::is_none")]
    pub(super) kubernetes: Option<ServiceAccountClaims>,
    #[serde(rename = "atoll.dev")]
    pub(super) atoll: AtollClaims,
}

/// Of a service account's token: which one, and what it is bound to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct ServiceAccountClaims {
    pub(super) namespace: String,
    pub(super) serviceaccount: Reference,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) pod: Option<Reference>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) secret: Option<Reference>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) node: Option<Reference>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) warnafter: Option<i64>,
}

/// For which logical cluster a token is and, of a user's token, the user's groups.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct AtollClaims {
    pub(super) cluster: Reference,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) user: Option<UserClaims>,
}

/// Of a user's token: what else than the name is known of the user.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct UserClaims {
    #[serde(default)]
    pub(super) groups: Vec<String>,
}

/// An object by name and uid; of a node that is gone, by name alone.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reference {
    /// The name.
    pub name: String,
    /// The uid.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub uid: String,
}

/// `aud` may be one text or a list.
fn one_or_many<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<String>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Audiences {
        One(String),
        Many(Vec<String>),
    }
    Ok(match Audiences::deserialize(deserializer)? {
        Audiences::One(one) => vec![one],
        Audiences::Many(many) => many,
    })
}
