//! Negotiation, against answers recorded from kube-apiserver 1.36.

use super::*;
use crate::codec::noise::damaged;

const CUSTOM: ObjectOffer<'_> = ObjectOffer { encodings: &[Encoding::Json, Encoding::Yaml] };
const BUILT_IN: ObjectOffer<'_> = ObjectOffer { encodings: ENCODINGS };

fn check(accept: &str, offer: &dyn Offer, encoding: Encoding, shape: Shape) {
    let found = negotiate(accept, offer).expect(accept);
    assert_eq!((found.encoding, found.shape()), (encoding, shape), "{accept}");
}

#[test]
fn answers_are_written_as_clients_want_them() {
    let (v1, v1beta1) = (MetaVersion::V1, MetaVersion::V1beta1);
    let table = "application/json;as=Table;v=v1;g=meta.k8s.io";
    for (accept, encoding, shape) in [
        ("", Encoding::Json, Shape::Plain),
        ("*/*", Encoding::Json, Shape::Plain),
        ("*", Encoding::Json, Shape::Plain),
        ("application/*", Encoding::Json, Shape::Plain),
        ("application/yaml", Encoding::Yaml, Shape::Plain),
        ("application/xml, application/yaml;q=0.5", Encoding::Yaml, Shape::Plain),
        ("application/json;q=0.1, application/yaml;q=0.2", Encoding::Yaml, Shape::Plain),
        ("*/*, application/yaml", Encoding::Yaml, Shape::Plain),
        ("application/vnd.kubernetes.protobuf, application/json", Encoding::Protobuf, Shape::Plain),
        (table, Encoding::Json, Shape::Table(v1)),
        ("application/json;as=Table;v=v1beta1;g=meta.k8s.io,application/json", Encoding::Json, Shape::Table(v1beta1)),
        ("application/yaml;as=Table;v=v1;g=meta.k8s.io", Encoding::Yaml, Shape::Table(v1)),
        (
            "application/vnd.kubernetes.protobuf;as=Table;v=v1;g=meta.k8s.io,application/json",
            Encoding::Json,
            Shape::Plain,
        ),
        (
            "application/json;as=PartialObjectMetadataList;v=v1;g=meta.k8s.io;q=0.9,application/json;q=0.1",
            Encoding::Json,
            Shape::PartialList(v1),
        ),
        (
            "application/vnd.kubernetes.protobuf;as=PartialObjectMetadata;g=meta.k8s.io;v=v1",
            Encoding::Protobuf,
            Shape::Partial(v1),
        ),
    ] {
        check(accept, &BUILT_IN, encoding, shape);
    }
    let fallback = "application/vnd.kubernetes.protobuf,application/json";
    check(fallback, &CUSTOM, Encoding::Json, Shape::Plain);
    let metadata = "application/vnd.kubernetes.protobuf;as=PartialObjectMetadata;g=meta.k8s.io;v=v1";
    check(metadata, &CUSTOM, Encoding::Protobuf, Shape::Partial(v1));
}

#[test]
fn what_is_not_offered_is_refused() {
    let message = "only the following media types are accepted: application/json, application/yaml, application/vnd.kubernetes.protobuf";
    for accept in [
        "application/xml",
        "json",
        "application/json/x",
        "application/json;as=Table;v=v9;g=meta.k8s.io",
        "application/json;as=Chair;v=v1;g=meta.k8s.io",
        "application/json;stream=other",
        "application/yaml;stream=watch",
    ] {
        let error = negotiate(accept, &BUILT_IN).expect_err(accept);
        assert_eq!((error.status.code, error.status.message.as_str()), (406, message), "{accept}");
    }
    assert!(negotiate("application/vnd.kubernetes.protobuf", &CUSTOM).is_err());
    assert!(negotiate("application/json;as=Table;v=v1;g=meta.k8s.io", &PlainOffer).is_err());
    assert_eq!(negotiate_status("application/vnd.kubernetes.protobuf").encoding, Encoding::Protobuf);
    assert_eq!(negotiate_status("application/yaml;as=Table;v=v1;g=meta.k8s.io").encoding, Encoding::Json);
}

#[test]
fn watches_stream_json_or_protobuf() {
    for (accept, content_type) in [
        ("application/json;stream=watch", "application/json"),
        ("application/json", "application/json"),
        ("application/vnd.kubernetes.protobuf;stream=watch", "application/vnd.kubernetes.protobuf;stream=watch"),
        ("application/vnd.kubernetes.protobuf", "application/vnd.kubernetes.protobuf;stream=watch"),
    ] {
        let found = negotiate_stream(accept, &BUILT_IN).expect(accept);
        assert_eq!(found.encoding.stream_content_type(), content_type, "{accept}");
    }
    let error = negotiate_stream("application/yaml", &BUILT_IN).expect_err("no such stream");
    let message = "only the following media types are accepted: application/json;stream=watch, application/vnd.kubernetes.protobuf;stream=watch";
    assert_eq!(error.status.message, message);
}

#[test]
fn routes_know_whole_media_types() {
    let produces = ["application/json", "application/yaml", "application/json;stream=watch"];
    for accept in ["", "*/*", "application/xml, application/json;q=0.1", "application/yaml;as=Table"] {
        assert!(check_route(accept, &produces).is_ok(), "{accept}");
    }
    for accept in ["application/xml", "application/*"] {
        let error = check_route(accept, &produces).expect_err(accept);
        let expected = "406: Not Acceptable\n\nAvailable representations: application/json, application/yaml, application/json;stream=watch";
        assert_eq!(error.status.message, expected);
    }
}

#[test]
fn bodies_are_read_by_their_content_type() {
    for (content_type, encoding) in [
        ("", Encoding::Json),
        ("application/json; charset=utf-8", Encoding::Json),
        ("Application/JSON", Encoding::Json),
        ("application/yaml", Encoding::Yaml),
        ("application/vnd.kubernetes.protobuf", Encoding::Protobuf),
    ] {
        assert_eq!(body_encoding(content_type).expect(content_type), encoding);
    }
    let message = "the body of the request was in an unknown format - accepted media types include: application/json, application/yaml, application/vnd.kubernetes.protobuf";
    for content_type in ["text/plain", "application/xml", "application/merge-patch+json"] {
        let error = body_encoding(content_type).expect_err(content_type);
        assert_eq!((error.status.code, error.status.message.as_str()), (415, message));
    }
}

#[test]
fn people_get_indented_text() {
    for (query, agent, pretty) in [
        ("", "kubectl/v1.36", false),
        ("", "curl/8", true),
        ("pretty=1", "kubectl/v1.36", true),
        ("pretty=0", "curl/8", false),
        ("pretty", "curl/8", true),
    ] {
        assert_eq!(wants_pretty(&Query::parse(query), agent), pretty, "{query} {agent}");
    }
    assert!(negotiate("application/json;pretty=1", &BUILT_IN).expect("offered").pretty);
}

#[test]
fn long_headers_cost_little() {
    let header = "*/*;q=0.1,a/b;q=0.2,".repeat(100_000);
    assert_eq!(parse_accept(&header).len(), 64);
}

#[test]
fn damaged_headers_never_panic() {
    let sample = "application/json;as=Table;v=v1;g=meta.k8s.io;q=0.9, */*; q=0.1,text/*;a=b=c";
    for bytes in damaged(sample.as_bytes(), 5_000) {
        let header = String::from_utf8_lossy(&bytes);
        let _ = negotiate(&header, &BUILT_IN);
        let _ = body_encoding(&header);
    }
}
