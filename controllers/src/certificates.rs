//! Requests for certificates: those that are approved are signed, and old ones deleted.
//!
//! Who signs and what makes a request acceptable is not known here; nobody approves here.

use std::sync::Arc;
use std::time::Duration;

use atoll_api::Object;
use atoll_api::time::format_time;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use jiff::Timestamp;
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use crate::cluster_api::{Answer, Deletion, Failure, Resource, Server, Shape};
use crate::frame::{Frame, ObjectKey};
use crate::queue::Next;

const REQUESTS: Resource<'static> =
    Resource { api: "/apis/certificates.k8s.io/v1", plural: "certificatesigningrequests" };
const MANAGER: &str = "certificate-controller";
const FRAME: Frame =
    Frame { resource: REQUESTS, shape: Shape::Full, at_a_time: 4, longest_pause: Duration::from_secs(300) };
/// For how long requests are kept, in seconds: those about which nobody decides or that nobody signs, and the others.
const UNDECIDED_KEPT: i64 = 24 * 3600;
const DECIDED_KEPT: i64 = 3600;

/// How certificates are signed.
#[derive(Clone)]
pub struct Signing {
    /// Signs what is asked for; must not block for long.
    pub sign: Arc<Sign>,
    /// When a certificate (PEM) ends; `None` if it is none.
    pub end: fn(&[u8]) -> Option<Timestamp>,
}

/// Signs what is asked for.
pub type Sign = dyn Fn(&CertificateRequest) -> Signed + Send + Sync;

/// What is asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CertificateRequest {
    /// The logical cluster where it is asked for, by its name.
    pub cluster: String,
    /// Who is to sign.
    pub signer: String,
    /// The request itself, PEM.
    pub request: Vec<u8>,
    /// What the certificate is for.
    pub usages: Vec<String>,
    /// For how many seconds it is to hold.
    pub seconds: Option<i64>,
}

/// What comes of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Signed {
    /// The certificate, PEM.
    Certificate(String),
    /// The signer does not sign such requests; the text is for who asked.
    Refused(String),
    /// Another signer is meant.
    NotOurs,
    /// Not now; the text is for the log.
    Later(String),
}

/// Runs the controller until told to stop. What there is to do for a cluster without requests is nothing.
pub(crate) async fn run(server: Server, signing: Signing, stop: CancellationToken) {
    FRAME.run_for(&server, &stop, |_| true, |key| look_after(&server, &signing, key)).await;
}

async fn look_after(server: &Server, signing: &Signing, key: ObjectKey) -> Answer<Next> {
    match sign_or_delete(server, signing, &key).await {
        Err(Failure::Absent | Failure::NoCluster | Failure::NotServed) => Ok(Next::Done),
        other => other,
    }
}

async fn sign_or_delete(server: &Server, signing: &Signing, key: &ObjectKey) -> Answer<Next> {
    let (cluster, path) = (server.cluster(&key.cluster), REQUESTS.object("", &key.name));
    let mut request = cluster.get(&path, Shape::Full).await?;
    if request.deletion_timestamp().is_some() {
        return Ok(Next::Done);
    }
    let now = Timestamp::now();
    let left = kept_until(&request, signing.end) - now.as_second();
    if left <= 0 {
        let options = Deletion::default().of_uid(request.uid()).at_version(request.resource_version());
        cluster.delete(&path, &options).await?;
        return Ok(Next::Done);
    }
    if is_to_be_signed(&request) {
        match (signing.sign)(&wanted(&key.cluster, &request)) {
            Signed::Certificate(certificate) => {
                request.map_mut("status").insert("certificate".into(), STANDARD.encode(certificate).into());
            }
            Signed::Refused(why) => add_failure(&mut request, &why, now),
            Signed::NotOurs => return Ok(again_after(left)),
            Signed::Later(why) => {
                tracing::warn!(?key, why, "a certificate could not be signed; trying again later");
                return Ok(Next::Waiting);
            }
        }
        // With the version that was read: what somebody else has decided in the meantime is looked at first, and no certificate
        // gets into a later cluster of that name.
        cluster.replace(&format!("{path}/status"), &Value::Object(request.0), MANAGER).await?;
    }
    Ok(again_after(left))
}

/// When a request that is kept for so many seconds is looked at again.
fn again_after(left: i64) -> Next {
    Next::After(Duration::from_secs(left.clamp(1, UNDECIDED_KEPT).unsigned_abs()))
}

fn wanted(cluster: &str, request: &Object) -> CertificateRequest {
    let usages = request.at(&["spec", "usages"]).and_then(Value::as_array).into_iter().flatten();
    CertificateRequest {
        cluster: cluster.to_owned(),
        signer: request.text_at(&["spec", "signerName"]).to_owned(),
        request: STANDARD.decode(request.text_at(&["spec", "request"])).unwrap_or_default(),
        usages: usages.filter_map(Value::as_str).map(str::to_owned).collect(),
        seconds: request.at(&["spec", "expirationSeconds"]).and_then(Value::as_i64),
    }
}

fn conditions(request: &Object) -> impl Iterator<Item = &Value> {
    request.at(&["status", "conditions"]).and_then(Value::as_array).into_iter().flatten()
}

fn is_to_be_signed(request: &Object) -> bool {
    let is = |kind: &str| conditions(request).any(|condition| condition["type"] == kind);
    let failed = conditions(request).any(|condition| condition["type"] == "Failed" && condition["status"] == "True");
    is("Approved") && !is("Denied") && !failed && request.text_at(&["status", "certificate"]).is_empty()
}

fn add_failure(request: &mut Object, why: &str, now: Timestamp) {
    let now = format_time(now);
    let failed = json!({
        "type": "Failed", "status": "True", "reason": "SignerValidationFailure", "message": why, "lastUpdateTime": now,
    });
    let conditions = request.map_mut("status").entry("conditions").or_insert_with(|| json!([]));
    if let Value::Array(conditions) = conditions {
        conditions.push(failed);
    }
}

/// Until when a request is kept, in seconds since 1970: as long as kube-controller-manager keeps it, but to the second.
fn kept_until(request: &Object, end: fn(&[u8]) -> Option<Timestamp>) -> i64 {
    let seconds = |time: &str| time.parse::<Timestamp>().ok().map(Timestamp::as_second);
    let certificate = STANDARD.decode(request.text_at(&["status", "certificate"])).unwrap_or_default();
    let mut until: Vec<i64> = conditions(request)
        .filter_map(|condition| {
            let since = seconds(condition["lastUpdateTime"].as_str().unwrap_or_default())?;
            match condition["type"].as_str().unwrap_or_default() {
                "Denied" | "Failed" => Some(since + DECIDED_KEPT),
                "Approved" if certificate.is_empty() => Some(since + UNDECIDED_KEPT),
                "Approved" => Some(since + DECIDED_KEPT),
                _ => None,
            }
        })
        .collect();
    if conditions(request).any(|condition| condition["type"] == "Approved") && !certificate.is_empty() {
        until.extend(end(&certificate).map(|end| end.as_second() + 1));
    }
    if conditions(request).next().is_none() {
        let created = request.metadata().and_then(|metadata| metadata.get("creationTimestamp"));
        until.extend(created.and_then(Value::as_str).and_then(seconds).map(|created| created + UNDECIDED_KEPT));
    }
    until.into_iter().min().unwrap_or(i64::MAX / 2)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(created: i64, conditions: &[(&str, i64)], certificate: &str) -> Object {
        let time = |at: i64| format_time(Timestamp::from_second(at).unwrap());
        let conditions: Vec<Value> = conditions
            .iter()
            .map(|(kind, at)| json!({"type": kind, "status": "True", "lastUpdateTime": time(*at)}))
            .collect();
        let value = json!({
            "metadata": {"name": "r", "creationTimestamp": time(created)},
            "status": {"conditions": conditions, "certificate": STANDARD.encode(certificate)},
        });
        Object::from_value(value).unwrap()
    }

    #[test]
    fn requests_are_kept_as_long_as_kubernetes_keeps_them() {
        let end = |certificate: &[u8]| (certificate == b"soon").then(|| Timestamp::from_second(1500).unwrap());
        for (what, conditions, certificate, expect) in [
            ("pending", &[][..], "", 1000 + 86_400),
            ("denied", &[("Denied", 2000)], "", 2000 + 3600),
            ("approved, not signed", &[("Approved", 2000)], "", 2000 + 86_400),
            ("signed", &[("Approved", 2000)], "later", 2000 + 3600),
            ("signed, over soon", &[("Approved", 2000)], "soon", 1501),
            ("refused", &[("Approved", 2000), ("Failed", 2500)], "", 2500 + 3600),
        ] {
            assert_eq!(kept_until(&request(1000, conditions, certificate), end), expect, "{what}");
        }
    }

    #[test]
    fn what_is_approved_and_not_yet_dealt_with_is_to_be_signed() {
        for (conditions, certificate, expect) in [
            (&[][..], "", false),
            (&[("Approved", 1)], "", true),
            (&[("Approved", 1)], "there", false),
            (&[("Denied", 1)], "", false),
            (&[("Approved", 1), ("Failed", 1)], "", false),
        ] {
            assert_eq!(is_to_be_signed(&request(1, conditions, certificate)), expect, "{conditions:?}");
        }
    }
}
