//! What the cache does over every engine.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use atoll_api::{ClusterScope, LogicalClusterName};

use super::{Subject, key, pod, value};
use crate::storage::{Action, EventKind, Expect, ListQuery, Store, Txn, WatchItem, WatchQuery};

const PATIENCE: Duration = Duration::from_secs(60);

fn put(path: &str, text: &str) -> Txn {
    Txn::one(pod(path), Expect::Any, Action::Put(value(text).into()))
}

fn cluster(name: &str) -> LogicalClusterName {
    LogicalClusterName::parse(name).unwrap()
}

/// `cluster/name=text@revision` of everything.
fn content(store: &Store) -> Vec<String> {
    let resource = pod("a/n/x").resource;
    let page = store.list(ListQuery::new(&resource, &ClusterScope::All)).unwrap();
    let shown = page.entries.iter().map(|entry| {
        let text = entry.labels().get("text").unwrap_or_default().to_owned();
        format!("{}/{}={text}@{}", entry.cluster(), entry.name(), entry.revision)
    });
    shown.collect()
}

/// A write is read as soon as its commit returned, by whoever else is writing.
pub async fn a_commit_is_read_back_at_once(subject: Subject) {
    let store = Store::open(subject.backend.clone()).await.unwrap();
    let writers = (0..8).map(|writer| {
        let store = store.clone();
        tokio::spawn(async move {
            let key = pod(&format!("c{writer}/n/x"));
            let mut revision = store.commit(Txn::create(key.clone(), value("0"))).await.unwrap();
            for number in 1..20 {
                assert_eq!(store.get(&key).unwrap().revision, revision);
                assert!(store.revision() >= revision);
                revision = store.commit(Txn::update(key.clone(), revision, value(&number.to_string()))).await.unwrap();
            }
            store.commit(Txn::delete(key.clone(), revision)).await.unwrap();
            assert!(store.get(&key).is_none());
        })
    });
    futures::future::join_all(writers).await.into_iter().for_each(|writer| writer.unwrap());
}

/// What one cache commits the other sees, as two servers over one store would.
pub async fn two_caches_over_one_store_agree(subject: Subject) {
    let first = Store::open(subject.backend.clone()).await.unwrap();
    let second = Store::open(subject.backend.clone()).await.unwrap();
    for number in 0..20 {
        let (writer, reader) = if number % 2 == 0 { (&first, &second) } else { (&second, &first) };
        let revision = writer.commit(put(&format!("a/n/{}", number % 7), &number.to_string())).await.unwrap();
        reader.wait_for(revision, PATIENCE).await.unwrap();
        assert_eq!(content(&first), content(&second));
    }
}

/// A cache opened over a store with content has it all, and goes on from there.
pub async fn a_cache_opened_later_finds_everything(subject: Subject) {
    let first = Store::open(subject.backend.clone()).await.unwrap();
    for number in 0..200 {
        first.commit(put(&format!("c{}/n/{}", number % 3, number % 90), &number.to_string())).await.unwrap();
    }
    first.commit(Txn::one(pod("c0/n/0"), Expect::Any, Action::Delete)).await.unwrap();
    let second = Store::open(subject.backend.clone()).await.unwrap();
    assert_eq!(content(&second), content(&first));
    assert_eq!(second.revision(), first.revision());
    for name in ["c0", "c1", "c2"] {
        assert_eq!(second.cluster_usage(&cluster(name)), first.cluster_usage(&cluster(name)));
        assert_eq!(second.resources_of(&cluster(name)), first.resources_of(&cluster(name)));
    }
    let revision = second.commit(put("c1/n/new", "1")).await.unwrap();
    assert!(revision > 1 && second.get(&pod("c1/n/new")).is_some());
}

/// Other clusters lose nothing when one is deleted, and are not kept from writing.
pub async fn deleting_a_cluster_while_others_write_spares_them(subject: Subject) {
    let store = Store::open(subject.backend.clone()).await.unwrap();
    for number in 0..600 {
        let resource = if number % 2 == 0 { "pods" } else { "secrets" };
        let key = key(resource, &format!("doomed/n/{number}"));
        store.commit(Txn::create(key, value("1"))).await.unwrap();
    }
    let writer = tokio::spawn({
        let store = store.clone();
        async move {
            for number in 0..50 {
                store.commit(put(&format!("spared/n/{number}"), "1")).await.unwrap();
            }
        }
    });
    store.delete_cluster(&cluster("doomed"), None).await.unwrap();
    writer.await.unwrap();
    assert_eq!(store.cluster_usage(&cluster("doomed")).objects, 0);
    assert_eq!(store.cluster_usage(&cluster("spared")).objects, 50);
    let reopened = Store::open(subject.backend.clone()).await.unwrap();
    assert_eq!(content(&reopened).len(), 50);
}

/// No list and no watch shows half a transaction.
pub async fn readers_see_whole_transactions_only(subject: Subject) {
    let store = Store::open(subject.backend.clone()).await.unwrap();
    let done = Arc::new(AtomicBool::new(false));
    let mut watcher = {
        let query =
            WatchQuery { resource: &pod("a/n/x").resource, scope: &ClusterScope::All, namespace: None, name: None };
        store.watch(query, store.revision()).unwrap()
    };
    let reader = tokio::spawn({
        let (store, done) = (store.clone(), done.clone());
        async move {
            while !done.load(Ordering::Relaxed) {
                let texts: Vec<String> =
                    content(&store).iter().map(|shown| shown.split('=').nth(1).unwrap().into()).collect();
                assert!(texts.windows(2).all(|pair| pair[0] == pair[1]) && [0, 3].contains(&texts.len()), "{texts:?}");
                tokio::task::yield_now().await;
            }
        }
    });
    for number in 0..100 {
        let text = number.to_string();
        let txn = put("a/n/x", &text).and(pod("b/n/y"), Expect::Any, Action::Put(value(&text).into())).and(
            pod("c/n/z"),
            Expect::Any,
            Action::Put(value(&text).into()),
        );
        store.commit(txn).await.unwrap();
    }
    done.store(true, Ordering::Relaxed);
    reader.await.unwrap();
    let mut revisions = Vec::new();
    while let Some(WatchItem::Event(event)) = watcher.try_next() {
        assert!(matches!(event.kind, EventKind::Put { .. }));
        revisions.push(event.revision);
    }
    assert_eq!(revisions.len(), 300);
    assert!(revisions.chunks(3).all(|three| three[0] == three[1] && three[1] == three[2]));
}
