//! The built-in kinds: one file each under the name of their group, and one list of them all.
//!
//! Kinds differ here and nowhere else; reading and writing is the registry's.

mod canonical;
pub mod catalog;
mod checks;
pub mod custom;
mod defaults;
mod gated;
pub mod kind;
mod podspec;
mod printing;
mod read;
pub mod sets;

mod admissionregistration;
mod apiextensions;
mod apiregistration;
mod apps;
mod authentication;
mod authorization;
mod autoscaling;
mod batch;
mod certificates;
mod coordination;
mod core;
mod discovery;
mod flowcontrol;
mod networking;
mod node;
mod policy;
mod rbac;
mod resource;
mod scheduling;
mod storage;
mod surface;
mod sync;
mod tenancy;

#[cfg(test)]
mod tests;

use std::sync::Arc;

use atoll_api::GroupResource;
use kind::Kind;

use crate::registry::follow::Follower;

pub use kind::Builtin;
pub use surface::{Handler, Surfaces};

/// What answers for resources and subresources that are computed.
pub fn handlers() -> Vec<Handler> {
    vec![Handler {
        resource: GroupResource::new("", "namespaces"),
        subresource: "finalize",
        computed: Arc::new(core::namespace_finalize::Finalize),
    }]
}

/// Those who act on writes of a resource before the writes are answered.
pub fn followers() -> Vec<(GroupResource, Arc<dyn Follower>)> {
    vec![(surface::definitions(), Arc::new(apiextensions::names::AcceptNames))]
}

/// Atoll's own kinds, which the system cluster serves beside the built-in ones.
pub static PLATFORM: &[&Kind] = &[&tenancy::workspace::KIND, &tenancy::logicalcluster::KIND, &sync::synctarget::KIND];

/// Every built-in kind, in the order of discovery within its group.
pub static BUILTINS: &[&Kind] = &[
    &core::binding::KIND,
    &core::componentstatus::KIND,
    &core::configmap::KIND,
    &core::endpoints::KIND,
    &core::event::KIND,
    &core::limitrange::KIND,
    &core::namespace::KIND,
    &core::node::KIND,
    &core::persistentvolumeclaim::KIND,
    &core::persistentvolume::KIND,
    &core::pod::KIND,
    &core::podtemplate::KIND,
    &core::replicationcontroller::KIND,
    &core::resourcequota::KIND,
    &core::secret::KIND,
    &core::serviceaccount::KIND,
    &core::service::KIND,
    &apps::controllerrevision::KIND,
    &apps::daemonset::KIND,
    &apps::deployment::KIND,
    &apps::replicaset::KIND,
    &apps::statefulset::KIND,
    &batch::cronjob::KIND,
    &batch::job::KIND,
    &autoscaling::horizontalpodautoscaler::KIND,
    &policy::poddisruptionbudget::KIND,
    &networking::ingressclass::KIND,
    &networking::ingress::KIND,
    &networking::ipaddress::KIND,
    &networking::networkpolicy::KIND,
    &networking::servicecidr::KIND,
    &rbac::clusterrolebinding::KIND,
    &rbac::clusterrole::KIND,
    &rbac::rolebinding::KIND,
    &rbac::role::KIND,
    &coordination::lease::KIND,
    &discovery::endpointslice::KIND,
    &apiextensions::customresourcedefinition::KIND,
    &admissionregistration::mutatingadmissionpolicy::KIND,
    &admissionregistration::mutatingadmissionpolicybinding::KIND,
    &admissionregistration::mutatingwebhookconfiguration::KIND,
    &admissionregistration::validatingadmissionpolicy::KIND,
    &admissionregistration::validatingadmissionpolicybinding::KIND,
    &admissionregistration::validatingwebhookconfiguration::KIND,
    &authentication::selfsubjectreview::KIND,
    &authentication::tokenreview::KIND,
    &authorization::localsubjectaccessreview::KIND,
    &authorization::selfsubjectaccessreview::KIND,
    &authorization::selfsubjectrulesreview::KIND,
    &authorization::subjectaccessreview::KIND,
    &certificates::certificatesigningrequest::KIND,
    &storage::csidriver::KIND,
    &storage::csinode::KIND,
    &storage::csistoragecapacity::KIND,
    &storage::storageclass::KIND,
    &storage::volumeattachment::KIND,
    &storage::volumeattributesclass::KIND,
    &scheduling::priorityclass::KIND,
    &node::runtimeclass::KIND,
    &flowcontrol::flowschema::KIND,
    &flowcontrol::prioritylevelconfiguration::KIND,
    &apiregistration::apiservice::KIND,
    &resource::deviceclass::KIND,
    &resource::resourceclaim::KIND,
    &resource::resourceclaimtemplate::KIND,
    &resource::resourceslice::KIND,
];
