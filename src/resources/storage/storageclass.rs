//! StorageClasses: how volumes are made.

use std::collections::{BTreeMap, BTreeSet};

use atoll_api::{FieldError, FieldErrors, FieldPath, Object};
use jiff::Timestamp;
use serde_json::{Map, Value};

use super::checks::{Parameters, parameters, provisioner};
use crate::registry::resource::MetadataChecks;
use crate::resources::checks::labels::deprecated;
use crate::resources::checks::{immutable, one_of, path, qualified, required};
use crate::resources::defaults::set;
use crate::resources::kind::{AGE, Kind, Manners, NAME, Version, column};
use crate::resources::printing::{age, text_or};
use crate::resources::read::{field, flag, list, text};

pub(in crate::resources) static KIND: Kind = Kind {
    resource: "storageclasses",
    kind: "StorageClass",
    short_names: &["sc"],
    versions: &[Version {
        api_version: "storage.k8s.io/v1",
        type_name: "storage.v1.StorageClass",
        columns: &[
            NAME,
            column("Provisioner", "string", "@storage.v1.StorageClass.provisioner"),
            column("ReclaimPolicy", "string", "@storage.v1.StorageClass.reclaimPolicy"),
            column("VolumeBindingMode", "string", "@storage.v1.StorageClass.volumeBindingMode"),
            column("AllowVolumeExpansion", "string", "@storage.v1.StorageClass.allowVolumeExpansion"),
            AGE,
        ],
        ..Version::BARE
    }],
    manners: Manners::RETURNS_DELETED,
    validate_create,
    validate_update: Some(|class, old, errors| {
        validate_create(class, errors);
        for name in ["parameters", "provisioner", "reclaimPolicy", "volumeBindingMode"] {
            immutable(errors, &path(name), field(class, name), field(old, name));
        }
    }),
    warnings: |class, _| warnings(class),
    cells,
    type_defaults: &[("storage.v1.StorageClass", class_defaults)],
    metadata_checks: MetadataChecks::Both,
    ..Kind::CLUSTER
};

const IS_DEFAULT: [&str; 2] =
    ["storageclass.kubernetes.io/is-default-class", "storageclass.beta.kubernetes.io/is-default-class"];

fn class_defaults(class: &mut Map<String, Value>) {
    set(class, "reclaimPolicy", "Delete");
    set(class, "volumeBindingMode", "Immediate");
}

fn cells(object: &Object, now: Timestamp) -> Vec<Value> {
    let is_default = IS_DEFAULT.iter().any(|annotation| object.annotation(annotation) == Some("true"));
    let name = if is_default { format!("{} (default)", object.name()) } else { object.name().to_owned() };
    vec![
        name.into(),
        text(field(object, "provisioner")).into(),
        text_or(field(object, "reclaimPolicy"), "Delete"),
        text_or(field(object, "volumeBindingMode"), "Immediate"),
        flag(field(object, "allowVolumeExpansion")).into(),
        age(object, now),
    ]
}

fn validate_create(class: &Object, errors: &mut FieldErrors) {
    provisioner(errors, &path("provisioner"), field(class, "provisioner"));
    parameters(errors, &path("parameters"), field(class, "parameters"), Parameters::Optional);
    let policy = text(field(class, "reclaimPolicy"));
    if !policy.is_empty() {
        one_of(errors, &path("reclaimPolicy"), policy, &["Delete", "Retain"]);
    }
    let mode = text(field(class, "volumeBindingMode"));
    one_of(errors, &path("volumeBindingMode"), mode, &["Immediate", "WaitForFirstConsumer"]);
    let mut seen = BTreeSet::new();
    for (index, term) in list(field(class, "allowedTopologies")).iter().enumerate() {
        let at = path("allowedTopologies").index(index).child("matchLabelExpressions");
        let wanted = check_topology(errors, list(&term["matchLabelExpressions"]), &at);
        if wanted.is_empty() || !seen.insert(wanted) {
            errors.push(FieldError::duplicate(&at, &"".into()));
        }
    }
}

/// Checks a term; gives the values it wants of each label.
fn check_topology<'a>(
    errors: &mut FieldErrors,
    expressions: &'a [Value],
    path: &FieldPath,
) -> BTreeMap<&'a str, BTreeSet<&'a str>> {
    let mut wanted = BTreeMap::new();
    for (index, expression) in expressions.iter().enumerate() {
        let at = path.index(index);
        let key = text(&expression["key"]);
        let mut values = BTreeSet::new();
        if list(&expression["values"]).is_empty() {
            required(errors, &at.child("values"), "");
        }
        for (index, value) in list(&expression["values"]).iter().enumerate() {
            if !values.insert(text(value)) {
                errors.push(FieldError::duplicate(&at.child("values").index(index), value));
            }
        }
        qualified(errors, &at.child("key"), key);
        if wanted.insert(key, values).is_some() {
            errors.push(FieldError::duplicate(&at.child("key"), &key.into()));
        }
    }
    wanted
}

fn warnings(class: &Object) -> Vec<String> {
    let mut warnings = Vec::new();
    for (index, term) in list(field(class, "allowedTopologies")).iter().enumerate() {
        let at = path("allowedTopologies").index(index).child("matchLabelExpressions");
        let expressions = list(&term["matchLabelExpressions"]).iter().enumerate();
        let old = expressions.filter_map(|(index, expression)| Some((index, deprecated(text(&expression["key"]))?)));
        warnings.extend(old.map(|(index, message)| format!("{}: {message}", at.index(index).child("key"))));
    }
    warnings
}
