//! ServiceCIDRs: ranges of addresses for services.

use atoll_api::{FieldErrors, Object};
use jiff::Timestamp;
use serde_json::Value;

use crate::resources::checks::network::{Cidr, strict_cidr};
use crate::resources::checks::{IMMUTABLE, invalid, path, required};
use crate::resources::kind::{AGE, Kind, SubresourceSpec, Version, column};
use crate::resources::printing::age;
use crate::resources::read::{field, list, strings};

pub(in crate::resources) static KIND: Kind = Kind {
    resource: "servicecidrs",
    kind: "ServiceCIDR",
    versions: &[Version {
        api_version: "networking.k8s.io/v1",
        type_name: "networking.v1.ServiceCIDR",
        columns: &[column("CIDRs", "string", "@networking.v1.ServiceCIDRSpec.cidrs"), AGE],
        subresources: &[SubresourceSpec::Status],
        ..Version::BARE
    }],
    validate_create,
    validate_update: Some(validate_update),
    // Nothing of the status is looked at (ValidateServiceCIDRStatusUpdate, 1.36).
    validate_status_update: |_, _, _| {},
    status_keeps: &["metadata", "spec"],
    cells,
    ..Kind::CLUSTER
};

fn cells(object: &Object, now: Timestamp) -> Vec<Value> {
    vec![strings(&field(object, "spec")["cidrs"]).join(",").into(), age(object, now)]
}

fn validate_create(range: &Object, errors: &mut FieldErrors) {
    let spec = field(range, "spec");
    let at = path("spec.cidrs");
    let cidrs = strings(&spec["cidrs"]);
    if cidrs.is_empty() {
        return required(errors, &at, "at least one CIDR required");
    }
    if cidrs.len() > 2 {
        return invalid(errors, &at, spec, "may only hold up to 2 values");
    }
    for (index, cidr) in cidrs.iter().enumerate() {
        strict_cidr(errors, &at.index(index), cidr);
    }
    let families: Vec<bool> = cidrs.iter().filter_map(|cidr| Some(Cidr::parse(cidr)?.address.is_ipv4())).collect();
    if let [one, other] = families.as_slice()
        && one == other
    {
        let detail = "may specify no more than one IP for each IP family, i.e 192.168.0.0/24 and 2001:db8::/64";
        invalid(errors, &at, &spec["cidrs"], detail);
    }
}

/// Ranges stay as they are; a second one, of the other family, may come to the first.
fn validate_update(range: &Object, old: &Object, errors: &mut FieldErrors) {
    let cidrs = |range: &Object| field(range, "spec")["cidrs"].clone();
    let (new, old) = (cidrs(range), cidrs(old));
    let (new, old) = (list(&new), list(&old));
    let at = path("spec.cidrs");
    let becomes_dual = (old.len(), new.len()) == (1, 2);
    if old.len() != new.len() && !becomes_dual {
        return invalid(errors, &at, &cidrs(range), IMMUTABLE);
    }
    for (index, (new, _)) in new.iter().zip(old).enumerate().filter(|(_, (new, old))| new != old) {
        invalid(errors, &at.index(index), new, IMMUTABLE);
    }
    if becomes_dual {
        validate_create(range, errors);
    }
}
