//! Ends namespaces that are being deleted: empties them, tells in conditions what is left, and lets go of them at last.
//!
//! Follows `kube-controller-manager`'s namespace controller; marking namespaces and refusing new content is the server's.

mod content;
mod report;

use std::time::Duration;

use atoll_api::Object;
use jiff::Timestamp;
use serde_json::Value;
use tokio_util::sync::CancellationToken;

use crate::cluster_api::{Answer, Failure, Resource, Server, Shape, optional};
use crate::discovery;
use crate::frame::{Frame, ObjectKey};
use crate::queue::Next;
use content::Remaining;
use report::Report;

/// Namespaces, as URLs name them.
pub(crate) const NAMESPACES: Resource<'static> = Resource { api: "/api/v1", plural: "namespaces" };

const MANAGER: &str = "namespace-controller";
/// The entry of `spec.finalizers` that this controller takes off.
const FINALIZER: &str = "kubernetes";
const FRAME: Frame =
    Frame { resource: NAMESPACES, shape: Shape::Metadata, at_a_time: 8, longest_pause: Duration::from_secs(15) };

/// Runs the controller until told to stop.
pub(crate) async fn run(server: Server, stop: CancellationToken) {
    let ends = |namespace: &Object| namespace.deletion_timestamp().is_some();
    FRAME.run_for(&server, &stop, ends, |key| end(&server, key)).await;
}

/// Takes one namespace a step nearer to its end.
async fn end(server: &Server, key: ObjectKey) -> Answer<Next> {
    let cluster = server.cluster(&key.cluster);
    let path = NAMESPACES.object("", &key.name);
    let mut namespace = match optional(cluster.get(&path, Shape::Full).await) {
        Ok(Some(namespace)) if namespace.deletion_timestamp().is_some() => namespace,
        Ok(_) | Err(Failure::NoCluster) => return Ok(Next::Done),
        Err(failure) => return Err(failure),
    };
    // Without a finalizer of its own the namespace stays for metadata.finalizers only, which others take off.
    if finalizers(&namespace).is_empty() {
        return Ok(Next::Done);
    }
    let mut report = Report::default();
    let remaining = match discovery::surface(&cluster).await {
        Ok(surface) => {
            report.undiscovered(&surface.unknown);
            let left = content::delete(&cluster, &key.name, &surface.resources, &mut report).await;
            if surface.unknown.is_empty() { left } else { Remaining::Unknown }
        }
        Err(Failure::NoCluster) => return Ok(Next::Done),
        Err(failure) => {
            report.discovery_failed(&failure);
            Remaining::Unknown
        }
    };
    let changed = report.write(namespace.map_mut("status"), Timestamp::now());
    if changed {
        namespace = match cluster.replace(&format!("{path}/status"), &Value::Object(namespace.0), MANAGER).await {
            Ok(written) => written,
            Err(failure) if failure.is_gone() => return Ok(Next::Done),
            Err(failure) => return Err(failure),
        };
    }
    match remaining {
        Remaining::Nothing => finalize(server, &key, namespace).await,
        Remaining::Something | Remaining::Unknown => Ok(Next::Waiting),
    }
}

/// Lets go of an emptied namespace; the server removes it if nobody else holds it.
async fn finalize(server: &Server, key: &ObjectKey, mut namespace: Object) -> Answer<Next> {
    let kept: Vec<Value> =
        finalizers(&namespace).into_iter().filter(|name| *name != FINALIZER).map(Value::from).collect();
    if kept.len() == finalizers(&namespace).len() {
        return Ok(Next::Done);
    }
    namespace.map_mut("spec").insert("finalizers".into(), kept.into());
    let path = format!("{}/finalize", NAMESPACES.object("", &key.name));
    match server.cluster(&key.cluster).replace(&path, &Value::Object(namespace.0), MANAGER).await {
        Ok(_) => Ok(Next::Done),
        Err(failure) if failure.is_gone() => Ok(Next::Done),
        Err(failure) => Err(failure),
    }
}

fn finalizers(namespace: &Object) -> Vec<&str> {
    let list = namespace.at(&["spec", "finalizers"]).and_then(Value::as_array);
    list.into_iter().flatten().filter_map(Value::as_str).collect()
}
