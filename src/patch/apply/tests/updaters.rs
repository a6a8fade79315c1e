//! Creation, replacement and patches: who changes a field owns it.

use super::*;

#[test]
fn the_creator_owns_everything_and_the_changer_what_it_changed() {
    let mut world = World::widgets();
    world.put("creator", json!({"metadata": {"labels": {"x": "1"}}, "spec": {"size": 1, "labels": {"k": "v"}}}));
    let labels = json!({"f:labels": {".": {}, "f:x": {}}});
    world.check_owners(&[(
        "creator Update",
        json!({"f:metadata": labels, "f:spec": {".": {}, "f:size": {}, "f:labels": {".": {}, "f:k": {}}}}),
    )]);
    world.patch("patcher", json!({"spec": {"size": 2, "labels": {"l": "w"}}}));
    world.check_owners(&[
        ("creator Update", json!({"f:metadata": labels, "f:spec": {".": {}, "f:labels": {".": {}, "f:k": {}}}})),
        ("patcher Update", json!({"f:spec": {"f:size": {}, "f:labels": {"f:l": {}}}})),
    ]);
    world.patch("remover", json!({"metadata": {"labels": null}, "spec": {"labels": {"k": null}}}));
    world.check_owners(&[
        ("creator Update", json!({"f:spec": {".": {}, "f:labels": {}}})),
        ("patcher Update", json!({"f:spec": {"f:size": {}, "f:labels": {"f:l": {}}}})),
    ]);
}

#[test]
fn a_write_that_changes_nothing_leaves_the_record_alone() {
    let mut world = World::widgets();
    world.put("creator", json!({"spec": {"size": 1}}));
    let before = world.record();
    world.patch("idle", json!({"metadata": {"resourceVersion": "7", "generation": 3}}));
    assert_eq!(world.record(), before);
}

#[test]
fn list_elements_are_owned_one_by_one() {
    let mut world = World::widgets();
    world.put("creator", json!({"spec": {"ports": [{"name": "p", "port": 1}], "tags": ["x"], "args": ["a"]}}));
    world.patch(
        "up",
        json!({"spec": {"ports": [{"name": "p", "port": 1}, {"name": "q"}], "tags": ["x", "y"], "args": ["a", "b"]}}),
    );
    world.check_owners(&[
        (
            "creator Update",
            json!({"f:spec": {".": {},
                "f:ports": {".": {}, "k:{\"name\":\"p\"}": {".": {}, "f:name": {}, "f:port": {}}}, "f:tags": {".": {}, "v:\"x\"": {}}}}),
        ),
        (
            "up Update",
            json!({"f:spec": {
                "f:args": {}, "f:ports": {"k:{\"name\":\"q\"}": {".": {}, "f:name": {}}}, "f:tags": {"v:\"y\"": {}}}}),
        ),
    ]);
}

#[test]
fn reordering_an_owned_list_changes_nobody() {
    let mut world = World::widgets();
    world.put("creator", json!({"spec": {"tags": ["x", "y"], "ports": [{"name": "p"}, {"name": "q"}]}}));
    let before = world.record();
    world.patch("up", json!({"spec": {"tags": ["y", "x"], "ports": [{"name": "q"}, {"name": "p"}]}}));
    assert_eq!(world.record(), before);
}

#[test]
fn elements_that_are_there_twice_are_owned_together() {
    let mut world = World::widgets();
    world.put("creator", json!({"spec": {"ports": [{"name": "p", "port": 1}]}}));
    let twice = json!({"spec": {"ports": [{"name": "p", "port": 1}, {"name": "p", "port": 2}]}});
    world.patch("up", twice.clone());
    let list = |fields: Value| json!({"f:spec": {".": {}, "f:ports": {".": {}, "k:{\"name\":\"p\"}": fields}}});
    world.check_owners(&[
        ("creator Update", json!({"f:spec": {".": {}, "f:ports": {}}})),
        ("up Update", json!({"f:spec": {"f:ports": {"k:{\"name\":\"p\"}": {}}}})),
    ]);
    world.patch("again", twice);
    assert_eq!(world.owners().len(), 2);
    world.patch("creator", json!({"spec": {"ports": [{"name": "p", "port": 2}]}}));
    world.check_owners(&[("creator Update", list(json!({".": {}, "f:name": {}, "f:port": {}})))]);
}

#[test]
fn what_cannot_be_told_apart_ends_the_record() {
    let mut world = World::widgets();
    world.put("creator", json!({"spec": {"size": 1}}));
    world.patch("up", json!({"spec": {"size": 2, "ports": [{"port": 1}]}}));
    assert_eq!(world.owners(), []);
}

#[test]
fn structs_of_built_in_kinds_are_not_owned_by_themselves() {
    let mut world = World::pod_templates();
    let container = json!({"name": "c", "image": "i", "resources": {}, "env": [{"name": "E"}]});
    world.put(
        "creator",
        json!({"template": {"metadata": {}, "spec": {"containers": [container], "securityContext": {"runAsUser": 1}}}}),
    );
    world.check_owners(&[(
        "creator Update",
        json!({"f:template": {"f:spec": {
            "f:containers": {"k:{\"name\":\"c\"}": {".": {}, "f:name": {}, "f:image": {}, "f:resources": {},
                "f:env": {".": {}, "k:{\"name\":\"E\"}": {".": {}, "f:name": {}}}}},
            "f:securityContext": {".": {}, "f:runAsUser": {}},
        }}}),
    )]);
}

#[test]
fn updaters_of_a_subresource_are_apart_and_reset_fields_are_nobodys() {
    let mut world = World::widgets();
    world.reset = &[&["status"]];
    world.put("one", json!({"spec": {"size": 1}, "status": {"phase": "Ignored"}}));
    world.subresource = "status";
    world.reset = &[&["metadata"], &["spec"]];
    world.patch("one", json!({"spec": {"size": 5}, "status": {"phase": "Up"}}));
    world.check_owners(&[
        ("one Update", json!({"f:spec": {".": {}, "f:size": {}}})),
        ("one Update status", json!({"f:status": {"f:phase": {}}})),
    ]);
}

#[test]
fn an_update_takes_fields_from_appliers() {
    let mut world = World::widgets();
    world.apply("one", json!({"spec": {"size": 1, "color": "red", "args": ["x"]}}));
    world.patch("up", json!({"spec": {"size": null, "color": "blue"}}));
    world.check_owners(&[
        ("one Apply", json!({"f:spec": {"f:args": {}}})),
        ("up Update", json!({"f:spec": {"f:color": {}}})),
    ]);
    world.patch("up", json!({"spec": null}));
    world.check_owners(&[]);
}

#[test]
fn nameless_writers_are_unknown() {
    let mut world = World::widgets();
    world.put("", json!({"spec": {"size": 1}}));
    assert_eq!(world.owners()[0].0, "unknown Update");
    assert_eq!(manager_name("", "kubectl/v1.36.0 (linux/amd64)"), "kubectl");
    assert_eq!(manager_name("mine", "kubectl/v1.36.0"), "mine");
    assert_eq!(manager_name("", &"ä\u{7}".repeat(100)), "ä".repeat(64));
}

#[test]
fn the_oldest_updaters_are_put_together() {
    let mut world = World::loose();
    world.put("m00", json!({"f00": 1}));
    for i in 1..=10 {
        world.patch(&format!("m{i:02}"), json!({format!("f{i:02}"): 1}));
    }
    let owners = world.owners();
    assert_eq!(owners.len(), 10);
    assert_eq!(owners[0], ("ancient-changes Update".to_owned(), json!({"f:f00": {}, "f:f01": {}})));
    assert_eq!(world.record()[0]["time"], "1970-01-01T00:00:02Z");
    world.patch("m11", json!({"f11": 1}));
    assert_eq!(world.owners()[0].1, json!({"f:f00": {}, "f:f01": {}, "f:f02": {}}));
    assert_eq!(world.owners().len(), 10);
}
