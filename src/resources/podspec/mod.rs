//! What all kinds with a description of pods have in common: its defaults and its checks.

mod affinity;
mod containers;
mod defaults;
mod env;
mod image;
mod mounts;
mod overlaps;
mod probes;
mod projected;
mod requirements;
mod security;
mod sources;
mod spec;
mod template;
mod volumes;
mod warnings;

pub(super) use affinity::{EFFECTS, node_selector, tolerations};
pub(super) use defaults::{DEFAULTS, pod_only_defaults};
pub(super) use mounts::no_backsteps;
pub(super) use requirements::container_requirements;
pub(super) use sources::{Secrets, particular};
pub(super) use spec::{Whose, validate_only_for_pods, validate_spec};
pub(super) use template::{Template, deletion_cost, validate_lasting, validate_metadata, validate_template};
pub(super) use volumes::{
    azure_disk, driver_name, fibre_channel, flocker, host_path, iscsi, needed_fields, nfs, partition, quobyte,
};
pub(super) use warnings::{claim_warnings, take_profiles_from_annotations, template_warnings, warnings};
