//! Who makes a request: credentials in, an identity or a refusal out.
//!
//! An identity holds everywhere (static tokens, certificates of the platform's own CA) or in one logical cluster, by
//! name and uid (signed tokens). What it may do is `authz`'s matter; how credentials travel in HTTP is `http`'s.

use std::fmt;
use std::sync::Arc;

use atoll_api::user::{ALL_AUTHENTICATED, ALL_UNAUTHENTICATED, ANONYMOUS};
use atoll_api::{ApiError, LogicalClusterName, Uid, UserInfo};
use jiff::Timestamp;

pub mod certificate;
#[cfg(test)]
mod fake;
pub mod front_proxy;
pub mod lookup;
pub mod review;
pub mod signed;
pub mod stored;
pub mod token_file;
pub mod token_request;

pub use certificate::ClientCertificate;
pub use front_proxy::FrontProxy;
pub use lookup::{Found, ObjectLookup, Referent};
pub use signed::SignedTokens;
pub use token_file::TokenFile;

/// The attribute that names the credential a user came with, for audit.
pub const CREDENTIAL_ID: &str = "authentication.kubernetes.io/credential-id";

/// Where an identity holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Scope {
    /// In every logical cluster.
    Global,
    /// In one logical cluster, and not in one made later under the same name.
    Cluster {
        /// The cluster's name.
        name: LogicalClusterName,
        /// The cluster's uid.
        uid: Uid,
    },
}

/// How somebody was recognised.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[allow(missing_docs)]
pub enum Method {
    Certificate,
    TokenFile,
    SignedToken,
    Anonymous,
    /// An authenticator that is not one of Atoll's own.
    Other(&'static str),
}

impl Method {
    /// The method in metrics and logs.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Certificate => "certificate",
            Self::TokenFile => "token-file",
            Self::SignedToken => "signed-token",
            Self::Anonymous => "anonymous",
            Self::Other(name) => name,
        }
    }
}

/// Somebody who was recognised.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    /// Name, uid, groups and extra.
    pub user: UserInfo,
    /// Where the identity holds.
    pub scope: Scope,
    /// How it was recognised.
    pub method: Method,
    /// For which of the asked audiences it was recognised.
    pub audiences: Vec<String>,
    /// When the credential ends; none if it does not. Long answers, such as watches, must not outlive it.
    pub expires: Option<Timestamp>,
}

/// What a client showed.
#[derive(Debug, Clone, Copy, Default)]
pub struct Credentials<'a> {
    /// The token of the `Authorization: Bearer` header.
    pub bearer: Option<&'a str>,
    /// The client certificate that the TLS handshake verified against the platform's CA.
    pub certificate: Option<&'a ClientCertificate>,
}

/// One try to recognise somebody.
#[derive(Debug, Clone, Copy)]
pub struct Attempt<'a> {
    /// The logical cluster the request is for; the system cluster for requests that span all.
    pub cluster: &'a LogicalClusterName,
    /// What the client showed.
    pub credentials: Credentials<'a>,
    /// For whom the credential must be meant: the API's own audiences, or those a TokenReview asks for.
    pub audiences: &'a [String],
    /// The time of the request.
    pub now: Timestamp,
}

/// Recognises one sort of credentials.
///
/// The union asks each in order, for every request, before anything else happens; an implementation must not block.
#[diagnostic::on_unimplemented(
    message = "`{Self}` does not recognise users",
    note = "implement `atoll::authn::Authenticator`: one method, from credentials to an identity"
)]
pub trait Authenticator: Send + Sync {
    /// Recognises the client; `None` when the credentials are absent or not of this sort, an error when they are of
    /// this sort but no good. The error's text is shown in TokenReviews and must tell nothing of other clusters.
    fn authenticate(&self, attempt: &Attempt<'_>) -> Result<Option<Identity>, String>;
}

impl<A: Authenticator + ?Sized> Authenticator for Arc<A> {
    fn authenticate(&self, attempt: &Attempt<'_>) -> Result<Option<Identity>, String> {
        (**self).authenticate(attempt)
    }
}

/// Whether requests without credentials are served as `system:anonymous`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AnonymousAccess {
    /// They are; policy decides what they may do.
    Allowed,
    /// They get 401.
    Refused,
}

/// Credentials that make nobody: the client gets 401, and a TokenReview these texts.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Unauthenticated {
    /// What was wrong, each text once.
    pub reasons: Vec<String>,
}

/// All authenticators, in the order in which they are asked.
pub struct Union {
    chain: Vec<Box<dyn Authenticator>>,
    anonymous: AnonymousAccess,
    audiences: Vec<String>,
}

/// What Atoll's own chain is made of.
pub struct Config {
    /// Users of a static token file.
    pub token_file: Option<TokenFile>,
    /// Tokens the server signs.
    pub signed_tokens: Option<Arc<SignedTokens>>,
    /// Whether requests without credentials are served.
    pub anonymous: AnonymousAccess,
    /// The audiences of the API itself.
    pub audiences: Vec<String>,
}

/// Atoll's own chain: certificate, token file, signed token; anonymous comes last, in [`Union`] itself.
pub fn default_chain(config: Config) -> Union {
    let mut chain: Vec<Box<dyn Authenticator>> = vec![Box::new(certificate::Certificates)];
    if let Some(token_file) = config.token_file {
        chain.push(Box::new(token_file));
    }
    if let Some(signed_tokens) = config.signed_tokens {
        chain.push(Box::new(signed_tokens));
    }
    Union::new(chain, config.anonymous, config.audiences)
}

/// The token of an `Authorization` header, as Kubernetes reads it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Bearer<'a> {
    /// No bearer token: the header is empty or of another scheme, and is passed over.
    Absent,
    /// A token stands behind extra spaces; Kubernetes ignores it and warns with [`EXTRA_SPACE_WARNING`].
    ExtraSpace,
    /// The token.
    Token(&'a str),
}

/// The warning for [`Bearer::ExtraSpace`].
pub const EXTRA_SPACE_WARNING: &str =
    "the provided Authorization header contains extra space before the bearer token, and is ignored";

// === impl Bearer ===

impl<'a> Bearer<'a> {
    /// Reads the value of an `Authorization` header.
    pub fn parse(header: &'a str) -> Self {
        let mut parts = header.trim().splitn(3, ' ');
        let scheme = parts.next().unwrap_or_default();
        if !scheme.eq_ignore_ascii_case("bearer") {
            return Self::Absent;
        }
        match (parts.next(), parts.next()) {
            (None, _) | (Some(""), None) => Self::Absent,
            (Some(""), Some(_)) => Self::ExtraSpace,
            (Some(token), _) => Self::Token(token),
        }
    }

    /// The token, if there is one.
    pub fn token(self) -> Option<&'a str> {
        match self {
            Self::Token(token) => Some(token),
            Self::Absent | Self::ExtraSpace => None,
        }
    }
}

// === impl Identity ===

impl Identity {
    /// Somebody without credentials.
    pub fn anonymous() -> Self {
        Self {
            user: UserInfo::named(ANONYMOUS, [ALL_UNAUTHENTICATED]),
            scope: Scope::Global,
            method: Method::Anonymous,
            audiences: Vec::new(),
            expires: None,
        }
    }

    /// Whether the identity holds in a logical cluster of this name and uid.
    pub fn holds_in(&self, cluster: &LogicalClusterName, uid: Option<&Uid>) -> bool {
        match &self.scope {
            Scope::Global => true,
            Scope::Cluster { name, uid: own } => name == cluster && Some(own) == uid,
        }
    }

    fn complete(mut self) -> Self {
        let known = |group: &String| group == ALL_AUTHENTICATED || group == ALL_UNAUTHENTICATED;
        if self.user.name != ANONYMOUS && !self.user.groups.iter().any(known) {
            self.user.groups.push(ALL_AUTHENTICATED.to_owned());
        }
        self
    }
}

// === impl Union ===

impl Union {
    /// A union of any authenticators, for servers that bring their own.
    pub fn new(chain: Vec<Box<dyn Authenticator>>, anonymous: AnonymousAccess, audiences: Vec<String>) -> Self {
        Self { chain, anonymous, audiences }
    }

    /// With further authenticators, which are asked after those there are.
    #[must_use]
    pub fn and(mut self, further: impl IntoIterator<Item = Arc<dyn Authenticator>>) -> Self {
        self.chain.extend(further.into_iter().map(|one| Box::new(one) as Box<dyn Authenticator>));
        self
    }

    /// The audiences of the API itself.
    pub fn audiences(&self) -> &[String] {
        &self.audiences
    }

    /// Recognises the client of a request to `cluster`.
    pub fn authenticate(
        &self,
        cluster: &LogicalClusterName,
        credentials: Credentials<'_>,
        now: Timestamp,
    ) -> Result<Identity, Unauthenticated> {
        let attempt = Attempt { cluster, credentials, audiences: &self.audiences, now };
        let mut reasons = match self.ask(&attempt) {
            Ok(identity) => return Ok(identity),
            Err(reasons) => reasons,
        };
        if credentials.bearer.is_none() && reasons.is_empty() {
            match self.anonymous {
                AnonymousAccess::Allowed => return Ok(Identity::anonymous()),
                AnonymousAccess::Refused => reasons.push("no credentials".to_owned()),
            }
        }
        Err(Unauthenticated { reasons })
    }

    /// Recognises whoever a token stands for, for the audiences a TokenReview asks for (none: those of the API).
    pub fn review(
        &self,
        cluster: &LogicalClusterName,
        token: &str,
        audiences: &[String],
        now: Timestamp,
    ) -> Result<Identity, Unauthenticated> {
        let audiences = if audiences.is_empty() { &self.audiences } else { audiences };
        let credentials = Credentials { bearer: Bearer::Token(token).token(), certificate: None };
        self.ask(&Attempt { cluster, credentials, audiences, now }).map_err(|reasons| Unauthenticated { reasons })
    }

    fn ask(&self, attempt: &Attempt<'_>) -> Result<Identity, Vec<String>> {
        let mut reasons = Vec::new();
        for authenticator in &self.chain {
            match authenticator.authenticate(attempt) {
                Ok(Some(identity)) => return Ok(identity.complete()),
                Ok(None) => {}
                Err(reason) => reasons.push(reason),
            }
        }
        if attempt.credentials.bearer.is_some() {
            reasons.insert(0, "invalid bearer token".to_owned());
        }
        Err(reasons)
    }
}

// === impl Unauthenticated ===

impl fmt::Display for Unauthenticated {
    /// One reason stands alone, several in brackets, as Kubernetes joins errors.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.reasons.as_slice() {
            [one] => f.write_str(one),
            many => write!(f, "[{}]", many.join(", ")),
        }
    }
}

impl std::error::Error for Unauthenticated {}

impl From<Unauthenticated> for ApiError {
    /// 401, without a word about why; the reasons go to the log.
    fn from(refusal: Unauthenticated) -> Self {
        ApiError::unauthorized().caused_by(refusal)
    }
}

/// Which of the audiences somebody is meant for were asked for, in their own order.
pub(crate) fn common_audiences(own: &[String], asked: &[String]) -> Vec<String> {
    own.iter().filter(|audience| asked.contains(audience)).cloned().collect()
}

/// The fingerprint under which secrets are compared and remembered, so that time tells nothing about them.
pub(crate) fn digest(text: &str) -> [u8; 32] {
    use sha2::Digest;
    sha2::Sha256::digest(text.as_bytes()).into()
}

#[cfg(test)]
mod tests;
