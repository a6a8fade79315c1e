//! The flags of the programs Atoll stands in for: which are heeded, which are passed over and why, which are refused and why.
//!
//! A flag that nobody here knows is passed over too, with a word about it; only what would make a test mean something
//! else than its author thinks is refused.

use super::super::Failure;

/// A flag, and what is done about it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Flag {
    name: &'static str,
    then: Then,
}

/// What is done about a flag.
#[derive(Debug, Clone, Copy)]
enum Then {
    /// It does what it does in the original.
    Heeded(&'static str),
    /// It changes nothing here, and why.
    PassedOver(&'static str),
    /// The program does not start, and why.
    Refused(&'static str),
}

/// A flag that does what it does in the original.
pub(super) const fn heeded(name: &'static str, what: &'static str) -> Flag {
    Flag { name, then: Then::Heeded(what) }
}

/// A flag that changes nothing here.
pub(super) const fn passed_over(name: &'static str, why: &'static str) -> Flag {
    Flag { name, then: Then::PassedOver(why) }
}

/// A flag that cannot be honoured, and without which a test would mean something else.
pub(super) const fn refused(name: &'static str, why: &'static str) -> Flag {
    Flag { name, then: Then::Refused(why) }
}

/// What the arguments of a program ask for.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Asked {
    /// To say what flags there are.
    Help,
    /// To say which version this is.
    Version,
    /// To run.
    Run(Given),
}

/// The flags that were given and are heeded, and a word about each of the others.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Given {
    values: Vec<(String, String)>,
    /// A sentence about each flag that changes nothing.
    pub passed_over: Vec<String>,
}

/// Reads arguments as Go's flag packages do: `--name=value`, `--name value`, and `--name` for a switch that is on.
pub(super) fn read(known: &[Flag], arguments: &[String]) -> Result<Asked, Failure> {
    let mut given = Given::default();
    let mut rest = arguments.iter().peekable();
    while let Some(argument) = rest.next() {
        let Some(flag) = argument.strip_prefix("--").or_else(|| argument.strip_prefix('-')) else {
            return Err(Failure::new(format!("{argument:?} is no flag")));
        };
        let (name, value) = match flag.split_once('=') {
            Some((name, value)) => (name, value.to_owned()),
            // What follows a flag and is none itself is its value.
            None => (flag, rest.next_if(|next| !next.starts_with('-')).cloned().unwrap_or_else(|| "true".to_owned())),
        };
        match (name, known.iter().find(|flag| flag.name == name).map(|flag| flag.then)) {
            ("help" | "h", _) => return Ok(Asked::Help),
            ("version", _) => return Ok(Asked::Version),
            (_, Some(Then::Heeded(_))) => given.values.push((name.to_owned(), value)),
            (_, Some(Then::PassedOver(why))) => given.passed_over.push(format!("--{name} changes nothing: {why}")),
            (_, Some(Then::Refused(why))) => {
                return Err(Failure::new(format!("--{name} cannot be honoured: {why}; leave it out")));
            }
            (_, None) => given.passed_over.push(format!("--{name} changes nothing: Atoll knows no such flag")),
        }
    }
    Ok(Asked::Run(given))
}

/// All flags, in the form in which Go programs show them, which callers look through.
pub(super) fn help(known: &[Flag]) -> String {
    let shown = known.iter().map(|flag| match flag.then {
        Then::Heeded(what) => format!("      --{} string   {what}\n", flag.name),
        Then::PassedOver(why) => format!("      --{} string   changes nothing: {why}\n", flag.name),
        Then::Refused(why) => format!("      --{} string   is refused: {why}\n", flag.name),
    });
    shown.collect()
}

// === impl Given ===

impl Given {
    /// The last value of a flag, which is the one that counts.
    pub(super) fn last(&self, name: &str) -> Option<&str> {
        self.values.iter().rev().find(|(given, _)| given == name).map(|(_, value)| value.as_str())
    }

    /// All values of a flag, those that stand in one list apart.
    pub(super) fn list(&self, name: &str) -> Vec<&str> {
        let all = self.values.iter().filter(|(given, _)| given == name).flat_map(|(_, value)| value.split(','));
        all.filter(|value| !value.is_empty()).collect()
    }
}
