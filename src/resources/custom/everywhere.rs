//! A custom resource over all logical clusters, whoever defines it.
//!
//! Definitions of one name differ from cluster to cluster, in versions and schemas: what all their objects have in common
//! is metadata, and nothing else is shown. So the version a request names does not matter.

use std::sync::Arc;

use atoll_api::{GroupVersion, GroupVersionResource};

use crate::registry::descriptor::{Descriptor, ResourceVersionInfo, Scope, Verb};
use crate::registry::resource::{Origin, Resource};
use crate::schema::Schema;

/// The objects that any definition of this name has, by their metadata.
pub struct Everywhere {
    descriptor: Descriptor,
}

// === impl Everywhere ===

impl Everywhere {
    /// The resource of this group and plural name, in the version of a request.
    pub fn new(gvr: &GroupVersionResource) -> Self {
        let version = ResourceVersionInfo {
            version: GroupVersion { group: gvr.group.clone(), version: gvr.version.clone() },
            served: true,
            schema: Schema::default().into(),
            columns: Arc::default(),
            subresources: Arc::default(),
            selectable_fields: Arc::default(),
            deprecation_warning: None,
        };
        let descriptor = Descriptor {
            resource: gvr.group_resource(),
            singular: "".into(),
            kind: "PartialObjectMetadata".into(),
            list_kind: "PartialObjectMetadataList".into(),
            short_names: Arc::default(),
            categories: Arc::default(),
            // Those of some clusters may live in namespaces, and a list of one namespace shows only them.
            scope: Scope::Namespaced,
            verbs: &[Verb::List, Verb::Watch],
            versions: vec![version],
            storage: 0,
        };
        Self { descriptor }
    }
}

impl Resource for Everywhere {
    fn descriptor(&self) -> &Descriptor {
        &self.descriptor
    }

    fn origin(&self) -> Origin {
        Origin::Custom
    }

    fn is_metadata_only(&self) -> bool {
        true
    }
}
