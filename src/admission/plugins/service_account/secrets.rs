//! Which secrets a pod uses, and whether its service account lists them.
//!
//! Accounts are asked only if they carry an annotation that Kubernetes advises against by now.

use std::collections::BTreeSet;

use atoll_api::Object;
use serde_json::Value;

use crate::admission::pods::Description;
use crate::admission::read::{list, text};

const ANNOTATION: &str = "kubernetes.io/enforce-mountable-secrets";

/// Whether pods may use only the secrets that the account lists.
pub(super) fn are_limited(account: &Object) -> bool {
    matches!(account.annotation(ANNOTATION), Some("1" | "t" | "T" | "true" | "TRUE" | "True"))
}

fn named<'a>(account: &'a Object, field: &str) -> BTreeSet<&'a str> {
    let listed = account.get(field).and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    listed.iter().map(|reference| text(reference, "name")).collect()
}

/// Checks that the account lists every secret a new pod uses.
pub(super) fn check(account: &Object, spec: &Value) -> Result<(), String> {
    let mountable = named(account, "secrets");
    let of = account.name();
    for volume in list(spec, "volumes").iter().filter(|volume| !volume["secret"].is_null()) {
        let name = text(&volume["secret"], "secretName");
        if !mountable.contains(name) {
            return Err(format!(
                "volume with secret.secretName=\"{name}\" is not allowed because service account {of} does not reference that secret"
            ));
        }
    }
    check_containers(&mountable, of, "init container", list(spec, "initContainers"))?;
    check_containers(&mountable, of, "container", list(spec, "containers"))?;
    let pullable = named(account, "imagePullSecrets");
    for (index, reference) in list(spec, "imagePullSecrets").iter().enumerate() {
        let name = text(reference, "name");
        if !pullable.contains(name) {
            return Err(format!(
                "imagePullSecrets[{index}].name=\"{name}\" is not allowed because service account {of} does not reference that imagePullSecret"
            ));
        }
    }
    Ok(())
}

/// Checks that the account lists every secret that a pod's ephemeral containers use.
pub(super) fn check_ephemeral(account: &Object, spec: &Value) -> Result<(), String> {
    let mountable = named(account, "secrets");
    check_containers(&mountable, account.name(), "ephemeral container", list(spec, "ephemeralContainers"))
}

fn check_containers(mountable: &BTreeSet<&str>, of: &str, what: &str, containers: &[Value]) -> Result<(), String> {
    for container in containers {
        let shown = text(container, "name");
        for variable in list(container, "env") {
            let reference = &variable["valueFrom"]["secretKeyRef"];
            let name = text(reference, "name");
            if !reference.is_null() && !mountable.contains(name) {
                let variable = text(variable, "name");
                return Err(format!(
                    "{what} {shown} with envVar {variable} referencing secret.secretName=\"{name}\" is not allowed because service account {of} does not reference that secret"
                ));
            }
        }
        for source in list(container, "envFrom") {
            let name = text(&source["secretRef"], "name");
            if !source["secretRef"].is_null() && !mountable.contains(name) {
                return Err(format!(
                    "{what} {shown} with envFrom referencing secret.secretName=\"{name}\" is not allowed because service account {of} does not reference that secret"
                ));
            }
        }
    }
    Ok(())
}

/// Whether a pod uses any secret in any way.
pub(super) fn uses_any(spec: &Value) -> bool {
    let pod = Description { metadata: &Value::Null, spec };
    !list(spec, "imagePullSecrets").is_empty()
        || pod.all_containers().any(|container| {
            list(container, "envFrom").iter().any(|source| !source["secretRef"].is_null())
                || list(container, "env").iter().any(|variable| !variable["valueFrom"]["secretKeyRef"].is_null())
        })
        || list(spec, "volumes").iter().any(is_secret_volume)
}

/// Volume types that name a secret besides their own data, by the field in which they do.
const WITH_SECRETS: [(&str, &str); 9] = [
    ("azureFile", "secretName"),
    ("cephfs", "secretRef"),
    ("cinder", "secretRef"),
    ("flexVolume", "secretRef"),
    ("rbd", "secretRef"),
    ("scaleIO", "secretRef"),
    ("iscsi", "secretRef"),
    ("storageos", "secretRef"),
    ("csi", "nodePublishSecretRef"),
];

fn is_secret_volume(volume: &Value) -> bool {
    !volume["secret"].is_null()
        || list(&volume["projected"], "sources").iter().any(|source| !source["secret"].is_null())
        || WITH_SECRETS.iter().any(|(kind, field)| !volume[*kind][*field].is_null())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn pods_use_only_secrets_that_a_limiting_account_lists() {
        let account = Object::from_value(json!({
            "metadata": {"name": "r", "annotations": {ANNOTATION: "true"}},
            "secrets": [{"name": "s"}], "imagePullSecrets": [{"name": "p"}],
        }))
        .expect("an object");
        assert!(are_limited(&account) && !are_limited(&Object::default()));
        let env = |name: &str| json!({"name": "V", "valueFrom": {"secretKeyRef": {"name": name}}});
        for (spec, why) in [
            (json!({"volumes": [{"secret": {"secretName": "s"}}, {"emptyDir": {}}]}), ""),
            (json!({"containers": [{"name": "c", "env": [env("s")]}], "imagePullSecrets": [{"name": "p"}]}), ""),
            (
                json!({"volumes": [{"secret": {"secretName": "x"}}]}),
                "volume with secret.secretName=\"x\" is not allowed because service account r does not reference that secret",
            ),
            (
                json!({"initContainers": [{"name": "i", "env": [env("x")]}]}),
                "init container i with envVar V referencing secret.secretName=\"x\" is not allowed because service account r does not reference that secret",
            ),
            (
                json!({"containers": [{"name": "c", "envFrom": [{"secretRef": {"name": "x"}}]}]}),
                "container c with envFrom referencing secret.secretName=\"x\" is not allowed because service account r does not reference that secret",
            ),
            (
                json!({"imagePullSecrets": [{"name": "p"}, {"name": "s"}]}),
                "imagePullSecrets[1].name=\"s\" is not allowed because service account r does not reference that imagePullSecret",
            ),
        ] {
            let outcome = check(&account, &spec).err().unwrap_or_default();
            assert_eq!(outcome, why, "{spec}");
        }
        let ephemeral = json!({"ephemeralContainers": [{"name": "e", "env": [env("x")]}]});
        assert!(check(&account, &ephemeral).is_ok() && check_ephemeral(&account, &ephemeral).is_err());
    }
}
