//! SyncTargets: physical clusters that namespaces of logical clusters may run on. They live in the system cluster.
//!
//! Connecting to them, and telling in their status whether they answer, is the sync controller's work.

use atoll_api::validation::{validate_label_selector, validate_labels};
use atoll_api::{FieldError, FieldErrors, FieldPath, Object};
use jiff::Timestamp;
use serde_json::Value;

use crate::registry::resource::GenerationPolicy;
use crate::resources::kind::{AGE, Kind, Manners, SubresourceSpec, Version, column, wide};
use crate::resources::printing::age;

pub(in crate::resources) static KIND: Kind = Kind {
    resource: "synctargets",
    kind: "SyncTarget",
    categories: &["atoll"],
    versions: &[Version {
        api_version: "workload.atoll.dev/v1alpha1",
        type_name: "workload.v1alpha1.SyncTarget",
        columns: &[
            column("Ready", "string", "Whether the physical cluster answers and can be worked with."),
            column("Namespaces", "integer", "How many namespaces run on it."),
            column("Version", "string", "The version of Kubernetes it runs."),
            AGE,
            wide("Reason", "string", "Why it is ready or not."),
        ],
        subresources: &[SubresourceSpec::Status],
        ..Version::BARE
    }],
    generation: GenerationPolicy::SpecChanges,
    manners: Manners::USUAL,
    validate_create,
    cells,
    ..Kind::CLUSTER
};

fn validate_create(target: &Object, errors: &mut FieldErrors) {
    let spec = FieldPath::new("spec");
    for field in ["namespace", "name"] {
        if target.text_at(&["spec", "kubeconfig", field]).is_empty() {
            let path = spec.child("kubeconfig").child(field);
            errors.push(FieldError::required(&path, "the secret that holds the kubeconfig"));
        }
    }
    if let Some(selector) = target.at(&["spec", "selector"]) {
        validate_label_selector(selector, &spec.child("selector"), errors);
    }
    if let Some(labels) = target.at(&["spec", "namespaceLabels"]).and_then(Value::as_object) {
        validate_labels(labels, &spec.child("namespaceLabels"), errors);
    }
}

fn cells(target: &Object, now: Timestamp) -> Vec<Value> {
    let conditions = target.at(&["status", "conditions"]).and_then(Value::as_array);
    let ready = conditions.into_iter().flatten().find(|condition| condition["type"] == "Ready");
    let of_ready = |field: &str, otherwise: &str| -> Value {
        ready.and_then(|ready| ready[field].as_str()).unwrap_or(otherwise).into()
    };
    vec![
        of_ready("status", "Unknown"),
        target.at(&["status", "namespaces"]).cloned().unwrap_or_else(|| 0.into()),
        target.text_at(&["status", "kubernetesVersion"]).into(),
        age(target, now),
        of_ready("reason", ""),
    ]
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn check(spec: Value, expected: &[&str]) {
        let target = Object::from_value(json!({"metadata": {"name": "edge"}, "spec": spec})).expect("an object");
        let mut errors = FieldErrors::new();
        validate_create(&target, &mut errors);
        let fields: Vec<String> = errors.iter().map(|error| error.path.as_str().to_owned()).collect();
        assert_eq!(fields, expected);
    }

    #[test]
    fn a_target_names_the_secret_of_its_kubeconfig() {
        check(json!({"kubeconfig": {"namespace": "default", "name": "edge"}}), &[]);
        check(json!({}), &["spec.kubeconfig.namespace", "spec.kubeconfig.name"]);
    }

    #[test]
    fn labels_and_selectors_must_be_valid() {
        let kubeconfig = json!({"namespace": "default", "name": "edge"});
        check(
            json!({"kubeconfig": kubeconfig, "selector": {"matchLabels": {"-": "x"}}, "namespaceLabels": {"a": "/"}}),
            &["spec.selector.matchLabels", "spec.namespaceLabels"],
        );
    }
}
