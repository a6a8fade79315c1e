//! The rules that names, labels and metadata of all objects obey, with Kubernetes' texts.
//!
//! What only one kind demands is with that kind.

mod meta;
mod names;

pub(crate) use meta::validate_field_manager;
pub use meta::{
    Namespacing, validate_annotations, validate_finalizers, validate_label_selector, validate_labels,
    validate_managed_fields, validate_object_meta, validate_object_meta_update, validate_owner_references,
};
pub use names::{
    NameRule, c_identifier, condition_reason, config_map_key, dns1035_label, dns1123_label, dns1123_subdomain,
    env_var_name, http_header_name, is_printable, key_fault, label_value, path_segment_name, path_segment_prefix,
    percent, port_name, port_number, qualified_name, wildcard_dns1123_subdomain,
};

#[cfg(test)]
mod tests;
