//! Which fields an object has: the set of paths that applying it owns, and what of it there must be to own it.

use serde_json::Value;

use super::path::{Element, element_of};
use super::set::{Branch, Set};
use super::shape::{Form, ListForm, MapForm, Shape};

/// The paths in an object.
///
/// Fields that the schema names are owned through what is in them, entries of maps and elements of lists also by themselves,
/// and empty maps and nulls because nothing is in them. (An empty list that is not owned whole is owned by nobody.)
pub(super) fn fields_of(shape: Shape<'_>, object: &Value) -> Result<Set, String> {
    Ok(walk(shape, object)?.children)
}

/// Makes every field that the schema names a member where something below it is in the set.
pub(super) fn with_named_fields(mut set: Set, shape: Shape<'_>) -> Set {
    add_named_fields(&mut set, Some(shape));
    set
}

/// Adapts a set that was recorded under an older schema: what is owned whole by now is owned whole. Tells whether it changed.
pub(super) fn reconcile(set: &mut Set, shape: Shape<'_>) -> bool {
    let mut changed = false;
    for branch in set.branches_mut() {
        if branch.children.is_empty() {
            continue;
        }
        let below = match (&branch.element, shape.form(None)) {
            (Element::Field(name), Form::Map(_)) => shape.field(name).map(|field| field.shape),
            (_, Form::List(_)) => Some(shape.items()),
            _ => None,
        };
        let Some(below) = below else { continue };
        match below.form(None) {
            Form::List(ListForm::Whole) | Form::Map(MapForm::Whole) if below.is_described() => {
                branch.member = true;
                branch.children = Set::default();
                changed = true;
            }
            _ if below.is_described() => changed |= reconcile(&mut branch.children, below),
            _ => {}
        }
    }
    changed
}

fn walk(shape: Shape<'_>, value: &Value) -> Result<Branch, String> {
    // The element is the caller's to fill in.
    let mut branch = Branch { element: Element::Index(0), member: false, children: Set::default() };
    match (shape.form(Some(value)), value) {
        (Form::Scalar(_) | Form::List(ListForm::Whole) | Form::Map(MapForm::Whole), _) => branch.member = true,
        (Form::List(list), Value::Array(values)) => {
            let items = shape.items();
            let mut steps = Vec::with_capacity(values.len());
            for value in values {
                steps.push((element_of(list, items, value)?, value));
            }
            steps.sort_by(|(a, _), (b, _)| a.cmp(b));
            for twins in steps.chunk_by(|(a, _), (b, _)| a == b) {
                let mut below = match twins {
                    [(_, value)] => walk(items, value)?,
                    _ => Branch { element: Element::Index(0), member: true, children: Set::default() },
                };
                below.member = true;
                below.element = twins[0].0.clone();
                branch.children.add(below);
            }
        }
        (Form::Map(_), Value::Object(map)) => {
            for (name, value) in map {
                let field = shape.field(name);
                let mut below = walk(field.map_or(Shape::Opaque, |field| field.shape), value)?;
                let named = field.is_some_and(|field| field.named);
                below.member |= !named || value.is_null() || value.as_object().is_some_and(|map| map.is_empty());
                below.element = Element::field(name);
                branch.children.add(below);
            }
        }
        _ => {}
    }
    Ok(branch)
}

fn add_named_fields(set: &mut Set, shape: Option<Shape<'_>>) {
    for branch in set.branches_mut() {
        if branch.children.is_empty() {
            continue;
        }
        let below = match (&branch.element, shape.map(|shape| (shape, shape.form(None)))) {
            (Element::Field(name), Some((shape, Form::Map(_)))) => {
                let field = shape.field(name);
                branch.member |= field.is_some_and(|field| field.named);
                field.map(|field| field.shape)
            }
            (Element::Key(_), Some((shape, Form::List(_)))) => Some(shape.items()),
            _ => None,
        };
        add_named_fields(&mut branch.children, below);
    }
}
