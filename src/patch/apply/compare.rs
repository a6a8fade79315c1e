//! What changed between two objects, as sets of field paths.
//!
//! `metadata.managedFields` is passed over. Values are compared where they stand; paths are made for differences only.

use serde_json::{Map, Value};

use super::path::{Element, element_of, same};
use super::set::{Branch, Set};
use super::shape::{Form, ListForm, MapForm, Shape};

/// The fields in which two objects differ.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Changes {
    /// Only the old object has them.
    pub(super) removed: Set,
    /// Both have them, with different values.
    pub(super) modified: Set,
    /// Only the new object has them.
    pub(super) added: Set,
}

/// The differences between two objects; an error if an element of an owned-by-piece list has no identity.
pub(super) fn compare(shape: Shape<'_>, old: &Value, new: &Value) -> Result<Changes, String> {
    let mut place = Place::default();
    walk(shape, Some(old), Some(new), &mut place)?;
    Ok(place.below)
}

// === impl Changes ===

impl Changes {
    pub(super) fn is_empty(&self) -> bool {
        self.removed.is_empty() && self.modified.is_empty() && self.added.is_empty()
    }

    /// Applies the same change to all three sets.
    pub(super) fn each(&mut self, mut change: impl FnMut(&mut Set)) {
        change(&mut self.removed);
        change(&mut self.modified);
        change(&mut self.added);
    }
}

/// What is known about one place: what changed below it, and whether it changed itself.
#[derive(Default)]
struct Place {
    below: Changes,
    itself: Option<Change>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Change {
    Removed,
    Modified,
    Added,
}

/// Whether a value was taken as a whole.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Walked {
    Whole,
    Into,
}

// === impl Place ===

impl Place {
    fn attach(&mut self, element: impl FnOnce() -> Element, place: Self) {
        if place.itself.is_none() && place.below.is_empty() {
            return;
        }
        let element = element();
        let sets = [
            (&mut self.below.removed, place.below.removed, Change::Removed),
            (&mut self.below.modified, place.below.modified, Change::Modified),
            (&mut self.below.added, place.below.added, Change::Added),
        ];
        for (set, children, change) in sets {
            let member = place.itself == Some(change);
            if member || !children.is_empty() {
                set.add(Branch { element: element.clone(), member, children });
            }
        }
    }

    fn whole(&mut self, old: Option<&Value>, new: Option<&Value>) -> Walked {
        match (old, new) {
            (None, _) => self.itself = Some(Change::Added),
            (_, None) => self.itself = Some(Change::Removed),
            (Some(old), Some(new)) if !same(old, new) => self.itself = Some(Change::Modified),
            _ => {}
        }
        Walked::Whole
    }
}

/// At least one of `old` and `new` is there.
fn walk(shape: Shape<'_>, old: Option<&Value>, new: Option<&Value>, place: &mut Place) -> Result<(), String> {
    let walked = match (old, new) {
        (Some(a), Some(b)) if !fits_together(a, b) => {
            // The two have different forms, so each is looked at in its own.
            let (old_form, new_form) = (shape.form(old), shape.form(new));
            if !same_form(old_form, new_form) {
                walk_form(shape, old_form, old, new, place)?;
            }
            walk_form(shape, new_form, old, new, place)?
        }
        (_, Some(_)) => walk_form(shape, shape.form(new), old, new, place)?,
        _ => walk_form(shape, shape.form(old), old, new, place)?,
    };
    if walked == Walked::Into {
        match (old, new) {
            (None, _) => place.itself = Some(Change::Added),
            (_, None) => place.itself = Some(Change::Removed),
            _ => {}
        }
    }
    Ok(())
}

fn fits_together(a: &Value, b: &Value) -> bool {
    std::mem::discriminant(a) == std::mem::discriminant(b)
}

fn same_form(a: Form<'_>, b: Form<'_>) -> bool {
    std::mem::discriminant(&a) == std::mem::discriminant(&b)
}

fn walk_form(
    shape: Shape<'_>,
    form: Form<'_>,
    old: Option<&Value>,
    new: Option<&Value>,
    place: &mut Place,
) -> Result<Walked, String> {
    match form {
        Form::Scalar(_) | Form::List(ListForm::Whole) | Form::Map(MapForm::Whole) => Ok(place.whole(old, new)),
        Form::List(list) => {
            let (olds, news) = (old.and_then(Value::as_array), new.and_then(Value::as_array));
            let (olds, news) = (olds.map_or(&[][..], Vec::as_slice), news.map_or(&[][..], Vec::as_slice));
            if olds.is_empty() && news.is_empty() {
                return Ok(place.whole(old, new));
            }
            if olds != news {
                walk_list(shape, list, olds, news, place)?;
            }
            Ok(Walked::Into)
        }
        Form::Map(MapForm::Granular) => {
            let (olds, news) = (old.and_then(Value::as_object), new.and_then(Value::as_object));
            if olds.is_none_or(Map::is_empty) && news.is_none_or(Map::is_empty) {
                return Ok(place.whole(old, new));
            }
            walk_map(shape, olds, news, place)?;
            Ok(Walked::Into)
        }
    }
}

fn walk_map(
    shape: Shape<'_>,
    olds: Option<&Map<String, Value>>,
    news: Option<&Map<String, Value>>,
    place: &mut Place,
) -> Result<(), String> {
    let mut entry = |name: &str, old: Option<&Value>, new: Option<&Value>| {
        if name == "managedFields" && shape.is_metadata() {
            return Ok(());
        }
        // Most values are the same, and then nothing need be known about them; maps are looked into anyway.
        if let (Some(old), Some(new)) = (old, new)
            && !old.is_object()
            && old == new
        {
            return Ok(());
        }
        let mut below = Place::default();
        walk(shape.field(name).map_or(Shape::Opaque, |field| field.shape), old, new, &mut below)?;
        place.attach(|| Element::field(name), below);
        Ok::<_, String>(())
    };
    for (name, old) in olds.into_iter().flatten() {
        entry(name, Some(old), news.and_then(|news| news.get(name)))?;
    }
    for (name, new) in news.into_iter().flatten() {
        if olds.is_none_or(|olds| !olds.contains_key(name)) {
            entry(name, None, Some(new))?;
        }
    }
    Ok(())
}

/// The elements of one list that are the same to its owner, from both sides.
#[derive(Default)]
struct Twins<'v> {
    olds: Vec<&'v Value>,
    news: Vec<&'v Value>,
}

fn walk_list(
    shape: Shape<'_>,
    list: ListForm<'_>,
    olds: &[Value],
    news: &[Value],
    place: &mut Place,
) -> Result<(), String> {
    let items = shape.items();
    let mut elements = std::collections::BTreeMap::<Element, Twins<'_>>::new();
    for old in olds {
        elements.entry(element_of(list, items, old)?).or_default().olds.push(old);
    }
    for new in news {
        elements.entry(element_of(list, items, new)?).or_default().news.push(new);
    }
    for (element, twins) in elements {
        let mut below = Place::default();
        match (twins.olds.as_slice(), twins.news.as_slice()) {
            ([] | [_], [] | [_]) => {
                walk(items, twins.olds.first().copied(), twins.news.first().copied(), &mut below)?;
            }
            // Elements that are there several times are owned together, as a whole.
            ([_, _, ..], [_, _, ..]) => {
                let unchanged = twins.olds.len() == twins.news.len()
                    && twins.olds.iter().zip(&twins.news).all(|(old, new)| same(old, new));
                below.itself = (!unchanged).then_some(Change::Modified);
            }
            (_, rest) if twins.olds.len() > 1 => {
                if let Some(new) = rest.first() {
                    let mut single = Place::default();
                    walk(items, None, Some(new), &mut single)?;
                    place.attach(|| element.clone(), single);
                }
                below.itself = Some(Change::Removed);
            }
            (rest, _) => {
                if let Some(old) = rest.first() {
                    let mut single = Place::default();
                    walk(items, Some(old), None, &mut single)?;
                    place.attach(|| element.clone(), single);
                }
                below.itself = Some(Change::Added);
            }
        }
        place.attach(|| element, below);
    }
    Ok(())
}
