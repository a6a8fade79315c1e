//! Tests of the stand-ins' flags and links. That whole suites run on them is tested with Go, in `tests/e2e/envtest`.

use super::flags::{Asked, Flag, heeded, passed_over, read, refused};
use super::*;

const FLAGS: &[Flag] = &[
    heeded("port", "a port"),
    heeded("mode", "a mode"),
    passed_over("store", "why"),
    refused("login", "there is none"),
];

fn given(arguments: &[&str]) -> Asked {
    let arguments: Vec<String> = arguments.iter().map(|argument| (*argument).to_owned()).collect();
    read(FLAGS, &arguments).expect("accepted")
}

#[test]
fn flags_are_read_as_go_programs_read_them() {
    let Asked::Run(flags) = given(&["--port=1", "--mode", "RBAC,Node", "--store=x", "--port=2", "--mode=Own", "--new"])
    else {
        panic!("it was to run")
    };
    assert_eq!(flags.last("port"), Some("2"));
    assert_eq!(flags.list("mode"), ["RBAC", "Node", "Own"]);
    assert_eq!(flags.passed_over, ["--store changes nothing: why", "--new changes nothing: Atoll knows no such flag"]);
    assert_eq!(given(&["--port=1", "--help"]), Asked::Help);
    assert_eq!(given(&["--version"]), Asked::Version);
}

#[test]
fn what_would_make_a_test_mean_something_else_is_refused() {
    let told = read(FLAGS, &["--login=x".to_owned()]).expect_err("refused").to_string();
    assert_eq!(told, "--login cannot be honoured: there is none; leave it out");
    assert!(read(FLAGS, &["serve".to_owned()]).is_err());
}

#[test]
fn the_help_can_be_looked_through_for_flags() {
    let help = flags::help(FLAGS);
    assert!(help.lines().any(|line| line.trim_start().starts_with("--port ")), "{help}");
}

#[test]
fn the_name_of_the_process_says_what_it_stands_in_for() {
    let called = |name: &str| Program::called(OsStr::new(name));
    assert_eq!(called("/assets/kube-apiserver"), Some(Program::ApiServer));
    assert_eq!(called("etcd"), Some(Program::Etcd));
    assert_eq!(called("/usr/bin/atoll"), None);
}

#[test]
fn links_are_replaced_and_programs_are_not() {
    let dir = tempfile::tempdir().expect("a directory");
    let (at, program) = (dir.path().join("etcd"), dir.path().join("atoll"));
    std::fs::write(&program, "").expect("written");
    for _ in 0..2 {
        link(&program, &at).expect("linked");
        assert_eq!(std::fs::read_link(&at).expect("a link"), program);
    }
    std::fs::remove_file(&at).expect("removed");
    std::fs::write(&at, "somebody's").expect("written");
    assert!(link(&program, &at).is_err());
    assert_eq!(std::fs::read_to_string(&at).expect("there"), "somebody's");
}
