//! What webhooks and policies that change objects note of one write: after such a change all plugins look once more, and of
//! the webhooks and policies those that asked for it.

use std::collections::{BTreeSet, HashMap};

use atoll_api::Object;
use parking_lot::Mutex;

/// The notes of one write.
#[derive(Debug, Default)]
pub struct Rounds(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    /// Somebody changed the object in the first round.
    is_second_wanted: bool,
    is_second: bool,
    by_plugin: HashMap<&'static str, Notes>,
}

#[derive(Debug, Default)]
struct Notes {
    /// Who was asked, and wants to be asked again if the object changes after.
    asked: BTreeSet<String>,
    /// Who is to be asked again.
    to_ask_again: BTreeSet<String>,
    /// The object as the plugin left it in the first round.
    left: Option<Object>,
}

impl Rounds {
    /// Begins the second round, if one is wanted.
    pub(super) fn begin_second(&self) -> bool {
        let mut state = self.0.lock();
        let begins = state.is_second_wanted && !state.is_second;
        state.is_second |= begins;
        begins
    }

    /// A plugin begins its round with this object. If others have changed it since, all of the plugin's that were asked before
    /// are to be asked again.
    pub(super) fn enter(&self, plugin: &'static str, object: &Object) {
        let mut state = self.0.lock();
        let is_second = state.is_second;
        let notes = state.by_plugin.entry(plugin).or_default();
        if is_second && notes.left.as_ref() != Some(object) {
            notes.ask_all_again();
        }
    }

    /// A plugin ends its round with this object.
    pub(super) fn leave(&self, plugin: &'static str, object: &Object) {
        let mut state = self.0.lock();
        // There is no third round to compare for.
        if !state.is_second {
            state.by_plugin.entry(plugin).or_default().left = Some(object.clone());
        }
    }

    /// Whether this one of a plugin's is to be asked now: in the second round only who was asked in the first is.
    pub(super) fn is_asked(&self, plugin: &'static str, who: &str) -> bool {
        let state = self.0.lock();
        !state.is_second || state.by_plugin.get(plugin).is_some_and(|notes| notes.to_ask_again.contains(who))
    }

    /// Somebody of a plugin's changed the object: who was asked before is to be asked again.
    pub(super) fn changed(&self, plugin: &'static str) {
        let mut state = self.0.lock();
        state.is_second_wanted = true;
        state.by_plugin.entry(plugin).or_default().ask_all_again();
    }

    /// Somebody of a plugin's was asked who wants to be asked again after later changes.
    pub(super) fn may_ask_again(&self, plugin: &'static str, who: &str) {
        self.0.lock().by_plugin.entry(plugin).or_default().asked.insert(who.to_owned());
    }

    /// The number of the round, from 0.
    pub(super) fn number(&self) -> usize {
        usize::from(self.0.lock().is_second)
    }
}

impl Notes {
    fn ask_all_again(&mut self) {
        self.to_ask_again.append(&mut self.asked);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PLUGIN: &str = "P";

    fn object(name: &str) -> Object {
        let mut object = Object::default();
        object.set_meta("name", name);
        object
    }

    #[test]
    fn without_a_change_there_is_no_second_round() {
        let rounds = Rounds::default();
        rounds.enter(PLUGIN, &object("a"));
        rounds.may_ask_again(PLUGIN, "x");
        rounds.leave(PLUGIN, &object("a"));
        assert!(!rounds.begin_second());
    }

    #[test]
    fn who_was_asked_before_a_change_is_asked_again_if_it_wants_to() {
        let rounds = Rounds::default();
        rounds.enter(PLUGIN, &object("a"));
        rounds.may_ask_again(PLUGIN, "before");
        rounds.changed(PLUGIN);
        rounds.may_ask_again(PLUGIN, "after");
        rounds.leave(PLUGIN, &object("b"));
        assert!(rounds.begin_second());
        rounds.enter(PLUGIN, &object("b"));
        let asked: Vec<&str> =
            ["before", "after", "never"].into_iter().filter(|who| rounds.is_asked(PLUGIN, who)).collect();
        assert_eq!(asked, ["before"]);
        assert!(!rounds.begin_second(), "there are only two");
    }

    #[test]
    fn a_change_by_others_in_between_has_all_asked_again() {
        let rounds = Rounds::default();
        rounds.may_ask_again(PLUGIN, "x");
        rounds.leave(PLUGIN, &object("a"));
        rounds.changed("other");
        assert!(rounds.begin_second());
        rounds.enter(PLUGIN, &object("c"));
        assert!(rounds.is_asked(PLUGIN, "x"));
    }
}
