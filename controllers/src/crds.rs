//! Ends definitions of custom resources that are being deleted: their objects go first, then the definition.
//!
//! Names, `Established` and the serving of definitions are the server's.

use std::collections::BTreeSet;
use std::time::Duration;

use atoll_api::Object;
use jiff::Timestamp;
use serde_json::Value;
use tokio_util::sync::CancellationToken;

use crate::cluster_api::{Answer, Deletion, Endpoint, Failure, Resource, Selection, Server, Shape, optional};
use crate::conditions::{self, Change, Condition};
use crate::frame::{Frame, ObjectKey};
use crate::queue::Next;

/// Definitions of custom resources, as URLs name them.
pub(crate) const DEFINITIONS: Resource<'static> =
    Resource { api: "/apis/apiextensions.k8s.io/v1", plural: "customresourcedefinitions" };

const MANAGER: &str = "crd-finalizer";
const FINALIZER: &str = "customresourcecleanup.apiextensions.k8s.io";
const FRAME: Frame =
    Frame { resource: DEFINITIONS, shape: Shape::Metadata, at_a_time: 8, longest_pause: Duration::from_secs(5) };

/// Runs the controller until told to stop.
pub(crate) async fn run(server: Server, stop: CancellationToken) {
    FRAME.run_for(&server, &stop, is_ending, |key| end(&server, key)).await;
}

fn is_ending(definition: &Object) -> bool {
    definition.deletion_timestamp().is_some() && definition.finalizers().contains(&FINALIZER)
}

/// Takes one definition a step nearer to its end.
async fn end(server: &Server, key: ObjectKey) -> Answer<Next> {
    let cluster = server.cluster(&key.cluster);
    let path = DEFINITIONS.object("", &key.name);
    let definition = match optional(cluster.get(&path, Shape::Full).await) {
        Ok(Some(definition)) if is_ending(&definition) => definition,
        Ok(_) | Err(Failure::NoCluster) => return Ok(Next::Done),
        Err(failure) => return Err(failure),
    };
    match carry_out(&cluster, &path, definition).await {
        Err(failure) if failure.is_gone() => Ok(Next::Done),
        other => other,
    }
}

async fn carry_out(cluster: &Endpoint, path: &str, definition: Object) -> Answer<Next> {
    let under_way = "CustomResource deletion is in progress".to_owned();
    let mut definition = tell(cluster, path, definition, "True", "InstanceDeletionInProgress", under_way).await?;
    match delete_instances(cluster, &definition).await {
        Ok(0) => {}
        Ok(_) => return Ok(Next::Waiting),
        Err(failure) => {
            let message = format!("could not issue all deletes: {}", failure.chain());
            tell(cluster, path, definition, "True", "InstanceDeletionFailed", message).await?;
            return Err(failure);
        }
    }
    if definition.finalizers().len() > 1 {
        let message = "removed all instances".to_owned();
        definition = tell(cluster, path, definition, "False", "InstanceDeletionCompleted", message).await?;
    }
    let kept = definition.finalizers().into_iter().filter(|name| *name != FINALIZER).map(str::to_owned).collect();
    definition.set_finalizers(kept);
    cluster.replace(path, &Value::Object(definition.0), MANAGER).await?;
    Ok(Next::Done)
}

/// Sets the condition `Terminating`, unless it is so already.
async fn tell(
    cluster: &Endpoint,
    path: &str,
    mut definition: Object,
    status: &str,
    reason: &str,
    message: String,
) -> Answer<Object> {
    let condition = Condition { kind: "Terminating", status, reason, message };
    match conditions::set(definition.map_mut("status"), &condition, Timestamp::now()) {
        Change::None => Ok(definition),
        Change::Changed => cluster.replace(&format!("{path}/status"), &Value::Object(definition.0), MANAGER).await,
    }
}

/// Deletes the objects of a definition; gives how many are still there.
async fn delete_instances(cluster: &Endpoint, definition: &Object) -> Answer<usize> {
    // A definition whose names were never accepted has no objects, and its path may be that of another one.
    if conditions::status_of(definition.get("status"), "Established") != "True" {
        return Ok(0);
    }
    let Some(api) = served_api(definition) else { return Err(Failure::NotServed) };
    let resource = Resource { api: &api, plural: definition.text_at(&["spec", "names", "plural"]) };
    let everywhere = resource.collection("");
    let found = cluster.list(&everywhere, Shape::Metadata, &Selection::all()).await?;
    let namespaces: BTreeSet<&str> = found.iter().map(Object::namespace).collect();
    if namespaces.is_empty() {
        return Ok(0);
    }
    for namespace in namespaces {
        cluster.delete_collection(&resource.collection(namespace), &Deletion::default()).await?;
    }
    Ok(cluster.list(&everywhere, Shape::Metadata, &Selection::all()).await?.len())
}

/// The root of the API of a version that is served.
pub(crate) fn served_api(definition: &Object) -> Option<String> {
    let versions = definition.at(&["spec", "versions"]).and_then(Value::as_array)?;
    let served = versions.iter().find(|version| version["served"] == true)?;
    Some(format!("/apis/{}/{}", definition.text_at(&["spec", "group"]), served["name"].as_str()?))
}
