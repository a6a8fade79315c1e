//! ResourceQuotas: how much a namespace may hold.

use atoll_api::Object;
use jiff::Timestamp;
use serde_json::Value;

use crate::resources::kind::{AGE, Kind, Manners, SubresourceSpec, Version, column};
use crate::resources::printing::age;
use crate::resources::read::{entries, field, quantity};

pub(in crate::resources) static KIND: Kind = Kind {
    resource: "resourcequotas",
    kind: "ResourceQuota",
    short_names: &["quota"],
    versions: &[Version {
        api_version: "v1",
        type_name: "core.v1.ResourceQuota",
        columns: &[
            column("Request", "string", "What is requested, of what may be."),
            column("Limit", "string", "What is limited to, of what may be."),
            AGE,
        ],
        subresources: &[SubresourceSpec::Status],
        ..Version::BARE
    }],
    manners: Manners::RETURNS_DELETED,
    cells,
    ..Kind::NAMESPACED
};

fn cells(object: &Object, now: Timestamp) -> Vec<Value> {
    let status = field(object, "status");
    let (mut requests, mut limits) = (Vec::new(), Vec::new());
    for (name, hard) in entries(&status["hard"]) {
        let shown = format!("{name}: {}/{}", quantity(&status["used"][name]), quantity(hard));
        if name.starts_with("limits.") { limits.push(shown) } else { requests.push(shown) }
    }
    vec![requests.join(", ").into(), limits.join(", ").into(), age(object, now)]
}
