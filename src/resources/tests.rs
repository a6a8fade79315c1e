//! What must hold of every built-in kind.

use std::sync::Arc;

use atoll_api::Object;
use serde_json::{Value, json};

use super::{BUILTINS, Builtin, sets};
use crate::registry::resource::Resource;

fn object(value: Value) -> Object {
    Object::from_value(value).expect("tests write objects")
}

fn builtin(kind: &str) -> Arc<Builtin> {
    Builtin::of(BUILTINS.iter().find(|builtin| builtin.kind == kind).expect("a built-in kind"))
}

#[test]
fn every_kind_has_types_columns_and_cells_that_fit_together() {
    let now = jiff::Timestamp::UNIX_EPOCH;
    for kind in BUILTINS {
        let resource = Builtin::of(kind);
        for version in &resource.descriptor().versions {
            let mut bare = object(json!({"metadata": {"name": "a"}}));
            bare.set_type(&version.version.to_string(), kind.kind);
            resource.default(&version.version, &mut bare);
            let once = bare.clone();
            resource.default(&version.version, &mut bare);
            assert_eq!(once, bare, "defaults of {} are set once", kind.kind);
            let cells = resource.cells(&version.version, &bare, now).len();
            // IPAddresses have a cell too many, as in Kubernetes.
            let extra = usize::from(kind.kind == "IPAddress");
            assert_eq!(cells, version.columns.len() + extra, "cells of {} in {}", kind.kind, version.version);
        }
    }
}

#[test]
fn every_column_is_described() {
    for kind in BUILTINS {
        for column in Builtin::of(kind).descriptor().versions.iter().flat_map(|version| version.columns.iter()) {
            assert!(!column.description.text().is_empty(), "{} of {}", column.name, kind.kind);
            assert!(!column.description.text().starts_with('@'), "{} of {}", column.name, kind.kind);
        }
    }
}

#[test]
fn sets_contain_each_other() {
    let names = |set: &str| -> Vec<String> {
        let chosen = sets::choose([set]).expect("a set");
        chosen.iter().map(|resource| resource.descriptor().resource.to_string()).collect()
    };
    for pair in sets::NAMES.windows(2) {
        let greater = names(pair[1]);
        assert!(names(pair[0]).iter().all(|name| greater.contains(name)), "{pair:?}");
    }
    assert_eq!(names("all").len(), BUILTINS.len());
    assert_eq!(names("deployments.apps"), ["deployments.apps"]);
    assert!(sets::choose(["deployments"]).is_err());
}

#[test]
fn a_minimal_deployment_comes_out_as_kubernetes_writes_it() {
    let resource = builtin("Deployment");
    let template = json!({
        "metadata": {"labels": {"app": "web"}, "annotations": {}},
        "spec": {"containers": [{"name": "main", "image": "example.com/main:1", "command": [], "ports": [{"containerPort": 80}],
            "resources": {"limits": {"cpu": "1000m", "memory": 1024}}}]},
    });
    let spec = json!({"selector": {"matchLabels": {"app": "web"}}, "template": template});
    let mut deployment =
        object(json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "a"}, "spec": spec}));
    resource.default(&resource.descriptor().versions[0].version.clone(), &mut deployment);
    let expected = json!({
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "a"},
        "spec": {
            "progressDeadlineSeconds": 600,
            "replicas": 1,
            "revisionHistoryLimit": 10,
            "selector": {"matchLabels": {"app": "web"}},
            "strategy": {"rollingUpdate": {"maxSurge": "25%", "maxUnavailable": "25%"}, "type": "RollingUpdate"},
            "template": {
                "metadata": {"labels": {"app": "web"}},
                "spec": {
                    "containers": [{
                        "image": "example.com/main:1",
                        "imagePullPolicy": "IfNotPresent",
                        "name": "main",
                        "ports": [{"containerPort": 80, "protocol": "TCP"}],
                        "resources": {"limits": {"cpu": "1", "memory": "1024"}},
                        "terminationMessagePath": "/dev/termination-log",
                        "terminationMessagePolicy": "File",
                    }],
                    "dnsPolicy": "ClusterFirst",
                    "restartPolicy": "Always",
                    "schedulerName": "default-scheduler",
                    "securityContext": {},
                    "terminationGracePeriodSeconds": 30,
                },
            },
        },
        "status": {},
    });
    assert_eq!(deployment.into_value(), expected);
}
