//! Checks of sources of volumes that pods and persistent volumes share, and that say where a secret is.

use atoll_api::{FieldErrors, FieldPath};
use serde_json::Value;

use crate::resources::checks::{invalid, label, required};
use crate::resources::read::{entries, is_set, text};

/// Whether a secret is looked for in the namespace of the pod.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::resources) enum Secrets {
    /// It is: a name is enough.
    OfPod,
    /// A persistent volume has no namespace: it is named too, where a kind allows it.
    Anywhere,
}

/// Checks what is particular of a kind of source.
pub(in crate::resources) fn particular(
    errors: &mut FieldErrors,
    kind: &str,
    value: &Value,
    path: &FieldPath,
    secrets: Secrets,
) {
    match kind {
        "cinder" => secret(errors, &value["secretRef"], &path.child("secretRef"), secrets),
        // The name is not looked at in pods.
        "iscsi" if secrets == Secrets::Anywhere => {
            secret(errors, &value["secretRef"], &path.child("secretRef"), Secrets::OfPod);
        }
        "storageos" => {
            match text(&value["volumeName"]) {
                "" => required(errors, &path.child("volumeName"), ""),
                name => label(errors, &path.child("volumeName"), name),
            }
            let namespace = text(&value["volumeNamespace"]);
            if !namespace.is_empty() {
                label(errors, &path.child("volumeNamespace"), namespace);
            }
            secret(errors, &value["secretRef"], &path.child("secretRef"), secrets);
        }
        "flexVolume" => options(errors, &value["options"], &path.child("options")),
        "glusterfs" => match value["endpointsNamespace"].as_str() {
            None => {}
            Some("") => {
                let detail = "if the endpointnamespace is set, it must be a valid namespace name";
                invalid(errors, &path.child("endpointsNamespace"), &"".into(), detail);
            }
            Some(namespace) => label(errors, &path.child("endpointsNamespace"), namespace),
        },
        "azureFile" if value["secretNamespace"] == "" => required(errors, &path.child("secretNamespace"), ""),
        _ => {}
    }
}

fn secret(errors: &mut FieldErrors, reference: &Value, path: &FieldPath, secrets: Secrets) {
    if !is_set(reference) {
        return;
    }
    let fields: &[&str] = match secrets {
        Secrets::OfPod => &["name"],
        Secrets::Anywhere => &["name", "namespace"],
    };
    for field in fields.iter().filter(|field| text(&reference[**field]).is_empty()) {
        required(errors, &path.child(field), "");
    }
}

/// Options of drivers may not be called as Kubernetes' own.
fn options(errors: &mut FieldErrors, options: &Value, path: &FieldPath) {
    for (key, _) in entries(options) {
        let domain = key.split_once('/').map_or(key, |(domain, _)| domain);
        let domain = format!(".{}", domain.to_lowercase());
        if domain.ends_with(".kubernetes.io") || domain.ends_with(".k8s.io") {
            invalid(errors, &path.key(key), &key.into(), "kubernetes.io and k8s.io namespaces are reserved");
        }
    }
}
