//! Bindings: how a scheduler used to put a pod on a node; created only, stored never.

use crate::registry::descriptor::{Scope, Verb};
use crate::resources::kind::{Kind, Version};

pub(in crate::resources) static KIND: Kind = Kind {
    resource: "bindings",
    kind: "Binding",
    scope: Scope::Namespaced,
    verbs: &[Verb::Create],
    versions: &[Version { api_version: "v1", type_name: "core.v1.Binding", ..Version::BARE }],
    ..Kind::NAMESPACED
};
