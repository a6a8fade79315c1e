//! Folds: loops over lists and maps that accumulate a result.

use std::sync::Arc;

use super::{Machine, Slot};
use crate::cost::{CALL_COST, IDENT_COST};
use crate::fault::{Eval, EvalError};
use crate::library::{insert_new, map_entries};
use crate::plan::{Append, Fold, Insert};
use crate::value::{Entries, Items, List, Map, Value};

impl<'a> Machine<'a, '_> {
    #[inline(never)]
    pub(super) fn fold(&mut self, fold: &'a Fold) -> Eval<Value<'a>> {
        let range = self.eval(fold.range)?;
        self.slots[fold.slot] = Slot::Pending(fold.init);
        match range {
            Value::List(list) => self.fold_list(fold, &list)?,
            Value::Map(map) => self.fold_map(fold, &map)?,
            other if fold.has_two_variables => {
                let kind = other.go_name();
                return Err(EvalError::new(format!("unsupported comprehension range type: {kind}")));
            }
            other => return Err(EvalError::new(format!("got '{}', expected iterable type", other.go_name()))),
        }
        let result = self.eval(fold.result);
        self.slots[fold.slot] = Slot::Empty;
        result
    }

    fn fold_list(&mut self, fold: &'a Fold, list: &List<'a>) -> Eval<()> {
        for (index, element) in list.iter().enumerate() {
            let element = match element {
                Err(error) if error.is_final() => return Err(error),
                element => element,
            };
            let goes_on = if fold.has_two_variables {
                self.fold_entry(fold, Ok(Value::Int(index as i64)), Some(element))?
            } else {
                self.fold_entry(fold, element, None)?
            };
            if !goes_on {
                break;
            }
        }
        Ok(())
    }

    fn fold_map(&mut self, fold: &'a Fold, map: &Map<'a>) -> Eval<()> {
        for key in map.keys() {
            let value = if fold.has_two_variables {
                let found = map.find(&key).and_then(|value| value.ok_or_else(|| EvalError::no_key(&key)));
                Some(found)
            } else {
                None
            };
            if !self.fold_entry(fold, Ok(key), value)? {
                break;
            }
        }
        Ok(())
    }

    /// One round; gives whether another one may follow.
    fn fold_entry(&mut self, fold: &'a Fold, first: Eval<Value<'a>>, second: Option<Eval<Value<'a>>>) -> Eval<bool> {
        self.work.spend(1)?;
        self.scan(&first)?;
        self.slots[fold.slot + 1] = Slot::Ready(first);
        if let Some(second) = second {
            self.scan(&second)?;
            self.slots[fold.slot + 2] = Slot::Ready(second);
        }
        if let Ok(Value::Bool(false)) = self.attempt(fold.condition)? {
            return Ok(false);
        }
        let value = self.attempt(fold.step)?;
        self.slots[fold.slot] = Slot::Ready(value);
        Ok(true)
    }

    /// Accounts for bytes, which are decoded whenever they are read.
    pub(super) fn scan(&mut self, value: &Eval<Value<'a>>) -> Eval<()> {
        match value {
            Ok(Value::Bytes(bytes)) => self.work.scan(bytes.len()),
            _ => Ok(()),
        }
    }

    /// Takes what an accumulator holds, so that nothing else shares it.
    fn take(&mut self, slot: usize) -> Eval<Value<'a>> {
        if let Slot::Pending(_) = self.slots[slot] {
            // Its failure is kept in the slot.
            let _ = self.slot(slot)?;
        }
        match std::mem::replace(&mut self.slots[slot], Slot::Empty) {
            Slot::Ready(Ok(value)) => Ok(value),
            Slot::Ready(Err(error)) => Err(error),
            Slot::Empty | Slot::Pending(_) => Err(EvalError::new("no such attribute(s): @result")),
        }
    }

    pub(super) fn append(&mut self, append: &'a Append) -> Eval<Value<'a>> {
        let element = self.attempt(append.element)?;
        self.charge(append.cost)?;
        match (self.take(append.slot)?, element) {
            (list, Err(error)) => {
                drop(list);
                Err(error)
            }
            (Value::List(List(Items::Values(mut values))), Ok(element)) => {
                Arc::make_mut(&mut values).push(element);
                Ok(Value::List(List(Items::Values(values))))
            }
            _ => Err(EvalError::no_overload()),
        }
    }

    pub(super) fn insert(&mut self, insert: &'a Insert) -> Eval<Value<'a>> {
        self.charge(IDENT_COST)?;
        let map = self.take(insert.slot);
        // The form with three arguments ends with the first of them that fails.
        if insert.key.is_some() {
            map.as_ref().map_err(Clone::clone)?;
        }
        let key = insert.key.map(|key| self.eval(key)).transpose()?;
        let value = self.attempt(insert.value)?;
        self.charge(CALL_COST)?;
        let (map, value) = (map?, value?);
        let Value::Map(Map(Entries::Values(mut values))) = map else { return Err(EvalError::no_overload()) };
        let target = Arc::make_mut(&mut values);
        match key {
            Some(key) => insert_new(target, key, value)?,
            None => {
                for (key, value) in map_entries(&value)? {
                    insert_new(target, key, value)?;
                }
            }
        }
        Ok(Value::Map(Map(Entries::Values(values))))
    }
}
