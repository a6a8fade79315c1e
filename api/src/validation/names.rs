//! What texts may be names: DNS labels and subdomains, label keys and values, path segments and the like.
//!
//! Every check gives the list of what is wrong; an empty list means the text is fine.

/// The longest DNS label, label key's name and label value, in bytes.
const MAX_LABEL: usize = 63;
/// The longest DNS subdomain, in bytes.
const MAX_SUBDOMAIN: usize = 253;

const LABEL_PATTERN: &str = "[a-z0-9]([-a-z0-9]*[a-z0-9])?";
const SUBDOMAIN_PATTERN: &str = r"[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*";
const DNS1035_PATTERN: &str = "[a-z]([-a-z0-9]*[a-z0-9])?";
const KEY_PATTERN: &str = "([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]";
const LABEL_VALUE_PATTERN: &str = "(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?";

/// What the names of a kind's objects may be.
#[derive(Debug, Clone, Copy)]
pub enum NameRule {
    /// A DNS-1123 subdomain: the rule of most kinds and of all custom ones.
    Subdomain,
    /// A DNS-1123 label, such as of namespaces.
    Label,
    /// A DNS-1035 label, such as of services.
    Dns1035Label,
    /// Whatever can stand in a URL's path, such as of roles.
    PathSegment,
    /// A rule of the kind's own: it gives what is wrong with a whole name.
    Custom(fn(&str) -> Vec<String>),
}

impl NameRule {
    /// What is wrong with a whole name.
    pub fn check(self, name: &str) -> Vec<String> {
        match self {
            Self::Subdomain => dns1123_subdomain(name),
            Self::Label => dns1123_label(name),
            Self::Dns1035Label => dns1035_label(name),
            Self::PathSegment => path_segment_name(name),
            Self::Custom(rule) => rule(name),
        }
    }

    /// What is wrong with the beginning of a name (`generateName`).
    pub fn check_prefix(self, prefix: &str) -> Vec<String> {
        match self {
            Self::PathSegment => path_segment_prefix(prefix),
            _ => self.check(&mask_trailing_dash(prefix)),
        }
    }
}

/// A prefix may end with a dash, as more follows. Like Kubernetes this drops the character before the dash too.
fn mask_trailing_dash(prefix: &str) -> String {
    let mut characters: Vec<char> = prefix.chars().collect();
    if characters.len() > 1 && characters.last() == Some(&'-') {
        characters.truncate(characters.len() - 2);
        characters.push('a');
    }
    characters.into_iter().collect()
}

/// A DNS-1123 label: `my-name`.
pub fn dns1123_label(value: &str) -> Vec<String> {
    let mut wrong = too_long_in_characters(value, MAX_LABEL);
    if !is_label(value) {
        wrong.push(if is_subdomain(value) {
            "must not contain dots".to_owned()
        } else {
            let rule = "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', \
                        and must start and end with an alphanumeric character";
            pattern_fault(rule, LABEL_PATTERN, &["my-name", "123-abc"])
        });
    }
    wrong
}

/// A DNS-1123 subdomain: `example.com`.
pub fn dns1123_subdomain(value: &str) -> Vec<String> {
    let mut wrong = too_long_in_characters(value, MAX_SUBDOMAIN);
    wrong.extend(subdomain_fault(value));
    wrong
}

/// A DNS-1035 label: like a DNS-1123 label, but it begins with a letter.
pub fn dns1035_label(value: &str) -> Vec<String> {
    let mut wrong = too_long_in_characters(value, MAX_LABEL);
    if !(is_label(value) && value.starts_with(|c: char| c.is_ascii_lowercase())) {
        let rule = "a DNS-1035 label must consist of lower case alphanumeric characters or '-', \
                    start with an alphabetic character, and end with an alphanumeric character";
        wrong.push(pattern_fault(rule, DNS1035_PATTERN, &["my-name", "abc-123"]));
    }
    wrong
}

/// A DNS subdomain whose first label is `*`.
pub fn wildcard_dns1123_subdomain(value: &str) -> Vec<String> {
    let mut wrong = too_long_in_characters(value, MAX_SUBDOMAIN);
    if !value.strip_prefix("*.").is_some_and(is_subdomain) {
        let rule = "a wildcard DNS-1123 subdomain must start with '*.', followed by a valid DNS subdomain, which must \
                    consist of lower case alphanumeric characters, '-' or '.' and end with an alphanumeric character";
        wrong.push(pattern_fault(rule, &format!(r"\*\.{SUBDOMAIN_PATTERN}"), &["*.example.com"]));
    }
    wrong
}

/// A label's or annotation's key, a finalizer, a condition's type: a name with an optional DNS subdomain before a slash.
pub fn qualified_name(value: &str) -> Vec<String> {
    let rule = "must consist of alphanumeric characters, '-', '_' or '.', \
                and must start and end with an alphanumeric character";
    let fault =
        |subject: &str| pattern_fault(&format!("{subject} {rule}"), KEY_PATTERN, &["MyName", "my.name", "123-abc"]);
    let mut wrong = Vec::new();
    let name = match value.split_once('/') {
        None => value,
        Some((_, name)) if name.contains('/') => {
            let subject = fault("a valid label key");
            return vec![format!(
                "{subject} with an optional DNS subdomain prefix and '/' (e.g. 'example.com/MyName')"
            )];
        }
        Some(("", name)) => {
            wrong.push("prefix part must be non-empty".to_owned());
            name
        }
        Some((prefix, name)) => {
            let mut faults = too_long_in_bytes(prefix, MAX_SUBDOMAIN);
            faults.extend(subdomain_fault(prefix));
            wrong.extend(faults.into_iter().map(|fault| format!("prefix part {fault}")));
            name
        }
    };
    if name.is_empty() {
        wrong.push("name part must be non-empty".to_owned());
    }
    wrong.extend(too_long_in_bytes(name, MAX_LABEL).into_iter().map(|fault| format!("name part {fault}")));
    if !is_key(name) {
        wrong.push(fault("name part"));
    }
    wrong
}

/// A label's value: empty, or like the name part of its key.
pub fn label_value(value: &str) -> Vec<String> {
    let mut wrong = too_long_in_bytes(value, MAX_LABEL);
    if !(value.is_empty() || is_key(value)) {
        let rule = "a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', \
                    and must start and end with an alphanumeric character";
        wrong.push(pattern_fault(rule, LABEL_VALUE_PATTERN, &["MyValue", "my_value", "12345"]));
    }
    wrong
}

/// What the store of Kubernetes says of a name that cannot be part of a key (registry/generic/registry/store.go), if
/// anything.
pub fn key_fault(name: &str) -> Option<String> {
    if name.is_empty() {
        return Some("Name parameter required.".to_owned());
    }
    let wrong = path_segment_name(name);
    let quoted = crate::field::go_quote(name);
    (!wrong.is_empty()).then(|| format!("Name parameter invalid: {quoted}: {}", wrong.join(";")))
}

/// A name that can stand as one segment of a URL's path.
pub fn path_segment_name(value: &str) -> Vec<String> {
    if value == "." || value == ".." {
        return vec![format!("may not be '{value}'")];
    }
    path_segment_prefix(value)
}

/// The beginning of a name that can stand as one segment of a URL's path.
pub fn path_segment_prefix(value: &str) -> Vec<String> {
    let banned = ['/', '%'].into_iter().filter(|c| value.contains(*c));
    banned.map(|c| format!("may not contain '{c}'")).collect()
}

/// A key in the data of a config map or secret.
pub fn config_map_key(value: &str) -> Vec<String> {
    let mut wrong = too_long_in_characters(value, MAX_SUBDOMAIN);
    if value.is_empty() || !value.bytes().all(|b| b.is_ascii_alphanumeric() || b"-._".contains(&b)) {
        let rule = "a valid config key must consist of alphanumeric characters, '-', '_' or '.'";
        wrong.push(pattern_fault(rule, "[-._a-zA-Z0-9]+", &["key.name", "KEY_NAME", "key-name"]));
    }
    wrong.extend(parent_directory_fault(value));
    wrong
}

/// The name of an environment variable, of printable ASCII characters other than `=`.
pub fn env_var_name(value: &str) -> Vec<String> {
    let mut wrong = Vec::new();
    if value.is_empty() {
        wrong.push("environment variable name must be non-empty".to_owned());
    }
    if !value.bytes().all(|b| (b' '..=b'~').contains(&b) && b != b'=') {
        let rule = "a valid environment variable name must consist only of printable ASCII characters other than '='";
        wrong.push(rule.to_owned());
    }
    wrong
}

/// The name of a port: at most 15 lower-case letters, digits and single dashes, with a letter.
pub fn port_name(value: &str) -> Vec<String> {
    let faults = [
        (value.len() > 15, "must be no more than 15 characters"),
        (
            value.is_empty() || !value.bytes().all(|b| is_label_byte(b) || b == b'-'),
            "must contain only alpha-numeric characters (a-z, 0-9), and hyphens (-)",
        ),
        (!value.bytes().any(|b| b.is_ascii_lowercase()), "must contain at least one letter (a-z)"),
        (value.contains("--"), "must not contain consecutive hyphens"),
        (value.starts_with('-') || value.ends_with('-'), "must not begin or end with a hyphen"),
    ];
    faults.into_iter().filter(|(wrong, _)| *wrong).map(|(_, text)| text.to_owned()).collect()
}

/// The number of a port.
pub fn port_number(value: i64) -> Vec<String> {
    if (1..=65535).contains(&value) { Vec::new() } else { vec!["must be between 1 and 65535, inclusive".to_owned()] }
}

/// A percentage: digits and `%`.
pub fn percent(value: &str) -> Vec<String> {
    let digits = value.strip_suffix('%').unwrap_or_default();
    if !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit()) {
        return Vec::new();
    }
    let rule = "a valid percent string must be a numeric string followed by an ending '%'";
    vec![pattern_fault(rule, "[0-9]+%", &["1%", "93%"])]
}

/// The name of an HTTP header.
pub fn http_header_name(value: &str) -> Vec<String> {
    if !value.is_empty() && value.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-') {
        return Vec::new();
    }
    let rule = "a valid HTTP header must consist of alphanumeric characters or '-'";
    vec![pattern_fault(rule, "[-A-Za-z0-9]+", &["X-Header-Name"])]
}

/// An identifier as in C.
pub fn c_identifier(value: &str) -> Vec<String> {
    let first = |b: u8| b.is_ascii_alphabetic() || b == b'_';
    if value.bytes().next().is_some_and(first) && value.bytes().all(|b| first(b) || b.is_ascii_digit()) {
        return Vec::new();
    }
    let rule = "a valid C identifier must start with alphabetic character or '_', \
                followed by a string of alphanumeric characters or '_'";
    vec![pattern_fault(rule, "[A-Za-z_][A-Za-z0-9_]*", &["my_name", "MY_NAME", "MyName"])]
}

/// The reason of a condition.
pub fn condition_reason(value: &str) -> Vec<String> {
    let bytes = value.as_bytes();
    let last = |b: &u8| b.is_ascii_alphanumeric() || *b == b'_';
    let inner = |b: &u8| last(b) || b",:".contains(b);
    if bytes.first().is_some_and(u8::is_ascii_alphabetic) && bytes.last().is_some_and(last) && bytes.iter().all(inner) {
        return Vec::new();
    }
    let rule = "a condition reason must start with alphabetic character, optionally followed by a string of \
                alphanumeric characters or '_,:', and must end with an alphanumeric character or '_'";
    let examples = ["my_name", "MY_NAME", "MyName", "ReasonA,ReasonB", "ReasonA:ReasonB"];
    vec![pattern_fault(rule, "[A-Za-z]([A-Za-z0-9_,:]*[A-Za-z0-9_])?", &examples)]
}

/// Whether a character can be seen when printed (`unicode.IsPrint`); of the spaces only the plain one counts.
pub fn is_printable(c: char) -> bool {
    if c.is_ascii() {
        return (' '..='~').contains(&c);
    }
    // Rust escapes what is not printable, and a combining mark where it stands first; so it must not stand first.
    let text: String = ['a', c].iter().collect();
    text.escape_debug().eq(text.chars())
}

fn is_label_byte(b: u8) -> bool {
    b.is_ascii_lowercase() || b.is_ascii_digit()
}

/// Whether a text is a DNS-1123 label, whatever its length.
fn is_label(value: &str) -> bool {
    let bytes = value.as_bytes();
    let ends = |b: Option<&u8>| b.is_some_and(|b| is_label_byte(*b));
    ends(bytes.first()) && ends(bytes.last()) && bytes.iter().all(|b| is_label_byte(*b) || *b == b'-')
}

/// Whether a text is a DNS-1123 subdomain, whatever its length.
fn is_subdomain(value: &str) -> bool {
    value.split('.').all(is_label)
}

/// Whether a text is the name part of a label's key, whatever its length.
fn is_key(value: &str) -> bool {
    let bytes = value.as_bytes();
    let ends = |b: Option<&u8>| b.is_some_and(u8::is_ascii_alphanumeric);
    let inner = |b: &u8| b.is_ascii_alphanumeric() || b"-_.".contains(b);
    ends(bytes.first()) && ends(bytes.last()) && bytes.iter().all(inner)
}

fn subdomain_fault(value: &str) -> Option<String> {
    let rule = "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', \
                and must start and end with an alphanumeric character";
    (!is_subdomain(value)).then(|| pattern_fault(rule, SUBDOMAIN_PATTERN, &["example.com"]))
}

fn parent_directory_fault(value: &str) -> Option<String> {
    match value {
        "." | ".." => Some(format!("must not be '{value}'")),
        _ => value.starts_with("..").then(|| "must not start with '..'".to_owned()),
    }
}

/// Kubernetes counts bytes in both, but names them differently (`validation` and `validate/content`, 1.36).
fn too_long_in_characters(value: &str, limit: usize) -> Vec<String> {
    if value.len() > limit { vec![format!("must be no more than {limit} characters")] } else { Vec::new() }
}

fn too_long_in_bytes(value: &str, limit: usize) -> Vec<String> {
    if value.len() > limit { vec![format!("must be no more than {limit} bytes")] } else { Vec::new() }
}

/// The wording of a fault that is told by a rule, examples and a regular expression.
fn pattern_fault(rule: &str, pattern: &str, examples: &[&str]) -> String {
    let quoted: Vec<String> = examples.iter().map(|example| format!("'{example}', ")).collect();
    format!("{rule} (e.g. {}regex used for validation is '{pattern}')", quoted.join(" or "))
}
