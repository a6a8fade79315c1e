//! Who makes a request: by its credentials or by this process, in its own name or acting as somebody else.
//!
//! Kept as long as the request is answered, since long answers ask again: what a credential is worth, and whom one may
//! act as, may change meanwhile. What the user may do is asked elsewhere.

use atoll_api::{ApiError, ApiResult, LogicalClusterName, UserInfo};
use http::request::Parts;
use http::{HeaderMap, HeaderName, HeaderValue, header};
use jiff::Timestamp;

use super::answer::Identity;
use super::{Api, Peer};
use crate::authn::{Bearer, Credentials, EXTRA_SPACE_WARNING, FrontProxy, Scope};
use crate::authz::{Attributes, impersonation};
use crate::flow::Standing;
use crate::request::RequestInfo;

/// Marks requests of the server's own controllers, which wait for nobody.
#[derive(Debug, Clone, Copy)]
pub(crate) struct OfTheServer;

/// What a client showed of itself.
#[derive(Debug, Clone)]
pub(super) struct Caller {
    identity: Option<Identity>,
    /// The user whom a front proxy names.
    named: Option<UserInfo>,
    of_the_server: bool,
    peer: Peer,
    authorization: String,
    /// The headers that ask to act as somebody else, by their names in lower case.
    acting: Vec<(String, String)>,
}

/// Who that is.
#[derive(Debug, Clone)]
pub(super) struct Recognised {
    /// The user whose rights count.
    pub user: UserInfo,
    /// Who acts as that user, if somebody does.
    pub impersonator: Option<String>,
    /// The verb by which that was allowed, if it was a constrained one.
    pub constraint: Option<String>,
    /// Whether its word counts everywhere.
    pub standing: Standing,
}

impl Caller {
    /// Keeps what of a request tells who makes it.
    pub(super) fn of(parts: &Parts) -> Self {
        let peer = parts.extensions.get::<Peer>().cloned().unwrap_or_default();
        Self {
            identity: parts.extensions.get::<Identity>().cloned(),
            named: peer.front_proxy.as_ref().and_then(|front| named_by(front, &parts.headers)),
            of_the_server: parts.extensions.get::<OfTheServer>().is_some(),
            peer,
            authorization: parts.headers.get(header::AUTHORIZATION).map(text).unwrap_or_default(),
            acting: acting(&parts.headers),
        }
    }

    /// What the client should be told of the way it shows its token.
    pub(super) fn warning(&self) -> Option<&'static str> {
        (Bearer::parse(&self.authorization) == Bearer::ExtraSpace).then_some(EXTRA_SPACE_WARNING)
    }

    /// Recognises the user for a request to a cluster.
    pub(super) fn recognise(
        &self,
        api: &Api,
        cluster: &LogicalClusterName,
        info: &RequestInfo,
        now: Timestamp,
    ) -> ApiResult<Recognised> {
        let (user, standing) = self.authenticate(api, cluster, now)?;
        let headers = self.acting.iter().map(|(name, value)| (name.as_str(), value.as_str()));
        let Some(wanted) = impersonation::requested(headers)? else {
            return Ok(Recognised { user, impersonator: None, constraint: None, standing });
        };
        // Asked of the policy of the request's own cluster: rights to act as others end at its border.
        let request = Attributes::of(info, cluster, &user);
        let allowed = impersonation::authorize(&*api.authorizer, &api.acting, &request, &wanted)?;
        // In somebody else's name one is nobody special: whom a tenant may act as is the tenant's own affair.
        let standing = Standing::Tenant;
        Ok(Recognised { user: allowed.user, impersonator: Some(user.name), constraint: allowed.constraint, standing })
    }

    fn authenticate(&self, api: &Api, cluster: &LogicalClusterName, now: Timestamp) -> ApiResult<(UserInfo, Standing)> {
        if let Some(Identity(user)) = &self.identity {
            let standing = if self.of_the_server { Standing::Server } else { Standing::Everywhere };
            return Ok((user.clone(), standing));
        }
        // Before all other credentials, as in Kubernetes: those are the front proxy's own.
        if let Some(user) = &self.named {
            // The word of a front counts here, but in whose name it speaks is its own affair.
            return Ok((user.clone(), Standing::Tenant));
        }
        let bearer = Bearer::parse(&self.authorization).token();
        let credentials = Credentials { bearer, certificate: self.peer.certificate.as_deref() };
        let identity = api.authenticator.authenticate(cluster, credentials, now).map_err(|refused| {
            tracing::debug!(reasons = ?refused.reasons, "nobody by these credentials");
            ApiError::unauthorized()
        })?;
        let uid = api.clusters.find(cluster).map(|found| found.uid.clone());
        // A tenant's token is worth nothing elsewhere, nor in a later cluster of the same name.
        if !identity.holds_in(cluster, uid.as_ref()) {
            return Err(ApiError::unauthorized());
        }
        let standing = if identity.scope == Scope::Global { Standing::Everywhere } else { Standing::Tenant };
        Ok((identity.user, standing))
    }
}

/// The user whom a front proxy names.
fn named_by(front: &FrontProxy, headers: &HeaderMap) -> Option<UserInfo> {
    let readable = headers.iter().filter_map(|(name, value)| Some((name.as_str(), value.to_str().ok()?)));
    front.user(&readable.collect::<Vec<_>>())
}

fn acting(headers: &HeaderMap) -> Vec<(String, String)> {
    let wanted = |(name, _): &(&HeaderName, &HeaderValue)| impersonation::is_impersonation_header(name.as_str());
    headers.iter().filter(wanted).map(|(name, value)| (name.as_str().to_owned(), text(value))).collect()
}

/// A header's value; what is not UTF-8 in it becomes a sign that no name has.
fn text(value: &HeaderValue) -> String {
    String::from_utf8_lossy(value.as_bytes()).into_owned()
}
