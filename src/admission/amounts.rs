//! Amounts of several resources together, as limits, requests and quotas name them.

use std::collections::BTreeMap;
use std::collections::btree_map;

use atoll_api::quantity::Quantity;
use serde_json::{Map, Value};

/// An amount for each of some resources, by name.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Amounts(BTreeMap<String, Quantity>);

impl Amounts {
    /// The amounts of a map in JSON. What is no amount is passed over: validation tells of it.
    pub(super) fn read(value: &Value) -> Self {
        let entries = value.as_object().into_iter().flatten();
        Self(entries.filter_map(|(name, value)| Some((name.clone(), Quantity::from_value(value).ok()?))).collect())
    }

    /// The amounts as a map in JSON.
    pub(super) fn to_value(&self) -> Value {
        let entries = self.0.iter().map(|(name, amount)| (name.clone(), Value::String(amount.to_string())));
        Value::Object(entries.collect::<Map<String, Value>>())
    }

    /// The amount of one resource.
    pub(super) fn get(&self, name: &str) -> Option<&Quantity> {
        self.0.get(name)
    }

    /// Sets the amount of one resource.
    pub(super) fn set(&mut self, name: &str, amount: Quantity) {
        self.0.insert(name.to_owned(), amount);
    }

    /// The resources and their amounts, by name.
    pub(super) fn iter(&self) -> impl Iterator<Item = (&str, &Quantity)> {
        self.0.iter().map(|(name, amount)| (name.as_str(), amount))
    }

    /// The names of the resources.
    pub(super) fn names(&self) -> impl Iterator<Item = &str> {
        self.0.keys().map(String::as_str)
    }

    /// Whether there are none.
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Adds what another has.
    pub(super) fn add(&mut self, other: &Self) {
        for (name, amount) in &other.0 {
            match self.0.entry(name.clone()) {
                btree_map::Entry::Vacant(free) => drop(free.insert(amount.clone())),
                btree_map::Entry::Occupied(mut here) => {
                    let sum = here.get().plus(amount);
                    here.insert(sum);
                }
            }
        }
    }

    /// Raises each amount to that of another, where that is greater.
    pub(super) fn raise_to(&mut self, other: &Self) {
        for (name, amount) in &other.0 {
            if self.0.get(name).is_none_or(|here| here < amount) {
                self.0.insert(name.clone(), amount.clone());
            }
        }
    }

    /// What these are more than others, nothing where they are less.
    pub(super) fn beyond(&self, other: &Self) -> Self {
        let more = |(name, amount): (&String, &Quantity)| {
            let left = other.0.get(name).map_or_else(|| amount.clone(), |taken| amount.minus(taken));
            (name.clone(), if left.is_negative() { Quantity::ZERO } else { left })
        };
        Self(self.0.iter().map(more).collect())
    }

    /// Takes away what others have, of what is here; nothing becomes less than nothing.
    pub(super) fn take(&mut self, other: &Self) {
        for (name, here) in &mut self.0 {
            if let Some(taken) = other.0.get(name) {
                let left = here.minus(taken);
                *here = if left.is_negative() { Quantity::ZERO } else { left };
            }
        }
    }

    /// Only the resources that `keep` names.
    #[must_use]
    pub(super) fn only(&self, keep: impl Fn(&str) -> bool) -> Self {
        Self(
            self.0.iter().filter(|(name, _)| keep(name)).map(|(name, amount)| (name.clone(), amount.clone())).collect(),
        )
    }

    /// Only what is more or less than nothing.
    #[must_use]
    pub(super) fn without_zeros(mut self) -> Self {
        self.0.retain(|_, amount| !amount.is_zero());
        self
    }

    /// `name=amount` for each, by name, as messages show them.
    pub(super) fn shown(&self) -> String {
        let shown: Vec<String> = self.0.iter().map(|(name, amount)| format!("{name}={amount}")).collect();
        shown.join(",")
    }
}

impl<'a> FromIterator<(&'a str, Quantity)> for Amounts {
    fn from_iter<I: IntoIterator<Item = (&'a str, Quantity)>>(amounts: I) -> Self {
        Self(amounts.into_iter().map(|(name, amount)| (name.to_owned(), amount)).collect())
    }
}
