//! Values as the cases write them.

use atoll_cel::Value;

pub(crate) fn show(value: &Value<'_>) -> String {
    match value {
        Value::Null => "null".to_owned(),
        Value::String(text) => quoted(text),
        Value::Bytes(bytes) => format!("b{}", bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>()),
        Value::Uint(number) => format!("{number}u"),
        Value::Double(number) => format!("double({})", double(*number)),
        Value::Duration(nanos) => format!("duration({})", duration(*nanos)),
        Value::Timestamp(_) => format!("timestamp({value})"),
        Value::Type(name) => format!("type({name})"),
        Value::Optional(Some(value)) => format!("optional({})", show(value)),
        Value::Optional(None) => "optional.none".to_owned(),
        Value::List(list) => {
            let elements: Vec<String> = list.iter().map(|element| show(&element.expect("an element"))).collect();
            format!("[{}]", elements.join(", "))
        }
        Value::Map(map) => {
            let mut entries: Vec<String> = map
                .keys()
                .iter()
                .map(|key| {
                    let value = map.find(key).expect("an entry").expect("an entry");
                    format!("{}: {}", show(key), show(&value))
                })
                .collect();
            entries.sort();
            format!("{{{}}}", entries.join(", "))
        }
        other => other.to_string(),
    }
}

fn quoted(text: &str) -> String {
    let mut quoted = String::from("\"");
    for c in text.chars() {
        match c {
            '"' | '\\' => quoted.extend(['\\', c]),
            '\n' => quoted.push_str("\\n"),
            '\t' => quoted.push_str("\\t"),
            '\r' => quoted.push_str("\\r"),
            '\u{7}' => quoted.push_str("\\a"),
            '\u{8}' => quoted.push_str("\\b"),
            '\u{b}' => quoted.push_str("\\v"),
            '\u{c}' => quoted.push_str("\\f"),
            '\0'..' ' | '\u{7f}' => quoted.push_str(&format!("\\x{:02x}", u32::from(c))),
            c => quoted.push(c),
        }
    }
    quoted + "\""
}

fn double(number: f64) -> String {
    let scientific = format!("{number:e}");
    match scientific.split_once('e') {
        None => scientific.replace("inf", "+Inf").replace("-+", "-"),
        Some((mantissa, exponent)) => {
            let exponent: i32 = exponent.parse().expect("a number");
            if (-4..21).contains(&exponent) {
                return number.to_string();
            }
            format!("{mantissa}e{}{:02}", if exponent < 0 { '-' } else { '+' }, exponent.abs())
        }
    }
}

/// A span of time as Go writes it.
fn duration(nanos: i64) -> String {
    let sign = if nanos < 0 { "-" } else { "" };
    let nanos = nanos.unsigned_abs();
    let with_fraction = |unit: u64| {
        let digits = unit.ilog10() as usize;
        let fraction = format!("{:0digits$}", nanos % unit);
        let fraction = fraction.trim_end_matches('0');
        let point = if fraction.is_empty() || digits == 0 { "" } else { "." };
        (nanos / unit, format!("{point}{}", if digits == 0 { "" } else { fraction }))
    };
    let (seconds, fraction) = with_fraction(1_000_000_000);
    let (hours, minutes) = (seconds / 3600, seconds / 60 % 60);
    let shown = match nanos {
        0 => "0s".to_owned(),
        1..1_000 => format!("{nanos}ns"),
        1_000..1_000_000 => format!("{}{}µs", nanos / 1_000, with_fraction(1_000).1),
        1_000_000..1_000_000_000 => format!("{}{}ms", nanos / 1_000_000, with_fraction(1_000_000).1),
        _ if hours > 0 => format!("{hours}h{minutes}m{}{fraction}s", seconds % 60),
        _ if minutes > 0 => format!("{minutes}m{}{fraction}s", seconds % 60),
        _ => format!("{seconds}{fraction}s"),
    };
    format!("{sign}{shown}")
}
