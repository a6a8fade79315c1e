//! What is wrong with a request for a certificate.

use std::collections::BTreeSet;

use atoll_api::validation::{dns1123_label, dns1123_subdomain};
use atoll_api::{FieldError, FieldErrors, FieldPath, Object};
use serde_json::Value;
use x509_parser::certification_request::X509CertificationRequest;
use x509_parser::pem::Pem;
use x509_parser::prelude::{FromDer, X509Certificate};

use crate::resources::checks::{forbidden, invalid, one_of, path, required};
use crate::resources::core::secret::bytes;
use crate::resources::read::{field, is_set, list, strings, text};

const LEGACY_SIGNER: &str = "kubernetes.io/legacy-unknown";
const USAGES: &[&str] = &[
    "any",
    "cert sign",
    "client auth",
    "code signing",
    "content commitment",
    "crl sign",
    "data encipherment",
    "decipher only",
    "digital signature",
    "email protection",
    "encipher only",
    "ipsec end system",
    "ipsec tunnel",
    "ipsec user",
    "key agreement",
    "key encipherment",
    "microsoft sgc",
    "netscape sgc",
    "ocsp signing",
    "s/mime",
    "server auth",
    "signing",
    "timestamping",
];
/// Conditions that are decisions, and can only be true.
const DECISIONS: &[&str] = &["Approved", "Denied", "Failed"];
/// The shortest life of a certificate, in seconds.
const SHORTEST: i64 = 600;
const MAX_SUBDOMAIN: usize = 253;
const MAX_SIGNER: usize = MAX_SUBDOMAIN + 1 + MAX_SUBDOMAIN + 1 + 63;

/// What a write to a request may change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::resources) enum Write {
    /// Metadata only.
    Main,
    /// The certificate.
    Status,
    /// Whether it is approved.
    Approval,
}

/// Checks a request; what was wrong with `old` may stay.
pub(in crate::resources) fn validate(request: &Object, old: Option<&Object>, errors: &mut FieldErrors) {
    let spec = field(request, "spec");
    let at = path("spec");
    if let Err(why) = check_request(&bytes(&spec["request"])) {
        invalid(errors, &at.child("request"), &spec["request"], why);
    }
    check_usages(errors, &spec["usages"], old, &at.child("usages"));
    let signer = text(&spec["signerName"]);
    let was_legacy = old.is_some_and(|old| field(old, "spec")["signerName"] == LEGACY_SIGNER);
    if signer == LEGACY_SIGNER && !was_legacy {
        let detail = "the legacy signerName is not allowed via this API version";
        invalid(errors, &at.child("signerName"), &signer.into(), detail);
    } else {
        signer_name(errors, signer, &at.child("signerName"));
    }
    let life = &spec["expirationSeconds"];
    if life.as_i64().is_some_and(|seconds| seconds < SHORTEST) {
        let detail = "may not specify a duration less than 600 seconds (10 minutes)";
        invalid(errors, &at.child("expirationSeconds"), life, detail);
    }
    check_conditions(errors, request, old);
    let certificate = |request: &Object| field(request, "status")["certificate"].clone();
    let excused = old.is_some_and(|old| {
        certificate(old) == certificate(request) || check_certificates(&bytes(&certificate(old))).is_err()
    });
    if !excused && let Err(why) = check_certificates(&bytes(&certificate(request))) {
        invalid(errors, &path("status.certificate"), &"<certificate data>".into(), why);
    }
}

/// Whether it is a request in PEM that is signed with the key it is about.
fn check_request(pem: &[u8]) -> Result<(), String> {
    let block = Pem::iter_from_buffer(pem).next().and_then(Result::ok);
    let Some(block) = block.filter(|block| block.label == "CERTIFICATE REQUEST") else {
        return Err("PEM block type must be CERTIFICATE REQUEST".into());
    };
    let (rest, request) = X509CertificationRequest::from_der(&block.contents)
        .map_err(|why| format!("x509: malformed certificate request: {why}"))?;
    if !rest.is_empty() {
        return Err("asn1: syntax error: trailing data".into());
    }
    request.verify_signature().map_err(|why| format!("x509: signature verification failure: {why}"))
}

/// Whether there is nothing, or certificates in PEM and nothing else.
fn check_certificates(pem: &[u8]) -> Result<(), String> {
    if pem.is_empty() {
        return Ok(());
    }
    let mut blocks = 0;
    for block in Pem::iter_from_buffer(pem) {
        let Ok(block) = block else { break };
        if block.label != "CERTIFICATE" {
            return Err(format!("only CERTIFICATE PEM blocks are allowed, found {:?}", block.label));
        }
        blocks += 1;
        let mut rest = block.contents.as_slice();
        if rest.is_empty() {
            return Err("found CERTIFICATE PEM block containing 0 certificates".into());
        }
        while !rest.is_empty() {
            (rest, _) = X509Certificate::from_der(rest).map_err(|why| format!("x509: malformed certificate: {why}"))?;
        }
    }
    if blocks == 0 { Err("must contain at least one CERTIFICATE PEM block".into()) } else { Ok(()) }
}

fn has_duplicates(texts: &[&str]) -> bool {
    let mut seen = BTreeSet::new();
    !texts.iter().all(|text| seen.insert(text))
}

fn check_usages(errors: &mut FieldErrors, usages: &Value, old: Option<&Object>, path: &FieldPath) {
    let usages = strings(usages);
    let before = old.map(|old| strings(&field(old, "spec")["usages"])).unwrap_or_default();
    if usages.is_empty() {
        required(errors, path, "");
    }
    if before.iter().all(|usage| USAGES.contains(usage)) {
        for (index, usage) in usages.iter().enumerate() {
            one_of(errors, &path.index(index), usage, USAGES);
        }
    }
    if !has_duplicates(&before) {
        let mut seen = BTreeSet::new();
        for (index, usage) in usages.iter().enumerate() {
            if !seen.insert(usage) {
                errors.push(FieldError::duplicate(&path.index(index), &(*usage).into()));
            }
        }
    }
}

/// The name of a signer: a domain, a slash, and names joined by dots.
pub(in crate::resources) fn signer_name(errors: &mut FieldErrors, name: &str, path: &FieldPath) {
    if name.is_empty() {
        return required(errors, path, "");
    }
    let parts = name.split_once('/').filter(|(_, rest)| !rest.contains('/'));
    let Some((domain, rest)) = parts else {
        let detail = "must be a fully qualified domain and path of the form 'example.com/signer-name'";
        return invalid(errors, path, &name.into(), detail);
    };
    if domain.len() > MAX_SUBDOMAIN {
        errors.push(FieldError::too_long(path, MAX_SUBDOMAIN));
    }
    first_wrong_label(errors, domain, dns1123_label, path);
    if !domain.contains('.') {
        let detail = "should be a domain with at least two segments separated by dots";
        invalid(errors, path, &domain.into(), detail);
    }
    first_wrong_label(errors, rest, dns1123_subdomain, path);
    if name.len() > MAX_SIGNER {
        errors.push(FieldError::too_long(path, MAX_SIGNER));
    }
}

/// The faults of the first wrong one of names that are joined by dots.
fn first_wrong_label(errors: &mut FieldErrors, names: &str, check: fn(&str) -> Vec<String>, path: &FieldPath) {
    let wrong = names.split('.').map(|label| (label, check(label))).find(|(_, wrong)| !wrong.is_empty());
    let Some((label, wrong)) = wrong else { return };
    for why in wrong {
        invalid(errors, path, &names.into(), format!("validating label {label:?}: {why}"));
    }
}

fn conditions(request: &Object) -> &[Value] {
    list(&field(request, "status")["conditions"])
}

fn check_conditions(errors: &mut FieldErrors, request: &Object, old: Option<&Object>) {
    let before: Vec<&str> =
        old.map(|old| conditions(old).iter().map(|c| text(&c["type"])).collect()).unwrap_or_default();
    let was_both = before.contains(&"Approved") && before.contains(&"Denied");
    let (had_untyped, had_twice) = (before.contains(&""), has_duplicates(&before));
    let at = path("status.conditions");
    let mut seen = BTreeSet::new();
    for (index, condition) in conditions(request).iter().enumerate() {
        let kind = text(&condition["type"]);
        if kind.is_empty() && !had_untyped {
            required(errors, &at.index(index).child("type"), "");
        }
        let accepted: &[&str] = if DECISIONS.contains(&kind) { &["True"] } else { &["False", "True", "Unknown"] };
        match text(&condition["status"]) {
            "" => required(errors, &at.index(index).child("status"), ""),
            status => one_of(errors, &at.index(index).child("status"), status, accepted),
        }
        let opposite = match kind {
            "Approved" => "Denied",
            "Denied" => "Approved",
            _ => "",
        };
        if !was_both && !opposite.is_empty() && seen.contains(opposite) {
            invalid(errors, &at, &kind.into(), "Approved and Denied conditions are mutually exclusive");
        }
        if !seen.insert(kind) && !had_twice {
            errors.push(FieldError::duplicate(&at.index(index).child("type"), &kind.into()));
        }
    }
}

/// Checks a changed request.
pub(in crate::resources) fn validate_update(request: &Object, old: &Object, write: Write, errors: &mut FieldErrors) {
    validate(request, Some(old), errors);
    let of = |request: &Object, kind: &str| -> Vec<Value> {
        conditions(request).iter().filter(|condition| condition["type"] == kind).cloned().collect()
    };
    let at = path("status.conditions");
    for kind in DECISIONS {
        if of(request, kind).len() < of(old, kind).len() {
            forbidden(errors, &at, format!("updates may not remove a condition of type {kind:?}"));
        }
    }
    for kind in DECISIONS.iter().take(2).filter(|_| write != Write::Approval) {
        let (new, before) = (of(request, kind), of(old, kind));
        if new.len() > before.len() {
            forbidden(errors, &at, format!("updates may not add a condition of type {kind:?}"));
        } else if new.len() == before.len() && new != before {
            forbidden(errors, &at, format!("updates may not modify a condition of type {kind:?}"));
        }
    }
    let certificate = |request: &Object| field(request, "status")["certificate"].clone();
    let (new, before) = (certificate(request), certificate(old));
    if bytes(&new) != bytes(&before) {
        if write != Write::Status {
            forbidden(errors, &path("status.certificate"), "updates may not set certificate content");
        } else if is_set(&before) && !bytes(&before).is_empty() {
            forbidden(errors, &path("status.certificate"), "updates may not modify existing certificate content");
        }
    }
}
