//! What must hold for all objects and configurations, tried on made-up ones.

use super::*;
use crate::patch::apply::{
    compare::compare,
    fields,
    owned::{fields_of, with_named_fields},
    set::Set,
    shape::Shape,
};
use crate::patch::strategic;

/// Makes up values, the same ones every time (xorshift).
struct Maker(u64);

impl Maker {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % bound
    }

    fn coin(&mut self) -> bool {
        self.below(2) == 0
    }

    fn letter(&mut self) -> String {
        ["a", "b", "c", "d"][self.below(4) as usize].to_owned()
    }

    fn letters(&mut self) -> Vec<String> {
        let mut letters: Vec<String> = (0..self.below(4)).map(|_| self.letter()).collect();
        letters.sort();
        letters.dedup();
        if self.coin() {
            letters.reverse();
        }
        letters
    }

    fn texts(&mut self) -> Value {
        self.letters().into_iter().map(|key| (key, Value::from(self.letter()))).collect::<Map<_, _>>().into()
    }

    fn anything(&mut self, depth: u64) -> Value {
        match self.below(if depth == 0 { 4 } else { 6 }) {
            0 => self.below(3).into(),
            1 => self.letter().into(),
            2 => self.coin().into(),
            3 => Value::Null,
            4 => (0..self.below(3)).map(|_| self.anything(depth - 1)).collect(),
            _ => self.letters().into_iter().map(|key| (key, self.anything(depth - 1))).collect::<Map<_, _>>().into(),
        }
    }

    /// The spec of a widget, without nulls outside of the blob.
    fn spec(&mut self) -> Value {
        let mut spec = Map::new();
        for field in ["size", "color", "args", "tags", "ports", "labels", "atom", "blob"] {
            if self.coin() {
                continue;
            }
            let value = match field {
                "size" => self.below(3).into(),
                "color" => self.letter().into(),
                "args" | "tags" => self.letters().into(),
                "ports" => {
                    let names = self.letters();
                    names.into_iter().map(|name| json!({"name": name, "port": self.below(3)})).collect()
                }
                "labels" | "atom" => self.texts(),
                _ => self.letters().into_iter().map(|key| (key, self.anything(2))).collect::<Map<_, _>>().into(),
            };
            spec.insert(field.to_owned(), value);
        }
        Value::Object(spec)
    }
}

/// Runs a law with many makers.
fn for_all(law: impl Fn(&mut Maker)) {
    for seed in 1..=300_u64 {
        law(&mut Maker(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15)));
    }
}

fn live_widget(maker: &mut Maker) -> World {
    let mut world = World::widgets();
    world.put("creator", json!({"spec": maker.spec()}));
    for manager in ["one", "two"] {
        world.force(manager, json!({"spec": maker.spec()}));
    }
    world.patch("up", json!({"spec": maker.spec()}));
    world
}

#[test]
fn applying_twice_is_applying_once() {
    for_all(|maker| {
        let mut world = live_widget(maker);
        let config = json!({"spec": maker.spec()});
        world.force("me", config.clone());
        let once = world.object.clone();
        world.force("me", config);
        assert_eq!(world.object, once);
    });
}

#[test]
fn what_was_applied_is_there_and_owned() {
    for_all(|maker| {
        let mut world = live_widget(maker);
        let config = named(json!({"spec": maker.spec()}));
        world.force("me", config.clone());
        let shape = Shape::of_object(&world.schema);
        let mut missing = fields_of(shape, &config).expect("a configuration");
        let object = world.object.clone().expect("an object");
        let mut wrong = compare(shape, &config, &object).expect("comparable").modified;
        assert!(wrong.is_empty(), "{config} is not in {object}: {:?}", wrong.paths(1000));
        missing.remove(&with_named_fields(fields_of(shape, &object).expect("an object"), shape));
        assert!(missing.is_empty(), "{config} is not in {object}: {:?}", missing.paths(1000));
        wrong = fields_of(shape, &config).expect("a configuration");
        for path in [&["apiVersion"][..], &["kind"], &["metadata"]] {
            wrong.prune(path);
        }
        let mine = world.owners().into_iter().find(|(name, _)| name == "me Apply").map(|(_, fields)| fields);
        assert_eq!(mine.unwrap_or_else(|| json!({})), fields::encode(&wrong));
    });
}

#[test]
fn a_lone_applier_leaves_nothing_behind() {
    for_all(|maker| {
        let mut world = World::widgets();
        for _ in 0..3 {
            world.apply("me", json!({"spec": maker.spec()}));
        }
        let last = json!({"spec": maker.spec()});
        world.apply("me", last.clone());
        let mut fresh = World::widgets();
        fresh.apply("me", last);
        let spec = |world: &World| without_empty_lists(&world.object.as_ref().expect("an object")["spec"]);
        assert_eq!(spec(&world), spec(&fresh));
    });
}

/// Empty lists are owned by nobody, so they stay when they are not applied any more.
fn without_empty_lists(spec: &Value) -> Value {
    let keep = |(_, value): &(&String, &Value)| value.as_array().is_none_or(|list| !list.is_empty());
    spec.as_object()
        .into_iter()
        .flatten()
        .filter(keep)
        .map(|(k, v)| (k.clone(), v.clone()))
        .collect::<Map<_, _>>()
        .into()
}

#[test]
fn an_updater_owns_what_it_changed_and_no_one_else_does() {
    for_all(|maker| {
        let mut world = live_widget(maker);
        let old = world.object.clone().expect("an object");
        world.patch("me", json!({"spec": maker.spec()}));
        let new = world.object.clone().expect("an object");
        let changes = compare(Shape::of_object(&world.schema), &old, &new).expect("comparable");
        let changed = changes.modified.union(changes.added);
        for (name, fields) in world.owners() {
            let common = fields::decode(&fields).expect("a set").common(&changed);
            let expected = if name == "me Update" { changed.clone() } else { Set::default() };
            assert_eq!(common, expected, "{name}");
        }
    });
}

#[test]
fn comparison_has_two_sides() {
    for_all(|maker| {
        let world = World::widgets();
        let shape = Shape::of_object(&world.schema);
        let (old, new) = (named(json!({"spec": maker.spec()})), named(json!({"spec": maker.spec()})));
        let there = compare(shape, &old, &new).expect("comparable");
        let back = compare(shape, &new, &old).expect("comparable");
        assert_eq!((&there.added, &there.modified, &there.removed), (&back.removed, &back.modified, &back.added));
        assert!(compare(shape, &old, &old).expect("comparable").is_empty());
    });
}

#[test]
fn set_operations_agree_with_each_other() {
    for_all(|maker| {
        let world = World::widgets();
        let shape = Shape::of_object(&world.schema);
        let mut fields = || fields_of(shape, &json!({"spec": maker.spec()})).expect("a configuration");
        let (one, two) = (fields(), fields());
        assert_eq!(fields::decode(&fields::encode(&one)), Ok(one.clone()));
        let union = one.clone().union(two.clone());
        assert_eq!(union, two.clone().union(one.clone()));
        assert_eq!(union.common(&one), one);
        let mut only_one = one.clone();
        only_one.remove(&two);
        assert!(only_one.common(&two).is_empty());
        assert_eq!(only_one.clone().union(one.common(&two)), one);
        assert_eq!(only_one.union(two), union);
    });
}

#[test]
fn merge_patches_are_idempotent() {
    for_all(|maker| {
        let (document, patch) =
            (json!({"a": maker.anything(3)}), json!({"a": maker.anything(3), "b": maker.anything(2)}));
        let once = merge::apply(document, &patch).expect("a merge patch");
        assert_eq!(merge::apply(once.clone(), &patch), Ok(once));
    });
}

#[test]
fn strategic_patches_are_idempotent() {
    let schema = sample::kind(json!({"template": sample::pod_template()}));
    for_all(|maker| {
        let mut object = || {
            let names = maker.letters();
            let containers: Vec<Value> = names
                .into_iter()
                .map(|name| json!({"name": name, "image": maker.letter(), "args": maker.letters()}))
                .collect();
            let metadata = json!({"labels": maker.texts(), "finalizers": maker.letters()});
            json!({"metadata": metadata, "template": {"spec": {"containers": containers}}})
        };
        let (live, patch) = (object(), object());
        let once = strategic::apply(live, &patch, &schema).expect("a patch");
        assert_eq!(strategic::apply(once.clone(), &patch, &schema), Ok(once));
    });
}
