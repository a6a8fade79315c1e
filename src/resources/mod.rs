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
mod recomputed;
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
mod told;
mod typed;
mod view;

#[cfg(test)]
mod tests;

use std::sync::Arc;

use atoll_api::GroupResource;
use kind::Kind;

use crate::admission::AdmissionPlugin;
use crate::authn::{SignedTokens, Union};
use crate::authz::Authorizer;
use crate::authz::rbac::Rbac;
use crate::authz::stored::StoredUnderlay;
use crate::flow::bootstrap as flow;
use crate::flow::stored::Policies;
use crate::registry::claim::Claimer;
use crate::registry::computed::Computed;
use crate::registry::connect::Connector;
use crate::registry::follow::Follower;
use crate::registry::underlay::Underlay;
use crate::storage::Store;
use crate::tenancy::Clusters;

pub use apiregistration::priorities::group_priority;
pub use apiregistration::told::front_proxy_name;
pub use core::service::claims::AddressRange;
pub use kind::Builtin;
pub use recomputed::Recomputed;
pub use surface::{Connecting, Handler, Own, Surfaces, definitions};
pub use typed::{DefinitionError, Typed};
pub use view::{Reader, View};

/// What kinds need that do more than being stored.
pub struct Services {
    /// Who recognises users.
    pub authenticator: Arc<Union>,
    /// Who decides what they may do.
    pub authorizer: Arc<dyn Authorizer>,
    /// Roles and bindings, as they are evaluated.
    pub rbac: Arc<Rbac>,
    /// The roles and bindings that all clusters share.
    pub underlay: Arc<StoredUnderlay>,
    /// Who makes tokens.
    pub tokens: Arc<SignedTokens>,
    /// The flow schemas and priority levels that hold.
    pub policies: Arc<Policies>,
    /// Where everything is.
    pub store: Arc<Store>,
    /// Which clusters there are.
    pub clusters: Arc<Clusters>,
}

/// What answers for resources and subresources that are computed.
pub fn handlers(services: &Services) -> Vec<Handler> {
    let authorizer = || Arc::clone(&services.authorizer);
    let tokens = || Arc::clone(&services.tokens);
    let authentication = |resource| GroupResource::new("authentication.k8s.io", resource);
    let authorization = |resource| GroupResource::new("authorization.k8s.io", resource);
    let bindings: Arc<dyn Computed> = Arc::new(core::binding::Answer::new());
    let all: Vec<(GroupResource, &'static str, Arc<dyn Computed>)> = vec![
        (GroupResource::new("", "bindings"), "", Arc::clone(&bindings)),
        (GroupResource::new("", "pods"), "binding", bindings),
        (GroupResource::new("", "pods"), "eviction", Arc::new(policy::eviction::Answer::new())),
        (GroupResource::new("", "namespaces"), "finalize", Arc::new(core::namespace_finalize::Finalize)),
        (
            GroupResource::new("", "serviceaccounts"),
            "token",
            Arc::new(authentication::tokenrequest::Answer::new(tokens())),
        ),
        (crate::tenancy::workspaces(), "token", Arc::new(tenancy::usertokenrequest::Answer::new(tokens()))),
        (crate::tenancy::workspaces(), "restore", Arc::new(tenancy::restore::Answer::new())),
        (
            authentication("tokenreviews"),
            "",
            Arc::new(authentication::tokenreview::Answer(Arc::clone(&services.authenticator))),
        ),
        (authentication("selfsubjectreviews"), "", Arc::new(authentication::selfsubjectreview::Answer)),
        (authorization("subjectaccessreviews"), "", Arc::new(authorization::subjectaccessreview::Answer(authorizer()))),
        (
            authorization("selfsubjectaccessreviews"),
            "",
            Arc::new(authorization::selfsubjectaccessreview::Answer(authorizer())),
        ),
        (
            authorization("localsubjectaccessreviews"),
            "",
            Arc::new(authorization::localsubjectaccessreview::Answer(authorizer())),
        ),
        (
            authorization("selfsubjectrulesreviews"),
            "",
            Arc::new(authorization::selfsubjectrulesreview::Answer(authorizer())),
        ),
    ];
    all.into_iter().map(|(resource, subresource, computed)| Handler { resource, subresource, computed }).collect()
}

/// Those who find where connections through subresources lead.
pub fn connectors() -> Vec<Connecting> {
    let ways: Arc<dyn Connector> = Arc::new(core::connect::Ways::new());
    let through: [(&str, &[&'static str]); 3] =
        [("nodes", &["proxy"]), ("pods", &["attach", "exec", "log", "portforward", "proxy"]), ("services", &["proxy"])];
    let all =
        through.into_iter().flat_map(|(resource, subresources)| subresources.iter().map(move |sub| (resource, *sub)));
    let connecting = |(resource, subresource)| Connecting {
        resource: GroupResource::new("", resource),
        subresource,
        connector: Arc::clone(&ways),
    };
    all.map(connecting).collect()
}

/// Those who act on writes of a resource before the writes are answered, in their order.
pub fn followers(services: &Services, surfaces: &Arc<Surfaces>) -> Vec<(GroupResource, Arc<dyn Follower>)> {
    let rbac = || Arc::clone(&services.rbac);
    let mut followers: Vec<(GroupResource, Arc<dyn Follower>)> = vec![
        (surface::definitions(), Arc::new(apiextensions::names::AcceptNames(Arc::clone(surfaces)))),
        (
            GroupResource::new("admissionregistration.k8s.io", "validatingadmissionpolicies"),
            Arc::new(admissionregistration::type_checking::CheckTypes { surfaces: Arc::clone(surfaces) }),
        ),
        (
            GroupResource::new(crate::authz::rbac::GROUP, "clusterroles"),
            Arc::new(rbac::aggregation::Aggregate { rbac: rbac() }),
        ),
    ];
    let share: Arc<dyn Follower> =
        Arc::new(rbac::sharing::ShareAtOnce { rbac: rbac(), underlay: Arc::clone(&services.underlay) });
    for resource in ["clusterroles", "roles", "clusterrolebindings", "rolebindings"] {
        followers.push((GroupResource::new(crate::authz::rbac::GROUP, resource), Arc::clone(&share)));
    }
    let heed: Arc<dyn Follower> = Arc::new(flowcontrol::following::Heed {
        policies: Arc::clone(&services.policies),
        surfaces: Arc::clone(surfaces),
    });
    for resource in [flow::FLOW_SCHEMAS, flow::PRIORITY_LEVELS] {
        followers.push((GroupResource::new(flow::GROUP, resource), Arc::clone(&heed)));
    }
    followers
}

/// Those who give objects of a resource what must be unique in their cluster.
pub fn claimers(range: AddressRange) -> Vec<(GroupResource, Arc<dyn Claimer>)> {
    vec![(GroupResource::new("", "services"), Arc::new(core::service::claims::Allocator { range }))]
}

/// Tells whom API servers of a cluster may believe (PEM): the CAs whose certificates are users', and the CA of front proxies.
pub type Authorities = Box<dyn Fn() -> (String, String) + Send + Sync>;

/// What the server itself tells clusters, in objects that nobody stores.
pub fn underlays(
    surfaces: &Arc<Surfaces>,
    store: &Arc<Store>,
    clusters: &Arc<Clusters>,
    authorities: Authorities,
) -> Vec<(GroupResource, Arc<dyn Underlay>)> {
    let (store, clusters) = (|| Arc::clone(store), || Arc::clone(clusters));
    let surfaces = Arc::clone(surfaces);
    let local = apiregistration::told::LocalServices { surfaces, store: store(), clusters: clusters() };
    let namespaces = core::system_namespaces::SystemNamespaces { store: store() };
    let trust = apiregistration::told::Trust { clusters: clusters(), store: store(), authorities };
    vec![
        (GroupResource::new("apiregistration.k8s.io", "apiservices"), Arc::new(local)),
        (GroupResource::new("", "configmaps"), Arc::new(trust)),
        (GroupResource::new("", "namespaces"), Arc::new(namespaces)),
    ]
}

/// What is asked of writes after everything that may change them, and before they are checked.
pub fn last_admission(services: &Services) -> Vec<Arc<dyn AdmissionPlugin>> {
    let (rbac, authorizer) = (Arc::clone(&services.rbac), Arc::clone(&services.authorizer));
    let may_copy = tenancy::source::MayCopy {
        authorizer: Arc::clone(&authorizer),
        clusters: Arc::clone(&services.clusters),
        store: Arc::clone(&services.store),
    };
    vec![Arc::new(rbac::escalation::NoEscalation { rbac, authorizer }), Arc::new(may_copy)]
}

/// Atoll's own kinds, which the system cluster serves beside the built-in ones.
pub static PLATFORM: &[&Kind] = &[
    &tenancy::workspace::KIND,
    &tenancy::clustersnapshot::KIND,
    &tenancy::logicalcluster::KIND,
    &sync::synctarget::KIND,
];

/// Kinds that are no resources: subresources take and give them.
pub static SUBRESOURCES: &[&Kind] = &[
    &authentication::tokenrequest::KIND,
    &policy::eviction::KIND,
    &tenancy::usertokenrequest::KIND,
    &tenancy::restore::KIND,
];

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
