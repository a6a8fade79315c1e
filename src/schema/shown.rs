//! Values as Go prints them in faults: `1` for 1.0, `1e+06` for a million as a float, JSON with `<` escaped.

use atoll_api::field::go_quote;
use serde_json::{Number, Value};

/// A value in a fault: texts quoted, scalars plain, lists and maps as JSON.
pub(crate) fn value(value: &Value) -> String {
    match value {
        Value::String(text) => go_quote(text),
        Value::Number(number) => self::number(number),
        other => json(other),
    }
}

/// A number with Go's `%v`.
pub(crate) fn number(number: &Number) -> String {
    match number.as_i64() {
        Some(integer) => integer.to_string(),
        None => float(number.as_f64().unwrap_or_default()),
    }
}

/// A float with Go's `%v`: with an exponent, of two digits at least, if that is below -4 or above 5.
pub(crate) fn float(float: f64) -> String {
    with_exponent_outside(float, -4, 6)
}

/// A value as Go's `json.Marshal` writes it.
pub(crate) fn json(value: &Value) -> String {
    json_in_order(value, &[])
}

/// A value of structs as Go's `json.Marshal` writes it: the fields that `order` names stand first and in that order.
pub(crate) fn json_in_order(value: &Value, order: &[&str]) -> String {
    let mut text = String::new();
    write_json(value, order, &mut text);
    text
}

fn write_json(value: &Value, order: &[&str], text: &mut String) {
    match value {
        Value::Null | Value::Bool(_) => text.push_str(&value.to_string()),
        Value::Number(number) => match number.as_i64() {
            Some(integer) => text.push_str(&integer.to_string()),
            None => {
                let float = with_exponent_outside(number.as_f64().unwrap_or_default(), -6, 21);
                // JSON takes one digit in negative exponents.
                text.push_str(&float.replace("e-0", "e-"));
            }
        },
        Value::String(string) => write_string(string, text),
        Value::Array(list) => {
            text.push('[');
            for (index, value) in list.iter().enumerate() {
                if index > 0 {
                    text.push(',');
                }
                write_json(value, order, text);
            }
            text.push(']');
        }
        Value::Object(map) => {
            text.push('{');
            let named = order.iter().filter_map(|name| map.get_key_value(*name));
            let others = map.iter().filter(|(name, _)| !order.contains(&name.as_str()));
            for (index, (name, value)) in named.chain(others).enumerate() {
                if index > 0 {
                    text.push(',');
                }
                write_string(name, text);
                text.push(':');
                write_json(value, order, text);
            }
            text.push('}');
        }
    }
}

fn write_string(string: &str, text: &mut String) {
    for c in Value::from(string).to_string().chars() {
        match c {
            '<' | '>' | '&' | '\u{2028}' | '\u{2029}' => text.push_str(&format!("\\u{:04x}", u32::from(c))),
            c => text.push(c),
        }
    }
}

/// The shortest digits that read back as the same float, with an exponent if it is below `low` or not below `high`.
fn with_exponent_outside(float: f64, low: i32, high: i32) -> String {
    let scientific = format!("{float:e}");
    let Some((digits, exponent)) = scientific.split_once('e') else { return scientific };
    let exponent: i32 = exponent.parse().unwrap_or_default();
    if float == 0.0 || (low..high).contains(&exponent) {
        return format!("{float}");
    }
    let sign = if exponent < 0 { '-' } else { '+' };
    format!("{digits}e{sign}{:02}", exponent.abs())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn values_are_printed_as_go_prints_them() {
        for (input, expected) in [
            (json!("a\"b"), r#""a\"b""#),
            (json!(1), "1"),
            (json!(1.0), "1"),
            (json!(1.5), "1.5"),
            (json!(-0.00001), "-1e-05"),
            (json!(123456.0), "123456"),
            (json!(1e6), "1e+06"),
            (json!(12345678.5), "1.23456785e+07"),
            (json!(u64::MAX), "1.8446744073709552e+19"),
            (json!(null), "null"),
            (json!(true), "true"),
            (
                json!({"b": [1.0, "<x>", 1e-7, 1e6, 1e21], "a": null}),
                r#"{"a":null,"b":[1,"\u003cx\u003e",1e-7,1000000,1e+21]}"#,
            ),
        ] {
            assert_eq!(value(&input), expected);
        }
        let selector = json!({"matchExpressions": [{"values": [], "operator": "In", "key": "k"}], "matchLabels": {"z": "", "a": ""}});
        assert_eq!(
            json_in_order(&selector, &["matchLabels", "key", "operator"]),
            r#"{"matchLabels":{"a":"","z":""},"matchExpressions":[{"key":"k","operator":"In","values":[]}]}"#
        );
    }
}
