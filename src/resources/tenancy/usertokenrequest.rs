//! UserTokenRequests: a token by which somebody is a user of one workspace's logical cluster and nobody anywhere else,
//! asked for through `workspaces/token`.
//!
//! Whoever may ask can be anybody in that cluster, so the right to is that of an owner.

use std::sync::Arc;

use atoll_api::time::format_time;
use atoll_api::{
    ApiError, ApiResult, FieldError, FieldErrors, FieldPath, GroupKind, LogicalClusterName, Object, Value,
};
use futures::future::BoxFuture;
use jiff::Timestamp;
use serde_json::json;

use crate::authn::SignedTokens;
use crate::authn::signed::{IssueError, UserToken};
use crate::registry::Target;
use crate::registry::computed::{Call, Computed};
use crate::resources::Builtin;
use crate::resources::kind::{Kind, Version};

/// The shortest life of a token, as of service accounts'.
const MIN_SECONDS: i64 = 600;
/// The longest: nothing but the end of the cluster or of the signing key ends a token earlier.
const MAX_SECONDS: i64 = 366 * 24 * 3600;

pub(in crate::resources) static KIND: Kind = Kind {
    resource: "usertokenrequests",
    kind: "UserTokenRequest",
    versions: &[Version {
        api_version: "authentication.atoll.dev/v1alpha1",
        type_name: "tenancy.v1alpha1.UserTokenRequest",
        ..Version::BARE
    }],
    ..Kind::REVIEW
};

/// Answers with a token.
pub(in crate::resources) struct Answer {
    tokens: Arc<SignedTokens>,
    request: Target,
}

impl Answer {
    /// Signs with these keys.
    pub(in crate::resources) fn new(tokens: Arc<SignedTokens>) -> Self {
        Self { tokens, request: Target::new(Builtin::of(&KIND), 0) }
    }
}

impl Computed for Answer {
    fn answer<'a>(&'a self, call: Call<'a>) -> BoxFuture<'a, ApiResult<Object>> {
        Box::pin(async move {
            // The workspace itself must be there: its name alone would do for the system cluster, too.
            let workspace = call.registry.find(call.cx, call.target, &call.object_name())?;
            let mut request = call.sent(&self.request).await?;
            let asked = Asked::read(&request)?;
            let status = self.issue(&asked, call.name, call.cx.now)?;
            request.set_meta("name", call.name);
            request.set_meta("uid", workspace.uid());
            request.set_meta("creationTimestamp", &format_time(call.cx.now));
            request.0.insert("status".into(), status);
            Ok(request)
        })
    }
}

/// What is asked for.
struct Asked {
    user: String,
    groups: Vec<String>,
    seconds: i64,
}

impl Asked {
    fn read(request: &Object) -> ApiResult<Self> {
        let spec = FieldPath::new("spec");
        let mut errors = FieldErrors::new();
        let user = request.text_at(&["spec", "user"]).to_owned();
        if user.is_empty() {
            errors.push(FieldError::required(&spec.child("user"), "name the user the token is for"));
        } else if user.starts_with("system:serviceaccount:") {
            let why = "service accounts have tokens of their own: use serviceaccounts/token";
            errors.push(FieldError::invalid(&spec.child("user"), &json!(user), why));
        }
        let groups = request.at(&["spec", "groups"]).and_then(Value::as_array);
        let groups: Vec<String> = groups.into_iter().flatten().filter_map(Value::as_str).map(str::to_owned).collect();
        for (index, _) in groups.iter().enumerate().filter(|(_, group)| group.is_empty()) {
            errors.push(FieldError::required(&spec.child("groups").index(index), "a group has a name"));
        }
        let seconds = request.at(&["spec", "expirationSeconds"]).and_then(Value::as_i64).unwrap_or_default();
        if !(MIN_SECONDS..=MAX_SECONDS).contains(&seconds) {
            let why = format!("must be between {MIN_SECONDS} (10 minutes) and {MAX_SECONDS} (a year)");
            errors.push(FieldError::invalid(&spec.child("expirationSeconds"), &json!(seconds), why));
        }
        if errors.is_empty() {
            return Ok(Self { user, groups, seconds });
        }
        let kind = GroupKind { group: "authentication.atoll.dev".into(), kind: KIND.kind.into() };
        Err(ApiError::invalid(&kind, "", &errors))
    }
}

impl Answer {
    fn issue(&self, asked: &Asked, workspace: &str, now: Timestamp) -> ApiResult<Value> {
        let gone = || ApiError::not_found(&crate::tenancy::workspaces(), workspace);
        let cluster = LogicalClusterName::parse(workspace).map_err(|_| gone())?;
        let token =
            UserToken { cluster: &cluster, user: &asked.user, groups: &asked.groups, lives_seconds: asked.seconds };
        let issued = self.tokens.issue_user(token, now).map_err(|error| match error {
            IssueError::NoCluster(_) => gone(),
            other => ApiError::internal("failed to generate token").caused_by(other),
        })?;
        tracing::debug!(%cluster, user = asked.user, credential = issued.credential_id, "token issued");
        let expires = Timestamp::from_second(now.as_second().saturating_add(asked.seconds)).unwrap_or(Timestamp::MAX);
        Ok(json!({"token": issued.token, "expirationTimestamp": format_time(expires)}))
    }
}
