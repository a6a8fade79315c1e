//! Checks of how much of a device's capacity claims may ask for.

use atoll_api::quantity::Quantity;
use atoll_api::{FieldErrors, FieldPath};
use serde_json::Value;

use super::lists::unique;
use crate::resources::checks::{forbidden, invalid, required};
use crate::resources::read::{is_set, list, quantity};

/// The most amounts to choose from.
const MAX_CHOICES: usize = 10;

/// Whether several claims may have a device at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Sharing {
    /// One claim has all of it.
    Whole,
    /// Each claim has a share.
    Shares,
}

/// Checks one capacity of a device.
pub(super) fn capacity(errors: &mut FieldErrors, capacity: &Value, path: &FieldPath, sharing: Sharing) {
    let (policy, path) = (&capacity["requestPolicy"], path.child("requestPolicy"));
    if !is_set(policy) {
        return;
    }
    if sharing == Sharing::Whole {
        return forbidden(errors, &path, "allowMultipleAllocations must be true");
    }
    let has_values = !list(&policy["validValues"]).is_empty();
    let (field, check): (_, fn(&mut FieldErrors, &Amounts, &Value, &FieldPath)) =
        match (has_values, is_set(&policy["validRange"])) {
            (true, true) => {
                let detail = "exactly one policy can be specified, cannot specify \"validValues\" and \"validRange\" \
                              at the same time";
                return forbidden(errors, &path, detail);
            }
            (true, false) => ("validValues", choices),
            (false, true) => ("validRange", range),
            (false, false) => return,
        };
    if !is_set(&policy["default"]) {
        return required(errors, &path.child("default"), format!("required when {field} is defined"));
    }
    let amounts = Amounts { all: quantity(&capacity["value"]), default: quantity(&policy["default"]) };
    check(errors, &amounts, &policy[field], &path.child(field));
}

/// What a device has, and what claims get that do not say.
struct Amounts {
    all: Quantity,
    default: Quantity,
}

fn wrong(errors: &mut FieldErrors, path: &FieldPath, amount: &Quantity, detail: impl Into<String>) {
    invalid(errors, path, &amount.to_string().into(), detail);
}

fn choices(errors: &mut FieldErrors, amounts: &Amounts, choices: &Value, path: &FieldPath) {
    let values: Vec<Quantity> = list(choices).iter().map(quantity).collect();
    for (index, pair) in values.windows(2).enumerate() {
        if pair[0] > pair[1] {
            wrong(errors, &path.index(index + 1), &pair[1], "values must be sorted in ascending order");
        }
    }
    let mut has_default = false;
    let key = |value: &Value| format!("\"{}\"", quantity(value).units());
    unique(errors, choices, MAX_CHOICES, path, key, |errors, value, path| {
        let choice = quantity(value);
        if choice > amounts.all {
            wrong(errors, path, &choice, format!("option is larger than capacity value: {}", amounts.all));
        }
        has_default |= choice == amounts.default;
    });
    if !has_default {
        wrong(errors, path, &amounts.default, "default value is not valid according to the requestPolicy");
    }
}

fn range(errors: &mut FieldErrors, amounts: &Amounts, range: &Value, path: &FieldPath) {
    let Amounts { all, default } = amounts;
    let given = |field: &str| is_set(&range[field]).then(|| quantity(&range[field]));
    let at = path.child("min");
    let Some(min) = given("min") else { return required(errors, &at, "required when validRange is defined") };
    if min > *all {
        wrong(errors, &at, &min, format!("min is larger than capacity value: {all}"));
    }
    if *default < min {
        wrong(errors, &at, default, format!("default is less than min: {min}"));
    }
    let max = given("max");
    if let Some(max) = &max {
        let at = path.child("max");
        if min > *max {
            wrong(errors, &at, &min, format!("min is larger than max: {max}"));
        }
        if max > all {
            wrong(errors, &at, max, format!("max is larger than capacity value: {all}"));
        }
        if default > max {
            wrong(errors, &at, default, format!("default is more than max: {max}"));
        }
    }
    if let Some(step) = given("step") {
        let at = path.child("step");
        let least = min.plus(&step);
        if least > *all {
            wrong(errors, &at, &step, format!("one step {least} is larger than capacity value: {all}"));
        }
        for amount in [Some(default), max.as_ref()].into_iter().flatten() {
            if !is_on_step(amount, &min, &step) {
                wrong(errors, &at, amount, format!("value is not a multiple of a given step ({step}) from ({min})"));
            }
        }
    }
}

/// Whether steps from one amount lead to another. Steps of nothing, at which kube-apiserver stumbles, lead nowhere.
fn is_on_step(amount: &Quantity, from: &Quantity, step: &Quantity) -> bool {
    let distance = i128::from(amount.units()) - i128::from(from.units());
    distance.checked_rem(i128::from(step.units())) == Some(0)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::resources::checks::path;

    fn told(policy: Value, sharing: Sharing) -> Vec<String> {
        let mut errors = FieldErrors::new();
        capacity(&mut errors, &json!({"value": "10Gi", "requestPolicy": policy}), &path("c"), sharing);
        errors.iter().map(|error| error.to_string().replacen("c.requestPolicy", "p", 1)).collect()
    }

    fn shared(policy: Value) -> Vec<String> {
        told(policy, Sharing::Shares)
    }

    #[test]
    fn devices_for_one_claim_have_no_policy() {
        assert!(told(Value::Null, Sharing::Whole).is_empty());
        assert_eq!(told(json!({}), Sharing::Whole), ["p: Forbidden: allowMultipleAllocations must be true"]);
        assert!(shared(json!({})).is_empty());
    }

    #[test]
    fn choices_are_sorted_fit_and_hold_the_default() {
        assert!(shared(json!({"default": "1Gi", "validValues": ["1Gi", "2Gi"]})).is_empty());
        assert_eq!(
            shared(json!({"validValues": ["1Gi"]})),
            ["p.default: Required value: required when validValues is defined"]
        );
        assert_eq!(
            shared(json!({"default": "3Gi", "validValues": ["2Gi", "1Gi", "20Gi", "20Gi"]})),
            [
                "p.validValues[1]: Invalid value: \"1Gi\": values must be sorted in ascending order",
                "p.validValues[2]: Invalid value: \"20Gi\": option is larger than capacity value: 10Gi",
                "p.validValues[3]: Invalid value: \"20Gi\": option is larger than capacity value: 10Gi",
                "p.validValues[3]: Duplicate value: \"21474836480\"",
                "p.validValues: Invalid value: \"3Gi\": default value is not valid according to the requestPolicy",
            ]
        );
    }

    #[test]
    fn ranges_lie_within_the_capacity() {
        let range = |default: &str, range: Value| shared(json!({"default": default, "validRange": range}));
        assert!(range("2Gi", json!({"min": "1Gi", "max": "4Gi", "step": "1Gi"})).is_empty());
        assert_eq!(range("1Gi", json!({})), ["p.validRange.min: Required value: required when validRange is defined"]);
        assert_eq!(
            range("12Gi", json!({"min": "11Gi", "max": "10Gi"})),
            [
                "p.validRange.min: Invalid value: \"11Gi\": min is larger than capacity value: 10Gi",
                "p.validRange.max: Invalid value: \"11Gi\": min is larger than max: 10Gi",
                "p.validRange.max: Invalid value: \"12Gi\": default is more than max: 10Gi",
            ]
        );
        assert_eq!(
            range("2Gi", json!({"min": "1Gi", "step": "3Gi"})),
            ["p.validRange.step: Invalid value: \"2Gi\": value is not a multiple of a given step (3Gi) from (1Gi)"]
        );
        assert_eq!(range("2Gi", json!({"min": "1Gi", "step": "0"})).len(), 1);
    }
}
