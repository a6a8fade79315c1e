//! Checks of the expressions that select devices: whether they compile, and what they may cost.
//!
//! Nobody evaluates them here; that is the work of a scheduler.

use std::sync::{Arc, LazyLock};

use atoll_api::{FieldError, FieldErrors, FieldPath};
use atoll_cel::decl::{Length, Presence};
use atoll_cel::{CompileError, DeclType, Env, LibraryType, Type};
use serde_json::Value;

use super::lists::elements;
use crate::resources::checks::{forbidden, invalid, required};
use crate::resources::read::{is_set, text};

/// How many selectors there may be in one place.
const MAX_SELECTORS: usize = 32;
/// The longest expression, in bytes.
const MAX_EXPRESSION: usize = 10 * 1024;
/// What looking at one device may be estimated to cost.
const MAX_COST: u64 = 1_000_000;
/// The longest domain, identifier and value of an attribute in characters, and how many of them a device has at most.
const MAX_DOMAIN: u64 = 63;
const MAX_IDENTIFIER: u64 = 32;
const MAX_VALUE: u64 = 64;
const MAX_ENTRIES: u64 = 32;

/// What expressions see of a device.
static DEVICE: LazyLock<Env> = LazyLock::new(|| {
    let by_domain = |value: DeclType| {
        let inner = DeclType::map(Arc::new(value), Some(MAX_ENTRIES)).with_keys_up_to(MAX_IDENTIFIER);
        Arc::new(DeclType::map(Arc::new(inner), Some(MAX_ENTRIES)).with_keys_up_to(MAX_DOMAIN))
    };
    let driver = DeclType::string(Length::Unbounded).at_most(MAX_DOMAIN);
    let fields = [
        ("driver", Arc::new(driver)),
        ("allowMultipleAllocations", Arc::new(DeclType::bool().at_most(1))),
        ("attributes", by_domain(DeclType::any().at_most(MAX_VALUE))),
        ("capacity", by_domain(DeclType::of(Type::Library(LibraryType::Quantity)))),
    ];
    let device = fields.into_iter().fold(DeclType::object(Some("kubernetes.DRADevice")), |device, (name, decl)| {
        device.field(name, decl, Presence::Required)
    });
    Env::builder().measured_data("device", &Arc::new(device.build())).with_bind().build()
});

/// Checks the selectors of a request or a class.
pub(super) fn selectors(errors: &mut FieldErrors, selectors: &Value, path: &FieldPath) {
    elements(errors, selectors, MAX_SELECTORS, path, |errors, selector, path| {
        let path = path.child("cel");
        match is_set(&selector["cel"]) {
            true => expression(errors, text(&selector["cel"]["expression"]), &path.child("expression")),
            false => required(errors, &path, ""),
        }
    });
}

fn expression(errors: &mut FieldErrors, expression: &str, path: &FieldPath) {
    if expression.len() > MAX_EXPRESSION {
        return errors.push(FieldError::too_long(path, MAX_EXPRESSION));
    }
    match DEVICE.compile(expression) {
        Err(fault @ CompileError::Instantiation(_)) => errors.push(FieldError::internal(path, fault.to_string())),
        Err(fault) => invalid(errors, path, &expression.into(), fault.to_string()),
        Ok(program) if !matches!(program.output_type(), Type::Bool | Type::Any) => {
            let detail = format!("must evaluate to bool or the unknown type, not {}", program.output_type());
            invalid(errors, path, &expression.into(), detail);
        }
        Ok(program) if program.estimated_cost().max > MAX_COST => {
            forbidden(errors, path, "too complex, exceeds cost limit");
        }
        Ok(_) => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::resources::checks::path;

    fn told(text: &str) -> String {
        let mut errors = FieldErrors::new();
        expression(&mut errors, text, &path("e"));
        let line = |error: &FieldError| error.body().lines().next().unwrap_or_default().to_owned();
        errors.first().map(line).unwrap_or_default()
    }

    #[test]
    fn what_devices_have_can_be_asked_for() {
        for fine in [
            "device.driver == 'd.example.com'",
            "device.allowMultipleAllocations",
            "device.attributes['d.example.com'].shared",
            "device.attributes['d.example.com']['model'] == 'a100'",
            "device.attributes['d.example.com'].model.startsWith('a')",
            "device.attributes['d.example.com'].version.isGreaterThan(semver('1.0.0'))",
            "device.attributes['d.example.com'].memory >= 5 || 'x' in device.attributes['d.example.com']",
            "device.capacity['d.example.com'].memory.compareTo(quantity('1Gi')) >= 0",
            "cel.bind(dra, device.attributes['d.example.com'], dra.one && dra.other)",
            "device.attributes['d.example.com'].?shared.orValue(false)",
            "device.attributes.exists(domain, domain.startsWith('d.'))",
        ] {
            assert_eq!(told(fine), "", "{fine}");
        }
    }

    #[test]
    fn faulty_expressions_are_told_about() {
        let compiled =
            |text: &str, why: &str| format!("Invalid value: {text:?}: compilation failed: ERROR: <input>:1:{why}");
        for (text, expected) in [
            ("device.name", compiled("device.name", "7: undefined field 'name'")),
            ("other", compiled("other", "1: undeclared reference to 'other' (in container '')")),
            (
                "device.driver",
                "Invalid value: \"device.driver\": must evaluate to bool or the unknown type, not string".to_owned(),
            ),
            (
                "device.attributes",
                "Invalid value: \"device.attributes\": must evaluate to bool or the unknown type, not map(string, \
                 map(string, google.protobuf.Any))"
                    .to_owned(),
            ),
            (
                "device.attributes['d'].a.all(x, true)",
                compiled(
                    "device.attributes['d'].a.all(x, true)",
                    "23: expression of type 'any' cannot be range of a comprehension (must be list, map, or dynamic)",
                ),
            ),
        ] {
            assert_eq!(told(text), expected);
        }
        assert_eq!(told(&" ".repeat(MAX_EXPRESSION + 1)), "Too long: may not be more than 10240 bytes");
    }

    #[test]
    fn expressions_that_may_cost_too_much_are_refused() {
        let all = "device.attributes.all(a, device.attributes.all(b, device.attributes.all(c, device.attributes.all(d, \
                   a != b && b != c && c != d))))";
        assert_eq!(told(all), "Forbidden: too complex, exceeds cost limit");
    }
}
