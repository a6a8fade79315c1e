//! Lists: of JSON, of computed values, or joined without copying.

use std::sync::Arc;

use serde_json::Value as Json;

use super::{Value, equal, read};
use crate::decl::{DeclType, ListMerge, Shape};
use crate::fault::{Eval, EvalError, Work};

/// A list of values.
#[derive(Debug, Clone)]
pub struct List<'a>(pub(crate) Items<'a>);

#[derive(Debug, Clone)]
pub(crate) enum Items<'a> {
    Json {
        items: &'a [Json],
        /// The type of the list, where it is declared.
        decl: Option<&'a DeclType>,
    },
    Values(Arc<Vec<Value<'a>>>),
    /// What `+` made of a list with a declared type.
    Merged {
        values: Arc<Vec<Value<'a>>>,
        merge: &'a ListMerge,
    },
    Joined {
        halves: Arc<(List<'a>, List<'a>)>,
        len: usize,
    },
}

// === impl List ===

impl<'a> List<'a> {
    /// A list of computed values.
    pub fn new(values: Vec<Value<'a>>) -> Self {
        Self(Items::Values(Arc::new(values)))
    }

    /// The number of elements.
    pub fn len(&self) -> usize {
        match &self.0 {
            Items::Json { items, .. } => items.len(),
            Items::Values(values) | Items::Merged { values, .. } => values.len(),
            Items::Joined { len, .. } => *len,
        }
    }

    /// Whether there are no elements.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The element at `index`, if there is one and it is what its type says.
    pub fn get(&self, index: usize) -> Option<Result<Value<'a>, EvalError>> {
        let (mut list, mut index) = (self, index);
        loop {
            return match &list.0 {
                Items::Json { items, decl } => items.get(index).map(|item| read(item, decl.and_then(element))),
                Items::Values(values) | Items::Merged { values, .. } => values.get(index).cloned().map(Ok),
                Items::Joined { halves, .. } => {
                    let first = halves.0.len();
                    (list, index) = if index < first { (&halves.0, index) } else { (&halves.1, index - first) };
                    continue;
                }
            };
        }
    }

    /// The elements in order.
    pub fn iter(&self) -> impl Iterator<Item = Result<Value<'a>, EvalError>> + '_ {
        Elements { pending: vec![(self, 0)] }
    }

    /// Whether the list is seen through a declared type.
    pub(crate) fn is_typed(&self) -> bool {
        matches!(self.0, Items::Json { decl: Some(_), .. } | Items::Merged { .. })
    }

    /// How elements are told apart, for lists with a declared type.
    pub(crate) fn merge(&self) -> Option<&'a ListMerge> {
        match &self.0 {
            Items::Json { decl: Some(decl), .. } => match &decl.shape {
                Shape::List { merge, .. } => Some(merge),
                _ => None,
            },
            Items::Merged { merge, .. } => Some(merge),
            _ => None,
        }
    }

    /// Whether an element equals the value; elements that cannot be compared count as different, unless typed.
    pub(crate) fn contains(&self, value: &Value<'a>, work: &mut Work) -> Eval<bool> {
        let mut fault = None;
        for element in self.iter() {
            match element.and_then(|element| equal(&element, value, work)) {
                Ok(true) => return Ok(true),
                Ok(false) => {}
                Err(error) if error.is_final() => return Err(error),
                Err(error) if self.is_typed() => {
                    fault.get_or_insert(error);
                }
                Err(_) => {}
            }
        }
        fault.map_or(Ok(false), Err)
    }

    /// Both lists in one; a list with a declared type takes the elements of the other as that type tells.
    pub(crate) fn concat(&self, other: &List<'a>, work: &mut Work) -> Eval<List<'a>> {
        match self.merge() {
            None if self.is_empty() => Ok(other.clone()),
            None if other.is_empty() => Ok(self.clone()),
            None => {
                let len = self.len().saturating_add(other.len());
                Ok(List(Items::Joined { halves: Arc::new((self.clone(), other.clone())), len }))
            }
            Some(merge) => {
                work.allocate_list(self.len().saturating_add(other.len()))?;
                let values = match merge {
                    ListMerge::Atomic => self.iter().chain(other.iter()).collect::<Eval<_>>()?,
                    ListMerge::Set => equal::union(self, other)?,
                    ListMerge::Map(keys) => equal::merge_by_keys(self, other, keys)?,
                };
                Ok(List(Items::Merged { values: Arc::new(values), merge }))
            }
        }
    }
}

/// The type of the elements of a list.
fn element(decl: &DeclType) -> Option<&DeclType> {
    decl.element().map(AsRef::as_ref)
}

/// Walks over a list and the lists it is joined from.
struct Elements<'l, 'a> {
    /// Lists still to be walked, the next one last, with the index of the next element.
    pending: Vec<(&'l List<'a>, usize)>,
}

impl<'a> Iterator for Elements<'_, 'a> {
    type Item = Eval<Value<'a>>;

    fn next(&mut self) -> Option<Eval<Value<'a>>> {
        loop {
            let (list, index) = self.pending.last_mut()?;
            if let Items::Joined { halves, .. } = &list.0 {
                let (first, second) = (&halves.0, &halves.1);
                self.pending.pop();
                self.pending.push((second, 0));
                self.pending.push((first, 0));
                continue;
            }
            match list.get(*index) {
                Some(element) => {
                    *index += 1;
                    return Some(element);
                }
                None => {
                    self.pending.pop();
                }
            }
        }
    }
}
