//! JSON as Go reads and writes it.

use serde_json::{Value, json};

use super::*;
use crate::codec::noise::damaged;

fn value(text: &str) -> Value {
    parse(text.as_bytes(), Duplicates::Replace).expect(text).value
}

#[test]
fn values_are_read_as_go_reads_them() {
    let cases = [
        (" {\"a\": [1, true, null, \"x\"]} ", json!({"a": [1, true, null, "x"]})),
        ("9223372036854775807", json!(9223372036854775807_i64)),
        ("9223372036854775808", json!(9223372036854775808.0)),
        ("-0", json!(0)),
        ("-0.0", json!(0)),
        ("1e3", json!(1000.0)),
        ("1.0", json!(1.0)),
        ("1e-400", json!(0)),
        (r#""\ud83d\ude00 \ud83d \ude00 \u0041\/""#, json!("\u{1f600} \u{fffd} \u{fffd} A/")),
        (r#"{"\ud800": 1}"#, json!({"\u{fffd}": 1})),
    ];
    for (text, expected) in cases {
        assert_eq!(value(text), expected, "{text}");
    }
    let broken = parse(b"{\"a\xff\xfe\": \"\xe2\x82\"}", Duplicates::Replace).expect("broken text is replaced");
    assert_eq!(broken.value, json!({"a\u{fffd}\u{fffd}": "\u{fffd}\u{fffd}"}));
}

#[test]
fn duplicates_are_noted_and_the_last_one_counts() {
    let text = r#"{"data":{"x":"1"},"m":[{"n":1,"n":2}],"data":{"k":"2","k":"3"},"data":{"k":"4"}}"#;
    let faults = ["m[0].n", "data", "data.k"].map(|path| StrictFault::Duplicate(path.to_owned())).to_vec();
    let replaced = parse(text.as_bytes(), Duplicates::Replace).expect(text);
    assert_eq!(replaced, Document { value: json!({"m": [{"n": 2}], "data": {"k": "4"}}), faults: faults.clone() });
    let merged = parse(text.as_bytes(), Duplicates::Merge).expect(text);
    assert_eq!(merged, Document { value: json!({"m": [{"n": 2}], "data": {"k": "4", "x": "1"}}), faults });
}

#[test]
fn many_duplicates_are_told_as_a_hundred() {
    let pairs: Vec<String> = (0..200).map(|i| format!("\"k{i}\":1,\"k{i}\":2")).collect();
    let text = format!("{{{}}}", pairs.join(","));
    let document = parse(text.as_bytes(), Duplicates::Replace).expect("well formed");
    assert_eq!(document.faults.len(), 100);
    let key = "k".repeat(1_000_000);
    let text = format!("{{\"{key}\":{{{}}}}}", pairs.join(","));
    let document = parse(text.as_bytes(), Duplicates::Replace).expect("well formed");
    assert_eq!(document.faults[0].path().map(str::len), Some(1024));
}

#[test]
fn malformed_json_is_told_in_gos_words() {
    let end = "unexpected end of JSON input";
    let cases: &[(&[u8], &str)] = &[
        (b"", end),
        (b"{\"data\": {", end),
        (b"[{\"op\": ", end),
        (b"\"abc", end),
        (b"tru", end),
        (b"hello", "invalid character 'h' looking for beginning of value"),
        (b"{a", "invalid character 'a' looking for beginning of object key string"),
        (b"{\"a\" 1}", "invalid character '1' after object key"),
        (b"{\"a\":1 \"b\"", "invalid character '\"' after object key:value pair"),
        (b"{\"a\":1,}", "invalid character '}' looking for beginning of object key string"),
        (b"[1 2]", "invalid character '2' after array element"),
        (b"[1,]", "invalid character ']' looking for beginning of value"),
        (b"{} x", "invalid character 'x' after top-level value"),
        (b"01", "invalid character '1' after top-level value"),
        (b"-x", "invalid character 'x' in numeric literal"),
        (b"1.x", "invalid character 'x' after decimal point in numeric literal"),
        (b"1ex", "invalid character 'x' in exponent of numeric literal"),
        (b"nope", "invalid character 'o' in literal null (expecting 'u')"),
        (b"\"a\nb\"", "invalid character '\\n' in string literal"),
        (b"\"\\x\"", "invalid character 'x' in string escape code"),
        (b"\"\\u12g4\"", "invalid character 'g' in \\u hexadecimal character escape"),
        (b"'a'", "invalid character '\\'' looking for beginning of value"),
        (b"\xff", "invalid character 'ÿ' looking for beginning of value"),
        (b"\x00", "invalid character '\\x00' looking for beginning of value"),
        (b"[1e400, x", "invalid character 'x' looking for beginning of value"),
        (b"[1e400]", "json: cannot unmarshal number 1e400 into Go value of type float64"),
    ];
    for (bytes, expected) in cases {
        assert_eq!(parse(bytes, Duplicates::Merge).expect_err(expected).to_string(), *expected);
    }
}

#[test]
fn nesting_is_bounded() {
    for (open, close) in [("[", "]"), ("{\"a\":", "}")] {
        let nested = |depth: usize| format!("{}1{}", open.repeat(depth), close.repeat(depth));
        assert!(parse(nested(MAX_DEPTH).as_bytes(), Duplicates::Merge).is_ok());
        assert!(serde_json::from_str::<Value>(&nested(MAX_DEPTH)).is_ok(), "what is stored can be read");
        let error = parse(nested(MAX_DEPTH + 1).as_bytes(), Duplicates::Merge).expect_err("too deep");
        assert_eq!(error.to_string(), format!("invalid character '{}' exceeded max depth", &open[..1]));
        assert!(parse(open.repeat(1_000_000).as_bytes(), Duplicates::Merge).is_err());
    }
}

#[test]
fn faults_are_sorted_by_the_document() {
    let text = br#"{"metadata":{"labelz":{}},"dataa":{},"data":{"k":1,"k":2},"data":{}}"#;
    let unknown = |path: &str| StrictFault::Unknown(path.to_owned());
    let duplicate = |path: &str| StrictFault::Duplicate(path.to_owned());
    let mut faults =
        vec![duplicate("data"), duplicate("data.k"), unknown("dataa"), unknown("gone"), unknown("metadata.labelz")];
    sort_by_document(text, &mut faults);
    let expected =
        vec![unknown("metadata.labelz"), unknown("dataa"), duplicate("data.k"), duplicate("data"), unknown("gone")];
    assert_eq!(faults, expected);
}

#[test]
fn numbers_are_written_as_go_writes_them() {
    let cases = [
        (json!(1.0), "1"),
        (json!(0.5), "0.5"),
        (json!(1e20), "100000000000000000000"),
        (json!(1e21), "1e+21"),
        (json!(1.5e300), "1.5e+300"),
        (json!(0.000001), "0.000001"),
        (json!(0.0000001), "1e-7"),
        (json!(-5), "-5"),
    ];
    for (value, expected) in cases {
        assert_eq!(String::from_utf8(to_vec(&value)).expect("text"), expected);
    }
    let value = json!({"a": [1.0, {}], "b": [], "c": {"d": "<é>"}});
    assert_eq!(to_vec(&value), "{\"a\":[1,{}],\"b\":[],\"c\":{\"d\":\"<é>\"}}".as_bytes());
    let pretty = "{\n  \"a\": [\n    1,\n    {}\n  ],\n  \"b\": [],\n  \"c\": {\n    \"d\": \"<é>\"\n  }\n}";
    assert_eq!(to_pretty_vec(&value), pretty.as_bytes());
}

#[test]
fn damaged_json_never_panics() {
    let sample = r#"{"a": [1, -2.5e3, true, null, "x\u00e9\ud83d\ude00\n"], "b": {"c": {}, "c": []}, "d": "é"}"#;
    for bytes in damaged(sample.as_bytes(), 20_000) {
        if let Ok(document) = parse(&bytes, Duplicates::Merge) {
            let again = parse(&to_vec(&document.value), Duplicates::Replace).expect("what was written can be read");
            assert!(again.faults.is_empty());
        }
    }
}

#[test]
fn numbers_stay_what_they_are_however_often_they_are_read() {
    for text in
        ["1.00000000000000022", "123456789012345.67", "2.2250738585072014e-308", "1.7976931348623157e308", "3e-324"]
    {
        let exact: f64 = text.parse().expect("a number");
        let mut shown = text.to_owned();
        for _ in 0..5 {
            let read = parse(shown.as_bytes(), Duplicates::Replace).expect("JSON").value;
            assert_eq!(read.as_f64(), Some(exact), "{text} as {shown}");
            shown = String::from_utf8(to_vec(&read)).expect("text");
        }
    }
}
