//! What a patch may make of an object's `apiVersion` and `kind`.
//!
//! Kubernetes reads what came of a patch as it reads a body, but by the way it keeps the kind: a strategic merge patch goes into
//! the Go type of the request, whose type is known; a JSON or merge patch of a built-in kind must say a type that the server
//! knows; an object without a Go type keeps what it says, and validation judges it.

use atoll_api::{ApiError, FieldError, FieldPath, GroupKind, GroupVersion};
use serde_json::{Map, Value};

use super::resource::{Origin, Part};
use super::{PatchKind, Target};
use crate::codec::body::check_type_fields;

/// What is wrong with the type that a patch left.
pub(super) enum Fault {
    /// The patched document is no object of the kind: the fault of the patch.
    Nonsense(String),
    /// The object is refused as it is.
    Refused(ApiError),
}

/// Checks the type of what came of a patch, and makes it the one of the request where the patch has no say in it.
pub(super) fn settle(
    target: &Target,
    part: Part,
    patch: PatchKind,
    name: &str,
    patched: &mut Map<String, Value>,
) -> Result<(), Fault> {
    let kind = target.kind();
    let version = kind.group_version().to_string();
    match (target.resource.origin(), patch) {
        // The type it goes into is known, whatever it says.
        (Origin::Builtin, PatchKind::Strategic | PatchKind::Apply) => Ok(()),
        (Origin::Builtin, _) => check_type_fields(patched).map_err(Fault::Nonsense),
        (Origin::Custom, _) => {
            check_type_fields(patched).map_err(Fault::Nonsense)?;
            let text = |field: &str| patched.get(field).and_then(Value::as_str).unwrap_or_default().to_owned();
            let (given_version, given_kind) = (text("apiVersion"), text("kind"));
            if given_kind.is_empty() {
                let shown = Value::Object(patched.clone());
                return Err(Fault::Nonsense(format!("Object 'Kind' is missing in '{shown}'")));
            }
            if given_version.is_empty() {
                let why = "Object 'apiVersion' is missing in 'object has no apiVersion field'";
                return Err(Fault::Refused(ApiError::internal(why)));
            }
            if given_version == version {
                return Ok(());
            }
            if part != Part::Main {
                // Nothing but its part is taken from the object, and no strategy but the main one looks at its type.
                patched.insert("apiVersion".into(), version.into());
                return Ok(());
            }
            let must_be = |field: &str, given: &str, right: &str| {
                let fault = FieldError::invalid(&FieldPath::new(field), &given.into(), format!("must be {right}"));
                (given != right).then_some(fault)
            };
            let faults = [must_be("kind", &given_kind, &kind.kind), must_be("apiVersion", &given_version, &version)];
            let group = GroupVersion::parse(&given_version).map(|given| given.group).unwrap_or_default();
            let shown = GroupKind { group, kind: given_kind.as_str().into() };
            Err(Fault::Refused(ApiError::invalid(&shown, name, &faults.into_iter().flatten().collect())))
        }
    }
}
