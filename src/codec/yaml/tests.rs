//! YAML as Kubernetes reads and writes it.

use serde_json::json;

use super::*;
use crate::codec::noise::{Noise, damaged};
use crate::codec::strict::strict_error;

fn value(text: &str) -> Value {
    parse(text.as_bytes()).expect(text).value
}

#[test]
fn documents_are_read() {
    let text = "# a comment\napiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: a\n  labels: {x: \"1\"}\ndata:\n  text: |\n    two\n    lines\n  \"quoted\": 'single'\nlist:\n- 1\n- [two, {}]\n";
    let expected = json!({
        "apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a", "labels": {"x": "1"}},
        "data": {"text": "two\nlines\n", "quoted": "single"}, "list": [1, ["two", {}]],
    });
    assert_eq!(value(text), expected);
    for (text, expected) in [
        ("", json!(null)),
        ("---\na: 1\n---\nb: 2\n", json!({"a": 1})),
        ("{\"a\": [1, \"x\"]}", json!({"a": [1, "x"]})),
        ("a: &x {b: 1}\nc: *x\nd:\n  <<: *x\n  e: 2\n", json!({"a": {"b": 1}, "c": {"b": 1}, "d": {"b": 1, "e": 2}})),
        ("a:\n  <<: [{b: 1, c: 1}, {b: 2, d: 2}]\n", json!({"a": {"b": 1, "c": 1, "d": 2}})),
        ("&k a: 1\nb: *k\n", json!({"a": 1, "b": "a"})),
        ("n: yes\n1: a\n1.5: b\ntrue: c\n", json!({"false": true, "1": "a", "1.5": "b", "true": "c"})),
        ("a: !!str 1\nb: !!int \"5\"\nc: !custom x\nd: !!float 2", json!({"a": "1", "b": 5, "c": "x", "d": 2})),
    ] {
        assert_eq!(value(text), expected, "{text}");
    }
}

#[test]
fn plain_scalars_mean_what_yaml_1_1_says() {
    for (text, expected) in [
        ("yes", json!(true)),
        ("Off", json!(false)),
        ("y", json!(true)),
        ("~", json!(null)),
        ("null", json!(null)),
        ("1_000", json!(1000)),
        ("0x1F", json!(31)),
        ("014", json!(12)),
        ("0o14", json!(12)),
        ("0b11", json!(3)),
        ("-0b11", json!(-3)),
        ("08", json!(8)),
        ("+5", json!(5)),
        ("1e3", json!(1000)),
        ("1.5", json!(1.5)),
        (".5", json!(0.5)),
        ("9223372036854775808", json!(9223372036854775808.0)),
        ("1.", json!(1)),
        ("2001-01-01", json!("2001-01-01")),
        ("1.2.3", json!("1.2.3")),
        ("1e", json!("1e")),
        ("-", json!([null])),
        ("0x", json!("0x")),
        ("1:30", json!("1:30")),
        ("'1'", json!("1")),
        ("\"yes\"", json!("yes")),
        ("é", json!("é")),
        ("+", json!("+")),
        ("0xg", json!("0xg")),
        ("1,5", json!("1,5")),
        ("- -", json!([[null]])),
    ] {
        assert_eq!(value(text), expected, "{text}");
    }
}

#[test]
fn duplicate_keys_are_told_by_line() {
    let text = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\ndata:\n  k: a\n  k: b\n1: x\n1: y\n";
    let document = parse(text.as_bytes()).expect("well formed");
    assert_eq!(document.value["data"], json!({"k": "b"}));
    let expected = "strict decoding error: yaml: unmarshal errors:\n  line 6: key \"k\" already set in map\n  line 8: key 1 already set in map";
    assert_eq!(strict_error(&document.faults), expected);
    let flow = parse(b"a: 1\ndata: {a: b, a: c}\n").expect("well formed");
    assert_eq!(flow.faults, [StrictFault::DuplicateYamlKey(2, "\"a\"".into())]);
    let json = parse(b"{\"a\": 1,\n\"a\": 2}").expect("well formed");
    assert_eq!(json.faults, [StrictFault::DuplicateYamlKey(2, "\"a\"".into())]);
}

#[test]
fn malformed_documents_are_refused_with_the_line() {
    for (text, expected) in [
        (
            "apiVersion: v1\nkind: ConfigMap\n\tmetadata: x\n",
            "yaml: line 3: found a tab character that violates indentation",
        ),
        ("a: .inf", "yaml: line 1: json: unsupported value: +Inf"),
        ("a: &x [*x]", "yaml: line 1: anchor value contains itself"),
        ("a: 1\nb: !!int x", "yaml: line 2: cannot decode !!str `x` as a !!int"),
        ("<<: 1", "yaml: line 1: map merge requires map or sequence of maps as the value"),
        ("~: 1", "yaml: line 1: unsupported map key of type: %!s(<nil>)"),
        ("[a]: 1", "yaml: line 1: invalid map key: a collection cannot be a key in JSON"),
    ] {
        assert_eq!(parse(text.as_bytes()).expect_err(text).to_string(), expected);
    }
    for text in ["a: [", "a: *x", "a: b: c", "{a: 1", "\"abc", "a:\n b\nc", "@x"] {
        assert!(parse(text.as_bytes()).expect_err(text).to_string().starts_with("yaml: line "), "{text}");
    }
    assert!(parse(b"a: \xff").is_err());
}

#[test]
fn hostile_documents_are_refused_at_little_cost() {
    let laughs: String =
        (0..30).map(|i| format!("a{}: &a{} [{}]\n", i + 1, i + 1, vec![format!("*a{i}"); 10].join(","))).collect();
    let nested_anchors: String = (0..120).map(|i| format!("&b{i} [")).collect();
    let cases = [
        format!("a0: &a0 x\n{laughs}"),
        format!("a: &a {}\nb: [{}]", "x".repeat(1_000_000), vec!["*a"; 1000].join(",")),
        "[".repeat(1_000_000),
        "- ".repeat(1_000_000),
        "{a: ".repeat(100_000),
        format!("{nested_anchors}{}", "x, ".repeat(200_000)),
    ];
    for text in cases {
        assert!(parse(text.as_bytes()).is_err(), "{}", &text[..60]);
    }
}

#[test]
fn values_are_written_as_kubernetes_writes_them() {
    let value = json!({
        "apiVersion": "v1",
        "data": {"text": "two\nlines\n", "cut": "a\nb", "kept": "a\n\n", "lead": " a\nb\n", "trail": "a \nb"},
        "empty": {}, "list": [], "null": null, "number": 1.5, "whole": 2.0, "big": 1e30, "small": 0.00001,
        "items": [{"a": 1, "b": [1, [2, 3]]}, "x", [], "multi\nline"],
        "strings": ["yes", "1", "1.5", "", " a", "a: b", "a #b", "#a", "- a", "-a", "it's", "'q", "a\tb", "é", "1:30", "a:", "null", "😀", "<<"],
    });
    let expected = r#"apiVersion: v1
big: 1e+30
data:
  cut: |-
    a
    b
  kept: |+
    a

  lead: |2
     a
    b
  text: |
    two
    lines
  trail: "a \nb"
empty: {}
items:
- a: 1
  b:
  - 1
  - - 2
    - 3
- x
- []
- |-
  multi
  line
list: []
"null": null
number: 1.5
small: 1e-05
strings:
- "yes"
- "1"
- "1.5"
- ""
- ' a'
- 'a: b'
- 'a #b'
- '#a'
- '- a'
- -a
- it's
- '''q'
- "a\tb"
- é
- "1:30"
- 'a:'
- "null"
- "\U0001F600"
- "<<"
whole: 2
"#;
    let printed = String::from_utf8(to_vec(&value)).expect("text");
    assert_eq!(printed, expected);
    let mut read = parse(printed.as_bytes()).expect("what was written can be read").value;
    read["whole"] = json!(2.0);
    assert_eq!(read, value);
}

#[test]
fn odd_texts_survive_writing_and_reading() {
    let texts = [
        "\n",
        "\n\n",
        " ",
        "a\n ",
        "\na",
        "a\n\n b\n",
        "\r\n",
        "\u{85}",
        "\u{feff}",
        "---",
        "...",
        "a\u{2028}b",
        "? a",
        "*a",
        "!a",
        "%a",
        "@a",
        "`a",
        "{a",
        "a}",
        "[a",
        ",a",
        "&a",
        "|",
        ">",
        "\"",
        "\\",
        "a\\nb",
        "=",
        "~",
        "0x1f",
        "1_0",
        "-.inf",
        "!!str a",
        "key: value\n",
        "- x\n- y",
        "  indented\nnot",
        "tab\there\n",
        "x\u{0}y",
    ];
    for text in texts {
        for value in [json!(text), json!([text]), json!({"k": text}), json!({text: "v"}), json!([[{text: [text]}]])] {
            let printed = to_vec(&value);
            let read = parse(&printed)
                .unwrap_or_else(|error| panic!("{value}: {error}\n{}", String::from_utf8_lossy(&printed)));
            assert_eq!(read.value, value, "{}", String::from_utf8_lossy(&printed));
        }
    }
    let long = "k".repeat(3000);
    for value in [json!({&long: {"a": 1, "b": [1]}}), json!({&long: [1, {"a": 2}]}), json!({&long: "x\ny\n"})] {
        assert_eq!(parse(&to_vec(&value)).expect("long keys").value, value);
    }
}

#[test]
fn damaged_yaml_never_panics() {
    let sample = "a: &x {b: 1, <<: {c: 2}}\nd:\n- *x\n- !!int \"5\"\n- |2-\n   lit\n  eral\n- 'q''q'\n- >\n  fol\n  ded\n? e\n: 0x1f\n...\n";
    for bytes in damaged(sample.as_bytes(), 5_000) {
        if let Ok(document) = parse(&bytes) {
            assert_eq!(parse(&to_vec(&document.value)).expect("what was written can be read").value, document.value);
        }
    }
}

#[test]
fn texts_of_odd_characters_survive_writing_and_reading() {
    let alphabet: Vec<char> = " \n\t:-?#'\"{}[],&*!|>%@`~ab01.e+_=<\r\u{85}\u{feff}\u{2028}é😀\u{1}".chars().collect();
    let mut noise = Noise::default();
    for _ in 0..5_000 {
        let text: String = (0..noise.below(8)).map(|_| alphabet[noise.below(alphabet.len())]).collect();
        let value = json!({"k": [&text, {&text: &text}], "l": &text});
        let printed = to_vec(&value);
        let read = parse(&printed).unwrap_or_else(|error| panic!("{value}: {error}"));
        assert_eq!(read.value, value, "{}", String::from_utf8_lossy(&printed));
    }
}
