//! Checks of how a definition says that objects are converted between versions.

use std::collections::HashSet;

use atoll_api::validation::dns1035_label;
use atoll_api::{FieldErrors, FieldPath};
use base64::Engine;
use serde_json::Value;

use super::spec::Spec;
use crate::resources::checks::webhooks;
use crate::resources::checks::{forbidden, invalid, invalid_each, required, required_one_of};
use crate::resources::read::{flag, is_set, list, text};

const STRATEGIES: &[&str] = &["None", "Webhook"];
const REVIEW_VERSIONS: &[&str] = &["v1", "v1beta1"];

/// What a webhook's authority must be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Authority {
    /// Certificates that can be read.
    Readable,
    /// Anything: the kind is not served yet, or was as bad before.
    Anything,
}

/// Checks the conversion of a spec.
pub(super) fn check(errors: &mut FieldErrors, spec: &Spec<'_>, authority: Authority, path: &FieldPath) {
    let conversion = &spec.raw["conversion"];
    if !conversion.is_object() {
        return;
    }
    let strategy = text(&conversion["strategy"]);
    if strategy != "None" && flag(&spec.raw["preserveUnknownFields"]) {
        let detail = "must be None if spec.preserveUnknownFields is true";
        invalid(errors, &path.child("strategy"), &strategy.into(), detail);
    }
    required_one_of(errors, &path.child("strategy"), strategy, STRATEGIES);
    let client = &conversion["webhook"]["clientConfig"];
    let versions = &conversion["webhook"]["conversionReviewVersions"];
    let (client_path, versions_path) = (path.child("webhookClientConfig"), path.child("conversionReviewVersions"));
    if strategy == "Webhook" {
        match client.is_object() {
            true => check_client(errors, client, authority, &client_path),
            false => required(errors, &client_path, "required when strategy is set to Webhook"),
        }
        return check_review_versions(errors, versions, &versions_path);
    }
    for (value, path) in [(client, client_path), (versions, versions_path)] {
        if is_set(value) && !value.as_array().is_some_and(Vec::is_empty) {
            forbidden(errors, &path, "should not be set when strategy is not set to Webhook");
        }
    }
}

fn check_client(errors: &mut FieldErrors, client: &Value, authority: Authority, path: &FieldPath) {
    webhooks::client_config(errors, client, path);
    let bundle = text(&client["caBundle"]);
    if authority == Authority::Readable && !bundle.is_empty() && !is_readable(bundle) {
        let detail = "unable to load root certificates: unable to parse bytes as PEM block";
        invalid(errors, &path.child("caBundle"), &bundle.into(), detail);
    }
}

/// Whether the conversion of a spec names an authority that cannot be read.
pub(super) fn has_unreadable_authority(spec: &Value) -> bool {
    let bundle = text(&spec["conversion"]["webhook"]["clientConfig"]["caBundle"]);
    !bundle.is_empty() && !is_readable(bundle)
}

/// Whether a bundle in base64 holds a certificate.
fn is_readable(bundle: &str) -> bool {
    let Ok(pem) = base64::engine::general_purpose::STANDARD.decode(bundle) else { return false };
    x509_parser::pem::Pem::iter_from_buffer(&pem)
        .flatten()
        .any(|pem| pem.label == "CERTIFICATE" && pem.parse_x509().is_ok())
}

fn check_review_versions(errors: &mut FieldErrors, versions: &Value, path: &FieldPath) {
    let names: Vec<&str> = list(versions).iter().map(text).collect();
    if names.is_empty() {
        return required(errors, path, "");
    }
    let mut seen = HashSet::new();
    for (index, name) in names.iter().enumerate() {
        if !seen.insert(*name) {
            invalid(errors, &path.index(index), &(*name).into(), "duplicate version");
            continue;
        }
        invalid_each(errors, &path.index(index), name, dns1035_label(name));
    }
    if !REVIEW_VERSIONS.iter().any(|known| seen.contains(known)) {
        invalid(errors, path, versions, format!("must include at least one of {}", REVIEW_VERSIONS.join(", ")));
    }
}
