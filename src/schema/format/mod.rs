//! The formats of strings that schemas can ask for, checked as Kubernetes checks them.
//!
//! Formats of numbers bound a range and are checked with the numbers, in `validate`.

mod code;
mod network;
#[cfg(test)]
mod tests;
mod time;

use super::SchemaType;

/// Says whether a text is of a format.
type Check = fn(&str) -> bool;

/// Formats are found by their names without dashes: `date-time` is `datetime`.
const STRING_FORMATS: &[(&str, Check)] = &[
    ("bsonobjectid", code::is_bson_object_id),
    ("byte", code::is_base64),
    ("cidr", network::is_cidr),
    ("creditcard", code::is_credit_card),
    ("date", time::is_date),
    ("datetime", time::is_date_time),
    ("duration", time::is_duration),
    ("email", network::is_email),
    ("hexcolor", code::is_hex_color),
    ("hostname", network::is_hostname),
    ("ipv4", network::is_ipv4),
    ("ipv6", network::is_ipv6),
    ("isbn", code::is_isbn),
    ("isbn10", code::is_isbn10),
    ("isbn13", code::is_isbn13),
    ("k8slongname", network::is_long_name),
    ("k8sshortname", network::is_short_name),
    ("mac", network::is_mac),
    ("password", |_| true),
    ("rgbcolor", code::is_rgb_color),
    ("ssn", code::is_ssn),
    ("uri", network::is_request_uri),
    ("uuid", |text| code::is_uuid(text, None)),
    ("uuid3", |text| code::is_uuid(text, Some('3'))),
    ("uuid4", |text| code::is_uuid(text, Some('4'))),
    ("uuid5", |text| code::is_uuid(text, Some('5'))),
];

/// Whether a format means something for values of the type; `None` stands for no type, or for more than one.
pub fn is_known_for(format: &str, kind: Option<SchemaType>) -> bool {
    match kind {
        None | Some(SchemaType::String) => checker(format).is_some(),
        Some(SchemaType::Integer) => matches!(format, "int32" | "int64"),
        Some(SchemaType::Number) => matches!(format, "float" | "double"),
        Some(SchemaType::Object | SchemaType::Array | SchemaType::Boolean) => false,
    }
}

/// Whether `text` is of the format; unknown formats take any text.
pub fn matches(format: &str, text: &str) -> bool {
    checker(format).is_none_or(|check| check(text))
}

/// The seconds of a duration as Go writes it, such as `1h30m` or `-1.5s`; `None` for what is none.
pub fn go_duration(text: &str) -> Option<f64> {
    time::go_seconds(text)
}

fn checker(format: &str) -> Option<Check> {
    let is_named = |name: &str| format.bytes().filter(|b| *b != b'-').eq(name.bytes());
    STRING_FORMATS.iter().find(|(name, _)| is_named(name)).map(|(_, check)| *check)
}
