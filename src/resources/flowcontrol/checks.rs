//! What is wrong with flow schemas and priority levels.

use std::collections::BTreeSet;

use atoll_api::validation::{dns1123_label, dns1123_subdomain};
use atoll_api::{FieldError, FieldErrors, FieldPath, Object};
use serde_json::{Value, json};

use crate::resources::checks::{forbidden, invalid, invalid_each, one_of, path, required};
use crate::resources::read::{field, flag, int, is_set, list, strings, text};

const MAX_PRECEDENCE: i64 = 10_000;
const MAX_QUEUES: i64 = 10_000_000;
/// How many bits of a hash there are to deal hands with.
const MAX_ENTROPY: i64 = 60;
const VERBS: &[&str] = &["create", "delete", "deletecollection", "get", "list", "patch", "proxy", "update", "watch"];
const NOT_NEGATIVE: &str = "must be a non-negative integer";

/// The rule of the schemas that every server has: everything some groups do.
fn all_of(groups: &[&str]) -> Value {
    let subjects: Vec<Value> = groups.iter().map(|group| json!({"kind": "Group", "group": {"name": group}})).collect();
    json!([{
        "subjects": subjects,
        "resourceRules": [{
            "verbs": ["*"], "apiGroups": ["*"], "resources": ["*"], "clusterScope": true, "namespaces": ["*"],
        }],
        "nonResourceRules": [{"verbs": ["*"], "nonResourceURLs": ["*"]}],
    }])
}

fn fixed_schema(name: &str) -> Option<Value> {
    match name {
        "exempt" => Some(json!({
            "priorityLevelConfiguration": {"name": "exempt"},
            "matchingPrecedence": 1,
            "rules": all_of(&["system:masters"]),
        })),
        "catch-all" => Some(json!({
            "priorityLevelConfiguration": {"name": "catch-all"},
            "matchingPrecedence": 10_000,
            "distinguisherMethod": {"type": "ByUser"},
            "rules": all_of(&["system:unauthenticated", "system:authenticated"]),
        })),
        _ => None,
    }
}

fn fixed_level(name: &str) -> Option<Value> {
    match name {
        "exempt" => Some(json!({"type": "Exempt"})),
        "catch-all" => Some(json!({
            "type": "Limited",
            "limited": {"nominalConcurrencyShares": 5, "limitResponse": {"type": "Reject"}, "lendablePercent": 0},
        })),
        _ => None,
    }
}

/// Checks a flow schema.
pub(super) fn schema(schema: &Object, errors: &mut FieldErrors) {
    let spec = field(schema, "spec");
    let at = path("spec");
    let precedence = int(&spec["matchingPrecedence"]);
    let mut wrong = |detail: String| invalid(errors, &at.child("matchingPrecedence"), &precedence.into(), detail);
    if precedence <= 0 {
        wrong("must be a positive value".into());
    }
    if precedence > MAX_PRECEDENCE {
        wrong(format!("must not be greater than {MAX_PRECEDENCE}"));
    }
    if precedence == 1 && schema.name() != "exempt" {
        wrong("only the schema named 'exempt' may have matchingPrecedence 1".into());
    }
    let method = &spec["distinguisherMethod"];
    if is_set(method) && !matches!(text(&method["type"]), "ByNamespace" | "ByUser") {
        let at = at.child("distinguisherMethod").child("type");
        errors.push(FieldError::not_supported(&at, method, &["ByNamespace", "ByUser"]));
    }
    let level = text(&spec["priorityLevelConfiguration"]["name"]);
    let below = at.child("priorityLevelConfiguration").child("name");
    if level.is_empty() {
        required(errors, &below, "must reference a priority level");
    } else {
        invalid_each(errors, &below, level, dns1123_subdomain(level));
    }
    for (index, rule) in list(&spec["rules"]).iter().enumerate() {
        check_rule(errors, rule, &at.child("rules").index(index));
    }
    if fixed_schema(schema.name()).is_some_and(|fixed| fixed != *spec) {
        invalid(errors, &at, spec, format!("spec of '{}' must equal the fixed value", schema.name()));
    }
    conditions(schema, errors);
}

fn check_rule(errors: &mut FieldErrors, rule: &Value, path: &FieldPath) {
    let subjects = list(&rule["subjects"]);
    if subjects.is_empty() {
        required(errors, &path.child("subjects"), "subjects must contain at least one value");
    }
    for (index, subject) in subjects.iter().enumerate() {
        check_subject(errors, subject, &path.child("subjects").index(index));
    }
    let (on_resources, on_paths) = (list(&rule["resourceRules"]), list(&rule["nonResourceRules"]));
    if on_resources.is_empty() && on_paths.is_empty() {
        required(errors, path, "at least one of resourceRules and nonResourceRules has to be non-empty");
    }
    for (index, rule) in on_resources.iter().enumerate() {
        resource_rule(errors, rule, &path.child("resourceRules").index(index));
    }
    for (index, rule) in on_paths.iter().enumerate() {
        path_rule(errors, rule, &path.child("nonResourceRules").index(index));
    }
}

/// The kinds of subjects and the field that is for each.
const SUBJECTS: [(&str, &str); 3] = [("ServiceAccount", "serviceAccount"), ("User", "user"), ("Group", "group")];

fn check_subject(errors: &mut FieldErrors, subject: &Value, path: &FieldPath) {
    let kind = text(&subject["kind"]);
    let Some((_, own)) = SUBJECTS.iter().find(|(known, _)| *known == kind) else {
        return one_of(errors, &path.child("kind"), kind, &["Group", "ServiceAccount", "User"]);
    };
    let at = path.child(own);
    let given = &subject[*own];
    if is_set(given) {
        let name = text(&given["name"]);
        if name.is_empty() {
            required(errors, &at.child("name"), "");
        } else if kind == "ServiceAccount" && name != "*" {
            invalid_each(errors, &at.child("name"), name, dns1123_subdomain(name));
        }
        match text(&given["namespace"]) {
            _ if kind != "ServiceAccount" => {}
            "" => required(errors, &at.child("namespace"), "must specify namespace for service account"),
            namespace => invalid_each(errors, &at.child("namespace"), namespace, dns1123_label(namespace)),
        }
    } else {
        required(errors, &at, format!("{own} is required when subject kind is '{kind}'"));
    }
    // Others are looked at in the order user, group, service account; only two remain.
    let others = if kind == "ServiceAccount" {
        [1, 2]
    } else if kind == "User" {
        [0, 2]
    } else {
        [0, 1]
    };
    for (other, name) in others.map(|index| SUBJECTS[index]) {
        if is_set(&subject[name]) {
            let detail = format!("{name} is forbidden when subject kind is not '{other}'");
            forbidden(errors, &path.child(name), detail);
        }
    }
}

fn verbs(errors: &mut FieldErrors, value: &Value, path: &FieldPath) {
    let all = strings(value);
    if all.is_empty() {
        required(errors, path, "verbs must contain at least one value");
    } else if all.contains(&"*") {
        alone(errors, value, path, "verbs");
    } else if !all.iter().all(|verb| VERBS.contains(verb)) {
        errors.push(FieldError::not_supported(path, value, VERBS));
    }
}

/// If any is `*`, it must be alone.
fn alone(errors: &mut FieldErrors, value: &Value, path: &FieldPath, others: &str) {
    let all = strings(value);
    if all.len() > 1 && all.contains(&"*") {
        invalid(errors, path, value, format!("if '*' is present, must not specify other {others}"));
    }
}

fn resource_rule(errors: &mut FieldErrors, rule: &Value, path: &FieldPath) {
    verbs(errors, &rule["verbs"], &path.child("verbs"));
    for (name, one, others) in [("apiGroups", "api group", "api groups"), ("resources", "resource", "resources")] {
        if list(&rule[name]).is_empty() {
            required(errors, &path.child(name), format!("resource rules must supply at least one {one}"));
        }
        alone(errors, &rule[name], &path.child(name), others);
    }
    let at = path.child("namespaces");
    let namespaces = strings(&rule["namespaces"]);
    if namespaces.is_empty() && !flag(&rule["clusterScope"]) {
        let detail = "resource rules that are not cluster scoped must supply at least one namespace";
        required(errors, &at, detail);
    } else if namespaces.contains(&"*") {
        alone(errors, &rule["namespaces"], &at, "namespaces");
    } else {
        for (index, namespace) in namespaces.into_iter().enumerate() {
            for why in dns1123_label(namespace) {
                let detail = format!("each member of this list must be '*' or a DNS-1123 label; {why}");
                invalid(errors, &at.index(index), &namespace.into(), detail);
            }
        }
    }
}

fn path_rule(errors: &mut FieldErrors, rule: &Value, path: &FieldPath) {
    verbs(errors, &rule["verbs"], &path.child("verbs"));
    let at = path.child("nonResourceURLs");
    let urls = strings(&rule["nonResourceURLs"]);
    if urls.is_empty() {
        required(errors, &at, "nonResourceURLs must contain at least one value");
    } else if urls.contains(&"*") {
        alone(errors, &rule["nonResourceURLs"], &at, "non-resource URLs");
    } else {
        for (index, url) in urls.into_iter().enumerate() {
            if let Some(why) = wrong_with_path(url) {
                invalid(errors, &at.index(index), &url.into(), why);
            }
        }
    }
}

fn wrong_with_path(url: &str) -> Option<&'static str> {
    let wildcards = url.matches('*').count();
    match url {
        "" => Some("must not be empty"),
        "/" => None,
        _ if !url.starts_with('/') => Some("must start with slash"),
        _ if url.contains(' ') => Some("must not contain white-space"),
        _ if url.contains("//") => Some("must not contain double slash"),
        _ if wildcards > 1 || (wildcards == 1 && !url.ends_with("/*")) => Some("wildcard can only do suffix matching"),
        _ => None,
    }
}

/// Checks a priority level.
pub(super) fn level(level: &Object, errors: &mut FieldErrors) {
    const PRESERVE: &str = "flowcontrol.k8s.io/preserve-zero-concurrency-shares";
    if level.annotation(PRESERVE).is_some() {
        forbidden(errors, &path("metadata.annotations"), format!("annotation '{PRESERVE}' is forbidden"));
    }
    let spec = field(level, "spec");
    let at = path("spec");
    let kind = text(&spec["type"]);
    if (level.name() == "exempt") != (kind == "Exempt") {
        let detail = "must be 'Exempt' if and only if `name` is 'exempt'";
        invalid(errors, &at.child("type"), &spec["type"], detail);
    }
    let (limited, exempt) = (&spec["limited"], &spec["exempt"]);
    match kind {
        "Exempt" => {
            if is_set(limited) {
                forbidden(errors, &at.child("limited"), "must be nil if the type is not Limited");
            }
            if is_set(exempt) {
                shares(errors, exempt, &at.child("exempt"));
                lendable(errors, exempt, &at.child("exempt"));
            }
        }
        "Limited" => {
            if is_set(exempt) {
                forbidden(errors, &at.child("exempt"), "must be nil if the type is Limited");
            }
            if is_set(limited) {
                check_limited(errors, limited, &at.child("limited"));
            } else {
                required(errors, &at.child("limited"), "must not be empty when type is Limited");
            }
        }
        kind => one_of(errors, &at.child("type"), kind, &["Exempt", "Limited"]),
    }
    mandatory_level(level, errors);
    conditions(level, errors);
}

fn mandatory_level(level: &Object, errors: &mut FieldErrors) {
    let name = level.name();
    let Some(fixed) = fixed_level(name) else { return };
    let spec = field(level, "spec");
    let mut given = spec.clone();
    let but = if name == "exempt" { " except the 'spec.exempt' field" } else { "" };
    if name == "exempt" {
        given.as_object_mut().map(|given| given.remove("exempt"));
    }
    if given != fixed {
        invalid(errors, &path("spec"), spec, format!("spec of '{name}'{but} must equal the fixed value"));
    }
}

fn shares(errors: &mut FieldErrors, level: &Value, path: &FieldPath) {
    let given = &level["nominalConcurrencyShares"];
    if int(given) < 0 {
        invalid(errors, &path.child("nominalConcurrencyShares"), given, NOT_NEGATIVE);
    }
}

fn lendable(errors: &mut FieldErrors, level: &Value, path: &FieldPath) {
    let given = &level["lendablePercent"];
    if !(0..=100).contains(&int(given)) {
        invalid(errors, &path.child("lendablePercent"), given, "must be between 0 and 100, inclusive");
    }
}

fn check_limited(errors: &mut FieldErrors, limited: &Value, path: &FieldPath) {
    shares(errors, limited, path);
    let response = &limited["limitResponse"];
    let at = path.child("limitResponse");
    let queuing = &response["queuing"];
    match (text(&response["type"]), is_set(queuing)) {
        ("Reject", true) => {
            let detail = "must be nil if limited.limitResponse.type is not Limited";
            forbidden(errors, &at.child("queuing"), detail);
        }
        ("Reject", false) => {}
        ("Queue", true) => check_queuing(errors, queuing, &at.child("queuing")),
        ("Queue", false) => {
            let detail = "must not be empty if limited.limitResponse.type is Limited";
            required(errors, &at.child("queuing"), detail);
        }
        (kind, _) => one_of(errors, &at.child("type"), kind, &["Queue", "Reject"]),
    }
    lendable(errors, limited, path);
    let borrowed = &limited["borrowingLimitPercent"];
    if int(borrowed) < 0 {
        let detail = "if specified, must be a non-negative integer";
        invalid(errors, &path.child("borrowingLimitPercent"), borrowed, detail);
    }
}

fn check_queuing(errors: &mut FieldErrors, queuing: &Value, path: &FieldPath) {
    let [length, queues, hand] = ["queueLengthLimit", "queues", "handSize"].map(|name| int(&queuing[name]));
    let mut wrong = |name: &str, value: i64, detail: String| {
        invalid(errors, &path.child(name), &value.into(), detail);
    };
    if length <= 0 {
        wrong("queueLengthLimit", length, "must be positive".into());
    }
    if queues <= 0 {
        wrong("queues", queues, "must be positive".into());
    } else if queues > MAX_QUEUES {
        wrong("queues", queues, format!("must not be greater than {MAX_QUEUES}"));
    }
    if hand <= 0 {
        wrong("handSize", hand, "must be positive".into());
    } else if hand > queues {
        wrong("handSize", hand, format!("should not be greater than queues ({queues})"));
    } else if needs_more_entropy(queues, hand) {
        let detail = format!(
            "required entropy bits of deckSize {queues} and handSize {hand} should not be greater than {MAX_ENTROPY}"
        );
        wrong("handSize", hand, detail);
    }
}

/// Whether dealing hands of that many out of so many queues takes more bits than a hash has.
fn needs_more_entropy(queues: i64, hand: i64) -> bool {
    // queues^hand > 2^MAX_ENTROPY
    let limit = 1_i64 << MAX_ENTROPY;
    u32::try_from(hand).ok().and_then(|hand| queues.checked_pow(hand)).is_none_or(|hands| hands > limit)
}

/// Checks the conditions in a status: each type once.
pub(super) fn conditions(object: &Object, errors: &mut FieldErrors) {
    let mut seen = BTreeSet::new();
    for (index, condition) in list(&field(object, "status")["conditions"]).iter().enumerate() {
        let at = path("status.conditions").index(index).child("type");
        let kind = text(&condition["type"]);
        if !seen.insert(kind) {
            errors.push(FieldError::duplicate(&at, &kind.into()));
        }
        if kind.is_empty() {
            required(errors, &at, "");
        }
    }
}

/// A status touches nothing of the metadata but its owners' record.
pub(super) fn keep_all_metadata(object: &mut Object, old: &Object) {
    let managers = object.metadata_mut().remove("managedFields");
    let mut kept = old.metadata().cloned().unwrap_or_default();
    kept.remove("managedFields");
    kept.extend(managers.map(|managers| ("managedFields".to_owned(), managers)));
    *object.metadata_mut() = kept;
}

#[cfg(test)]
mod tests {
    use super::needs_more_entropy;

    #[test]
    fn hands_are_dealt_with_at_most_sixty_bits() {
        assert!(!needs_more_entropy(64, 8));
        assert!(!needs_more_entropy(64, 10));
        assert!(needs_more_entropy(64, 11));
        assert!(needs_more_entropy(10_000_000, i64::MAX));
        assert!(!needs_more_entropy(1, i64::from(u32::MAX)));
    }
}
