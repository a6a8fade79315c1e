//! CertificateSigningRequests: certificates that somebody asks for.

use atoll_api::Object;
use atoll_api::time::human_duration;
use jiff::Timestamp;
use serde_json::Value;

use crate::registry::descriptor::GET_PATCH_UPDATE;
use crate::resources::kind::{AGE, ColumnSpec, Kind, SubresourceSpec, Version, column};
use crate::resources::printing::{NONE, age, text_or};
use crate::resources::read::{condition, field, text};

pub(in crate::resources) static KIND: Kind = Kind {
    resource: "certificatesigningrequests",
    kind: "CertificateSigningRequest",
    short_names: &["csr"],
    versions: &[Version {
        api_version: "certificates.k8s.io/v1",
        type_name: "certificates.v1.CertificateSigningRequest",
        columns: COLUMNS,
        subresources: &[
            SubresourceSpec::Other("approval", "", "CertificateSigningRequest", GET_PATCH_UPDATE),
            SubresourceSpec::Status,
        ],
        selectable_fields: &["spec.signerName"],
    }],
    cells,
    ..Kind::CLUSTER
};

const COLUMNS: &[ColumnSpec] = &[
    AGE,
    column("SignerName", "string", "@certificates.v1.CertificateSigningRequestSpec.signerName"),
    column("Requestor", "string", "@certificates.v1.CertificateSigningRequestSpec.request"),
    column("RequestedDuration", "string", "@certificates.v1.CertificateSigningRequestSpec.expirationSeconds"),
    column("Condition", "string", "@certificates.v1.CertificateSigningRequestStatus.conditions"),
];

fn cells(object: &Object, now: Timestamp) -> Vec<Value> {
    let spec = field(object, "spec");
    vec![
        age(object, now),
        text_or(&spec["signerName"], NONE),
        text(&spec["username"]).into(),
        spec["expirationSeconds"].as_i64().map_or(NONE.to_owned(), human_duration).into(),
        state(field(object, "status")).into(),
    ]
}

fn state(status: &Value) -> String {
    let has = |kind: &str| condition(&status["conditions"], kind).is_some();
    let mut state = if has("Denied") {
        "Denied".to_owned()
    } else if has("Approved") {
        "Approved".to_owned()
    } else {
        "Pending".to_owned()
    };
    if has("Failed") {
        state.push_str(",Failed");
    }
    if !text(&status["certificate"]).is_empty() {
        state.push_str(",Issued");
    }
    state
}
