//! Tests of the cache through its public face, over the memory engine.

use std::sync::Arc;
use std::time::{Duration, Instant};

use atoll_api::{ClusterScope, GroupResource, LogicalClusterName};

use super::*;
use crate::storage::{Expect, Key, Memory, Position, Txn};

fn pods() -> GroupResource {
    GroupResource::new("", "pods")
}

fn cluster(name: &str) -> LogicalClusterName {
    LogicalClusterName::parse(name).unwrap()
}

fn one(name: &str) -> ClusterScope {
    ClusterScope::One(cluster(name))
}

/// `cluster/namespace/name` as a key of a pod.
fn key(path: &str) -> Key {
    let mut parts = path.split('/');
    let mut next = || parts.next().unwrap();
    Key::new(pods(), cluster(next()), next(), next())
}

fn value(text: &str) -> String {
    format!(r#"{{"metadata":{{"labels":{{"text":"{text}"}}}},"text":"{text}"}}"#)
}

async fn open() -> Arc<Store> {
    Store::open(Memory::new()).await.unwrap()
}

async fn put(store: &Store, path: &str, text: &str) -> u64 {
    let txn = Txn::one(key(path), Expect::Any, Action::Put(value(text).into()));
    store.commit(txn).await.unwrap()
}

async fn delete(store: &Store, path: &str) -> u64 {
    store.commit(Txn::one(key(path), Expect::Any, Action::Delete)).await.unwrap()
}

/// `cluster/namespace/name=text` of each entry.
fn shown(entries: &[Arc<Entry>]) -> Vec<String> {
    let text = |entry: &Entry| entry.labels().get("text").unwrap_or_default().to_owned();
    entries.iter().map(|e| format!("{}/{}/{}={}", e.cluster(), e.namespace(), e.name(), text(e))).collect()
}

fn list_at(store: &Store, scope: &ClusterScope, at: Option<u64>) -> Vec<String> {
    shown(&store.list(ListQuery { at, ..ListQuery::new(&pods(), scope) }).unwrap().entries)
}

fn watch(store: &Arc<Store>, scope: &ClusterScope, after: u64) -> Watcher {
    watch_narrow(store, scope, None, None, after)
}

fn watch_narrow(
    store: &Arc<Store>,
    scope: &ClusterScope,
    namespace: Option<&str>,
    name: Option<&str>,
    after: u64,
) -> Watcher {
    store.watch(WatchQuery { resource: &pods(), scope, namespace, name }, after).unwrap()
}

/// What a watcher finds now: `+` created, `~` changed, `-` deleted, `!` closed.
fn seen(watcher: &mut Watcher) -> Vec<String> {
    seen_when_opened(watcher, 0)
}

/// The same where a cluster was opened at a revision, and what was written earlier comes then.
fn seen_when_opened(watcher: &mut Watcher, opened: u64) -> Vec<String> {
    let mut all = Vec::new();
    while let Some(item) = watcher.try_next() {
        match item {
            WatchItem::Event(event) => {
                let sign = match event.kind {
                    EventKind::Put { created: true } => '+',
                    EventKind::Put { created: false } => '~',
                    EventKind::Delete => '-',
                };
                if event.revision == opened {
                    assert!(event.entry.revision <= opened);
                } else {
                    assert_eq!(event.entry.revision, event.revision);
                }
                all.push(format!("{sign}{}", shown(std::slice::from_ref(&event.entry))[0]));
            }
            WatchItem::Closed(reason) => {
                all.push(format!("!{reason:?}"));
                break;
            }
        }
    }
    all
}

#[tokio::test]
async fn a_commit_is_read_as_soon_as_it_returns() {
    let store = open().await;
    let revision = put(&store, "a/n/x", "1").await;
    let entry = store.get(&key("a/n/x")).unwrap();
    assert_eq!((entry.revision, store.revision()), (revision, revision));
    let expect = format!(r#"{{"metadata":{{"resourceVersion":"{revision}","labels":{{"text":"1"}}}},"text":"1"}}"#);
    assert_eq!(entry.json(), expect.as_bytes());
    assert!(store.get(&key("b/n/x")).is_none());
    delete(&store, "a/n/x").await;
    assert!(store.get(&key("a/n/x")).is_none());
}

#[tokio::test]
async fn values_that_cannot_take_a_resource_version_are_refused() {
    let store = open().await;
    let error = store.commit(Txn::create(key("a/n/x"), "{}")).await.unwrap_err();
    assert!(matches!(error, CommitError::Malformed { index: 0, .. }), "{error}");
}

#[tokio::test]
async fn lists_are_ordered_and_bounded_by_cluster_and_namespace() {
    let store = open().await;
    for path in ["b/n/x", "a/n/y", "a/n/x", "a/n-1/z", "a/m/z", "a-b/n/x"] {
        put(&store, path, "1").await;
    }
    assert_eq!(list_at(&store, &one("a"), None), ["a/m/z=1", "a/n-1/z=1", "a/n/x=1", "a/n/y=1"]);
    assert_eq!(list_at(&store, &one("nobody"), None), [""; 0]);
    let all = ["a-b/n/x=1", "a/m/z=1", "a/n-1/z=1", "a/n/x=1", "a/n/y=1", "b/n/x=1"];
    assert_eq!(list_at(&store, &ClusterScope::All, None), all);
    let check = |scope: &ClusterScope, namespace, name, expect: &[&str]| {
        let page = store.list(ListQuery { namespace, name, ..ListQuery::new(&pods(), scope) }).unwrap();
        assert_eq!(shown(&page.entries), expect, "{scope:?} {namespace:?} {name:?}");
    };
    check(&one("a"), Some("n"), None, &["a/n/x=1", "a/n/y=1"]);
    check(&one("a"), Some(""), None, &[]);
    check(&one("a"), Some("n"), Some("y"), &["a/n/y=1"]);
    check(&one("a"), Some("n"), Some("z"), &[]);
    check(&one("a"), None, Some("z"), &["a/m/z=1", "a/n-1/z=1"]);
    check(&ClusterScope::All, Some("n"), None, &["a-b/n/x=1", "a/n/x=1", "a/n/y=1", "b/n/x=1"]);
    check(&ClusterScope::All, Some("n"), Some("y"), &["a/n/y=1"]);
}

#[tokio::test]
async fn pages_join_to_one_state_although_writes_go_on() {
    let store = open().await;
    for number in 0..10 {
        put(&store, &format!("a/n/{number}"), "old").await;
    }
    let (pods, scope) = (pods(), one("a"));
    let first = store.list(ListQuery { limit: Some(4), ..ListQuery::new(&pods, &scope) }).unwrap();
    assert_eq!((first.entries.len(), first.remaining), (4, Some(6)));
    put(&store, "a/n/5", "new").await;
    put(&store, "a/n/5a", "new").await;
    put(&store, "b/n/5", "new").await;
    delete(&store, "a/n/7").await;
    put(&store, "a/n/8", "new").await;
    delete(&store, "a/n/8").await;
    let mut query = ListQuery { limit: Some(4), at: Some(first.revision), ..ListQuery::new(&pods, &scope) };
    query.after = first.next.as_ref();
    let second = store.list(query).unwrap();
    assert_eq!((second.entries.len(), second.remaining, second.revision), (4, Some(2), first.revision));
    query.after = second.next.as_ref();
    let third = store.list(query).unwrap();
    assert_eq!((third.entries.len(), third.remaining, third.next.clone()), (2, None, None));
    let names: Vec<&str> =
        first.entries.iter().chain(&second.entries).chain(&third.entries).map(|e| e.name()).collect();
    assert_eq!(names, ["0", "1", "2", "3", "4", "5", "6", "7", "8", "9"]);
    assert!(second.entries.iter().chain(&third.entries).all(|e| e.labels().get("text") == Some("old")));
    assert_eq!(store.get_at(&key("a/n/8"), first.revision).unwrap().unwrap().labels().get("text"), Some("old"));
    assert!(store.get_at(&key("a/n/5a"), first.revision).unwrap().is_none());
}

#[tokio::test]
async fn a_filter_leaves_entries_out_before_the_limit_counts() {
    let store = open().await;
    for number in 0..9 {
        put(&store, &format!("a/n/{number}"), if number % 3 == 0 { "yes" } else { "no" }).await;
    }
    let (pods, scope) = (pods(), one("a"));
    let wanted = |entry: &Entry| entry.labels().get("text") == Some("yes");
    let query = ListQuery { limit: Some(2), filter: Some(&wanted), ..ListQuery::new(&pods, &scope) };
    let page = store.list(query).unwrap();
    assert_eq!(shown(&page.entries), ["a/n/0=yes", "a/n/3=yes"]);
    assert_eq!((page.next.clone(), page.remaining), (Some(Position::new(cluster("a"), "n", "3")), None));
    let page = store.list(ListQuery { after: page.next.as_ref(), ..query }).unwrap();
    assert_eq!(shown(&page.entries), ["a/n/6=yes"]);
}

#[tokio::test]
async fn the_past_is_read_until_it_leaves_the_ring_and_the_future_not_at_all() {
    let options = StoreOptions { history_events: 5, ..StoreOptions::default() };
    let store = Store::open_with(Memory::new(), options).await.unwrap();
    let mut revisions = Vec::new();
    for number in 0..10 {
        revisions.push(put(&store, "a/n/x", &number.to_string()).await);
    }
    for (number, revision) in revisions.iter().enumerate().skip(4) {
        assert_eq!(list_at(&store, &one("a"), Some(*revision)), [format!("a/n/x={number}")]);
    }
    let at = |revision| store.list(ListQuery { at: Some(revision), ..ListQuery::new(&pods(), &one("a")) }).err();
    let (oldest, current) = (revisions[4], revisions[9]);
    assert_eq!(at(revisions[3]), Some(ReadError::Expired { oldest }));
    assert_eq!(at(current + 1), Some(ReadError::Future { current }));
    let query = WatchQuery { resource: &pods(), scope: &one("a"), namespace: None, name: None };
    assert_eq!(store.watch(query, revisions[3]).err(), Some(ReadError::Expired { oldest }));
    assert_eq!(store.watch(query, current + 1).err(), Some(ReadError::Future { current }));
    assert_eq!(seen(&mut store.watch(query, oldest).unwrap()).len(), 5);
}

#[tokio::test]
async fn watchers_see_what_concerns_them_and_nothing_else() {
    let store = open().await;
    put(&store, "a/n/before", "1").await;
    let start = put(&store, "a/n/x", "1").await;
    put(&store, "a/n/x", "2").await;
    let mut watchers = [
        watch(&store, &one("a"), start),
        watch(&store, &one("b"), start),
        watch(&store, &ClusterScope::All, start),
        watch_narrow(&store, &one("a"), Some("n"), None, start),
        watch_narrow(&store, &one("a"), None, Some("x"), start),
        watch_narrow(&store, &one("a"), Some("m"), Some("x"), start),
        watch_narrow(&store, &ClusterScope::All, Some("m"), None, start),
    ];
    put(&store, "a/m/x", "3").await;
    put(&store, "b/m/y", "4").await;
    delete(&store, "a/n/x").await;
    let expect: [&[&str]; 7] = [
        &["~a/n/x=2", "+a/m/x=3", "-a/n/x=2"],
        &["+b/m/y=4"],
        &["~a/n/x=2", "+a/m/x=3", "+b/m/y=4", "-a/n/x=2"],
        &["~a/n/x=2", "-a/n/x=2"],
        &["~a/n/x=2", "+a/m/x=3", "-a/n/x=2"],
        &["+a/m/x=3"],
        &["+a/m/x=3", "+b/m/y=4"],
    ];
    for (watcher, expect) in watchers.iter_mut().zip(expect) {
        assert_eq!(seen(watcher), expect);
        assert_eq!(watcher.revision(), store.revision(), "a watcher that saw all is up to date");
    }
    // One that comes late to a group that is there reaches back as far as it asks.
    assert_eq!(seen(&mut watch(&store, &one("a"), start - 1)), ["+a/n/x=1", "~a/n/x=2", "+a/m/x=3", "-a/n/x=2"]);
    assert_eq!(seen(&mut watch(&store, &one("a"), store.revision())), [""; 0]);
    drop(watchers);
    assert_eq!(store.resource(&pods()).unwrap().state.read().groups.count(), 0, "no watcher, no group");
}

#[tokio::test]
async fn a_quiet_watcher_stays_while_a_slow_one_falls_off() {
    let options = StoreOptions { history_events: 4, ..StoreOptions::default() };
    let store = Store::open_with(Memory::new(), options).await.unwrap();
    let start = put(&store, "a/n/x", "1").await;
    let mut quiet = watch(&store, &one("quiet"), start);
    let mut slow = watch(&store, &one("a"), start);
    let mut slow_everywhere = watch(&store, &ClusterScope::All, start);
    let mut brisk = watch(&store, &one("a"), start);
    for number in 0..10 {
        put(&store, "a/n/x", &number.to_string()).await;
        assert_eq!(seen(&mut brisk), [format!("~a/n/x={number}")]);
    }
    assert_eq!(seen(&mut slow), ["!Expired"]);
    assert_eq!(seen(&mut slow_everywhere), ["!Expired"]);
    put(&store, "quiet/n/x", "1").await;
    assert_eq!(seen(&mut quiet), ["+quiet/n/x=1"]);
    assert_eq!(quiet.revision(), store.revision());
}

#[tokio::test]
async fn a_waiting_watcher_is_woken_by_its_own_events_only() {
    let store = open().await;
    let mut watcher = watch(&store, &one("a"), store.revision());
    let mut next = Box::pin(watcher.next());
    assert!(futures::poll!(&mut next).is_pending());
    put(&store, "b/n/x", "1").await;
    assert!(futures::poll!(&mut next).is_pending());
    put(&store, "a/n/x", "1").await;
    assert!(matches!(next.await, WatchItem::Event(event) if event.entry.name() == "x"));
}

#[tokio::test]
async fn a_crowd_of_watchers_is_woken_too() {
    let store = open().await;
    let waiting = (0..100).map(|_| {
        let mut watcher = watch(&store, &one("a"), store.revision());
        tokio::spawn(async move { matches!(watcher.next().await, WatchItem::Event(_)) })
    });
    let waiting: Vec<_> = waiting.collect();
    tokio::task::yield_now().await;
    put(&store, "a/n/x", "1").await;
    for watcher in waiting {
        assert!(watcher.await.unwrap());
    }
}

#[tokio::test]
async fn a_bookmark_never_runs_ahead_of_an_event_that_is_due() {
    let store = open().await;
    let mut watcher = watch(&store, &one("a"), store.revision());
    let txn = Txn::default().and(key("a/n/x"), Expect::Absent, Action::Put(value("1").into())).and(
        key("a/n/y"),
        Expect::Absent,
        Action::Put(value("1").into()),
    );
    let revision = store.commit(txn).await.unwrap();
    put(&store, "b/n/x", "1").await;
    assert!(watcher.try_next().is_some());
    assert_eq!(watcher.revision(), revision - 1, "the second event of the revision is due");
    assert!(watcher.try_next().is_some());
    assert_eq!(watcher.revision(), store.revision());
}

#[tokio::test]
async fn an_event_is_encoded_once_for_each_slot() {
    let store = open().await;
    let mut first = watch(&store, &one("a"), store.revision());
    let mut second = watch(&store, &ClusterScope::All, store.revision());
    put(&store, "a/n/x", "1").await;
    let event = |watcher: &mut Watcher| match watcher.try_next() {
        Some(WatchItem::Event(event)) => event,
        other => panic!("{other:?}"),
    };
    let (first, second) = (event(&mut first), event(&mut second));
    let one = first.encode_once(1, || first.entry.json());
    assert_eq!(second.encode_once(1, || unreachable!()).as_ptr(), one.as_ptr());
    assert_eq!(second.encode_once(2, || "two".into()), "two");
}

#[tokio::test]
async fn deleting_a_cluster_leaves_nothing_of_it_and_all_of_its_neighbours() {
    let store = open().await;
    for cluster in ["a", "a-b", "b"] {
        for number in 0..700 {
            put(&store, &format!("{cluster}/n/{number}"), "1").await;
        }
    }
    let secret = Key::new(GroupResource::new("", "secrets"), cluster("a"), "n", "s");
    store.commit(Txn::create(secret.clone(), value("1"))).await.unwrap();
    assert_eq!(store.cluster_usage(&cluster("a")).objects, 701);
    let neighbour = store.cluster_usage(&cluster("b"));
    let mut resources = store.resources_of(&cluster("a"));
    resources.sort();
    assert_eq!(resources, [pods(), secret.resource.clone()]);
    let start = store.revision();
    let mut own = watch(&store, &one("a"), start);
    let mut other = watch(&store, &one("b"), start);
    let mut all = watch(&store, &ClusterScope::All, start);
    store.delete_cluster(&cluster("a"), None).await.unwrap();
    assert_eq!(seen(&mut own), ["!ClusterDeleted"]);
    assert_eq!(seen(&mut other), [""; 0]);
    let gone = seen(&mut all);
    assert!(gone.len() == 700 && gone.iter().all(|event| event.starts_with("-a/n/")));
    assert_eq!(store.cluster_usage(&cluster("a")), ClusterUsage::default());
    assert_eq!(store.cluster_usage(&cluster("b")), neighbour);
    assert!(store.resources_of(&cluster("a")).is_empty());
    assert!(store.get(&secret).is_none());
    assert_eq!(list_at(&store, &ClusterScope::All, None).len(), 1400);
}

#[tokio::test]
async fn usage_follows_every_change() {
    let store = open().await;
    let size = |text: &str| value(text).len() as u64;
    put(&store, "a/n/x", "1").await;
    put(&store, "a/n/y", "22").await;
    assert_eq!(store.cluster_usage(&cluster("a")), ClusterUsage { objects: 2, bytes: size("1") + size("22") });
    put(&store, "a/n/x", "4444").await;
    delete(&store, "a/n/y").await;
    assert_eq!(store.cluster_usage(&cluster("a")), ClusterUsage { objects: 1, bytes: size("4444") });
    delete(&store, "a/n/x").await;
    assert_eq!((store.cluster_usage(&cluster("a")), store.cluster_count()), (ClusterUsage::default(), 0));
}

#[tokio::test]
async fn old_events_are_let_go_though_nothing_happens() {
    let store = open().await;
    let revision = put(&store, "a/n/x", "1").await;
    store.sweep(Instant::now() + Duration::from_secs(3600));
    let resource = store.resource(&pods()).unwrap();
    assert_eq!(resource.state.read().ring.len(), 0);
    assert_eq!(store.history.load(Ordering::Relaxed), 0);
    assert_eq!(list_at(&store, &one("a"), Some(revision)), ["a/n/x=1"]);
}

#[tokio::test]
async fn the_longest_history_gives_way_when_all_together_are_too_large() {
    let options = StoreOptions { history_bytes: 64 << 10, ..StoreOptions::default() };
    let store = Store::open_with(Memory::new(), options).await.unwrap();
    let quiet = Key::new(GroupResource::new("", "secrets"), cluster("b"), "n", "s");
    let start = store.commit(Txn::create(quiet.clone(), value("1"))).await.unwrap();
    for number in 0..1000 {
        put(&store, "a/n/x", &number.to_string()).await;
    }
    assert!(store.history.load(Ordering::Relaxed) <= 64 << 10);
    assert!(store.get_at(&quiet, start).unwrap().is_some(), "the quiet resource keeps its history");
    assert!(store.get_at(&key("a/n/x"), start).is_err());
}

#[tokio::test]
async fn waiting_for_a_revision_ends_when_it_is_reached_or_takes_too_long() {
    let store = open().await;
    let current = store.revision();
    assert_eq!(store.wait_for(current, Duration::ZERO).await, Ok(current));
    assert_eq!(store.wait_for(current + 1, Duration::ZERO).await, Err(ReadError::Future { current }));
    let waiting = store.wait_for(current + 1, Duration::from_secs(60));
    let (waited, _) = tokio::join!(waiting, put(&store, "a/n/x", "1"));
    assert_eq!(waited, Ok(current + 1));
}

#[tokio::test]
async fn closing_ends_watches_and_commits() {
    let store = open().await;
    let mut watcher = watch(&store, &one("a"), store.revision());
    put(&store, "a/n/x", "1").await;
    store.close().await;
    assert_eq!(seen(&mut watcher), ["+a/n/x=1", "!Shutdown"]);
    assert_eq!(store.stopped().await, StopCause::Closed);
    let error = store.commit(Txn::create(key("a/n/y"), value("1"))).await.unwrap_err();
    assert!(matches!(error, CommitError::Fatal { .. }));
    assert_eq!(seen(&mut watch(&store, &one("b"), store.revision())), ["!Shutdown"]);
}

#[tokio::test]
async fn a_cluster_of_an_earlier_ones_name_sees_nothing_of_its_past() {
    let store = open().await;
    let other = put(&store, "b/n/x", "1").await;
    let old = put(&store, "a/n/x", "secret").await;
    store.delete_cluster(&cluster("a"), None).await.unwrap();
    put(&store, "a/n/y", "new").await;
    let resource = pods();
    let scope = one("a");
    let past = ListQuery { at: Some(old), ..ListQuery::new(&resource, &scope) };
    assert!(matches!(store.list(past), Err(ReadError::Expired { .. })));
    assert!(store.get_at(&key("a/n/x"), old).is_err());
    let query = WatchQuery { resource: &resource, scope: &scope, namespace: None, name: None };
    assert!(matches!(store.watch(query, old), Err(ReadError::Expired { .. })), "not even that it was deleted");
    assert_eq!(list_at(&store, &one("b"), Some(other)), ["b/n/x=1"], "the past of others is still there");
}

/// Says in the object that stands for a cluster whether it is closed, or deletes it.
async fn stand(store: &Store, name: &str, closed: Option<bool>) -> u64 {
    let key = Key::new(GroupResource::new("", "clusters"), LogicalClusterName::root(), "", name);
    let label = match closed {
        Some(true) => format!(r#""{CLOSED_LABEL}":"true""#),
        _ => String::new(),
    };
    let object = format!(r#"{{"metadata":{{"labels":{{{label}}},"name":"{name}"}}}}"#);
    let action = if closed.is_some() { Action::Put(object.into()) } else { Action::Delete };
    store.commit(Txn::one(key, Expect::Any, action)).await.unwrap()
}

async fn open_with_clusters() -> Arc<Store> {
    let store = open().await;
    store.stand_for_clusters(GroupResource::new("", "clusters"));
    store
}

#[tokio::test]
async fn what_a_closed_cluster_holds_is_seen_in_all_clusters_when_it_opens_and_not_before() {
    let store = open_with_clusters().await;
    let all = &ClusterScope::All;
    put(&store, "a/n/x", "1").await;
    stand(&store, "b", Some(true)).await;
    let mut watcher = watch(&store, all, store.revision());
    let first = put(&store, "b/n/x", "1").await;
    put(&store, "b/n/y", "1").await;
    put(&store, "b/n/x", "2").await;
    put(&store, "b/n/z", "1").await;
    delete(&store, "b/n/z").await;
    let before = put(&store, "c/n/x", "1").await;
    assert_eq!(list_at(&store, all, None), ["a/n/x=1", "c/n/x=1"]);
    assert_eq!(list_at(&store, &one("b"), None), ["b/n/x=2", "b/n/y=1"], "whoever makes it sees it");
    assert!(store.get(&key("b/n/x")).is_some() && store.get(&key("b/n/z")).is_none());
    assert_eq!(store.cluster_usage(&cluster("b")).objects, 2);
    assert_eq!(store.cut(all).unwrap().entries().count(), 5, "backups have it");
    assert_eq!(seen(&mut watcher), ["+c/n/x=1"]);
    let listed = watch(&store, all, store.revision());
    let opened = stand(&store, "b", Some(false)).await;
    assert_eq!(list_at(&store, all, None), ["a/n/x=1", "b/n/x=2", "b/n/y=1", "c/n/x=1"]);
    assert_eq!(list_at(&store, all, Some(before)), ["a/n/x=1", "c/n/x=1"], "then, it was not seen");
    assert_eq!(list_at(&store, all, Some(first)), ["a/n/x=1"]);
    for mut watcher in [watcher, listed, watch(&store, all, before), watch(&store, all, opened - 1)] {
        assert_eq!(seen_when_opened(&mut watcher, opened), ["+b/n/x=2", "+b/n/y=1"]);
        assert_eq!(watcher.revision(), opened);
    }
    assert!(seen(&mut watch(&store, all, opened)).is_empty());
    assert_eq!(store.cluster_usage(&cluster("b")).objects, 2);
    let (resource, scope) = (pods(), one("b"));
    assert!(store.list(ListQuery { at: Some(before), ..ListQuery::new(&resource, &scope) }).is_err());
}

#[tokio::test]
async fn of_a_cluster_that_is_put_back_only_the_difference_is_seen_in_all_clusters() {
    let store = open_with_clusters().await;
    stand(&store, "b", Some(false)).await;
    for (path, text) in [("b/n/changed", "1"), ("b/n/gone", "1"), ("b/n/same", "1"), ("b/n/back", "1")] {
        put(&store, path, text).await;
    }
    let mut watcher = watch(&store, &ClusterScope::All, store.revision());
    stand(&store, "b", Some(true)).await;
    put(&store, "b/n/changed", "2").await;
    delete(&store, "b/n/gone").await;
    delete(&store, "b/n/back").await;
    put(&store, "b/n/back", "2").await;
    put(&store, "b/n/new", "1").await;
    let before = ["b/n/back=1", "b/n/changed=1", "b/n/gone=1", "b/n/same=1"];
    assert_eq!(list_at(&store, &ClusterScope::All, None), before);
    assert!(seen(&mut watcher).is_empty());
    let opened = stand(&store, "b", Some(false)).await;
    let difference = ["-b/n/gone=1", "~b/n/back=2", "~b/n/changed=2", "+b/n/new=1"];
    assert_eq!(seen_when_opened(&mut watcher, opened), difference);
    let after = ["b/n/back=2", "b/n/changed=2", "b/n/new=1", "b/n/same=1"];
    assert_eq!(list_at(&store, &ClusterScope::All, None), after);
}

#[tokio::test]
async fn nothing_is_seen_of_a_cluster_that_is_given_up_while_it_is_closed() {
    let store = open_with_clusters().await;
    let mut watcher = watch(&store, &ClusterScope::All, store.revision());
    stand(&store, "b", Some(true)).await;
    put(&store, "b/n/x", "1").await;
    store.delete_cluster(&cluster("b"), None).await.unwrap();
    assert_eq!(store.cluster_count(), 1);
    stand(&store, "b", None).await;
    assert!(seen(&mut watcher).is_empty());
    put(&store, "b/n/x", "2").await;
    assert_eq!(seen(&mut watcher), ["+b/n/x=2"], "the next one of its name is open");
}

#[tokio::test]
async fn a_cluster_that_was_closed_when_the_store_was_opened_is_seen_when_it_opens() {
    let backend = Memory::new();
    let first = Store::open(backend.clone()).await.unwrap();
    for path in ["a/n/x", "b/n/x", "b/n/y", "c/n/x"] {
        put(&first, path, "1").await;
    }
    stand(&first, "b", Some(true)).await;
    let store = Store::open(backend).await.unwrap();
    store.stand_for_clusters(GroupResource::new("", "clusters"));
    let mut watcher = watch(&store, &ClusterScope::All, store.revision());
    assert_eq!(list_at(&store, &ClusterScope::All, None), ["a/n/x=1", "c/n/x=1"]);
    assert_eq!(list_at(&store, &one("b"), None), ["b/n/x=1", "b/n/y=1"]);
    delete(&store, "b/n/y").await;
    let opened = stand(&store, "b", Some(false)).await;
    assert_eq!(seen_when_opened(&mut watcher, opened), ["+b/n/x=1"]);
}

#[tokio::test]
async fn a_cluster_that_opens_and_closes_within_one_batch_of_changes_is_seen_as_it_was_in_between() {
    let store = open_with_clusters().await;
    let mut watcher = watch(&store, &ClusterScope::All, store.revision());
    let start = store.revision();
    let object = |label: &str| Some(format!(r#"{{"metadata":{{"labels":{{{label}}},"name":"b"}}}}"#).into());
    let standing = Key::new(GroupResource::new("", "clusters"), LogicalClusterName::root(), "", "b");
    let closed = format!(r#""{CLOSED_LABEL}":"true""#);
    let change = |after, key: &Key, value| Change { revision: start + after, key: key.clone(), value };
    let pod = |path: &str, after, text: &str| change(after, &key(path), Some(value(text).into()));
    let changes = vec![
        change(1, &standing, object(&closed)),
        pod("b/n/x", 1, "1"),
        pod("c/n/x", 2, "1"),
        pod("b/n/x", 3, "2"),
        change(4, &standing, object("")),
        pod("b/n/y", 4, "1"),
        pod("b/n/z", 5, "1"),
        change(6, &standing, object(&closed)),
        pod("b/n/z", 6, "2"),
    ];
    store.apply(&ChangeBatch { revision: start + 6, changes });
    let told = seen_when_opened(&mut watcher, start + 4);
    assert_eq!(told, ["+c/n/x=1", "+b/n/x=2", "+b/n/y=1", "+b/n/z=1"]);
    assert_eq!(list_at(&store, &ClusterScope::All, None), ["b/n/x=2", "b/n/y=1", "b/n/z=1", "c/n/x=1"]);
    assert_eq!(list_at(&store, &one("b"), None), ["b/n/x=2", "b/n/y=1", "b/n/z=2"]);
}
