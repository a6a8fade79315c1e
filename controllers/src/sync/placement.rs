//! Which physical cluster a namespace runs on: a pure decision from what the namespace asks for and which targets there are.

use std::collections::BTreeMap;

use atoll_api::Object;
use atoll_api::selector::LabelSelector;
use sha2::{Digest, Sha256};

use super::marks::{Assigned, SYNC_LABEL, TARGET_LABEL};

/// What a namespace asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Wish {
    /// To stay here.
    Stay,
    /// To run anywhere.
    Anywhere,
    /// To run on this target.
    On(String),
}

/// A sync target, as placement sees it.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct TargetView {
    /// Its name.
    pub(super) name: String,
    /// Its uid.
    pub(super) uid: String,
    /// Whether it answers.
    pub(super) ready: bool,
    /// Whether it takes further namespaces.
    pub(super) schedulable: bool,
    /// Whether it is being unregistered.
    pub(super) leaving: bool,
    /// Whether it is being unregistered and was given up on.
    pub(super) abandoned: bool,
    /// The labels namespaces must have.
    pub(super) selector: LabelSelector,
}

/// What is to be done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Decision {
    /// All stays as it is.
    Keep,
    /// The namespace runs there from now on.
    Assign(Assigned),
    /// The namespace runs nowhere any more.
    Release,
    /// It should run somewhere, but no target will do now.
    Wait(String),
}

/// What a namespace's labels ask for.
pub(super) fn wish(namespace: &Object) -> Wish {
    match namespace.label(TARGET_LABEL) {
        Some(target) if !target.is_empty() => Wish::On(target.to_owned()),
        _ if namespace.label(SYNC_LABEL) == Some("true") => Wish::Anywhere,
        _ => Wish::Stay,
    }
}

/// Decides where a namespace runs. A placement stays while its target is there, answering or not, so that a short
/// failure moves nothing.
pub(super) fn decide(
    namespace: &Object,
    current: Option<&Assigned>,
    targets: &BTreeMap<String, TargetView>,
) -> Decision {
    let wish = wish(namespace);
    if wish == Wish::Stay {
        return if current.is_some() { Decision::Release } else { Decision::Keep };
    }
    let allows = |target: &TargetView| target.selector.matches_object(namespace);
    let of = |assigned: &Assigned| targets.get(&assigned.target).filter(|target| target.uid == assigned.uid);
    let standing = current.and_then(of).filter(|target| !target.leaving && allows(target));
    let asked_for = |target: &TargetView| match &wish {
        Wish::On(name) => target.name == *name,
        Wish::Anywhere | Wish::Stay => true,
    };
    if standing.is_some_and(asked_for) {
        return Decision::Keep;
    }
    let usable = |target: &&TargetView| {
        target.ready && target.schedulable && !target.leaving && allows(target) && asked_for(target)
    };
    let best = targets.values().filter(usable).max_by_key(|target| affinity(namespace.uid(), &target.uid));
    match (best, standing, current) {
        (Some(target), _, _) => Decision::Assign(Assigned { target: target.name.clone(), uid: target.uid.clone() }),
        // Better where it is not asked for than nowhere, until where it is asked for can take it.
        (None, Some(_), _) => Decision::Keep,
        (None, None, Some(_)) => Decision::Release,
        (None, None, None) => Decision::Wait(match wish {
            Wish::On(name) => format!("sync target {name:?} is not there, not ready, or does not take this namespace"),
            Wish::Anywhere | Wish::Stay => "no sync target is ready and takes this namespace".to_owned(),
        }),
    }
}

/// Rendezvous hashing: namespaces spread over targets, and stay where they are when others come or go.
fn affinity(namespace: &str, target: &str) -> [u8; 32] {
    Sha256::digest(format!("{namespace}/{target}")).into()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn target(name: &str) -> TargetView {
        TargetView {
            name: name.to_owned(),
            uid: format!("uid-{name}"),
            ready: true,
            schedulable: true,
            leaving: false,
            abandoned: false,
            selector: LabelSelector::everything(),
        }
    }

    fn namespace(labels: &[(&str, &str)]) -> Object {
        let mut namespace = Object::from_value(json!({"metadata": {"name": "web", "uid": "ns"}})).unwrap();
        for (key, value) in labels {
            namespace.set_label(key, value);
        }
        namespace
    }

    fn on(name: &str) -> Assigned {
        Assigned { target: name.to_owned(), uid: format!("uid-{name}") }
    }

    fn check(labels: &[(&str, &str)], current: Option<&str>, targets: &[TargetView], expected: Decision) {
        let targets = targets.iter().map(|target| (target.name.clone(), target.clone())).collect();
        assert_eq!(decide(&namespace(labels), current.map(on).as_ref(), &targets), expected, "{labels:?} {current:?}");
    }

    const SYNCED: &[(&str, &str)] = &[(SYNC_LABEL, "true")];
    const PINNED: &[(&str, &str)] = &[(TARGET_LABEL, "b")];

    #[test]
    fn namespaces_that_ask_are_placed_and_others_are_not() {
        check(&[], None, &[target("a")], Decision::Keep);
        check(&[(SYNC_LABEL, "false")], None, &[target("a")], Decision::Keep);
        check(SYNCED, None, &[target("a")], Decision::Assign(on("a")));
        check(PINNED, None, &[target("a"), target("b")], Decision::Assign(on("b")));
    }

    #[test]
    fn a_placement_stays_while_its_target_is_there() {
        let down = TargetView { ready: false, schedulable: false, ..target("a") };
        check(SYNCED, Some("a"), &[down, target("b")], Decision::Keep);
        check(&[], Some("a"), &[target("a")], Decision::Release);
    }

    #[test]
    fn namespaces_move_away_from_targets_that_leave_or_are_another_one_of_the_same_name() {
        let leaving = TargetView { leaving: true, ..target("a") };
        check(SYNCED, Some("a"), &[leaving.clone(), target("b")], Decision::Assign(on("b")));
        check(SYNCED, Some("a"), &[leaving], Decision::Release);
        let again = TargetView { uid: "other".into(), ready: false, ..target("a") };
        check(SYNCED, Some("a"), &[again], Decision::Release);
    }

    #[test]
    fn a_namespace_moves_where_it_is_asked_for_once_that_is_ready() {
        let down = TargetView { ready: false, ..target("b") };
        check(PINNED, Some("a"), &[target("a"), down], Decision::Keep);
        check(PINNED, Some("a"), &[target("a"), target("b")], Decision::Assign(on("b")));
    }

    #[test]
    fn targets_that_are_not_ready_not_schedulable_or_choosy_take_no_new_namespaces() {
        let selector = LabelSelector::parse("tier=gold").unwrap();
        for unusable in [
            TargetView { ready: false, ..target("a") },
            TargetView { schedulable: false, ..target("a") },
            TargetView { selector, ..target("a") },
        ] {
            let message = "no sync target is ready and takes this namespace".to_owned();
            check(SYNCED, None, &[unusable], Decision::Wait(message));
        }
    }

    #[test]
    fn a_target_that_no_longer_takes_a_namespace_loses_it() {
        let choosy = TargetView { selector: LabelSelector::parse("tier=gold").unwrap(), ..target("a") };
        check(SYNCED, Some("a"), &[choosy, target("b")], Decision::Assign(on("b")));
    }

    #[test]
    fn namespaces_spread_over_targets() {
        let targets: BTreeMap<_, _> = ["a", "b", "c"].map(|name| (name.to_owned(), target(name))).into();
        let mut counts: BTreeMap<String, usize> = BTreeMap::new();
        for n in 0..300 {
            let mut namespace = namespace(SYNCED);
            namespace.set_meta("uid", &format!("ns-{n}"));
            if let Decision::Assign(assigned) = decide(&namespace, None, &targets) {
                *counts.entry(assigned.target).or_default() += 1;
            }
        }
        assert!(counts.values().all(|count| *count > 60), "{counts:?}");
    }
}
