//! Checks of volumes that put files from several sources into one place.

use std::collections::BTreeSet;

use atoll_api::{FieldErrors, FieldPath};
use serde_json::Value;

use super::mounts::not_reserved;
use super::volumes::{downward_file, key_to_path, mode};
use crate::resources::checks::{forbidden, invalid, required};
use crate::resources::read::{int, is_set, list, text};

const KINDS: [&str; 4] = ["secret", "configMap", "downwardAPI", "serviceAccountToken"];

pub(super) fn projected(errors: &mut FieldErrors, value: &Value, path: &FieldPath) {
    mode(errors, &value["defaultMode"], &path.child("defaultMode"));
    let mut files = BTreeSet::new();
    for (index, source) in list(&value["sources"]).iter().enumerate() {
        let at = path.child("sources").index(index);
        let mut count = 0;
        for kind in KINDS {
            let value = &source[kind];
            if !is_set(value) {
                continue;
            }
            count += 1;
            match kind {
                "serviceAccountToken" => token(errors, value, &at.child(kind), path),
                _ => items(errors, kind, value, &at.child(kind), path, &mut files),
            }
        }
        if count > 1 {
            forbidden(errors, &at, "may not specify more than 1 volume type per source");
        }
    }
}

fn items<'a>(
    errors: &mut FieldErrors,
    kind: &str,
    value: &'a Value,
    at: &FieldPath,
    whole: &FieldPath,
    files: &mut BTreeSet<&'a str>,
) {
    let name = text(&value["name"]);
    if kind != "downwardAPI" && name.is_empty() {
        required(errors, &at.child("name"), "");
    }
    for (index, item) in list(&value["items"]).iter().enumerate() {
        match kind {
            "downwardAPI" => downward_file(errors, item, at),
            _ => key_to_path(errors, item, &at.child("items").index(index)),
        }
        let file = text(&item["path"]);
        if !file.is_empty() && !files.insert(file) {
            let shown = if kind == "downwardAPI" { file } else { name };
            invalid(errors, whole, &shown.into(), "conflicting duplicate paths");
        }
    }
}

/// A token of the pod's service account. The path of the file is reported at the volume (1.36).
fn token(errors: &mut FieldErrors, value: &Value, path: &FieldPath, whole: &FieldPath) {
    const LEAST: i64 = 600;
    const MOST: i64 = 1 << 32;
    let seconds = int(&value["expirationSeconds"]);
    let at = path.child("expirationSeconds");
    if seconds < LEAST {
        invalid(errors, &at, &seconds.into(), "may not specify a duration less than 10 minutes");
    }
    if seconds > MOST {
        invalid(errors, &at, &seconds.into(), "may not specify a duration larger than 2^32 seconds");
    }
    match text(&value["path"]) {
        "" => required(errors, &whole.child("path"), ""),
        file => not_reserved(errors, &whole.child("path"), file),
    }
}
