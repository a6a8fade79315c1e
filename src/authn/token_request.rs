//! A `TokenRequest`: the token of a service account, bound to what it asks for.
//!
//! Whether the client may ask, and admission, come before this; the request has been decoded by its schema.

use atoll_api::field::FieldPath;
use atoll_api::time::format_time;
use atoll_api::validation::key_fault;
use atoll_api::{
    ApiError, ApiResult, FieldError, FieldErrors, GroupKind, GroupResource, GroupVersion, GroupVersionKind,
    LogicalClusterName, Object, Value,
};
use jiff::Timestamp;
use serde_json::json;

use super::lookup::{Found, Referent};
use super::signed::{Extension, Reference, ServiceAccountToken, SignedTokens};

const DEFAULT_SECONDS: i64 = 3600;
const MIN_SECONDS: i64 = 600;
const MAX_SECONDS: i64 = 1 << 32;
/// What kubelets ask for on behalf of pods that say nothing; such tokens are made to live longer.
const KUBELET_SECONDS: i64 = 3607;
const YEAR_SECONDS: i64 = 365 * 24 * 3600;

/// For which service account a request is.
#[derive(Debug, Clone, Copy)]
pub struct Target<'a> {
    /// The logical cluster.
    pub cluster: &'a LogicalClusterName,
    /// The service account's namespace.
    pub namespace: &'a str,
    /// The service account's name.
    pub name: &'a str,
}

/// The answer to a request.
#[derive(Debug, Clone, PartialEq)]
pub struct Answer {
    /// The `TokenRequest` with its token.
    pub object: Object,
    /// Warnings for the client.
    pub warnings: Vec<String>,
    /// The token's credential id, for the audit annotation `authentication.kubernetes.io/issued-credential-id`.
    pub credential_id: String,
}

/// What a token is bound to.
#[derive(Default)]
struct Bound {
    pod: Option<Reference>,
    secret: Option<Reference>,
    node: Option<Reference>,
}

/// Makes the token a `TokenRequest` asks for.
pub fn create(tokens: &SignedTokens, target: Target<'_>, mut request: Object, now: Timestamp) -> ApiResult<Answer> {
    check_place(&request, target)?;
    let account = tokens
        .lookup
        .find(target.cluster, Referent::ServiceAccount, target.namespace, target.name)
        .ok_or_else(|| not_found(Referent::ServiceAccount, target.name))?;
    check_account_uid(&request, target, &account)?;
    let mut audiences = texts(request.at(&["spec", "audiences"]));
    if audiences.is_empty() {
        audiences = tokens.audiences().to_vec();
    }
    let mut seconds = request.at(&["spec", "expirationSeconds"]).and_then(Value::as_i64).unwrap_or(DEFAULT_SECONDS);
    check_seconds(seconds)?;
    let reference = request.at(&["spec", "boundObjectRef"]).cloned().unwrap_or_default();
    let bound = resolve(tokens, target, &reference)?;

    let mut warnings = Vec::new();
    if let Some(max) = tokens.options.max_expiration_seconds.filter(|max| *max > 0 && seconds > *max) {
        warnings.push(format!("requested expiration of {seconds} seconds shortened to {max} seconds"));
        seconds = max;
    }
    let is_extended = tokens.options.extension == Extension::Year
        && bound.pod.is_some()
        && seconds == KUBELET_SECONDS
        && audiences.iter().all(|audience| tokens.audiences().contains(audience));
    let issued = tokens
        .issue_service_account(
            ServiceAccountToken {
                cluster: target.cluster,
                namespace: target.namespace,
                service_account: Reference { name: target.name.to_owned(), uid: account.uid.as_str().to_owned() },
                audiences: &audiences,
                lives_seconds: Some(if is_extended { YEAR_SECONDS } else { seconds }),
                warn_after_seconds: is_extended.then_some(seconds),
                pod: bound.pod,
                secret: bound.secret,
                node: bound.node,
            },
            now,
        )
        .map_err(|error| ApiError::internal("failed to generate token").caused_by(error))?;

    fill_metadata(&mut request, target, &account, now);
    let spec = json!({"audiences": audiences, "expirationSeconds": seconds, "boundObjectRef": reference});
    request.0.insert("spec".into(), spec);
    let expires = Timestamp::from_second(now.as_second().saturating_add(seconds)).unwrap_or(Timestamp::MAX);
    let status = json!({"token": issued.token, "expirationTimestamp": format_time(expires)});
    request.0.insert("status".into(), status);
    Ok(Answer { object: request, warnings, credential_id: issued.credential_id })
}

fn group_kind() -> GroupKind {
    GroupKind { group: "authentication.k8s.io".into(), kind: "TokenRequest".into() }
}

fn not_found(referent: Referent, name: &str) -> ApiError {
    ApiError::not_found(&GroupResource::new("", referent.resource()), name)
}

fn texts(list: Option<&Value>) -> Vec<String> {
    let list = list.and_then(Value::as_array);
    list.into_iter().flatten().filter_map(Value::as_str).map(str::to_owned).collect()
}

/// A name and namespace in the body, if there are any, are those of the path.
fn check_place(request: &Object, target: Target<'_>) -> ApiResult<()> {
    for (field, text, wanted) in
        [("name", request.name(), target.name), ("namespace", request.namespace(), target.namespace)]
    {
        if !text.is_empty() && text != wanted {
            let path = FieldPath::new("metadata").child(field);
            let why = format!("must match the service account {field} if specified");
            let errors: FieldErrors = vec![FieldError::invalid(&path, &json!(text), why)];
            return Err(ApiError::invalid(&group_kind(), target.name, &errors));
        }
    }
    Ok(())
}

/// A uid in the body is that of the service account the client means.
fn check_account_uid(request: &Object, target: Target<'_>, account: &Found) -> ApiResult<()> {
    let uid = request.uid();
    if uid.is_empty() || uid == account.uid.as_str() {
        return Ok(());
    }
    let why =
        format!("the UID in the token request ({uid}) does not match the UID of the service account ({})", account.uid);
    let kind = group_kind();
    Err(ApiError::conflict(&GroupResource::new(kind.group, kind.kind), target.name, &why))
}

fn check_seconds(seconds: i64) -> ApiResult<()> {
    let why = match seconds {
        ..MIN_SECONDS => "may not specify a duration less than 10 minutes",
        MIN_SECONDS..=MAX_SECONDS => return Ok(()),
        _ => "may not specify a duration larger than 2^32 seconds",
    };
    let path = FieldPath::new("spec").child("expirationSeconds");
    Err(ApiError::invalid(&group_kind(), "", &vec![FieldError::invalid(&path, &json!(seconds), why)]))
}

/// Finds the object a token is to be bound to.
fn resolve(tokens: &SignedTokens, target: Target<'_>, reference: &Value) -> ApiResult<Bound> {
    if reference.is_null() {
        return Ok(Bound::default());
    }
    let text = |field: &str| reference.get(field).and_then(Value::as_str).unwrap_or_default();
    let version = GroupVersion::parse(text("apiVersion")).unwrap_or_else(|| GroupVersion::new("", ""));
    let (kind, name) = (text("kind"), text("name"));
    let referent = match (&*version.group, kind) {
        ("", "Pod") => Referent::Pod,
        ("", "Secret") => Referent::Secret,
        ("", "Node") => Referent::Node,
        _ => {
            let kind = GroupVersionKind::new(version.group, version.version, kind);
            return Err(ApiError::bad_request(format!("cannot bind token to object of type {kind}")));
        }
    };
    if let Some(why) = key_fault(name) {
        return Err(ApiError::bad_request(why));
    }
    let find = |referent, namespace: &str, name: &str| tokens.lookup.find(target.cluster, referent, namespace, name);
    let namespace = if referent == Referent::Node { "" } else { target.namespace };
    let found = find(referent, namespace, name).ok_or_else(|| not_found(referent, name))?;
    if referent == Referent::Pod && found.service_account != target.name {
        return Err(ApiError::bad_request(format!(
            "cannot bind token for serviceaccount {:?} to pod running with different serviceaccount name.",
            target.name
        )));
    }
    let uid = text("uid");
    if !uid.is_empty() && uid != found.uid.as_str() {
        let why = format!(
            "the UID in the bound object reference ({uid}) does not match the UID in record. The object might have been deleted and then recreated"
        );
        return Err(ApiError::conflict(&GroupResource::new("", kind), name, &why));
    }
    let this = Some(Reference { name: name.to_owned(), uid: found.uid.as_str().to_owned() });
    Ok(match referent {
        Referent::Secret => Bound { secret: this, ..Bound::default() },
        Referent::Node => Bound { node: this, ..Bound::default() },
        _ => {
            // A node that is not there is told by its name alone.
            let node = (!found.node.is_empty()).then(|| Reference {
                uid: find(Referent::Node, "", &found.node).map(|n| n.uid.as_str().to_owned()).unwrap_or_default(),
                name: found.node,
            });
            Bound { pod: this, node, ..Bound::default() }
        }
    })
}

fn fill_metadata(request: &mut Object, target: Target<'_>, account: &Found, now: Timestamp) {
    request.set_meta("name", target.name);
    request.set_meta("namespace", target.namespace);
    request.set_meta("uid", account.uid.as_str());
    request.set_meta("creationTimestamp", &format_time(now));
}

#[cfg(test)]
mod tests;
