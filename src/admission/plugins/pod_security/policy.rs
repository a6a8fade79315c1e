//! How strict a namespace is with its pods, as its labels say: three modes, each with a level and a version of it.

use std::fmt;

use atoll_api::{FieldError, FieldErrors, FieldPath};
use serde_json::Value;

/// What the labels begin with.
pub(super) const PREFIX: &str = "pod-security.kubernetes.io/";

/// How strict checks are, from the laxest to the strictest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum Level {
    Privileged,
    Baseline,
    Restricted,
}

/// A release of Kubernetes, of which the checks are meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum Version {
    Minor(u32),
    Latest,
}

/// A level as it was in some release.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Standard {
    pub(super) level: Level,
    pub(super) version: Version,
}

/// What pods must keep to, and what is only told when they do not.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Policy {
    pub(super) enforce: Standard,
    pub(super) audit: Standard,
    pub(super) warn: Standard,
}

impl Level {
    fn parse(text: &str) -> Result<Self, &'static str> {
        match text {
            "privileged" => Ok(Self::Privileged),
            "baseline" => Ok(Self::Baseline),
            "restricted" => Ok(Self::Restricted),
            _ => Err("must be one of privileged, baseline, restricted"),
        }
    }
}

impl Version {
    fn parse(text: &str) -> Result<Self, &'static str> {
        let minor = |text: &str| {
            let digits = text.strip_prefix("v1.")?;
            let is_plain =
                digits.bytes().all(|byte| byte.is_ascii_digit()) && (digits == "0" || !digits.starts_with('0'));
            digits.parse().ok().filter(|_| is_plain)
        };
        match text {
            "latest" => Ok(Self::Latest),
            _ => minor(text).map(Self::Minor).ok_or("must be \"latest\" or \"v1.x\""),
        }
    }
}

impl fmt::Display for Standard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let level = match self.level {
            Level::Privileged => "privileged",
            Level::Baseline => "baseline",
            Level::Restricted => "restricted",
        };
        match self.version {
            Version::Latest => write!(f, "{level}:latest"),
            Version::Minor(minor) => write!(f, "{level}:v1.{minor}"),
        }
    }
}

impl Standard {
    const LAX: Self = Self { level: Level::Privileged, version: Version::Latest };
}

impl Policy {
    /// The policy that labels tell, and what is wrong with them. A malformed level is the strictest where pods are
    /// refused by it, and the laxest where they are not.
    pub(super) fn of<'a>(label: impl Fn(&str) -> Option<&'a str>) -> (Self, FieldErrors) {
        let mut policy = Self { enforce: Standard::LAX, audit: Standard::LAX, warn: Standard::LAX };
        let mut faults = FieldErrors::new();
        let enforce = read(&label, "enforce", Level::Restricted, &mut policy.enforce, &mut faults);
        read(&label, "audit", Level::Privileged, &mut policy.audit, &mut faults);
        let warn = read(&label, "warn", Level::Privileged, &mut policy.warn, &mut faults);
        // Who is refused is warned as well where refusing does not apply: for the workloads that make pods.
        if warn.level == Given::No && enforce.level == Given::WellFormed && policy.enforce.level > policy.warn.level {
            policy.warn.level = policy.enforce.level;
            if warn.version == Given::No {
                policy.warn.version = policy.enforce.version;
            }
        }
        (policy, faults)
    }

    /// Whether nothing is checked at all.
    pub(super) fn checks_nothing(&self) -> bool {
        [self.enforce, self.audit, self.warn].iter().all(|standard| standard.level == Level::Privileged)
    }
}

/// What labels say of one thing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Given {
    No,
    WellFormed,
    Malformed,
}

/// What labels say of one mode.
struct Mode {
    level: Given,
    version: Given,
}

fn read<'a>(
    label: &impl Fn(&str) -> Option<&'a str>,
    mode: &str,
    when_malformed: Level,
    standard: &mut Standard,
    faults: &mut FieldErrors,
) -> Mode {
    let level_key = format!("{PREFIX}{mode}");
    let version_key = format!("{PREFIX}{mode}-version");
    let level = match label(&level_key).map(|text| (text, Level::parse(text))) {
        None => Given::No,
        Some((_, Ok(level))) => {
            standard.level = level;
            Given::WellFormed
        }
        Some((text, Err(why))) => {
            standard.level = when_malformed;
            faults.push(fault(&level_key, text, why));
            Given::Malformed
        }
    };
    let version = match label(&version_key).map(|text| (text, Version::parse(text))) {
        None => Given::No,
        Some((_, Ok(version))) => {
            standard.version = version;
            Given::WellFormed
        }
        Some((text, Err(why))) => {
            standard.version = Version::Latest;
            faults.push(fault(&version_key, text, why));
            Given::Malformed
        }
    };
    Mode { level, version }
}

fn fault(label: &str, text: &str, why: &str) -> FieldError {
    FieldError::invalid(&FieldPath::new("metadata.labels").key(label), &Value::from(text), why)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(labels: &[(&str, &str)], expected: [&str; 3], faults: usize) {
        let find = |key: &str| {
            let found = labels.iter().find(|(label, _)| key.strip_prefix(PREFIX) == Some(label));
            found.map(|(_, value)| *value)
        };
        let (policy, found) = Policy::of(find);
        let shown = [policy.enforce, policy.audit, policy.warn].map(|standard| standard.to_string());
        assert_eq!(shown, expected, "{labels:?}");
        assert_eq!(found.len(), faults, "{labels:?}: {found:?}");
    }

    #[test]
    fn labels_tell_the_policy() {
        let lax = "privileged:latest";
        check(&[], [lax; 3], 0);
        check(&[("enforce", "baseline")], ["baseline:latest", lax, "baseline:latest"], 0);
        check(&[("enforce", "baseline"), ("enforce-version", "v1.20")], ["baseline:v1.20", lax, "baseline:v1.20"], 0);
        check(&[("enforce", "restricted"), ("warn", "privileged")], ["restricted:latest", lax, lax], 0);
        check(
            &[("enforce", "x"), ("audit", "x"), ("warn", "x"), ("warn-version", "1.20")],
            ["restricted:latest", lax, lax],
            4,
        );
        check(&[("audit", "restricted"), ("audit-version", "v1.01")], [lax, "restricted:latest", lax], 1);
    }
}
