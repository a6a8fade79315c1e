//! Deletes what is in a namespace, whatever the kind.

use atoll_api::Object;

use super::report::Report;
use crate::cluster_api::{Answer, Deletion, Endpoint, Failure, Selection, Shape};
use crate::discovery::Served;

/// Whether a namespace is empty.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Remaining {
    /// It is.
    Nothing,
    /// It is not yet.
    Something,
    /// Some of it could not be read.
    Unknown,
}

/// Deletes everything in a namespace of these resources, pods before anything else so that what they use outlives them.
pub(super) async fn delete(
    cluster: &Endpoint,
    namespace: &str,
    resources: &[Served],
    report: &mut Report,
) -> Remaining {
    let deletable = |served: &&Served| served.namespaced && served.can("delete") && served.can("list");
    let is_pods = |served: &&Served| served.group.is_empty() && served.plural == "pods";
    let pods = resources.iter().filter(deletable).filter(is_pods);
    let others = resources.iter().filter(deletable).filter(|served| !is_pods(served));
    let mut remaining = Remaining::Nothing;
    for stage in [pods.collect::<Vec<_>>(), others.collect()] {
        for served in stage {
            let left = match empty(cluster, namespace, served).await {
                Ok(left) => left,
                // The resource is no longer served, and its objects are gone with it.
                Err(Failure::NotServed | Failure::NoCluster) => continue,
                Err(failure) => {
                    report.content_failed(served, &failure);
                    remaining = Remaining::Unknown;
                    continue;
                }
            };
            if !left.is_empty() {
                report.content_remains(served, &left);
                if remaining == Remaining::Nothing {
                    remaining = Remaining::Something;
                }
            }
        }
        if remaining != Remaining::Nothing {
            break;
        }
    }
    remaining
}

/// Deletes the objects of one resource; gives those that are still there.
async fn empty(cluster: &Endpoint, namespace: &str, served: &Served) -> Answer<Vec<Object>> {
    let resource = served.resource();
    let path = resource.collection(namespace);
    let found = cluster.list(&path, Shape::Metadata, &Selection::all()).await?;
    if found.is_empty() {
        return Ok(found);
    }
    // Nothing may be orphaned: the namespace goes with all that is in it.
    let options = Deletion::with_policy("Background");
    if served.can("deletecollection") {
        cluster.delete_collection(&path, &options).await?;
    } else {
        for object in found.iter().filter(|object| object.deletion_timestamp().is_none()) {
            let deleted = cluster.delete(&resource.object(namespace, object.name()), &options).await;
            match deleted {
                Ok(()) | Err(Failure::Absent) => {}
                Err(failure) => return Err(failure),
            }
        }
    }
    cluster.list(&path, Shape::Metadata, &Selection::all()).await
}
