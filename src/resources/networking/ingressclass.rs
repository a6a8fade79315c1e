//! IngressClasses: which controller serves which ingresses.

use atoll_api::Object;
use jiff::Timestamp;
use serde_json::Value;

use crate::registry::resource::GenerationPolicy;
use crate::resources::defaults::set;
use crate::resources::kind::{AGE, Kind, NAME, Version, column};
use crate::resources::printing::{NONE, age};
use crate::resources::read::{field, text};

pub(in crate::resources) static KIND: Kind = Kind {
    resource: "ingressclasses",
    kind: "IngressClass",
    versions: &[Version {
        api_version: "networking.k8s.io/v1",
        type_name: "networking.v1.IngressClass",
        columns: &[
            NAME,
            column("Controller", "string", "The controller of the class."),
            column("Parameters", "string", "An object with parameters for the controller."),
            AGE,
        ],
        ..Version::BARE
    }],
    generation: GenerationPolicy::SpecChanges,
    cells,
    type_defaults: &[("networking.v1.IngressClassParametersReference", |reference| set(reference, "scope", "Cluster"))],
    ..Kind::CLUSTER
};

fn cells(object: &Object, now: Timestamp) -> Vec<Value> {
    let spec = field(object, "spec");
    let is_default = object.annotation("ingressclass.kubernetes.io/is-default-class") == Some("true");
    let name = if is_default { format!("{} (default)", object.name()) } else { object.name().to_owned() };
    let parameters = match &spec["parameters"] {
        Value::Object(_) => {
            let reference = &spec["parameters"];
            let group = reference["apiGroup"].as_str().map(|group| format!(".{group}")).unwrap_or_default();
            format!("{}{group}/{}", text(&reference["kind"]), text(&reference["name"]))
        }
        _ => NONE.to_owned(),
    };
    vec![name.into(), text(&spec["controller"]).into(), parameters.into(), age(object, now)]
}
