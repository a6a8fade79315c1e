//! Options, against texts recorded from kube-apiserver 1.36.

use serde_json::{Value, json};

use super::*;

fn check<T: std::fmt::Debug>(result: ApiResult<T>, code: u16, message: &str) {
    let error = result.expect_err(message);
    assert_eq!((error.status.code, error.status.message.as_str()), (code, message));
}

#[test]
fn list_options_are_read() {
    let query = "labelSelector=a%3Db&fieldSelector=metadata.name%3Dx&watch=1&allowWatchBookmarks=true&resourceVersion=5\
                 &timeoutSeconds=7&limit=500&continue=t&limit=9";
    let options = ListOptions::from_query(&Query::parse(query)).expect("well formed");
    assert_eq!(options.label_selector.to_string(), "a=b");
    assert_eq!(options.field_selector.to_string(), "metadata.name=x");
    assert!(options.watch && options.allow_bookmarks);
    assert_eq!((options.resource_version.as_str(), options.continue_token.as_str()), ("5", "t"));
    assert_eq!((options.timeout_seconds, options.limit, options.send_initial_events), (Some(7), 500, None));
    let options = ListOptions::from_query(&Query::parse("limit=-1")).expect("a negative limit is none");
    assert_eq!((options.limit, options.watch, options.resource_version_match), (0, false, None));
}

#[test]
fn a_watch_from_nowhere_begins_with_what_is_there() {
    let cases = [
        ("watch=1", Some(true)),
        ("watch=1&resourceVersion=0", Some(true)),
        ("watch=1&resourceVersion=5", None),
        ("watch=1&resourceVersionMatch=NotOlderThan&sendInitialEvents=false", Some(false)),
        ("resourceVersion=0", None),
    ];
    for (query, expected) in cases {
        let options = ListOptions::from_query(&Query::parse(query)).expect(query);
        assert_eq!(options.send_initial_events, expected, "{query}");
        assert_eq!(options.resource_version_match, expected.map(|_| VersionMatch::NotOlderThan), "{query}");
    }
}

#[test]
fn list_options_that_contradict_each_other_are_refused() {
    let invalid = |what: &str| format!("ListOptions.meta.k8s.io \"\" is invalid: {what}");
    let requires =
        "resourceVersionMatch: Forbidden: sendInitialEvents requires setting resourceVersionMatch to NotOlderThan";
    let forbidden = "resourceVersionMatch: Forbidden: resourceVersionMatch is forbidden for watch unless sendInitialEvents is provided";
    let unsupported = "resourceVersionMatch: Unsupported value: \"Exact\": supported values: \"NotOlderThan\"";
    let cases = [
        ("watch=1&resourceVersionMatch=NotOlderThan", invalid(forbidden)),
        ("watch=1&resourceVersion=1&resourceVersionMatch=Exact", invalid(&format!("[{forbidden}, {unsupported}]"))),
        ("watch=1&sendInitialEvents=true", invalid(requires)),
        (
            "watch=1&sendInitialEvents=1&resourceVersionMatch=Exact&resourceVersion=1",
            invalid(&format!("[{requires}, {unsupported}]")),
        ),
        ("sendInitialEvents=1", invalid("sendInitialEvents: Forbidden: sendInitialEvents is forbidden for list")),
        (
            "resourceVersionMatch=Exact",
            invalid(
                "resourceVersionMatch: Forbidden: resourceVersionMatch is forbidden unless resourceVersion is provided",
            ),
        ),
        (
            "resourceVersionMatch=Exact&resourceVersion=0",
            invalid(
                "resourceVersionMatch: Forbidden: resourceVersionMatch \"exact\" is forbidden for resourceVersion \"0\"",
            ),
        ),
        (
            "resourceVersionMatch=Exact&resourceVersion=1&continue=x",
            invalid("resourceVersionMatch: Forbidden: resourceVersionMatch is forbidden when continue is provided"),
        ),
        (
            "resourceVersionMatch=Odd&resourceVersion=1",
            invalid(
                "resourceVersionMatch: Unsupported value: \"Odd\": supported values: \"Exact\", \"NotOlderThan\", \"\"",
            ),
        ),
    ];
    for (query, message) in cases {
        check(ListOptions::from_query(&Query::parse(query)), 422, &message);
    }
    let malformed = [
        ("limit=x", "strconv.ParseInt: parsing \"x\": invalid syntax"),
        ("limit=", "strconv.ParseInt: parsing \"\": invalid syntax"),
        (
            "timeoutSeconds=99999999999999999999",
            "strconv.ParseInt: parsing \"99999999999999999999\": value out of range",
        ),
        ("labelSelector=a+in+b", "unable to parse requirement: found 'b' expected: '('"),
        ("fieldSelector=metadata.name", "invalid selector: 'metadata.name'; can't understand 'metadata.name'"),
    ];
    for (query, message) in malformed {
        check(ListOptions::from_query(&Query::parse(query)), 400, message);
    }
}

#[test]
fn resource_versions_are_unsigned_integers() {
    assert_eq!(parse_resource_version("").ok(), Some(ResourceVersion(0)));
    assert_eq!(parse_resource_version("12").ok(), Some(ResourceVersion(12)));
    for (text, why) in
        [("abc", "invalid syntax"), ("-1", "invalid syntax"), ("18446744073709551616", "value out of range")]
    {
        let expected =
            format!("resourceVersion: Invalid value: \"{text}\": strconv.ParseUint: parsing \"{text}\": {why}");
        assert_eq!(parse_resource_version(text).expect_err(text).to_string(), expected);
    }
}

#[test]
fn write_options_are_checked() {
    let options =
        WriteOptions::create_from_query(&Query::parse("dryRun=All&dryRun=All&fieldManager=m&fieldValidation=Strict"));
    let expected =
        WriteOptions { dry_run: true, field_manager: "m".into(), field_validation: Some(FieldValidation::Strict) };
    assert_eq!(options.expect("well formed"), expected);
    let cases = [
        (
            "dryRun=Maybe",
            "CreateOptions.meta.k8s.io \"\" is invalid: dryRun: Unsupported value: [\"Maybe\"]: supported values: \"All\"",
        ),
        (
            "fieldValidation=Loud",
            "CreateOptions.meta.k8s.io \"\" is invalid: fieldValidation: Unsupported value: \"Loud\": supported values: \"\", \"Ignore\", \"Strict\", \"Warn\"",
        ),
    ];
    for (query, message) in cases {
        check(WriteOptions::create_from_query(&Query::parse(query)), 422, message);
    }
    let long = format!("fieldManager={}", "a".repeat(129));
    let message = "UpdateOptions.meta.k8s.io \"\" is invalid: fieldManager: Too long: may not be more than 128 bytes";
    check(WriteOptions::update_from_query(&Query::parse(&long)), 422, message);
}

#[test]
fn patch_options_are_checked_by_style() {
    let options = PatchOptions::from_query(&Query::parse("fieldManager=m&force=true"), PatchStyle::Apply);
    assert!(options.expect("well formed").force);
    let message =
        "PatchOptions.meta.k8s.io \"\" is invalid: force: Forbidden: may not be specified for non-apply patch";
    check(PatchOptions::from_query(&Query::parse("force=false"), PatchStyle::Other), 422, message);
    let message = "PatchOptions.meta.k8s.io \"\" is invalid: fieldManager: Required value: is required for apply patch";
    check(PatchOptions::from_query(&Query::parse(""), PatchStyle::Apply), 422, message);
}

#[test]
fn delete_options_are_read_from_query_and_body() {
    let query = "gracePeriodSeconds=7&uid=u&resourceVersion=5&propagationPolicy=Orphan&dryRun=All";
    let body = json!({"kind": "DeleteOptions", "apiVersion": "policy/v1", "gracePeriodSeconds": 7, "dryRun": ["All"],
        "preconditions": {"uid": "u", "resourceVersion": "5"}, "propagationPolicy": "Orphan", "odd": 1});
    let expected = DeleteOptions {
        grace_period_seconds: Some(7),
        preconditions: Some(Preconditions { uid: Some("u".into()), resource_version: Some("5".into()) }),
        propagation_policy: Some(Propagation::Orphan),
        dry_run: true,
        ..DeleteOptions::default()
    };
    assert_eq!(DeleteOptions::from_query(&Query::parse(query)).expect("well formed"), expected);
    assert_eq!(DeleteOptions::from_body(&body).expect("well formed"), expected);
    assert_eq!(DeleteOptions::from_body(&json!({})).expect("well formed"), DeleteOptions::default());
    let old = DeleteOptions::from_body(&json!({"orphanDependents": false})).expect("well formed");
    assert_eq!(old.propagation(), Some(Propagation::Background));
}

#[test]
fn malformed_delete_options_are_refused() {
    let unsupported = "DeleteOptions.meta.k8s.io \"\" is invalid: propagationPolicy: Unsupported value: \"Sideways\": supported values: \"Foreground\", \"Background\", \"Orphan\", \"nil\"";
    let cases: [(Value, u16, &str); 8] = [
        (
            json!({"kind": "ConfigMap", "apiVersion": "v1"}),
            400,
            "no kind \"ConfigMap\" is registered for version \"v1\" in scheme \"k8s.io/apimachinery/pkg/apis/meta/internalversion/scheme/register.go:27\"",
        ),
        (
            json!({"gracePeriodSeconds": "five"}),
            400,
            "json: cannot unmarshal string into Go struct field DeleteOptions.gracePeriodSeconds of type int64",
        ),
        (
            json!({"gracePeriodSeconds": 1.5}),
            400,
            "json: cannot unmarshal number 1.5 into Go struct field DeleteOptions.gracePeriodSeconds of type int64",
        ),
        (
            json!({"preconditions": []}),
            400,
            "json: cannot unmarshal array into Go struct field DeleteOptions.preconditions of type v1.Preconditions",
        ),
        (json!([]), 400, "json: cannot unmarshal array into Go value of type v1.DeleteOptions"),
        (json!({"propagationPolicy": "Sideways"}), 422, unsupported),
        (
            json!({"propagationPolicy": "Orphan", "orphanDependents": true}),
            422,
            "DeleteOptions.meta.k8s.io \"\" is invalid: propagationPolicy: Invalid value: \"Orphan\": orphanDependents and deletionPropagation cannot be both set",
        ),
        (
            json!({"dryRun": ["Some"]}),
            422,
            "DeleteOptions.meta.k8s.io \"\" is invalid: dryRun: Unsupported value: [\"Some\"]: supported values: \"All\"",
        ),
    ];
    for (body, code, message) in cases {
        check(DeleteOptions::from_body(&body), code, message);
    }
    check(DeleteOptions::from_query(&Query::parse("propagationPolicy=Sideways")), 422, unsupported);
    let message = "strconv.ParseInt: parsing \"abc\": invalid syntax";
    check(DeleteOptions::from_query(&Query::parse("gracePeriodSeconds=abc")), 400, message);
}

#[test]
fn what_goes_with_a_row_is_one_of_three() {
    for (query, expected) in [
        ("", IncludeObject::Metadata),
        ("includeObject=None", IncludeObject::None),
        ("includeObject=Object", IncludeObject::Object),
    ] {
        assert_eq!(IncludeObject::from_query(&Query::parse(query)).expect(query), expected);
    }
    let message = "Unable to convert to Table as requested: includeObject: Invalid value: \"Bad\": must be 'Metadata', 'Object', 'None', or empty";
    check(IncludeObject::from_query(&Query::parse("includeObject=Bad")), 400, message);
}
