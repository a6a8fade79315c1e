//! Takes the descriptions of the built-in types from the dependency that has them, so that `kubectl explain` can show them.
//!
//! The repository itself keeps facts only (`manifests/schema`); the sentences come with `k8s-openapi` and go, compressed, into
//! the binary.

use std::collections::BTreeMap;
use std::io::Write;
use std::path::Path;

use flate2::Compression;
use flate2::write::DeflateEncoder;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::WatchEvent;
use k8s_openapi::apimachinery::pkg::runtime::RawExtension;
use schemars::SchemaGenerator;
use serde_json::{Map, Value};

/// Adds the kinds at these paths of `k8s_openapi`, and whatever they refer to.
macro_rules! add {
    ($generator:expr; $($($path:ident)::+,)+) => {
        $($generator.subschema_for::<k8s_openapi::$($path)::+>();)+
    };
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    println!("cargo::rerun-if-changed=build.rs");
    let mut generator = SchemaGenerator::default();
    add_kinds(&mut generator);
    generator.subschema_for::<WatchEvent<RawExtension>>();
    let mut described: BTreeMap<String, Value> = BTreeMap::new();
    for (name, schema) in generator.definitions() {
        described.insert(short(name), descriptions(schema));
    }
    // The one field that has no description there.
    let object =
        "The object after the change, or before its deletion; a Status of an error; of a bookmark, the version only.";
    described.entry("meta.v1.WatchEvent".into()).or_default()["object"] = object.into();
    let text = serde_json::to_vec(&described)?;
    let out = std::env::var_os("OUT_DIR").ok_or("cargo sets OUT_DIR")?;
    let file = std::fs::File::create(Path::new(&out).join("descriptions.json.deflate"))?;
    let mut encoder = DeflateEncoder::new(file, Compression::best());
    encoder.write_all(&text)?;
    encoder.finish()?;
    Ok(())
}

/// `io.k8s.api.core.v1.Pod` as the catalog names it: `core.v1.Pod`. Packages without a version are `resource.Quantity`.
fn short(name: &str) -> String {
    let mut parts: Vec<&str> = name.rsplitn(4, '.').take(3).collect();
    let is_version = |part: &&str| part.starts_with('v') && part[1..].starts_with(|c: char| c.is_ascii_digit());
    if !parts.get(1).is_some_and(is_version) {
        parts.truncate(2);
    }
    parts.reverse();
    parts.join(".")
}

/// The description of a type (under the empty name) and of its fields.
fn descriptions(schema: &Value) -> Value {
    let mut found = Map::new();
    if let Some(text) = schema.get("description") {
        found.insert(String::new(), text.clone());
    }
    for (field, schema) in schema.get("properties").and_then(Value::as_object).into_iter().flatten() {
        if let Some(text) = schema.get("description") {
            found.insert(field.clone(), text.clone());
        }
    }
    Value::Object(found)
}

fn add_kinds(generator: &mut SchemaGenerator) {
    add! {
        generator;
        api::admissionregistration::v1::MutatingAdmissionPolicy,
        api::admissionregistration::v1::MutatingAdmissionPolicyBinding,
        api::admissionregistration::v1::MutatingWebhookConfiguration,
        api::admissionregistration::v1::ValidatingAdmissionPolicy,
        api::admissionregistration::v1::ValidatingAdmissionPolicyBinding,
        api::admissionregistration::v1::ValidatingWebhookConfiguration,
        api::apps::v1::ControllerRevision,
        api::apps::v1::DaemonSet,
        api::apps::v1::Deployment,
        api::apps::v1::ReplicaSet,
        api::apps::v1::StatefulSet,
        api::authentication::v1::SelfSubjectReview,
        api::authentication::v1::TokenRequest,
        api::authentication::v1::TokenReview,
        api::authorization::v1::LocalSubjectAccessReview,
        api::authorization::v1::SelfSubjectAccessReview,
        api::authorization::v1::SelfSubjectRulesReview,
        api::authorization::v1::SubjectAccessReview,
        api::autoscaling::v1::HorizontalPodAutoscaler,
        api::autoscaling::v1::Scale,
        api::autoscaling::v2::HorizontalPodAutoscaler,
        api::batch::v1::CronJob,
        api::batch::v1::Job,
        api::certificates::v1::CertificateSigningRequest,
        api::coordination::v1::Lease,
        api::core::v1::Binding,
        api::core::v1::ComponentStatus,
        api::core::v1::ConfigMap,
        api::core::v1::Endpoints,
        api::core::v1::Event,
        api::core::v1::LimitRange,
        api::core::v1::Namespace,
        api::core::v1::Node,
        api::core::v1::PersistentVolume,
        api::core::v1::PersistentVolumeClaim,
        api::core::v1::Pod,
        api::core::v1::PodTemplate,
        api::core::v1::ReplicationController,
        api::core::v1::ResourceQuota,
        api::core::v1::Secret,
        api::core::v1::Service,
        api::core::v1::ServiceAccount,
        api::discovery::v1::EndpointSlice,
        api::events::v1::Event,
        api::flowcontrol::v1::FlowSchema,
        api::flowcontrol::v1::PriorityLevelConfiguration,
        api::networking::v1::IPAddress,
        api::networking::v1::Ingress,
        api::networking::v1::IngressClass,
        api::networking::v1::NetworkPolicy,
        api::networking::v1::ServiceCIDR,
        api::node::v1::RuntimeClass,
        api::policy::v1::Eviction,
        api::policy::v1::PodDisruptionBudget,
        api::rbac::v1::ClusterRole,
        api::rbac::v1::ClusterRoleBinding,
        api::rbac::v1::Role,
        api::rbac::v1::RoleBinding,
        api::resource::v1::DeviceClass,
        api::resource::v1::ResourceClaim,
        api::resource::v1::ResourceClaimTemplate,
        api::resource::v1::ResourceSlice,
        api::scheduling::v1::PriorityClass,
        api::storage::v1::CSIDriver,
        api::storage::v1::CSINode,
        api::storage::v1::CSIStorageCapacity,
        api::storage::v1::StorageClass,
        api::storage::v1::VolumeAttachment,
        api::storage::v1::VolumeAttributesClass,
        apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition,
        apimachinery::pkg::api::resource::Quantity,
        apimachinery::pkg::apis::meta::v1::APIGroup,
        apimachinery::pkg::apis::meta::v1::APIGroupList,
        apimachinery::pkg::apis::meta::v1::APIResourceList,
        apimachinery::pkg::apis::meta::v1::APIVersions,
        apimachinery::pkg::apis::meta::v1::DeleteOptions,
        apimachinery::pkg::apis::meta::v1::ListMeta,
        apimachinery::pkg::apis::meta::v1::MicroTime,
        apimachinery::pkg::apis::meta::v1::Patch,
        apimachinery::pkg::apis::meta::v1::Status,
        apimachinery::pkg::apis::meta::v1::Time,
        apimachinery::pkg::util::intstr::IntOrString,
        apimachinery::pkg::version::Info,
        kube_aggregator::pkg::apis::apiregistration::v1::APIService,
    }
}
