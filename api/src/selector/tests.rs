//! Selectors, against texts recorded from kube-apiserver 1.36.

use std::borrow::Cow;
use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::*;

fn check_label(selector: &str, labels: &[(&str, &str)], expected: bool) {
    let parsed = LabelSelector::parse(selector).expect(selector);
    let labels: BTreeMap<&str, &str> = labels.iter().copied().collect();
    assert_eq!(parsed.matches(|key| labels.get(key).copied()), expected, "{selector} on {labels:?}");
}

#[test]
fn label_selectors_select() {
    let labels = &[("a", "b"), ("n", "5"), ("e", "")];
    for selector in [
        "",
        "a",
        "a=b",
        "a==b",
        " a = b ",
        "a in (b,c)",
        "a notin (c)",
        "x notin (c)",
        "!x",
        "x!=y",
        "n>4",
        "n<6",
        "a=b,n>4",
        "e=",
        "e in ()",
        "e in (,x)",
        "x!=",
        "in notin (a)",
        "e",
        "a in (b , c)",
        "a,!x",
    ] {
        check_label(selector, labels, true);
    }
    for selector in
        ["x", "a=c", "a!=b", "a in (c)", "a notin (b)", "!a", "n>5", "n<5", "a>1", "x>1", "a=", "a in ()", "a=b,x"]
    {
        check_label(selector, labels, false);
    }
}

#[test]
fn label_selectors_print_in_one_form() {
    let cases = [
        ("", ""),
        ("b,a", "a,b"),
        ("x in (c,a,b,a)", "x in (a,b,c)"),
        (" a = b , !c", "a=b,!c"),
        ("a==b,c!=d,e>1,f<2,g notin (h)", "a==b,c!=d,e>1,f<2,g notin (h)"),
        ("a in (,b)", "a in (,b)"),
        ("a in (b,)", "a in (,b)"),
    ];
    for (text, expected) in cases {
        assert_eq!(LabelSelector::parse(text).expect(text).to_string(), expected);
    }
}

#[test]
fn malformed_label_selectors_are_told_as_kubernetes_does() {
    let key = "a valid label key must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character (e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for validation is '([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]') with an optional DNS subdomain prefix and '/' (e.g. 'example.com/MyName')";
    let value = "a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character (e.g. 'MyValue',  or 'my_value',  or '12345', regex used for validation is '(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?')";
    let cases = [
        ("a in b", "unable to parse requirement: found 'b' expected: '('".to_owned()),
        ("a in (b", "unable to parse requirement: found '', expected: ',' or ')'".to_owned()),
        ("a in (b c)", "unable to parse requirement: found 'c', expected: ',' or ')'".to_owned()),
        ("a in (=)", "unable to parse requirement: found '=', expected: ',', ')' or identifier".to_owned()),
        ("a in (b,=)", "unable to parse requirement: found '=', expected: ',', or identifier".to_owned()),
        ("=v", "found '=', expected: !, identifier, or 'end of string'".to_owned()),
        ("a,,b", "found ',', expected: identifier after ','".to_owned()),
        ("a,", "found '', expected: identifier after ','".to_owned()),
        ("bad key=v", "unable to parse requirement: found 'key', expected: in, notin, =, ==, !=, gt, lt".to_owned()),
        ("k=bad value!", "found 'value', expected: ',' or 'end of string'".to_owned()),
        ("k=(", "unable to parse requirement: found '(', expected: identifier".to_owned()),
        ("k>abc", "unable to parse requirement: values[0]: Invalid value: \"abc\": for 'Gt', 'Lt' operators, the value must be an integer".to_owned()),
        ("!", "unable to parse requirement: found '', expected: identifier".to_owned()),
        ("a/b/c=d", format!("unable to parse requirement: <nil>: Invalid value: \"a/b/c\": {key}")),
        ("k=-", format!("unable to parse requirement: values[0][k]: Invalid value: \"-\": {value}")),
    ];
    for (text, expected) in cases {
        assert_eq!(LabelSelector::parse(text).expect_err(text).to_string(), expected, "{text}");
    }
}

#[test]
fn label_selector_objects_are_read() {
    let selector = json!({"matchLabels": {"b": "c"}, "matchExpressions": [
        {"key": "a", "operator": "In", "values": ["y", "x"]}, {"key": "d", "operator": "DoesNotExist"},
    ]});
    let selector = LabelSelector::from_object(&selector).expect("well formed");
    assert_eq!(selector.to_string(), "a in (x,y),b=c,!d");
    assert_eq!(selector.requires_exact("b"), Some("c"));
    assert_eq!(selector.requires_exact("a"), None);
    assert!(LabelSelector::from_object(&json!({})).expect("empty").is_everything());
    let nothing = LabelSelector::from_object(&Value::Null).expect("absent");
    assert!(nothing.is_nothing() && !nothing.matches(|_| Some("x")));
    let odd = json!({"matchExpressions": [{"key": "a", "operator": "Gt", "values": ["1"]}]});
    let error = LabelSelector::from_object(&odd).expect_err("no such operator");
    assert_eq!(error.to_string(), "\"Gt\" is not a valid label selector operator");
    assert_eq!(LabelSelector::from_label_map(&json!({"b": "c", "a": "b"})).to_string(), "a=b,b=c");
}

#[test]
fn field_selectors_select() {
    let value = |field: &str| Cow::Borrowed(if field == "metadata.name" { "a,b=c\\" } else { "" });
    let cases = [
        ("", true),
        (r"metadata.name=a\,b\=c\\", true),
        (r"metadata.name==a\,b\=c\\", true),
        (r"metadata.name!=a\,b\=c\\", false),
        ("metadata.name=a", false),
        ("spec.x=", true),
        (",spec.x!=y,", true),
    ];
    for (text, expected) in cases {
        assert_eq!(FieldSelector::parse(text).expect(text).matches(value), expected, "{text}");
    }
    let selector = FieldSelector::parse(r"b=x\,y,a!=z").expect("well formed");
    assert_eq!(selector.to_string(), r"a!=z,b=x\,y");
    assert_eq!(selector.requires_exact("b"), Some("x,y"));
    assert_eq!(selector.requires_exact("a"), None);
}

#[test]
fn malformed_field_selectors_are_told_as_kubernetes_does() {
    let cases = [
        ("metadata.name", "invalid selector: 'metadata.name'; can't understand 'metadata.name'"),
        (
            "a=b,metadata.name in (a)",
            "invalid selector: 'a=b,metadata.name in (a)'; can't understand 'metadata.name in (a)'",
        ),
        (r"metadata.name=a\x", r"invalid field selector: invalid escape sequence: \x"),
        (r"metadata.name=a\", r"invalid field selector: invalid escape sequence: \"),
        ("a=b=c", "invalid field selector: unescaped character in value: 61"),
    ];
    for (text, expected) in cases {
        assert_eq!(FieldSelector::parse(text).expect_err(text).to_string(), expected);
    }
    let selector = FieldSelector::parse("data.k=v").expect("well formed");
    let known = |field: &str| field == "metadata.name";
    let error = selector.require_fields(known, FieldWording::Default).expect_err("unknown field");
    assert_eq!(
        error.to_string(),
        "\"data.k\" is not a known field selector: only \"metadata.name\", \"metadata.namespace\""
    );
    let error = selector.require_fields(known, FieldWording::Own).expect_err("unknown field");
    assert_eq!(error.to_string(), "field label not supported: data.k");
}
