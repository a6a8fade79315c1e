//! Semantic versions.

use std::cmp::Ordering;

use super::{LibraryValue, Row, text};
use crate::fault::{Eval, EvalError};
use crate::value::Value;

/// A semantic version; what is built into it takes no part in comparisons.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Semver {
    numbers: [u64; 3],
    prerelease: Vec<Identifier>,
}

/// Numbers come before words.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Identifier {
    Number(u64),
    Word(String),
}

pub(super) const ROWS: &[Row] = &[
    Row("string_to_semver", "semver(string) -> Semver", |_, args| value(Semver::parse(text(args, 0)?))),
    Row("string_bool_to_semver", "semver(string, bool) -> Semver", |_, args| value(read(args)?)),
    Row("is_semver_string", "isSemver(string) -> bool", |_, args| {
        Ok(Value::Bool(Semver::parse(text(args, 0)?).is_ok()))
    }),
    Row("is_semver_string_bool", "isSemver(string, bool) -> bool", |_, args| Ok(Value::Bool(read(args)?.is_ok()))),
    Row("semver_is_greater_than", "<Semver>.isGreaterThan(Semver) -> bool", |_, args| {
        compared(args).map(|ordering| Value::Bool(ordering.is_gt()))
    }),
    Row("semver_is_less_than", "<Semver>.isLessThan(Semver) -> bool", |_, args| {
        compared(args).map(|ordering| Value::Bool(ordering.is_lt()))
    }),
    Row("semver_compare_to", "<Semver>.compareTo(Semver) -> int", |_, args| {
        compared(args).map(|ordering| Value::Int(ordering as i64))
    }),
    Row("semver_major", "<Semver>.major() -> int", |_, args| number(args, 0)),
    Row("semver_minor", "<Semver>.minor() -> int", |_, args| number(args, 1)),
    Row("semver_patch", "<Semver>.patch() -> int", |_, args| number(args, 2)),
];

fn value<'a>(version: Result<Semver, String>) -> Eval<Value<'a>> {
    version.map(|version| Value::library(LibraryValue::Semver(version))).map_err(EvalError::new)
}

/// Reads a version, the second argument telling whether in a loose form.
fn read(args: &[Value<'_>]) -> Eval<Result<Semver, String>> {
    let text = text(args, 0)?;
    Ok(match args[1] {
        Value::Bool(true) => normalize(text).and_then(|text| Semver::parse(&text)),
        Value::Bool(false) => Semver::parse(text),
        _ => return Err(EvalError::no_overload()),
    })
}

fn version<'v>(args: &'v [Value<'_>], index: usize) -> Eval<&'v Semver> {
    match &args[index] {
        Value::Library(value) => match &**value {
            LibraryValue::Semver(version) => Ok(version),
            _ => Err(EvalError::no_overload()),
        },
        _ => Err(EvalError::no_overload()),
    }
}

fn number<'a>(args: &[Value<'a>], index: usize) -> Eval<Value<'a>> {
    Ok(Value::Int(version(args, 0)?.numbers[index] as i64))
}

fn compared(args: &[Value<'_>]) -> Eval<Ordering> {
    Ok(version(args, 0)?.cmp_precedence(version(args, 1)?))
}

impl Semver {
    pub(crate) fn cmp_precedence(&self, other: &Self) -> Ordering {
        // A version before its release is less than the release.
        self.numbers
            .cmp(&other.numbers)
            .then_with(|| self.prerelease.is_empty().cmp(&other.prerelease.is_empty()))
            .then_with(|| self.prerelease.cmp(&other.prerelease))
    }

    fn parse(text: &str) -> Result<Self, String> {
        if text.is_empty() {
            return Err("Version string empty".to_owned());
        }
        let parts: Vec<&str> = text.splitn(3, '.').collect();
        let [major, minor, rest] = parts[..] else { return Err("No Major.Minor.Patch elements found".to_owned()) };
        let (rest, build) = rest.split_once('+').map_or((rest, None), |(rest, build)| (rest, Some(build)));
        let (patch, prerelease) = rest.split_once('-').map_or((rest, None), |(rest, pre)| (rest, Some(pre)));
        let numbers =
            [plain(major, "major", "Major")?, plain(minor, "minor", "Minor")?, plain(patch, "patch", "Patch")?];
        let prerelease = prerelease.map_or(Ok(Vec::new()), |text| text.split('.').map(Identifier::parse).collect())?;
        for part in build.into_iter().flat_map(|build| build.split('.')) {
            if part.is_empty() {
                return Err("Build meta data is empty".to_owned());
            }
            if !part.chars().all(is_word) {
                return Err(format!("Invalid character(s) found in build meta data {part:?}"));
            }
        }
        Ok(Self { numbers, prerelease })
    }
}

impl Identifier {
    fn parse(text: &str) -> Result<Self, String> {
        if text.is_empty() {
            return Err("Prerelease is empty".to_owned());
        }
        if text.bytes().all(|byte| byte.is_ascii_digit()) {
            if has_leading_zeros(text) {
                return Err(format!("Numeric PreRelease version must not contain leading zeroes {text:?}"));
            }
            return parse_number(text).map(Self::Number);
        }
        if !text.chars().all(is_word) {
            return Err(format!("Invalid character(s) found in prerelease {text:?}"));
        }
        Ok(Self::Word(text.to_owned()))
    }
}

fn is_word(c: char) -> bool {
    c == '-' || c.is_ascii_alphanumeric()
}

fn has_leading_zeros(text: &str) -> bool {
    text.len() > 1 && text.starts_with('0')
}

fn plain(text: &str, name: &str, title: &str) -> Result<u64, String> {
    if !text.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(format!("Invalid character(s) found in {name} number {text:?}"));
    }
    if has_leading_zeros(text) {
        return Err(format!("{title} number must not contain leading zeroes {text:?}"));
    }
    parse_number(text)
}

fn parse_number(text: &str) -> Result<u64, String> {
    let what = if text.is_empty() { "invalid syntax" } else { "value out of range" };
    text.parse().map_err(|_| format!("strconv.ParseUint: parsing {text:?}: {what}"))
}

/// Takes off a leading `v` and zeros, and fills up what is missing.
fn normalize(text: &str) -> Result<String, String> {
    let text = text.strip_prefix('v').unwrap_or(text);
    let mut parts: Vec<String> = text
        .splitn(3, '.')
        .map(|part| {
            if part.len() < 2 {
                return part.to_owned();
            }
            let trimmed = part.trim_start_matches('0');
            let needs_zero = !trimmed.starts_with(|c: char| c.is_ascii_digit());
            if needs_zero { format!("0{trimmed}") } else { trimmed.to_owned() }
        })
        .collect();
    if parts.len() < 3 && parts.last().is_some_and(|part| part.contains(['+', '-'])) {
        return Err("short version cannot contain PreRelease/Build meta data".to_owned());
    }
    parts.resize(3, "0".to_owned());
    Ok(parts.join("."))
}
