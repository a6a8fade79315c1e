//! VolumeAttachments: a volume that is, or is to be, attached to a node.

use atoll_api::Object;
use jiff::Timestamp;
use serde_json::Value;

use crate::resources::kind::{AGE, Kind, Manners, SubresourceSpec, Version, column, formatted};
use crate::resources::printing::age;
use crate::resources::read::{field, flag, text};

pub(in crate::resources) static KIND: Kind = Kind {
    resource: "volumeattachments",
    kind: "VolumeAttachment",
    versions: &[Version {
        api_version: "storage.k8s.io/v1",
        type_name: "storage.v1.VolumeAttachment",
        columns: &[
            formatted("Attacher", "name", "@storage.v1.VolumeAttachmentSpec.attacher"),
            column("PV", "string", "@storage.v1.VolumeAttachmentSource.persistentVolumeName"),
            column("Node", "string", "@storage.v1.VolumeAttachmentSpec.nodeName"),
            column("Attached", "boolean", "@storage.v1.VolumeAttachmentStatus.attached"),
            AGE,
        ],
        subresources: &[SubresourceSpec::Status],
        ..Version::BARE
    }],
    manners: Manners::CONDITIONAL_RETURNS_DELETED,
    cells,
    ..Kind::CLUSTER
};

fn cells(object: &Object, now: Timestamp) -> Vec<Value> {
    let spec = field(object, "spec");
    vec![
        text(&spec["attacher"]).into(),
        text(&spec["source"]["persistentVolumeName"]).into(),
        text(&spec["nodeName"]).into(),
        flag(&field(object, "status")["attached"]).into(),
        age(object, now),
    ]
}
