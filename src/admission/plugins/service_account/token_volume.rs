//! The volume in which containers find the token of their service account.

use serde_json::{Map, Value, json};

use crate::admission::pods::each_mut;
use crate::admission::read::{list_mut, text};

/// Where containers look for the token.
pub(super) const PATH: &str = "/var/run/secrets/kubernetes.io/serviceaccount";
const PREFIX: &str = "kube-api-access-";
/// How long tokens live, in seconds. The odd number tells tokens that nobody chose from those that somebody did.
const EXPIRATION: i64 = 3607;
/// The letters of generated suffixes: no vowels and nothing that looks like another, as in Kubernetes.
const SUFFIX_LETTERS: &[u8] = b"bcdfghjklmnpqrstvwxz2456789";
const SUFFIX_LENGTH: usize = 5;

/// Mounts the token in all containers that have nothing in its place, with a volume for it if there is none yet.
pub(super) fn mount(spec: &mut Map<String, Value>) {
    let volumes = spec.get("volumes").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    let found = volumes.iter().map(|volume| text(volume, "name")).find(|name| name.starts_with(PREFIX));
    let found = found.map(str::to_owned);
    let name = found.clone().unwrap_or_else(|| format!("{PREFIX}{}", suffix()));
    let mut is_mounted = false;
    for containers in ["initContainers", "containers"] {
        for container in each_mut(spec, containers) {
            let Some(mounts) = list_mut(container, "volumeMounts") else { continue };
            if !mounts.iter().any(|mount| text(mount, "mountPath") == PATH) {
                mounts.push(json!({"name": name, "readOnly": true, "mountPath": PATH}));
                is_mounted = true;
            }
        }
    }
    if is_mounted
        && found.is_none()
        && let Some(volumes) = list_mut(spec, "volumes")
    {
        volumes.push(json!({"name": name, "projected": source()}));
    }
}

fn source() -> Value {
    json!({
        "defaultMode": 0o644,
        "sources": [
            {"serviceAccountToken": {"expirationSeconds": EXPIRATION, "path": "token"}},
            {"configMap": {"name": "kube-root-ca.crt", "items": [{"key": "ca.crt", "path": "ca.crt"}]}},
            {"downwardAPI": {"items": [
                {"path": "namespace", "fieldRef": {"apiVersion": "v1", "fieldPath": "metadata.namespace"}},
            ]}},
        ],
    })
}

fn suffix() -> String {
    let random = uuid::Uuid::new_v4();
    let letters = random.as_bytes().iter().rev().take(SUFFIX_LENGTH);
    letters.map(|byte| SUFFIX_LETTERS[usize::from(*byte) % SUFFIX_LETTERS.len()] as char).collect()
}
