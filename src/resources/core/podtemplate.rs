//! PodTemplates: a pod's description without a controller.

use atoll_api::Object;
use jiff::Timestamp;
use serde_json::Value;

use crate::registry::resource::GenerationPolicy;
use crate::resources::checks::path;
use crate::resources::kind::{Kind, Manners, Version, column};
use crate::resources::podspec::{Template, template_warnings, validate_template};
use crate::resources::printing::{containers, labels};
use crate::resources::read::field;

pub(in crate::resources) static KIND: Kind = Kind {
    resource: "podtemplates",
    kind: "PodTemplate",
    versions: &[Version {
        api_version: "v1",
        type_name: "core.v1.PodTemplate",
        columns: &[
            column("Containers", "string", "The names of the containers."),
            column("Images", "string", "The images of the containers."),
            column("Pod Labels", "string", "The labels pods get."),
        ],
        ..Version::BARE
    }],
    generation: GenerationPolicy::ContentChanges,
    manners: Manners::RETURNS_DELETED,
    validate_create: |object, errors| {
        let demands = Template { selector: None, restart_policies: &[], no_deadline: None };
        validate_template(errors, field(object, "template"), &path("template"), &demands);
    },
    warnings: |template, old| template_warnings(template, old, "template"),
    cells,
    ..Kind::NAMESPACED
};

fn cells(object: &Object, _: Timestamp) -> Vec<Value> {
    let template = field(object, "template");
    let (names, images) = containers(&template["spec"]["containers"]);
    vec![names, images, labels(&template["metadata"]["labels"])]
}
