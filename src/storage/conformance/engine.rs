//! What every engine does, asked of the engine itself.

use std::collections::BTreeSet;
use std::sync::{Arc, Weak};

use bytes::Bytes;

use super::{Recorder, Subject, key, load, pod};
use crate::storage::{
    Action, Backend, Change, ChangeSink, CommitError, Expect, Guard, Key, KeyRange, MAX_TXN_BYTES, MAX_TXN_CHECKS,
    StopCause, SubscribeError, Txn,
};

fn put(path: &str, text: &str) -> Txn {
    Txn::one(pod(path), Expect::Any, Action::Put(Bytes::copy_from_slice(text.as_bytes())))
}

fn sink(recorder: &Arc<Recorder>) -> Weak<dyn ChangeSink> {
    let weak: Weak<Recorder> = Arc::downgrade(recorder);
    weak
}

async fn subscribe(backend: &dyn Backend, after: u64) -> Arc<Recorder> {
    let recorder = Arc::new(Recorder::after(after));
    backend.subscribe(after, sink(&recorder)).await.unwrap();
    recorder
}

/// `key=value` of all records.
async fn content(backend: &dyn Backend) -> Vec<String> {
    let (_, records) = load(backend).await;
    records.iter().map(|r| format!("{}/{}={}", r.key.cluster, r.key.name, String::from_utf8_lossy(&r.value))).collect()
}

fn range(resource: &str, cluster: &str) -> KeyRange {
    let key = key(resource, &format!("{cluster}/n/x"));
    KeyRange::cluster(&key.resource, &key.cluster)
}

/// An empty store is at revision 1, or little more where the engine keeps notes, and holds nothing.
pub async fn an_empty_store_is_at_its_first_revision(subject: Subject) {
    let revision = subject.backend.revision().await.unwrap();
    assert!((1..=2).contains(&revision));
    assert_eq!(load(&*subject.backend).await, (revision, vec![]));
}

/// What was put is loaded, with the revision that put it; what was deleted is not.
pub async fn what_was_put_is_loaded(subject: Subject) {
    let backend = &*subject.backend;
    let first = backend.commit(put("a/n/x", "1")).await.unwrap();
    let second = backend.commit(put("a/n/y", "2")).await.unwrap();
    let third = backend.commit(put("a/n/x", "3")).await.unwrap();
    backend.commit(Txn::delete(pod("a/n/y"), second)).await.unwrap();
    assert!(1 < first && first < second && second < third);
    let (revision, records) = load(backend).await;
    assert!(revision > third && revision == backend.revision().await.unwrap());
    assert_eq!(records.len(), 1);
    assert_eq!((&records[0].key, &records[0].value[..], records[0].revision), (&pod("a/n/x"), &b"3"[..], third));
}

/// Each expectation against a key that is there, was there, or never was.
pub async fn expectations_decide(subject: Subject) {
    let backend = &*subject.backend;
    let old = backend.commit(put("a/n/there", "1")).await.unwrap();
    let now = backend.commit(put("a/n/there", "2")).await.unwrap();
    let gone = backend.commit(put("a/n/gone", "1")).await.unwrap();
    backend.commit(Txn::delete(pod("a/n/gone"), gone)).await.unwrap();
    let (there, gone_key, never) = (pod("a/n/there"), pod("a/n/gone"), pod("a/n/never"));
    let (is_at_now, is_absent) = (Some(Some(now)), Some(None));
    // What a refusal says of the key; `None` is no refusal.
    let cases = [
        (&there, Expect::Absent, is_at_now),
        (&there, Expect::Revision(old), is_at_now),
        (&there, Expect::Revision(now + 1), is_at_now),
        (&there, Expect::Revision(now), None),
        (&there, Expect::Any, None),
        (&gone_key, Expect::Absent, None),
        (&gone_key, Expect::Revision(gone), is_absent),
        (&gone_key, Expect::Any, None),
        (&never, Expect::Absent, None),
        (&never, Expect::Revision(now), is_absent),
        (&never, Expect::Revision(0), is_absent),
        (&never, Expect::Any, None),
    ];
    for (key, expect, refusal) in cases {
        let outcome = match backend.commit(Txn::one(key.clone(), expect, Action::Check)).await {
            Ok(_) => None,
            Err(CommitError::Conflict { current, .. }) => Some(current),
            Err(other) => panic!("{key} {expect:?}: {other}"),
        };
        assert_eq!(outcome, refusal, "{key} {expect:?}");
    }
}

/// A conflict in the last operation leaves the others undone.
pub async fn a_conflict_names_the_operation_and_changes_nothing(subject: Subject) {
    let backend = &*subject.backend;
    let revision = backend.commit(put("a/n/x", "1")).await.unwrap();
    let txn = put("a/n/y", "1").and(pod("a/n/z"), Expect::Any, Action::Delete).and(
        pod("a/n/x"),
        Expect::Absent,
        Action::Put("2".into()),
    );
    let error = backend.commit(txn).await.unwrap_err();
    assert_eq!(error, CommitError::Conflict { index: 2, key: pod("a/n/x"), current: Some(revision) });
    assert_eq!(content(backend).await, ["a/x=1"]);
    assert_eq!(backend.revision().await.unwrap(), revision);
}

/// All operations of a transaction happen at one revision, also across resources and clusters.
pub async fn a_transaction_has_one_revision_and_happens_whole(subject: Subject) {
    let backend = &*subject.backend;
    let old = backend.commit(put("a/n/old", "1")).await.unwrap();
    let recorder = subscribe(backend, old).await;
    let secret = key("secrets", "b/n/x");
    let txn = put("a/n/x", "1")
        .and(secret.clone(), Expect::Absent, Action::Put("2".into()))
        .and(pod("a/n/old"), Expect::Revision(old), Action::Delete)
        .and(pod("a/n/check"), Expect::Absent, Action::Check);
    let revision = backend.commit(txn).await.unwrap();
    recorder.reach(revision).await;
    let expect = [
        Change { revision, key: pod("a/n/x"), value: Some("1".into()) },
        Change { revision, key: secret, value: Some("2".into()) },
        Change { revision, key: pod("a/n/old"), value: None },
    ];
    let changes = recorder.changes();
    assert!(changes.len() == 3 && expect.iter().all(|change| changes.contains(change)), "{changes:?}");
    assert!(load(backend).await.1.iter().all(|record| record.revision == revision));
}

/// Checks, and deletions of nothing, are no changes.
pub async fn what_changes_nothing_takes_no_revision(subject: Subject) {
    let backend = &*subject.backend;
    let revision = backend.commit(put("a/n/x", "1")).await.unwrap();
    let recorder = subscribe(backend, revision).await;
    let nothing = Txn::one(pod("a/n/x"), Expect::Revision(revision), Action::Check).and(
        pod("a/n/y"),
        Expect::Any,
        Action::Delete,
    );
    assert_eq!(backend.commit(nothing).await, Ok(revision));
    assert_eq!(backend.commit(Txn::default()).await, Ok(revision));
    let deleted = backend.delete_range(range("pods", "b"), 10, None).await.unwrap();
    assert_eq!((deleted.revision, deleted.deleted, deleted.more), (revision, 0, false));
    let next = backend.commit(put("a/n/x", "2")).await.unwrap();
    recorder.reach(next).await;
    assert_eq!(recorder.changes().len(), 1);
}

/// A key that appears twice, and a transaction that is too large.
pub async fn senseless_transactions_are_refused(subject: Subject) {
    let backend = &*subject.backend;
    let twice =
        put("a/n/x", "1").and(pod("a/n/y"), Expect::Any, Action::Check).and(pod("a/n/x"), Expect::Any, Action::Delete);
    assert!(matches!(backend.commit(twice).await, Err(CommitError::Malformed { index: 2, .. })));
    let mut checks = Txn::default();
    for number in 0..=MAX_TXN_CHECKS {
        checks = checks.and(pod(&format!("a/n/{number}")), Expect::Absent, Action::Check);
    }
    assert!(matches!(backend.commit(checks.clone()).await, Err(CommitError::Malformed { index: MAX_TXN_CHECKS, .. })));
    checks.ops.pop();
    backend.commit(checks).await.unwrap();
    let large = Txn::create(pod("a/n/x"), vec![b' '; MAX_TXN_BYTES]);
    assert!(matches!(backend.commit(large).await, Err(CommitError::TooLarge { limit: MAX_TXN_BYTES, .. })));
    backend.commit(Txn::create(pod("a/n/x"), vec![b' '; MAX_TXN_BYTES / 2])).await.unwrap();
    assert_eq!(load(backend).await.1.len(), 1);
}

/// Any key and any value come back as they were.
pub async fn odd_keys_and_values_survive(subject: Subject) {
    let backend = &*subject.backend;
    let names = ["x", "a/b", "%", "é", "-", "", "\0", "system:node", "\u{10ffff}"];
    let values: [&[u8]; 3] = [b"", b"\0\xff", b"{}"];
    for (index, name) in names.iter().enumerate() {
        let key = Key { name: (*name).into(), namespace: (*name).into(), ..pod("root:a/n/x") };
        backend.commit(Txn::create(key, values[index % 3])).await.unwrap();
    }
    let (_, records) = load(backend).await;
    for (index, name) in names.iter().enumerate() {
        let found = records.iter().find(|record| *record.key.name == **name).unwrap();
        assert_eq!((&*found.key.namespace, &found.value[..]), (*name, values[index % 3]));
    }
}

/// Every sink is told everything once, in order.
pub async fn changes_come_in_order_without_gaps(subject: Subject) {
    let backend = &subject.backend;
    let recorders = [subscribe(&**backend, 1).await, subscribe(&**backend, 1).await];
    let dropped = subscribe(&**backend, 1).await;
    drop(dropped);
    let writers = (0..8).map(|writer| {
        let backend = backend.clone();
        tokio::spawn(async move {
            let mut revisions = Vec::new();
            for number in 0..25 {
                revisions.push(backend.commit(put(&format!("c{writer}/n/{number}"), "1")).await.unwrap());
            }
            revisions
        })
    });
    let mut acknowledged = BTreeSet::new();
    for writer in futures::future::join_all(writers).await {
        acknowledged.extend(writer.unwrap());
    }
    assert_eq!(acknowledged.len(), 200, "no two transactions share a revision");
    for recorder in &recorders {
        recorder.reach(*acknowledged.last().unwrap()).await;
        let told: Vec<u64> = recorder.changes().iter().map(|change| change.revision).collect();
        assert_eq!(told, acknowledged.iter().copied().collect::<Vec<_>>());
    }
}

/// A subscription after a revision begins with what followed it.
pub async fn a_subscription_goes_on_where_it_is_asked_to(subject: Subject) {
    let backend = &*subject.backend;
    let (loaded, _) = load(backend).await;
    let mut revisions = Vec::new();
    for number in 0..5 {
        revisions.push(backend.commit(put("a/n/x", &number.to_string())).await.unwrap());
    }
    for (skip, after) in [loaded].iter().chain(&revisions).enumerate() {
        let recorder = subscribe(backend, *after).await;
        let last = backend.commit(put("b/n/x", "1")).await.unwrap();
        recorder.reach(last).await;
        let told: Vec<u64> = recorder.changes().iter().map(|change| change.revision).collect();
        assert_eq!(told[..5 - skip], revisions[skip..]);
    }
}

/// After a compaction, an engine either still knows what followed a revision or says that it does not.
pub async fn what_was_forgotten_is_not_pretended(subject: Subject) {
    let backend = &*subject.backend;
    let first = backend.commit(put("a/n/x", "1")).await.unwrap();
    let second = backend.commit(put("a/n/x", "2")).await.unwrap();
    backend.compact(second).await.unwrap();
    let recorder = Arc::new(Recorder::default());
    match backend.subscribe(1, sink(&recorder)).await {
        Ok(()) => {
            recorder.reach(second).await;
            let told: Vec<u64> = recorder.changes().iter().map(|change| change.revision).collect();
            assert_eq!(told, [first, second]);
        }
        Err(SubscribeError::Compacted { oldest }) => assert!(1 < oldest && oldest <= second),
        Err(other) => panic!("{other}"),
    }
    let recorder = subscribe(backend, second).await;
    let third = backend.commit(put("a/n/x", "3")).await.unwrap();
    recorder.reach(third).await;
    assert_eq!(recorder.changes().len(), 1);
    assert_eq!(content(backend).await, ["a/x=3"]);
}

/// Loading and subscribing while others commit gives every change exactly once.
pub async fn subscribing_amid_commits_loses_nothing(subject: Subject) {
    let backend = subject.backend.clone();
    let writer = tokio::spawn(async move {
        for number in 0..300 {
            backend.commit(put(&format!("a/n/{:03}", number % 50), &number.to_string())).await.unwrap();
        }
    });
    for _ in 0..10 {
        let (revision, mut records) = load(&*subject.backend).await;
        let recorder = subscribe(&*subject.backend, revision).await;
        let now = subject.backend.revision().await.unwrap();
        recorder.reach(now).await;
        let upto = recorder.revision();
        for change in recorder.changes().into_iter().filter(|change| change.revision <= upto) {
            assert!(change.revision > revision);
            records.retain(|record| record.key != change.key);
        }
        tokio::task::yield_now().await;
    }
    writer.await.unwrap();
    let recorder = subscribe(&*subject.backend, 1).await;
    recorder.reach(subject.backend.revision().await.unwrap()).await;
    assert_eq!(recorder.changes().len(), 300);
}

/// Many writers that compare and set one value lose no update.
pub async fn concurrent_updates_lose_nothing(subject: Subject) {
    const WRITERS: u64 = 8;
    const EACH: u64 = 20;
    let start = subject.backend.commit(put("a/n/x", "0")).await.unwrap();
    let writers = (0..WRITERS).map(|_| {
        let backend = subject.backend.clone();
        tokio::spawn(async move {
            let (mut revision, mut done) = (start, 0);
            while done < EACH {
                // The value is the count of updates; whoever wins the revision knows it by the revisions alone.
                match backend.commit(Txn::update(pod("a/n/x"), revision, revision.to_string())).await {
                    Ok(next) => (revision, done) = (next, done + 1),
                    Err(CommitError::Conflict { current: Some(current), .. }) => revision = current,
                    Err(other) => panic!("{other}"),
                }
            }
        })
    });
    futures::future::join_all(writers).await.into_iter().for_each(|writer| writer.unwrap());
    let recorder = subscribe(&*subject.backend, start).await;
    recorder.reach(subject.backend.revision().await.unwrap()).await;
    let changes = recorder.changes();
    assert_eq!(changes.len() as u64, WRITERS * EACH);
    let mut before = start;
    for change in changes {
        assert_eq!(change.value.unwrap(), before.to_string(), "each update saw the one before it");
        before = change.revision;
    }
}

/// A range goes in steps of a limit, each at one revision, each key a change.
pub async fn a_range_is_deleted_in_steps(subject: Subject) {
    let backend = &*subject.backend;
    for number in 0..7 {
        backend.commit(put(&format!("a/n/{number}"), "1")).await.unwrap();
    }
    let start = backend.commit(put("b/n/x", "1")).await.unwrap();
    let recorder = subscribe(backend, start).await;
    let mut steps = Vec::new();
    for _ in 0..4 {
        steps.push(backend.delete_range(range("pods", "a"), 3, None).await.unwrap());
    }
    assert_eq!(
        steps.iter().map(|s| (s.deleted, s.more)).collect::<Vec<_>>(),
        [(3, true), (3, true), (1, false), (0, false)]
    );
    recorder.reach(steps[2].revision).await;
    let told: Vec<(u64, String)> = recorder.changes().iter().map(|c| (c.revision, c.key.name.to_string())).collect();
    let expect: Vec<(u64, String)> = (0..7).map(|number| (steps[number / 3].revision, number.to_string())).collect();
    assert_eq!(told, expect);
    assert_eq!(content(backend).await, ["b/x=1"]);
}

/// Deleting one cluster's range spares clusters and resources whose names begin alike.
pub async fn ranges_do_not_reach_their_neighbours(subject: Subject) {
    let backend = &*subject.backend;
    for cluster in ["a", "a-b", "a:b", "a0", "b"] {
        backend.commit(put(&format!("{cluster}/n/x"), "1")).await.unwrap();
    }
    backend.commit(Txn::create(key("podsx", "a/n/x"), "1")).await.unwrap();
    assert_eq!(backend.delete_range(range("pods", "a"), 100, None).await.unwrap().deleted, 1);
    assert_eq!(content(backend).await.len(), 5);
}

/// A deletion that wants a key at a revision happens at that revision only.
pub async fn a_guarded_deletion_spares_all_when_the_guard_has_changed(subject: Subject) {
    let backend = &*subject.backend;
    let old = backend.commit(put("b/n/guard", "1")).await.unwrap();
    let now = backend.commit(put("b/n/guard", "2")).await.unwrap();
    backend.commit(put("a/n/x", "1")).await.unwrap();
    let guard = |revision| Some(Guard { key: pod("b/n/guard"), revision });
    let refused = backend.delete_range(range("pods", "a"), 10, guard(old)).await.unwrap_err();
    assert_eq!(refused, CommitError::Conflict { index: 0, key: pod("b/n/guard"), current: Some(now) });
    assert_eq!(content(backend).await, ["a/x=1", "b/guard=2"]);
    assert_eq!(backend.delete_range(range("pods", "a"), 10, guard(now)).await.unwrap().deleted, 1);
    backend.commit(Txn::delete(pod("b/n/guard"), now)).await.unwrap();
    backend.commit(put("a/n/x", "1")).await.unwrap();
    let refused = backend.delete_range(range("pods", "a"), 10, guard(now)).await.unwrap_err();
    assert_eq!(refused, CommitError::Conflict { index: 0, key: pod("b/n/guard"), current: None });
    assert_eq!(content(backend).await, ["a/x=1"]);
}

/// After closing, commits are refused and sinks were told once; closing again does nothing.
pub async fn a_closed_store_says_so(subject: Subject) {
    let backend = &*subject.backend;
    let recorder = subscribe(backend, 1).await;
    backend.commit(put("a/n/x", "1")).await.unwrap();
    backend.close().await;
    backend.close().await;
    assert!(matches!(backend.commit(put("a/n/x", "2")).await, Err(CommitError::Fatal { .. })));
    assert!(matches!(backend.delete_range(range("pods", "a"), 1, None).await, Err(CommitError::Fatal { .. })));
    assert_eq!(recorder.closed(), [StopCause::Closed]);
    assert_eq!(recorder.changes().len(), 1);
    assert!(backend.subscribe(1, sink(&recorder)).await.is_err());
}
