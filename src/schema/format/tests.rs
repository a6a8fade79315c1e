//! Values each string format takes and refuses.

use super::{is_known_for, matches};
use crate::schema::SchemaType;

fn check(format: &str, good: &[&str], bad: &[&str]) {
    for text in good {
        assert!(matches(format, text), "{text:?} should be a {format}");
    }
    for text in bad {
        assert!(!matches(format, text), "{text:?} should not be a {format}");
    }
}

#[test]
fn times_and_durations() {
    check(
        "date",
        &["2024-02-29", "0000-01-01"],
        &["2023-02-29", "2024-13-01", "2024-1-1", "24-01-01", "", "2024-01-011"],
    );
    check(
        "date-time",
        &[
            "2024-01-02T03:04:05Z",
            "2024-01-02t03:04:05.123456z",
            "2024-01-02T03:04:05+01:00",
            "2024-01-02T23:59:59.1-12:00",
        ],
        &[
            "2024-01-02",
            "2024-01-02T24:00:00Z",
            "2024-01-02T03:04:05",
            "2024-01-02T03:04:60Z",
            "2024-01-02T03:04:05.Z",
            "T",
        ],
    );
    check(
        "duration",
        &[
            "1h30m",
            "0",
            "-1.5s",
            "100ms",
            "2 days",
            "22 ns",
            "1 Week and 2 hours",
            "3us",
            "+.5h",
            "1.2.3s",
            "300000000h",
        ],
        &["", "1", "1x", "h", "99999999999999999999 days", "."],
    );
}

#[test]
fn names_and_addresses() {
    check("ipv4", &["10.0.0.1", "010.001.0.255", "::ffff:1.2.3.4"], &["10.0.0", "256.0.0.1", "::1", "1.2.3.4.5", ""]);
    check("ipv6", &["::1", "fe80::1:2", "::ffff:1.2.3.4"], &["1.2.3.4", "fe80::1%eth0", ":::"]);
    check(
        "cidr",
        &["10.0.0.0/8", "::/0", "01.2.3.4/32", "fd00::/128"],
        &["10.0.0.0", "10.0.0.0/33", "::/129", "x/8", "10.0.0.0/"],
    );
    check(
        "mac",
        &["00:1b:44:11:3a:b7", "00-1B-44-11-3A-B7", "001b.4411.3ab7", "02:00:5e:10:00:00:00:01"],
        &["00:1b:44:11:3a", "00:1b-44:11:3a:b7", "001b44113ab7", "00:1b:44:11:3a:bg"],
    );
    check(
        "hostname",
        &["a", "a-b", "example.com", "a-b.c-d.example", "bücher.de"],
        &["", "ab-c", "-a", "a-.com", "a.b", "a_b.com", "example.c0m", "a..com"],
    );
    check("k8s-short-name", &["a", "a-1", "1"], &["A", "-a", "a.b", ""]);
    check("k8s-long-name", &["a.b-c", "1"], &["a..b", "A.b", ""]);
    check(
        "uri",
        &["https://example.com/a?b=%zz", "/a/b", "mailto:a@b.c", "http://u:p@[::1]:80/", "urn:x:y", "*"],
        &["", "example.com/a", ":x", "http://a b/", "http://a:b/", "/%zz", "http://[::1/", "a\u{1}"],
    );
    check(
        "email",
        &["a@b.c", "Bob <bob@example.com>", "\"a b\"@c.d", "a@[127.0.0.1]", "a@b (comment)", "\"Q, R\" <q@r>"],
        &["", "a", "a@", "@b", "a b@c", "a..b@c", "a@b@c@", "<a@b", "a@b (open"],
    );
}

#[test]
fn codes() {
    check("byte", &["YQ==", "YWI=", "YWJj"], &["", "YQ", "Y===", "YQ=", "Y Q="]);
    check(
        "uuid",
        &["0a0b0c0d-0000-4000-8000-000000000001", "0A0B0C0D000040008000000000000001"],
        &["0a0b0c0d", "0a0b0c0d-0000-4000-8000-00000000000g", ""],
    );
    check(
        "uuid4",
        &["0a0b0c0d-0000-4000-8000-000000000001"],
        &["0a0b0c0d-0000-3000-8000-000000000001", "0a0b0c0d-0000-4000-c000-000000000001"],
    );
    check("uuid3", &["0a0b0c0d-0000-3000-c000-000000000001"], &["0a0b0c0d-0000-4000-8000-000000000001"]);
    check("isbn", &["0321751043", "978-0321751041", "0-9752298-0-X"], &["0321751044", "978-0321751042", ""]);
    check("isbn13", &["9780321751041"], &["0321751043"]);
    check(
        "creditcard",
        &["4111-1111-1111-1111", "5555 5555 5555 4444", "378282246310005"],
        &["4111111111111112", "1234567812345670", ""],
    );
    check("ssn", &["111-22-3333", "111 22 3333"], &["111223333", "111-22-333a"]);
    check("hexcolor", &["#FFF", "a0b1c2"], &["#ff", "#ggg"]);
    check(
        "rgbcolor",
        &["rgb(0, 128,255)", "rgb( 1 , 2 , 3 )"],
        &["rgb(0,0)", "rgb(256,0,0)", "rgb(01,0,0)", "rgb(,,)"],
    );
    check("bsonobjectid", &["507f1f77bcf86cd799439011"], &["507f1f77bcf86cd79943901", "z07f1f77bcf86cd799439011"]);
    check("password", &["", "anything"], &[]);
}

#[test]
fn formats_that_nobody_knows_are_passed_over() {
    assert!(matches("no-such-format", "x"));
    for (format, kind, known) in [
        ("date-time", None, true),
        ("uuid", Some(SchemaType::String), true),
        ("int32", Some(SchemaType::Integer), true),
        ("int32", Some(SchemaType::String), false),
        ("int32", Some(SchemaType::Number), false),
        ("double", Some(SchemaType::Number), true),
        ("quantity", Some(SchemaType::String), false),
        ("uuid", Some(SchemaType::Object), false),
    ] {
        assert_eq!(is_known_for(format, kind), known, "{format} {kind:?}");
    }
}
