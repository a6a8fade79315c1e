//! The logical cluster's own object: one, named `cluster`, in the system cluster, by which it is told from others.

use jiff::Timestamp;
use serde_json::Value;

use atoll_api::Object;

use crate::registry::descriptor::Verb;
use crate::resources::kind::{AGE, Kind, SubresourceSpec, Version, column};
use crate::resources::printing::age;

pub(in crate::resources) static KIND: Kind = Kind {
    resource: "logicalclusters",
    kind: "LogicalCluster",
    categories: &["kcp"],
    // It comes with the server and goes with its store.
    verbs: &[Verb::Get, Verb::List, Verb::Patch, Verb::Update, Verb::Watch],
    versions: &[Version {
        api_version: "core.kcp.io/v1alpha1",
        type_name: "logicalcluster.v1alpha1.LogicalCluster",
        columns: &[column("Phase", "string", "Whether the cluster is usable."), AGE],
        subresources: &[SubresourceSpec::Status],
        ..Version::BARE
    }],
    cells,
    ..Kind::CLUSTER
};

fn cells(cluster: &Object, now: Timestamp) -> Vec<Value> {
    vec![cluster.text_at(&["status", "phase"]).into(), age(cluster, now)]
}
