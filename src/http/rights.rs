//! The right to an answer that goes on for long, asked for again while it does.
//!
//! Kubernetes asks at the start only; a server of many tenants must not honour a right that was taken away, nor a
//! credential that has ended.

use atoll_api::{ApiError, ApiResult, LogicalClusterName, UserInfo};
use jiff::Timestamp;

use super::Api;
use super::caller::Caller;
use super::chain::Asked;
use crate::authz::Attributes;
use crate::authz::forbidden::forbidden;
use crate::request::RequestInfo;

/// What is needed to ask again whether a request is allowed.
pub(super) struct Rights {
    info: RequestInfo,
    cluster: LogicalClusterName,
    caller: Caller,
    user: UserInfo,
}

// === impl Rights ===

impl Rights {
    /// The rights by which a request was allowed.
    pub(super) fn of(asked: &Asked) -> Self {
        Self {
            info: asked.info.clone(),
            cluster: asked.cx.cluster.clone(),
            caller: asked.caller.clone(),
            user: asked.cx.user.clone(),
        }
    }

    /// Whether they still are there.
    pub(super) async fn check(&self, api: &Api) -> ApiResult<()> {
        let recognised = self.caller.recognise(api, &self.cluster, &self.info, Timestamp::now())?;
        if recognised.user.name != self.user.name {
            return Err(ApiError::unauthorized());
        }
        let attributes = Attributes::of(&self.info, &self.cluster, &recognised.user);
        if let Some(asking) = api.authorizer.ask(&attributes) {
            asking.await;
        }
        let decision = api.authorizer.authorize(&attributes);
        if decision.is_allowed() { Ok(()) } else { Err(forbidden(&attributes, &decision)) }
    }
}
