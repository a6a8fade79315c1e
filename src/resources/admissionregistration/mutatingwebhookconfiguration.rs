//! MutatingWebhookConfigurations: webhooks that change what is written.

use serde_json::{Map, Value};

use super::{configuration_cells, webhook_defaults, webhooks};
use crate::registry::resource::{GenerationPolicy, MetadataChecks};
use crate::resources::defaults::set;
use crate::resources::kind::{AGE, Kind, Manners, Version, column};

pub(in crate::resources) static KIND: Kind = Kind {
    resource: "mutatingwebhookconfigurations",
    kind: "MutatingWebhookConfiguration",
    categories: &["api-extensions"],
    versions: &[Version {
        api_version: "admissionregistration.k8s.io/v1",
        type_name: "admissionregistration.v1.MutatingWebhookConfiguration",
        columns: &[column("Webhooks", "integer", "The number of webhooks."), AGE],
        ..Version::BARE
    }],
    generation: GenerationPolicy::ContentChanges,
    manners: Manners::CONDITIONAL,
    validate_create: webhooks::validate_create,
    validate_update: Some(webhooks::validate_update),
    cells: configuration_cells,
    type_defaults: &[("admissionregistration.v1.MutatingWebhook", mutating_defaults)],
    metadata_checks: MetadataChecks::AsNew,
    ..Kind::CLUSTER
};

fn mutating_defaults(webhook: &mut Map<String, Value>) {
    webhook_defaults(webhook);
    set(webhook, "reinvocationPolicy", "Never");
}
