//! Patterns that match, patterns that do not, and those that are refused.

use super::{Pattern, check};

fn check_match(pattern: &str, matching: &[&str], other: &[&str]) {
    let compiled = Pattern::new(pattern);
    for text in matching {
        assert_eq!(compiled.is_match(text), Ok(true), "{pattern} should match {text:?}");
    }
    for text in other {
        assert_eq!(compiled.is_match(text), Ok(false), "{pattern} should not match {text:?}");
    }
}

#[test]
fn expressions_mean_what_they_mean_in_go() {
    check_match("^[a-z0-9]([-a-z0-9]*[a-z0-9])?$", &["a", "a-b"], &["-a", "A", "a\n"]);
    check_match(r"^\d+$", &["12"], &["١٢", "a"]);
    check_match(r"^\w\W$", &["a!"], &["é!", "ab"]);
    check_match(r"^[\w-]+$", &["a-b_c"], &["ä"]);
    check_match(r"^[^\D]$", &["7"], &["x"]);
    check_match(r"^\s$", &[" ", "\t"], &["\u{a0}", "\u{b}"]);
    check_match(r"\bfoo\b", &["a foo b", "éfoo"], &["afoo"]);
    check_match(r"a\Bb", &["ab"], &["a b"]);
    check_match("^{.*}$", &["{x}"], &["x"]);
    check_match("^a{,2}$", &["a{,2}"], &["aa"]);
    check_match("^a{2}$", &["aa"], &["a", "aaa"]);
    check_match("^[a&&b]$", &["&", "b"], &["c"]);
    check_match("^[+--]$", &["+", ",", "-"], &["."]);
    check_match("^[[a]$", &["[", "a"], &["]"]);
    check_match("^[]a]$", &["]", "a"], &["b"]);
    check_match("^[a-]$", &["-", "a"], &["b"]);
    check_match("^[[:alpha:]_]+$", &["ab_"], &["é"]);
    check_match(r"^\pL+$", &["añ"], &["1"]);
    check_match(r"^\p{Greek}\P{Greek}\p{^Greek}$", &["αab"], &["aαb"]);
    check_match(r"^\Qa.b\E$", &["a.b"], &["axb"]);
    check_match(r"^\x41\x{e9}\101\.$", &["AéA."], &["AeA."]);
    check_match(r"^(?i)abc(?-i:D)$", &["ABcD"], &["abcd"]);
    check_match("^(?P<x>a|)(?<y>b)$", &["ab", "b"], &["a"]);
    check_match("a<b>#&~ c", &["a<b>#&~ c"], &["abc"]);
    check_match("^(?:a+?){2,3}$", &["aaa"], &["a"]);
    check_match("^.$", &["é"], &["\n", "ab"]);
}

fn check_fault(pattern: &str, fault: &str) {
    assert_eq!(check(pattern), Err(format!("error parsing regexp: {fault}")), "{pattern}");
}

#[test]
fn faults_are_told_in_the_words_of_go() {
    check_fault("(", "missing closing ): `(`");
    check_fault("a)", "unexpected ): `a)`");
    check_fault("a[b", "missing closing ]: `[b`");
    check_fault("*", "missing argument to repetition operator: `*`");
    check_fault("a|+", "missing argument to repetition operator: `+`");
    check_fault("(?i)+?", "missing argument to repetition operator: `+?`");
    check_fault("a**", "invalid nested repetition operator: `**`");
    check_fault("a{2}{3}", "invalid nested repetition operator: `{2}{3}`");
    check_fault("a{1001}", "invalid repeat count: `{1001}`");
    check_fault("a{3,2}", "invalid repeat count: `{3,2}`");
    check_fault("(a{40}){40}", "invalid repeat count: `{40}`");
    check_fault("[z-a]", "invalid character class range: `z-a`");
    check_fault(r"\pX", r"invalid character class range: `\pX`");
    check_fault(r"\p{Klingon}", r"invalid character class range: `\p{Klingon}`");
    check_fault("[[:foo:]]", "invalid character class range: `[:foo:]`");
    check_fault(r"\8", r"invalid escape sequence: `\8`");
    check_fault(r"(a)\1", r"invalid escape sequence: `\1`");
    check_fault(r"\Z", r"invalid escape sequence: `\Z`");
    check_fault(r"\x4", r"invalid escape sequence: `\x4`");
    check_fault("\\", "trailing backslash at end of expression: ``");
    check_fault("(?=a)", "invalid or unsupported Perl syntax: `(?=`");
    check_fault("(?x)a", "invalid or unsupported Perl syntax: `(?x`");
    check_fault("(?<=a)b", "invalid named capture: `(?<=a)b`");
    check_fault("(?P<a b>c)", "invalid named capture: `(?P<a b>`");
}

#[test]
fn expressions_that_would_take_too_much_memory_are_refused() {
    check_fault(r"\pL{999}", r"expression too large: `\pL{999}`");
    assert!(check(&"(".repeat(2000)).is_err());
    assert!(check(&format!("{}a{}", "(".repeat(900), ")".repeat(900))).is_ok());
    assert!(check("^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$").is_ok_and(|size| size < 16 << 10));
}

#[test]
fn a_match_that_would_take_too_long_is_refused() {
    let pattern = Pattern::new("(?:a.{90}){8}x");
    assert_eq!(pattern.is_match("a"), Ok(false));
    assert!(pattern.is_match(&"a".repeat(4 << 20)).is_err());
}
