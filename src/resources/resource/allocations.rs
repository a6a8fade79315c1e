//! Checks of the status of claims: what was allocated, who uses it, and what drivers say of it.

use std::collections::BTreeSet;

use atoll_api::field::go_quote;
use atoll_api::{FieldError, FieldErrors, FieldPath, Object};
use serde_json::Value;

use super::lists::{UNLIMITED, by_text, elements, unique};
use super::names::{binding_conditions, pool_name, uid};
use super::requests::{MAX_CONFIGURATIONS, Novelty, RequestNames, configuration, raw_object};
use super::shown;
use crate::resources::checks::conditions::conditions;
use crate::resources::checks::network::Cidr;
use crate::resources::checks::{IMMUTABLE, forbidden, invalid, label, path, required, required_one_of};
use crate::resources::podspec::{driver_name, node_selector};
use crate::resources::read::{field, is_set, list, size, text};

/// The most users of a claim, and the most devices that were allocated.
const MAX_USERS: usize = 256;
const MAX_RESULTS: usize = 32;
/// The most conditions of a device, and the longest data about it, in bytes of JSON.
const MAX_CONDITIONS: usize = 8;
const MAX_DATA: usize = 10 * 1024;
/// The most addresses of a device in a network, and the longest names of it, in bytes.
const MAX_ADDRESSES: usize = 16;
const MAX_NETWORK_NAMES: [(&str, usize); 2] = [("interfaceName", 256), ("hardwareAddress", 128)];

/// Checks a changed status.
pub(super) fn status(errors: &mut FieldErrors, claim: &Object, old: &Object) {
    let (new, old, at) = (field(claim, "status"), field(old, "status"), path("status"));
    let (allocation, reserved_at) = (&new["allocation"], at.child("reservedFor"));
    let by_uid = |user: &Value| by_text(&user["uid"]);
    unique(errors, &new["reservedFor"], MAX_USERS, &reserved_at, by_uid, user);
    let allocated: BTreeSet<String> = list(&allocation["devices"]["results"]).iter().map(shown::identity).collect();
    unique(errors, &new["devices"], UNLIMITED, &at.child("devices"), shown::identity, |errors, device, path| {
        device_status(errors, device, path, &allocated);
    });
    if size(&new["reservedFor"]) > 0 {
        if !is_set(allocation) {
            forbidden(errors, &reserved_at, "may not be specified when `allocated` is not set");
        } else if claim.deletion_timestamp().is_some() && has_new_users(new, old) {
            let detail = "new entries may not be added while `deallocationRequested` or `deletionTimestamp` are set";
            forbidden(errors, &reserved_at, detail);
        }
    }
    let at = at.child("allocation");
    match (is_set(allocation), is_set(&old["allocation"])) {
        (true, true) if *allocation != old["allocation"] => {
            errors.push(FieldError::invalid_shown(&at, shown::allocation(allocation), IMMUTABLE));
        }
        (true, false) => {
            let names = RequestNames::of(&field(claim, "spec")["devices"]);
            new_allocation(errors, allocation, &at, &names);
        }
        _ => {}
    }
}

fn has_new_users(new: &Value, old: &Value) -> bool {
    let texts = |users: &Value| -> BTreeSet<String> { list(users).iter().map(Value::to_string).collect() };
    !texts(&new["reservedFor"]).is_subset(&texts(&old["reservedFor"]))
}

fn user(errors: &mut FieldErrors, user: &Value, path: &FieldPath) {
    for field in ["resource", "name", "uid"].into_iter().filter(|field| text(&user[*field]).is_empty()) {
        required(errors, &path.child(field), "");
    }
}

fn new_allocation(errors: &mut FieldErrors, allocation: &Value, path: &FieldPath, names: &RequestNames<'_>) {
    let (devices, at) = (&allocation["devices"], path.child("devices"));
    elements(errors, &devices["results"], MAX_RESULTS, &at.child("results"), |errors, result, path| {
        names.check(errors, text(&result["request"]), &path.child("request"));
        driver_name(errors, text(&result["driver"]), &path.child("driver"));
        pool_name(errors, text(&result["pool"]), &path.child("pool"));
        label(errors, &path.child("device"), text(&result["device"]));
        binding_conditions(errors, result, path);
        if let Some(share) = result["shareID"].as_str() {
            uid(errors, share, &path.child("shareID"));
        }
    });
    let max = 2 * MAX_CONFIGURATIONS;
    elements(errors, &devices["config"], max, &at.child("config"), |errors, config, path| {
        let source = text(&config["source"]);
        required_one_of(errors, &path.child("source"), source, &["FromClaim", "FromClass"]);
        names.check_all(errors, &config["requests"], &path.child("requests"));
        configuration(errors, config, path, Novelty::New);
    });
    if is_set(&allocation["nodeSelector"]) {
        node_selector(errors, &allocation["nodeSelector"], &path.child("nodeSelector"));
    }
}

fn device_status(errors: &mut FieldErrors, device: &Value, path: &FieldPath, allocated: &BTreeSet<String>) {
    driver_name(errors, text(&device["driver"]), &path.child("driver"));
    pool_name(errors, text(&device["pool"]), &path.child("pool"));
    label(errors, &path.child("device"), text(&device["device"]));
    if let Some(share) = device["shareID"].as_str() {
        uid(errors, share, &path.child("shareID"));
    }
    let identity = shown::identity(device);
    if !allocated.contains(&identity) {
        errors.push(FieldError::invalid_shown(path, identity, "must be an allocated device in the claim"));
    }
    let (at, count) = (path.child("conditions"), size(&device["conditions"]));
    if count > MAX_CONDITIONS {
        errors.push(FieldError::too_many(&at, count, MAX_CONDITIONS));
    }
    conditions(errors, &at, &device["conditions"]);
    if is_set(&device["data"]) {
        raw_object(errors, &device["data"], &path.child("data"), (Novelty::New, MAX_DATA));
    }
    let (network, path) = (&device["networkData"], path.child("networkData"));
    for (field, max) in MAX_NETWORK_NAMES {
        if text(&network[field]).len() > max {
            errors.push(FieldError::too_long(&path.child(field), max));
        }
    }
    unique(errors, &network["ips"], MAX_ADDRESSES, &path.child("ips"), by_text, |errors, address, path| {
        interface_address(errors, text(address), path);
    });
}

/// An address and how many of its bits name its network, in canonical form.
fn interface_address(errors: &mut FieldErrors, value: &str, path: &FieldPath) {
    let Some(Cidr { address, bits }) = Cidr::parse(value) else {
        let detail = "must be a valid address in CIDR form, (e.g. 10.9.8.7/24 or 2001:db8::1/64)";
        return invalid(errors, path, &value.into(), detail);
    };
    let plain = address.to_canonical();
    let bits = if plain.is_ipv4() && bits > 32 { bits - 96 } else { bits };
    let canonical = format!("{plain}/{bits}");
    if value != canonical {
        invalid(errors, path, &value.into(), format!("must be in canonical form ({})", go_quote(&canonical)));
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn told(new: Value, old: Value) -> Vec<String> {
        let request = json!({"name": "r", "exactly": {"deviceClassName": "c"}});
        let claim = |status: Value| {
            let claim =
                json!({"metadata": {"name": "c"}, "spec": {"devices": {"requests": [request]}}, "status": status});
            Object::from_value(claim).expect("tests write objects")
        };
        let mut errors = FieldErrors::new();
        status(&mut errors, &claim(new), &claim(old));
        errors.iter().map(FieldError::to_string).collect()
    }

    fn allocation() -> Value {
        json!({"devices": {"results": [{"request": "r", "driver": "d", "pool": "p", "device": "x"}]}})
    }

    #[test]
    fn allocations_are_for_requests_and_stay_as_they_are() {
        assert!(told(json!({"allocation": allocation()}), json!({})).is_empty());
        assert!(told(json!({"allocation": allocation()}), json!({"allocation": allocation()})).is_empty());
        assert!(told(json!({}), json!({"allocation": allocation()})).is_empty());
        let other = json!({"devices": {"results": [{"request": "o", "driver": "d", "pool": "p", "device": "x"}]}});
        let faults = told(json!({"allocation": other}), json!({}));
        assert!(
            faults[0].starts_with("status.allocation.devices.results[0].request: Invalid value: \"o\""),
            "{faults:?}"
        );
        let faults = told(json!({"allocation": other}), json!({"allocation": allocation()}));
        let shown = "{\"Devices\":{\"Results\":[{\"Request\":\"o\",\"Driver\":\"d\",\"Pool\":\"p\",\"Device\":\"x\",\
                     \"AdminAccess\":null,\"Tolerations\":null,\"BindingConditions\":null,\
                     \"BindingFailureConditions\":null,\"ShareID\":null,\"ConsumedCapacity\":null}],\"Config\":null},\
                     \"NodeSelector\":null,\"AllocationTimestamp\":null}";
        assert_eq!(faults, [format!("status.allocation: Invalid value: {shown}: field is immutable")]);
    }

    #[test]
    fn only_what_is_allocated_is_used() {
        let user = json!({"resource": "pods", "name": "p", "uid": "u"});
        assert_eq!(
            told(json!({"reservedFor": [user]}), json!({})),
            ["status.reservedFor: Forbidden: may not be specified when `allocated` is not set"]
        );
        assert_eq!(
            told(json!({"allocation": allocation(), "reservedFor": [user, user]}), json!({})),
            ["status.reservedFor[1]: Duplicate value: \"u\""]
        );
        assert_eq!(
            told(json!({"devices": [{"driver": "d", "pool": "p", "device": "x"}]}), json!({})),
            [
                "status.devices[0]: Invalid value: {\"Driver\":\"d\",\"Pool\":\"p\",\"Device\":\"x\",\"ShareID\":\"\"}: must \
              be an allocated device in the claim"
            ]
        );
    }

    #[test]
    fn devices_in_networks_have_canonical_addresses() {
        let why = |address: &str| {
            let mut errors = FieldErrors::new();
            interface_address(&mut errors, address, &path("ip"));
            errors.first().map(|error| error.detail.clone()).unwrap_or_default()
        };
        for (address, expected) in [
            ("10.9.8.7/24", ""),
            ("2001:db8::1/64", ""),
            ("10.9.8.7", "must be a valid address in CIDR form, (e.g. 10.9.8.7/24 or 2001:db8::1/64)"),
            ("010.9.8.7/24", "must be in canonical form (\"10.9.8.7/24\")"),
            ("::ffff:10.9.8.7/120", "must be in canonical form (\"10.9.8.7/24\")"),
            ("2001:DB8::1/64", "must be in canonical form (\"2001:db8::1/64\")"),
        ] {
            assert_eq!(why(address), expected, "{address}");
        }
    }
}
