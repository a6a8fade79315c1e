//! TokenRequests: a token of a service account, asked for through `serviceaccounts/token`.

use std::sync::Arc;

use atoll_api::{ApiResult, Object};
use futures::future::BoxFuture;
use serde_json::{Map, Value};

use crate::authn::{SignedTokens, token_request};
use crate::registry::Target;
use crate::registry::computed::{Call, Computed};
use crate::resources::Builtin;
use crate::resources::defaults::set;
use crate::resources::kind::{Kind, Version};

pub(in crate::resources) static KIND: Kind = Kind {
    resource: "tokenrequests",
    kind: "TokenRequest",
    versions: &[Version {
        api_version: "authentication.k8s.io/v1",
        type_name: "authentication.v1.TokenRequest",
        ..Version::BARE
    }],
    type_defaults: &[("authentication.v1.TokenRequestSpec", defaults)],
    ..Kind::REVIEW
};

/// An hour, unless it is said.
fn defaults(spec: &mut Map<String, Value>) {
    set(spec, "expirationSeconds", 3600);
}

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
            let request = call.sent(&self.request).await?;
            let (cluster, namespace, name) = (&call.cx.cluster, call.namespace, call.name);
            let target = token_request::Target { cluster, namespace, name };
            let answer = token_request::create(&self.tokens, target, request, call.cx.now)?;
            answer.warnings.into_iter().for_each(|warning| call.cx.warn(warning));
            tracing::debug!(%cluster, namespace, name, credential = answer.credential_id, "token issued");
            Ok(answer.object)
        })
    }
}
