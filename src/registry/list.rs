//! LIST: consistent pages of a collection, filtered, as stored entries.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;

use atoll_api::options::VersionMatch;
use atoll_api::selector::{FieldSelector, LabelSelector};
use atoll_api::{ApiError, ApiResult, LogicalClusterName, Object, Reason, ResourceVersion};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Serialize};

use super::resource::Origin;
use super::{Registry, Target, encode, underlay};
use crate::request::RequestContext;
use crate::storage::{Entry, ListQuery, Position, ReadError};

/// How long a list waits for a version that is still to come.
const WAIT_FOR_VERSION: Duration = Duration::from_secs(3);

/// How long after the first page of a list the rest of it can be had as it was then. History may go sooner where much
/// happens; where nothing does, clients learn all the same to deal with tokens that hold no more, as Kubernetes'
/// compaction teaches them.
const TOKENS_HOLD: i64 = 300;

/// What is listed.
#[derive(Debug, Clone, Default)]
pub struct ListRequest {
    /// The namespace; empty for all, and for resources of the cluster.
    pub namespace: String,
    /// Which labels objects must have.
    pub labels: LabelSelector,
    /// Which field values objects must have.
    pub fields: FieldSelector,
    /// How many objects at most.
    pub limit: Option<usize>,
    /// Where to go on, from an earlier answer; empty for the start.
    pub continue_token: String,
    /// As the client sent it; empty for the newest.
    pub resource_version: String,
    /// How it is meant; `None` if not said.
    pub version_match: Option<VersionMatch>,
}

/// A page of a collection.
#[derive(Debug, Clone)]
pub struct ListAnswer {
    /// The objects, in order.
    pub entries: Vec<Arc<Entry>>,
    /// The version of the whole list.
    pub revision: u64,
    /// Where to go on; empty at the end.
    pub continue_token: String,
    /// How many follow, where that is known.
    pub remaining: Option<usize>,
}

/// Where a list begins, which state it shows, and until when it can be gone on with.
struct Start {
    after: Option<Position>,
    at: Option<u64>,
    until: i64,
}

/// What a continue token holds: as Kubernetes', and the cluster it was given for.
#[derive(Debug, Serialize, Deserialize)]
struct Continue {
    v: String,
    rv: i64,
    start: [String; 3],
    cluster: String,
    /// Until when it holds, in seconds since 1970.
    #[serde(default)]
    until: i64,
}

impl Registry {
    /// Lists a collection.
    pub async fn list(&self, cx: &RequestContext, target: &Target, request: &ListRequest) -> ApiResult<ListAnswer> {
        let Start { after, at, until } = self.starting_point(cx, request).await?;
        let selective = !request.labels.is_everything() || !request.fields.is_everything();
        let matches = |entry: &Entry| matches(target, request, entry);
        let limit = request.limit.filter(|_| !is_from_cache(request));
        let query = ListQuery {
            resource: &target.descriptor().resource,
            scope: &cx.scope,
            namespace: Some(request.namespace.as_str()).filter(|ns| !ns.is_empty()),
            name: request.fields.requires_exact("metadata.name"),
            after: after.as_ref(),
            at,
            limit,
            filter: if selective { Some(&matches) } else { None },
        };
        let first = request.continue_token.is_empty();
        let mut page = self.store.list(query).map_err(|error| expired(error, request, first, cx))?;
        self.add_underlay(cx, target, request, &underlay::Span { after: after.as_ref(), limit }, &mut page);
        let token = |start: Position| Continue {
            v: "meta.k8s.io/v1".into(),
            rv: page.revision as i64,
            start: [start.cluster.to_string(), start.namespace.to_string(), start.name.to_string()],
            cluster: identity(cx),
            until,
        };
        let continue_token = page.next.take().map(|start| encode_continue(&token(start))).unwrap_or_default();
        let remaining = page.remaining.filter(|_| !selective && !continue_token.is_empty());
        Ok(ListAnswer { entries: page.entries, revision: page.revision, continue_token, remaining })
    }

    /// Where a list begins and which state it shows.
    async fn starting_point(&self, cx: &RequestContext, request: &ListRequest) -> ApiResult<Start> {
        let now = cx.now.as_second();
        if !request.continue_token.is_empty() {
            if !matches!(request.resource_version.as_str(), "" | "0") {
                return Err(ApiError::bad_request("specifying resource version is not allowed when using continue"));
            }
            let token = decode_continue(&request.continue_token, cx)?;
            // A negative version: the client chose to go on with the newest state.
            let at = u64::try_from(token.rv).ok();
            if at.is_some() && token.until < now {
                return Err(too_old(token));
            }
            let until = if at.is_some() { token.until } else { now + TOKENS_HOLD };
            let [cluster, namespace, name] = token.start;
            let cluster =
                LogicalClusterName::parse(&cluster).map_err(|error| ApiError::bad_request(error.to_string()))?;
            return Ok(Start { after: Some(Position::new(cluster, namespace, name)), at, until });
        }
        let asked = parse_version(&request.resource_version)
            .map_err(|error| ApiError::bad_request(format!("invalid resource version: {}", error.status.message)))?;
        if asked.0 > 0 {
            self.wait_for(asked).await?;
        }
        let exact = match request.version_match {
            Some(VersionMatch::Exact) => true,
            // Kubernetes' legacy: a limit makes the version exact (storage/etcd3/store.go).
            None => request.limit.is_some() && asked.0 > 0,
            Some(VersionMatch::NotOlderThan) => false,
        };
        Ok(Start { after: None, at: exact.then_some(asked.0), until: now + TOKENS_HOLD })
    }

    /// Waits until the store has reached a version a client has seen elsewhere.
    pub(super) async fn wait_for(&self, asked: ResourceVersion) -> ApiResult<()> {
        if self.store.wait_for(asked.0, WAIT_FOR_VERSION).await.is_ok() {
            return Ok(());
        }
        let message = format!("Too large resource version: {asked}, current: {}", self.store.revision());
        let mut error = ApiError::timeout(&message, 1);
        if let Some(details) = &mut error.status.details {
            details.causes.push(atoll_api::status::Cause {
                reason: "ResourceVersionTooLarge".into(),
                message: "Too large resource version".into(),
                ..Default::default()
            });
        }
        Err(error)
    }
}

/// Whether a list asks for any state there is. Kubernetes answers such lists from its cache, and then whole, whatever the
/// limit (storage/cacher).
fn is_from_cache(request: &ListRequest) -> bool {
    request.resource_version == "0"
        && request.continue_token.is_empty()
        && request.version_match != Some(VersionMatch::Exact)
}

/// Whether an entry has the labels and fields a request asks for.
pub(super) fn matches(target: &Target, request: &ListRequest, entry: &Entry) -> bool {
    if !request.labels.matches(|key| entry.labels().get(key)) {
        return false;
    }
    if request.fields.is_everything() {
        return true;
    }
    let parsed = std::cell::OnceCell::new();
    request.fields.matches(|field| match field {
        "metadata.name" => Cow::Borrowed(entry.name()),
        "metadata.namespace" => Cow::Borrowed(entry.namespace()),
        other => {
            let object = parsed.get_or_init(|| selected_from(target, entry).unwrap_or_default());
            Cow::Owned(target.resource.selectable(object, other).unwrap_or_default())
        }
    })
}

/// The object whose fields are selected: of custom kinds, whose versions have fields of their own, as the client sees it.
fn selected_from(target: &Target, entry: &Entry) -> ApiResult<Object> {
    match target.resource.origin() {
        Origin::Builtin => encode::decode(entry),
        Origin::Custom => target.read(entry),
    }
}

/// Parses a `resourceVersion` parameter.
pub fn parse_version(text: &str) -> ApiResult<ResourceVersion> {
    ResourceVersion::parse(text).ok_or_else(|| {
        let shown = atoll_api::field::go_quote(text);
        // Kubernetes answers 500 here (storage/cacher: the fault is not wrapped in a Status).
        ApiError::new(
            Reason::Unknown,
            format!("resourceVersion: Invalid value: {shown}: strconv.ParseUint: parsing {shown}: invalid syntax"),
        )
    })
}

/// What a token names its cluster by: the name alone may have belonged to another one before.
fn identity(cx: &RequestContext) -> String {
    let uid = cx.cluster_uid.as_ref().map(|uid| uid.as_str()).unwrap_or_default();
    format!("{}/{uid}", cx.cluster)
}

fn encode_continue(token: &Continue) -> String {
    URL_SAFE_NO_PAD.encode(serde_json::to_vec(token).expect("a token is plain strings and numbers"))
}

fn decode_continue(text: &str, cx: &RequestContext) -> ApiResult<Continue> {
    let bad = |why: &str| ApiError::bad_request(format!("continue key is not valid: {why}"));
    let bytes = URL_SAFE_NO_PAD.decode(text).map_err(|error| bad(&error.to_string()))?;
    let token: Continue = serde_json::from_slice(&bytes).map_err(|error| bad(&error.to_string()))?;
    if token.v != "meta.k8s.io/v1" {
        return Err(bad(&format!("server does not recognize this encoded version {:?}", token.v)));
    }
    if token.cluster != identity(cx) {
        return Err(bad("it was given for another logical cluster"));
    }
    Ok(token)
}

/// What a client is told when the state it asked for is gone.
fn expired(error: ReadError, request: &ListRequest, first: bool, cx: &RequestContext) -> ApiError {
    match error {
        ReadError::Expired { .. } if first => ApiError::expired(format!(
            "The resourceVersion for the provided list is too old: {}",
            request.resource_version
        )),
        ReadError::Expired { .. } => match decode_continue(&request.continue_token, cx) {
            Ok(token) => too_old(token),
            Err(error) => error,
        },
        ReadError::Future { current } => {
            ApiError::timeout(&format!("Too large resource version, current: {current}"), 1)
        }
    }
}

/// What a client is told whose list cannot be gone on with as it was, and how to go on all the same.
fn too_old(token: Continue) -> ApiError {
    let mut error = ApiError::expired(
        "The provided continue parameter is too old to display a consistent list result. You can start a new list without the continue parameter, or use the continue token in this response to retrieve the remainder of the results. Continuing with the provided token results in an inconsistent list - objects that were created, modified, or deleted between the time the first chunk was returned and now may show up in the list.",
    );
    error.status.continue_token = encode_continue(&Continue { rv: -1, ..token });
    error
}
