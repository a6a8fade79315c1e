//! Laying a part of an object over an object without regard to who owns what, as mutating policies do.

use serde_json::Value;

use super::check::check;
use super::merge::merge;
use super::shape::{Form, ListForm, MapForm, Shape};
use crate::schema::Schema;

/// The object with the part laid over it, or why that cannot be. What is owned whole cannot be part of it: nobody would
/// tell that the rest of it goes.
pub(super) fn overlay(schema: &Schema, live: &Value, part: &Value) -> Result<Value, String> {
    let shape = Shape::of_object(schema);
    check(shape, part).map_err(|faults| format!("failed to convert patch object to typed object: {faults}"))?;
    let mut whole = Vec::new();
    find_whole(shape, part, &mut String::new(), &mut whole);
    if !whole.is_empty() {
        let whole = whole.join(", ");
        return Err(format!("invalid ApplyConfiguration: may not mutate atomic arrays, maps or structs: {whole}"));
    }
    merge(shape, live, part).map_err(|faults| format!("failed to merge patch: {faults}"))
}

/// The places in a part that are owned whole.
fn find_whole(shape: Shape<'_>, part: &Value, path: &mut String, found: &mut Vec<String>) {
    let length = path.len();
    match (shape.form(Some(part)), part) {
        (Form::Map(form), Value::Object(map)) => {
            if form == MapForm::Whole {
                found.push(path.clone());
            }
            for (name, value) in map {
                if let Some(field) = shape.field(name) {
                    path.push('.');
                    path.push_str(name);
                    find_whole(field.shape, value, path, found);
                    path.truncate(length);
                }
            }
        }
        (Form::List(form), Value::Array(list)) => {
            if form == ListForm::Whole {
                found.push(path.clone());
            }
            for (index, value) in list.iter().enumerate() {
                path.push_str(&format!("[{index}]"));
                find_whole(shape.items(), value, path, found);
                path.truncate(length);
            }
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::schema::{ListType, SchemaType};

    fn typed(kind: SchemaType) -> Schema {
        Schema { kind: Some(kind), ..Schema::default() }
    }

    fn schema() -> Schema {
        let mut item = typed(SchemaType::Object);
        item.properties.insert("name".into(), typed(SchemaType::String).into());
        item.properties.insert("value".into(), typed(SchemaType::String).into());
        let mut keyed = typed(SchemaType::Array);
        keyed.list_type = Some(ListType::Map(vec!["name".into()]));
        keyed.items = Some(item.into());
        let mut atomic = typed(SchemaType::Array);
        atomic.list_type = Some(ListType::Atomic);
        atomic.items = Some(typed(SchemaType::String).into());
        let mut spec = typed(SchemaType::Object);
        spec.properties.insert("keyed".into(), keyed.into());
        spec.properties.insert("atomic".into(), atomic.into());
        spec.properties.insert("replicas".into(), typed(SchemaType::Integer).into());
        let mut object = typed(SchemaType::Object);
        object.properties.insert("spec".into(), spec.into());
        object
    }

    fn check(part: Value, expected: Result<Value, &str>) {
        let live = json!({"spec": {"replicas": 1, "keyed": [{"name": "a", "value": "x"}], "atomic": ["a"]}});
        let merged = overlay(&schema(), &live, &part).map(|merged| merged["spec"].clone());
        match (merged, expected) {
            (Ok(merged), Ok(expected)) => assert_eq!(merged, expected, "{part}"),
            (Err(why), Err(expected)) => assert!(why.contains(expected), "{part}: {why}"),
            (merged, expected) => panic!("{part}: {merged:?} instead of {expected:?}"),
        }
    }

    #[test]
    fn parts_are_merged_as_the_schema_says() {
        let live = json!({"replicas": 1, "keyed": [{"name": "a", "value": "x"}], "atomic": ["a"]});
        check(json!({}), Ok(live.clone()));
        let mut scaled = live.clone();
        scaled["replicas"] = json!(3);
        check(json!({"spec": {"replicas": 3}}), Ok(scaled));
        let mut longer = live;
        longer["keyed"] = json!([{"name": "a", "value": "y"}, {"name": "b"}]);
        check(json!({"spec": {"keyed": [{"name": "a", "value": "y"}, {"name": "b"}]}}), Ok(longer));
        check(json!({"spec": {"atomic": ["b"]}}), Err("may not mutate atomic arrays, maps or structs: .spec.atomic"));
        check(json!({"spec": {"nothing": 1}}), Err(".spec.nothing: field not declared in schema"));
    }
}
