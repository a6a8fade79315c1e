//! What `x-kubernetes-validations` must look like, as far as no expression has to be understood.

use super::field_path::{Notation, resolve};
use super::node::Node;
use crate::schema::place::{Faults, Place};

const REASONS: [&str; 4] = ["FieldValueDuplicate", "FieldValueForbidden", "FieldValueInvalid", "FieldValueRequired"];

pub(super) fn check(node: Node<'_>, place: &Place<'_>, faults: &mut Faults) {
    let place = place.child("x-kubernetes-validations");
    for (index, rule) in node.schemas("x-kubernetes-validations").enumerate() {
        let place = place.index(index);
        check_message(rule, &place, faults);
        if is_blank(rule.text("messageExpression")) {
            let detail = "messageExpression must be non-empty if specified";
            faults.required(&place.child("messageExpression"), detail);
        }
        if let Some(reason) = rule.value("reason")
            && !reason.as_str().is_some_and(|text| REASONS.contains(&text))
        {
            faults.not_supported(&place.child("reason"), reason, &REASONS);
        }
        check_field_path(node, rule.text("fieldPath"), &place.child("fieldPath"), faults);
    }
}

fn check_message(rule: Node<'_>, place: &Place<'_>, faults: &mut Faults) {
    let (expression, message) = (rule.text("rule").trim(), rule.text("message"));
    let at_message = place.child("message");
    if expression.is_empty() {
        faults.required(&place.child("rule"), "rule is not specified");
    } else if is_blank(message) {
        faults.invalid(&at_message, &message.into(), "must be non-empty if specified");
    } else if has_line_breaks(message.trim()) {
        faults.invalid(&at_message, &message.into(), "must not contain line breaks");
    } else if has_line_breaks(expression) && message.is_empty() {
        faults.required(&at_message, "message must be specified if rule contains line breaks");
    }
}

fn check_field_path(node: Node<'_>, field_path: &str, place: &Place<'_>, faults: &mut Faults) {
    let mut invalid = |detail: &str| faults.invalid(place, &field_path.into(), detail);
    if is_blank(field_path) {
        invalid("must be non-empty if specified");
    }
    if has_line_breaks(field_path) {
        invalid("must not contain line breaks");
    }
    if !field_path.is_empty() && resolve(node, field_path, Notation::DotsAndBrackets).is_err() {
        invalid("must be a valid path");
    }
}

/// Whether there is something, but only blanks.
fn is_blank(text: &str) -> bool {
    !text.is_empty() && text.trim().is_empty()
}

fn has_line_breaks(text: &str) -> bool {
    text.contains(['\n', '\r'])
}
