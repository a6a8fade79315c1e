//! The formats that have names: `format.dns1123Label()` and the like.

use atoll_api::validation as names;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::{LibraryValue, Row, text, url};
use crate::fault::{Eval, EvalError};
use crate::value::{Timestamp, Value};

/// A named format.
#[derive(Debug, Clone, Copy)]
pub struct NamedFormat {
    /// How Kubernetes names it within; formats are equal if these names are.
    name: &'static str,
    /// What is wrong with a text.
    check: fn(&str) -> Vec<String>,
    /// The length of the regular expression that costs are counted by.
    pub(crate) pattern_size: usize,
}

impl PartialEq for NamedFormat {
    fn eq(&self, other: &Self) -> bool {
        self.name == other.name
    }
}

macro_rules! formats {
    ($($ident:literal, $static:ident, $name:literal, $size:literal, $check:expr;)*) => {
        $(static $static: NamedFormat = NamedFormat { name: $name, check: $check, pattern_size: $size };)*

        pub(super) const ROWS: &[Row] = &[
            Row("format-validate", "<Format>.validate(string) -> optional(list(string))", |_, args| validate(args)),
            Row("format-named", "format.named(string) -> optional(Format)", |_, args| Ok(match &**text(args, 0)? {
                $($ident => Value::some(Value::library(LibraryValue::Format(&$static))),)*
                _ => Value::Optional(None),
            })),
            $(Row(concat!("format.", $ident), concat!("format.", $ident, "() -> Format"), |_, _| {
                Ok(Value::library(LibraryValue::Format(&$static)))
            }),)*
        ];
    };
}

formats! {
    "dns1123Label", LABEL, "DNS1123Label", 30, names::dns1123_label;
    "dns1123Subdomain", SUBDOMAIN, "DNS1123Subdomain", 60, names::dns1123_subdomain;
    "dns1035Label", LABEL_1035, "DNS1035Label", 30, names::dns1035_label;
    "qualifiedName", QUALIFIED_NAME, "QualifiedName", 60, names::qualified_name;
    "dns1123LabelPrefix", LABEL_PREFIX, "DNS1123LabelPrefix", 30, |text| names::NameRule::Label.check_prefix(text);
    "dns1123SubdomainPrefix", SUBDOMAIN_PREFIX, "DNS1123SubdomainPrefix", 60, |text| {
        names::NameRule::Subdomain.check_prefix(text)
    };
    "dns1035LabelPrefix", LABEL_1035_PREFIX, "DNS1035LabelPrefix", 30, |text| {
        names::NameRule::Dns1035Label.check_prefix(text)
    };
    "labelValue", LABEL_VALUE, "LabelValue", 40, names::label_value;
    "uri", URI, "URI", 1103, |text| url::check(text).err().into_iter().collect();
    "uuid", UUID, "uuid", 70, |text| unless(is_uuid(text), "does not match the UUID format");
    "byte", BYTE, "byte", 84, |text| unless(is_base64(text), "invalid base64");
    "date", DATE, "date", 71, |text| unless(Timestamp::parse_date(text).is_some(), "invalid date");
    "datetime", DATETIME, "datetime", 71, |text| unless(is_date_time(text), "invalid datetime");
}

fn unless(is_valid: bool, fault: &str) -> Vec<String> {
    if is_valid { Vec::new() } else { vec![fault.to_owned()] }
}

fn is_uuid(text: &str) -> bool {
    // Dashes may be left out, but not stand elsewhere.
    let mut rest = text;
    for (index, length) in [8, 4, 4, 4, 12].into_iter().enumerate() {
        if index > 0 {
            rest = rest.strip_prefix('-').unwrap_or(rest);
        }
        match rest.split_at_checked(length) {
            Some((group, after)) if group.bytes().all(|byte| byte.is_ascii_hexdigit()) => rest = after,
            _ => return false,
        }
    }
    rest.is_empty()
}

fn is_base64(text: &str) -> bool {
    !text.is_empty() && STANDARD.decode(text).is_ok()
}

/// A day, a time and a zone, all with the widths that RFC 3339 asks for.
fn is_date_time(text: &str) -> bool {
    let lower = text.to_ascii_lowercase();
    let Some((date, time)) = lower.split_once('t') else { return false };
    let Some((clock, rest)) = time.split_at_checked(8) else { return false };
    let digits = rest
        .strip_prefix(|c: char| !c.is_ascii_digit())
        .map(|rest| rest.trim_start_matches(|c: char| c.is_ascii_digit()));
    let zone = digits.filter(|after| after.len() + 1 < rest.len()).unwrap_or(rest);
    let is_zone = zone == "z"
        || zone.strip_prefix(['+', '-']).and_then(|zone| zone.split_once(':')).is_some_and(|(hours, minutes)| {
            let is_pair = |text: &str| text.len() == 2 && text.bytes().all(|byte| byte.is_ascii_digit());
            is_pair(hours) && is_pair(minutes)
        });
    let parts: Vec<&str> = clock.split(':').collect();
    let is_clock = parts.len() == 3
        && parts
            .iter()
            .zip(["23", "59", "59"])
            .all(|(part, most)| part.len() == 2 && part.bytes().all(|byte| byte.is_ascii_digit()) && *part <= most);
    Timestamp::parse_date(date).is_some() && is_clock && is_zone
}

fn validate<'a>(args: &[Value<'a>]) -> Eval<Value<'a>> {
    let Value::Library(format) = &args[0] else { return Err(EvalError::no_overload()) };
    let LibraryValue::Format(format) = &**format else { return Err(EvalError::no_overload()) };
    let faults = (format.check)(text(args, 1)?);
    Ok(if faults.is_empty() { Value::Optional(None) } else { Value::some(Value::strings(faults)) })
}
