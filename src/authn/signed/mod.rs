//! Tokens that the server signs: of service accounts, and of users of one logical cluster.
//!
//! Every token names its cluster by name and uid, and is nobody's anywhere else. A signature is checked once and
//! remembered; that the cluster and the bound objects still exist is checked at every request.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, LazyLock};

use atoll_api::field::go_quote;
use atoll_api::{LogicalClusterName, UserInfo};
use jiff::Timestamp;
use parking_lot::RwLock;
use serde_json::{Value, json};

use super::lookup::{Found, ObjectLookup, Referent};
use super::{Attempt, Authenticator, CREDENTIAL_ID, Identity, Method, Scope, common_audiences, digest};

mod claims;
mod key;

pub use claims::Reference;
use claims::{AtollClaims, Claims, ServiceAccountClaims, UserClaims};
pub use key::{Error as KeyError, KeyRing};

/// How far clocks may differ, in seconds; also how long after its deletion began an object's tokens are still good.
const LEEWAY: i64 = 60;
/// Longer texts are no tokens.
const MAX_TOKEN: usize = 64 * 1024;
/// Checked signatures of tokens up to this length are remembered.
const MAX_REMEMBERED: usize = 4096;
/// How many are.
const REMEMBERED: usize = 4096;

/// Who stands as the issuer in tokens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Issuer {
    /// The same for all clusters, as `https://kubernetes.default.svc`. Third parties that trust it cannot tell the
    /// service accounts of one cluster from equally named ones of another, except by the claim `atoll.dev`.
    Fixed(String),
    /// `<base>/clusters/<name>` for each cluster: third parties trust one cluster and no other.
    PerCluster {
        /// The server's URL as others reach it.
        base: String,
    },
}

/// Whether tokens that kubelets ask for are made to live for a year, so that old clients that never read them again
/// keep working, as Kubernetes does by default.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Extension {
    /// They are; past what was asked for, their use is only noted.
    Year,
    /// They end when it was asked for.
    None,
}

/// How tokens are made.
#[derive(Debug, Clone)]
pub struct Options {
    /// Who stands as the issuer.
    pub issuer: Issuer,
    /// The audiences of the API itself: what tokens are for unless they ask otherwise.
    pub audiences: Vec<String>,
    /// The longest life of a token that is asked for, in seconds.
    pub max_expiration_seconds: Option<i64>,
    /// Whether kubelets' tokens live longer than asked for.
    pub extension: Extension,
}

/// Makes tokens and recognises them.
pub struct SignedTokens {
    pub(super) options: Options,
    keys: LazyLock<KeyRing, Box<dyn FnOnce() -> KeyRing + Send>>,
    pub(super) lookup: Arc<dyn ObjectLookup>,
    remembered: RwLock<HashMap<[u8; 32], Arc<Claims>>>,
}

/// What a service account's token is to say.
#[derive(Debug, Clone)]
pub struct ServiceAccountToken<'a> {
    /// The cluster it is for.
    pub cluster: &'a LogicalClusterName,
    /// The service account's namespace.
    pub namespace: &'a str,
    /// The service account.
    pub service_account: Reference,
    /// For whom it is meant.
    pub audiences: &'a [String],
    /// How long it lives; for ever if none, as the tokens kept in Secrets do.
    pub lives_seconds: Option<i64>,
    /// From when on its use is noted, in seconds.
    pub warn_after_seconds: Option<i64>,
    /// The pod it is bound to.
    pub pod: Option<Reference>,
    /// The secret it is bound to.
    pub secret: Option<Reference>,
    /// The node it is bound to, or that its pod runs on.
    pub node: Option<Reference>,
}

/// What a user's token is to say.
#[derive(Debug, Clone, Copy)]
pub struct UserToken<'a> {
    /// The cluster it is for.
    pub cluster: &'a LogicalClusterName,
    /// The user's name.
    pub user: &'a str,
    /// The user's groups.
    pub groups: &'a [String],
    /// How long it lives.
    pub lives_seconds: i64,
}

/// A token that was made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Issued {
    /// The token.
    pub token: String,
    /// The credential id, as audit has it: `JTI=…`.
    pub credential_id: String,
}

/// Why a token was not made.
#[derive(Debug, thiserror::Error)]
pub enum IssueError {
    /// There is no such cluster.
    #[error("there is no logical cluster {0}")]
    NoCluster(LogicalClusterName),
    /// A user needs a name, and service accounts have tokens of their own.
    #[error("{0:?} cannot be the name of a token's user: it must not be empty or name a service account")]
    UserName(String),
    /// Signing failed.
    #[error(transparent)]
    Key(#[from] KeyError),
}

// === impl Issuer ===

impl Issuer {
    /// The issuer of a cluster's tokens.
    pub fn of(&self, cluster: &LogicalClusterName) -> String {
        match self {
            Self::Fixed(issuer) => issuer.clone(),
            Self::PerCluster { base } => format!("{base}/clusters/{cluster}"),
        }
    }
}

// === impl SignedTokens ===

impl SignedTokens {
    /// Makes and recognises tokens with keys that are asked for when the first token is seen.
    pub fn new(
        options: Options,
        keys: impl FnOnce() -> KeyRing + Send + 'static,
        lookup: Arc<dyn ObjectLookup>,
    ) -> Self {
        Self { options, keys: LazyLock::new(Box::new(keys)), lookup, remembered: RwLock::default() }
    }

    /// The audiences of the API itself.
    pub fn audiences(&self) -> &[String] {
        &self.options.audiences
    }

    /// The document at `/openid/v1/jwks`.
    pub fn jwks(&self) -> Value {
        self.keys.jwks()
    }

    /// The document at `/.well-known/openid-configuration` of a cluster, whose keys are published at `jwks_uri`.
    pub fn openid_configuration(&self, cluster: &LogicalClusterName, jwks_uri: &str) -> Value {
        json!({
            "issuer": self.options.issuer.of(cluster),
            "jwks_uri": jwks_uri,
            "response_types_supported": ["id_token"],
            "subject_types_supported": ["public"],
            "id_token_signing_alg_values_supported": self.keys.algorithms(),
        })
    }

    /// The issuer of a cluster's tokens, if it is a URL at which this server publishes the keys.
    pub fn own_issuer(&self, cluster: &LogicalClusterName) -> Option<String> {
        match &self.options.issuer {
            Issuer::Fixed(_) => None,
            Issuer::PerCluster { .. } => Some(self.options.issuer.of(cluster)),
        }
    }

    /// Makes a service account's token; that the objects it names exist is checked when it is used.
    pub fn issue_service_account(&self, spec: ServiceAccountToken<'_>, now: Timestamp) -> Result<Issued, IssueError> {
        let sub = format!("system:serviceaccount:{}:{}", spec.namespace, spec.service_account.name);
        let kubernetes = ServiceAccountClaims {
            namespace: spec.namespace.to_owned(),
            serviceaccount: spec.service_account,
            pod: spec.pod,
            secret: spec.secret,
            node: spec.node,
            warnafter: spec.warn_after_seconds.map(|seconds| now.as_second().saturating_add(seconds)),
        };
        let claims = Claims {
            aud: spec.audiences.to_vec(),
            kubernetes: Some(kubernetes),
            ..self.claims(spec.cluster, sub, spec.lives_seconds, now)?
        };
        self.issue(&claims)
    }

    /// Makes a user's token.
    pub fn issue_user(&self, spec: UserToken<'_>, now: Timestamp) -> Result<Issued, IssueError> {
        if spec.user.is_empty() || spec.user.starts_with("system:serviceaccount:") {
            return Err(IssueError::UserName(spec.user.to_owned()));
        }
        let mut claims = self.claims(spec.cluster, spec.user.to_owned(), Some(spec.lives_seconds), now)?;
        claims.atoll.user = Some(UserClaims { groups: spec.groups.to_vec() });
        self.issue(&claims)
    }

    fn claims(
        &self,
        cluster: &LogicalClusterName,
        sub: String,
        lives_seconds: Option<i64>,
        now: Timestamp,
    ) -> Result<Claims, IssueError> {
        let uid = self.lookup.cluster_uid(cluster).ok_or_else(|| IssueError::NoCluster(cluster.clone()))?;
        let cluster_ref = Reference { name: cluster.as_str().to_owned(), uid: uid.as_str().to_owned() };
        let now = now.as_second();
        Ok(Claims {
            iss: self.options.issuer.of(cluster),
            sub,
            aud: self.options.audiences.clone(),
            exp: lives_seconds.map(|seconds| now.saturating_add(seconds)),
            iat: now,
            nbf: now,
            jti: uuid::Uuid::new_v4().to_string(),
            kubernetes: None,
            atoll: AtollClaims { cluster: cluster_ref, user: None },
        })
    }

    fn issue(&self, claims: &Claims) -> Result<Issued, IssueError> {
        Ok(Issued { token: self.keys.sign(claims)?, credential_id: credential_id(claims) })
    }

    /// The claims of a token that was signed here.
    fn verified(&self, token: &str) -> Option<Arc<Claims>> {
        if token.len() > MAX_TOKEN || token.split('.').count() != 3 {
            return None;
        }
        let fingerprint = digest(token);
        if let Some(claims) = self.remembered.read().get(&fingerprint) {
            return Some(Arc::clone(claims));
        }
        let claims = Arc::new(self.keys.verify::<Claims>(token)?);
        if token.len() <= MAX_REMEMBERED {
            let mut remembered = self.remembered.write();
            if remembered.len() >= REMEMBERED {
                // Only good signatures get here, so nobody can keep others' from being remembered for long.
                remembered.clear();
            }
            remembered.insert(fingerprint, Arc::clone(&claims));
        }
        Some(claims)
    }

    fn recognise(&self, token: &str, attempt: &Attempt<'_>) -> Result<Option<Identity>, String> {
        let Some(claims) = self.verified(token) else { return Ok(None) };
        // A token of another cluster, or of one that had this name before, is nobody's here; the client is told no more.
        let uid = self.lookup.cluster_uid(attempt.cluster);
        let for_this = claims.atoll.cluster.name == attempt.cluster.as_str()
            && uid.as_ref().is_some_and(|uid| uid.as_str() == claims.atoll.cluster.uid)
            && claims.iss == self.options.issuer.of(attempt.cluster);
        let (true, Some(uid)) = (for_this, uid) else { return Ok(None) };

        let audiences = common_audiences(&claims.aud, attempt.audiences);
        if audiences.is_empty() {
            let quoted = |texts: &[String]| texts.iter().map(|t| go_quote(t)).collect::<Vec<_>>().join(" ");
            return Err(format!(
                "token audiences [{}] is invalid for the target audiences [{}]",
                quoted(&claims.aud),
                quoted(attempt.audiences)
            ));
        }
        check_times(&claims, attempt.now)?;
        let user = match (&claims.kubernetes, &claims.atoll.user) {
            (Some(account), _) => self.service_account(attempt, &claims, account)?,
            (None, Some(user)) => UserInfo {
                name: claims.sub.clone(),
                groups: user.groups.clone(),
                extra: [(CREDENTIAL_ID.to_owned(), vec![credential_id(&claims)])].into(),
                ..UserInfo::default()
            },
            (None, None) => return Ok(None),
        };
        Ok(Some(Identity {
            user,
            scope: Scope::Cluster { name: attempt.cluster.clone(), uid },
            method: Method::SignedToken,
            audiences,
            expires: claims.exp.and_then(|exp| Timestamp::from_second(exp).ok()),
        }))
    }

    /// The service account a token stands for, if it and what the token is bound to still exist.
    fn service_account(
        &self,
        attempt: &Attempt<'_>,
        claims: &Claims,
        account: &ServiceAccountClaims,
    ) -> Result<UserInfo, String> {
        let own = &account.serviceaccount;
        let namespace = account.namespace.as_str();
        let find = |referent, namespace: &str, name: &str| self.lookup.find(attempt.cluster, referent, namespace, name);
        let found = find(Referent::ServiceAccount, namespace, &own.name)
            .ok_or_else(|| format!("serviceaccounts {} not found", go_quote(&own.name)))?;
        if is_gone(&found, attempt.now) {
            return Err(format!("service account {namespace}/{} has been deleted", own.name));
        }
        if found.uid.as_str() != own.uid {
            return Err(format!("service account UID ({}) does not match claim ({})", found.uid, own.uid));
        }
        // The node of a pod's token is told to others, but binds the token only if there is no pod.
        let bound_node = account.node.as_ref().filter(|_| account.pod.is_none());
        for (referent, reference, place) in [
            (Referent::Secret, account.secret.as_ref(), namespace),
            (Referent::Pod, account.pod.as_ref(), namespace),
            (Referent::Node, bound_node, ""),
        ] {
            let Some(reference) = reference else { continue };
            let found = find(referent, place, &reference.name).filter(|found| !is_gone(found, attempt.now));
            let found = found.ok_or_else(|| "service account token has been invalidated".to_owned())?;
            if found.uid.as_str() != reference.uid {
                let (uid, claim) = (found.uid, &reference.uid);
                return Err(format!(
                    "{referent} UID ({uid}) does not match service account {referent} ref claim ({claim})"
                ));
            }
        }
        Ok(UserInfo {
            name: claims.sub.clone(),
            uid: own.uid.clone(),
            groups: vec!["system:serviceaccounts".to_owned(), format!("system:serviceaccounts:{namespace}")],
            extra: extra(claims, account),
        })
    }
}

impl Authenticator for Arc<SignedTokens> {
    fn authenticate(&self, attempt: &Attempt<'_>) -> Result<Option<Identity>, String> {
        match attempt.credentials.bearer {
            Some(token) => self.recognise(token, attempt),
            None => Ok(None),
        }
    }
}

fn credential_id(claims: &Claims) -> String {
    format!("JTI={}", claims.jti)
}

fn check_times(claims: &Claims, now: Timestamp) -> Result<(), String> {
    let now = now.as_second();
    if claims.exp.is_some_and(|exp| exp.saturating_add(LEEWAY) < now) {
        return Err("service account token has expired".to_owned());
    }
    if claims.nbf.saturating_sub(LEEWAY) > now {
        return Err("service account token is not valid yet".to_owned());
    }
    Ok(())
}

/// An object whose deletion began is gone a little later, though finalizers may keep it for long.
fn is_gone(found: &Found, now: Timestamp) -> bool {
    found.deleted.is_some_and(|deleted| deleted.as_second().saturating_add(LEEWAY) < now.as_second())
}

fn extra(claims: &Claims, account: &ServiceAccountClaims) -> BTreeMap<String, Vec<String>> {
    let mut extra = BTreeMap::from([(CREDENTIAL_ID.to_owned(), vec![credential_id(claims)])]);
    for (what, reference) in [("pod", &account.pod), ("node", &account.node)] {
        let Some(reference) = reference else { continue };
        extra.insert(format!("authentication.kubernetes.io/{what}-name"), vec![reference.name.clone()]);
        if !reference.uid.is_empty() {
            extra.insert(format!("authentication.kubernetes.io/{what}-uid"), vec![reference.uid.clone()]);
        }
    }
    extra
}

#[cfg(test)]
mod tests;
