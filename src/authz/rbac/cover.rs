//! Whether rules somebody holds cover rules somebody wants to grant, and which rights are missing.
//!
//! Rules multiply out (groups by resources by verbs by names), so the work is bounded: what cannot be compared within
//! bounds counts as not covered.

use std::collections::BTreeSet;
use std::collections::HashMap;

use super::rule::{Rule, has, has_or_all, path_matches};

/// About how many strings are compared before giving up.
const MAX_STEPS: usize = 20_000_000;
/// How many missing rights are told.
const MAX_MISSING: usize = 1000;

/// Rights that are not covered.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Gap {
    /// One line for each missing right, sorted, verbs on the same thing together.
    pub(super) lines: Vec<String>,
    /// Whether there may be more.
    pub(super) more: bool,
}

/// One right: a verb on one resource of one group, perhaps on one object; or on one path.
#[derive(Clone, Copy)]
enum Right<'a> {
    Resource { group: &'a str, resource: &'a str, name: Option<&'a str>, verb: &'a str },
    Path { url: &'a str, verb: &'a str },
}

struct Search<'a> {
    held: &'a [Rule],
    steps: usize,
    missing: Vec<Right<'a>>,
}

/// The search went out of bounds, or there are more missing rights than are told.
struct Enough;

/// What `held` does not cover of `wanted`; `None` if it covers all.
pub(super) fn gap(held: &[Rule], wanted: &[Rule]) -> Option<Gap> {
    let mut search = Search { held, steps: 0, missing: Vec::new() };
    let more = wanted.iter().try_for_each(|rule| search.look_for(rule)).is_err();
    if search.missing.is_empty() && !more {
        return None;
    }
    Some(Gap { lines: lines(&search.missing), more })
}

impl<'a> Search<'a> {
    fn look_for(&mut self, wanted: &'a Rule) -> Result<(), Enough> {
        let names: Vec<Option<&str>> = match wanted.resource_names.len() {
            0 => vec![None],
            _ => wanted.resource_names.iter().map(|name| Some(&**name)).collect(),
        };
        for group in &wanted.api_groups {
            for resource in &wanted.resources {
                for verb in &wanted.verbs {
                    for name in &names {
                        self.look_for_one(Right::Resource { group, resource, name: *name, verb })?;
                    }
                }
            }
        }
        for url in &wanted.non_resource_urls {
            for verb in &wanted.verbs {
                self.look_for_one(Right::Path { url, verb })?;
            }
        }
        Ok(())
    }

    fn look_for_one(&mut self, right: Right<'a>) -> Result<(), Enough> {
        for rule in self.held {
            self.steps += cost(rule, right);
            if self.steps > MAX_STEPS {
                return Err(Enough);
            }
            if covers(rule, right) {
                return Ok(());
            }
        }
        if self.missing.len() >= MAX_MISSING {
            return Err(Enough);
        }
        self.missing.push(right);
        Ok(())
    }
}

/// Verbs are compared always, the rest only if a verb fits.
fn cost(rule: &Rule, right: Right<'_>) -> usize {
    let (Right::Resource { verb, .. } | Right::Path { verb, .. }) = right;
    let verbs = 1 + rule.verbs.len();
    if has_or_all(&rule.verbs, verb) {
        verbs + rule.api_groups.len() + rule.resources.len() + rule.resource_names.len() + rule.non_resource_urls.len()
    } else {
        verbs
    }
}

fn covers(rule: &Rule, right: Right<'_>) -> bool {
    match right {
        Right::Resource { group, resource, name, verb } => {
            has_or_all(&rule.verbs, verb)
                && has_or_all(&rule.api_groups, group)
                && covers_resource(rule, resource)
                && (rule.resource_names.is_empty() || name.is_some_and(|name| has(&rule.resource_names, name)))
        }
        Right::Path { url, verb } => {
            has_or_all(&rule.verbs, verb)
                && rule.resource_names.is_empty()
                && rule.non_resource_urls.iter().any(|held| path_matches(held, url))
        }
    }
}

/// `*` covers all, `*/scale` that subresource of all; `pods` does not cover `pods/log`.
fn covers_resource(rule: &Rule, resource: &str) -> bool {
    has_or_all(&rule.resources, resource)
        || resource
            .split_once('/')
            .is_some_and(|(_, sub)| rule.resources.iter().any(|held| held.strip_prefix("*/") == Some(sub)))
}

fn lines(missing: &[Right<'_>]) -> Vec<String> {
    let one = |text: &str| -> Box<[Box<str>]> { [Box::from(text)].into() };
    let mut rules: Vec<Rule> = Vec::new();
    let mut verbs: Vec<Vec<Box<str>>> = Vec::new();
    let mut known: HashMap<(&str, &str, Option<&str>), usize> = HashMap::new();
    for right in missing {
        match *right {
            Right::Resource { group, resource, name, verb } => {
                let place = *known.entry((group, resource, name)).or_insert_with(|| {
                    let resource_names = name.map(one).unwrap_or_default();
                    rules.push(Rule {
                        api_groups: one(group),
                        resources: one(resource),
                        resource_names,
                        ..Rule::default()
                    });
                    verbs.push(Vec::new());
                    rules.len() - 1
                });
                verbs[place].push(Box::from(verb));
            }
            Right::Path { url, verb } => {
                rules.push(Rule { non_resource_urls: one(url), ..Rule::default() });
                verbs.push(vec![Box::from(verb)]);
            }
        }
    }
    let lines: BTreeSet<String> =
        rules.into_iter().zip(verbs).map(|(rule, verbs)| Rule { verbs: verbs.into(), ..rule }.compact()).collect();
    lines.into_iter().collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::authz::rbac::fake;

    fn rules(texts: &[&str]) -> Vec<Rule> {
        Rule::parse_all(Some(&fake::rules(texts)))
    }

    fn check_gap(held: &[&str], wanted: &[&str], missing: &[&str]) {
        let lines = gap(&rules(held), &rules(wanted)).map(|gap| gap.lines).unwrap_or_default();
        assert_eq!(lines, missing, "{held:?} {wanted:?}");
    }

    #[test]
    fn rights_may_be_held_through_several_rules() {
        check_gap(&["get - pods", "list - pods,secrets"], &["get,list - pods"], &[]);
        check_gap(&["* * *"], &["get,list - pods/log a"], &[]);
        check_gap(&["* * *"], &["get /x"], &[r#"{NonResourceURLs:["/x"], Verbs:["get"]}"#]);
        check_gap(&["get - */log"], &["get - pods/log"], &[]);
        check_gap(&["get - pods"], &["get - pods a"], &[]);
        check_gap(&["get /api/*"], &["get /api/v1,/api/*"], &[]);
    }

    #[test]
    fn missing_rights_are_told_with_verbs_together() {
        check_gap(&[], &["get,list - secrets"], &[r#"{APIGroups:[""], Resources:["secrets"], Verbs:["get" "list"]}"#]);
        check_gap(
            &["get - pods a", "get - pods"],
            &["get,watch - pods,pods/log a"],
            &[
                r#"{APIGroups:[""], Resources:["pods"], ResourceNames:["a"], Verbs:["watch"]}"#,
                r#"{APIGroups:[""], Resources:["pods/log"], ResourceNames:["a"], Verbs:["get" "watch"]}"#,
            ],
        );
        check_gap(&["get - pods a"], &["get - pods"], &[r#"{APIGroups:[""], Resources:["pods"], Verbs:["get"]}"#]);
        check_gap(&["get,list - *"], &["* - *"], &[r#"{APIGroups:[""], Resources:["*"], Verbs:["*"]}"#]);
        check_gap(&["get /x"], &["get /metrics"], &[r#"{NonResourceURLs:["/metrics"], Verbs:["get"]}"#]);
    }

    #[test]
    fn hostile_rules_are_refused_within_bounds() {
        // A rule of a few kilobytes that stands for 10^12 rights must neither hang nor be granted.
        let words = |n: usize| (0..n).map(|i| format!("w{i}")).collect::<Vec<_>>().join(",");
        let huge = format!("{0} {0} {0} {0}", words(1000));
        let wanted = rules(&[&huge]);
        assert!(gap(&[], &wanted).expect("not covered").more);
        let held = rules(&[&format!("{0} {0} {0} {1}", words(1000), words(999)), "get - pods"]);
        assert!(gap(&held, &wanted).expect("not comparable").more);
        assert_eq!(gap(&rules(&["* * *"]), &rules(&["get,list - pods"])), None);
    }
}
