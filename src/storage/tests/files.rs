//! The embedded engine's file: what is there after a restart, and what is refused at opening.

use std::sync::Arc;

use crate::storage::conformance::{load, pod, value};
use crate::storage::{self, Backend, Durability, Embedded, OpenError, Options, Txn};

async fn fill(backend: &dyn Backend) {
    for number in 0..50 {
        backend.commit(Txn::create(pod(&format!("a/n/{number}")), value("1"))).await.unwrap();
    }
    backend.commit(Txn::one(pod("a/n/7"), storage::Expect::Any, storage::Action::Delete)).await.unwrap();
}

#[tokio::test]
async fn a_store_is_the_same_after_it_was_opened_again() {
    for durability in [Durability::Full, Durability::Relaxed] {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("made/on/demand");
        let backend = Embedded::open(&path, Options { durability }).unwrap();
        fill(&*backend).await;
        let before = load(&*backend).await;
        backend.close().await;
        drop(backend);
        let backend = Embedded::open(&path, Options { durability }).unwrap();
        assert_eq!(load(&*backend).await, before);
        let revision = backend.commit(Txn::create(pod("a/n/7"), value("2"))).await.unwrap();
        assert!(revision > before.0, "revisions go on where they were");
        // Dropped without being closed.
        drop(backend);
        let backend = Embedded::open(&path, Options { durability }).unwrap();
        assert_eq!(load(&*backend).await.0, revision);
    }
}

#[tokio::test]
async fn a_store_in_use_is_refused_with_advice() {
    let directory = tempfile::tempdir().unwrap();
    let first = Embedded::open(directory.path(), Options::default()).unwrap();
    let error = Embedded::open(directory.path(), Options::default()).err().unwrap();
    assert!(matches!(error, OpenError::InUse { .. }));
    let text = error.to_string();
    assert!(text.contains("in use by another process; stop that process"), "{text}");
    drop(first);
    Embedded::open(directory.path(), Options::default()).unwrap();
}

#[tokio::test]
async fn a_store_of_another_format_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    drop(Embedded::open(directory.path(), Options::default()).unwrap());
    let meta: redb::TableDefinition<'_, &str, u64> = redb::TableDefinition::new("meta");
    let database = redb::Database::open(directory.path().join("atoll.redb")).unwrap();
    let txn = database.begin_write().unwrap();
    txn.open_table(meta).unwrap().insert("format", 99).unwrap();
    txn.commit().unwrap();
    drop(database);
    let error = Embedded::open(directory.path(), Options::default()).err().unwrap();
    assert!(matches!(error, OpenError::Format { found: 99, expected: 1 }), "{error}");
}

#[tokio::test]
async fn a_file_that_is_no_store_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    std::fs::write(directory.path().join("atoll.redb"), vec![7; 10_000]).unwrap();
    assert!(Embedded::open(directory.path(), Options::default()).is_err());
    let file = directory.path().join("file");
    std::fs::write(&file, "x").unwrap();
    assert!(matches!(Embedded::open(&file, Options::default()), Err(OpenError::Io { .. })));
}

#[tokio::test]
async fn urls_name_engines() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().to_str().unwrap();
    for url in ["memory://", path, &format!("file://{path}")] {
        let backend = storage::open(url, Options::default()).await.unwrap();
        backend.commit(Txn::one(pod("a/n/x"), storage::Expect::Any, storage::Action::Put("1".into()))).await.unwrap();
        backend.close().await;
        assert_eq!(Arc::strong_count(&backend), 1);
    }
    for url in ["", "file://relative", "http://x", "postgres://x"] {
        assert!(matches!(storage::open(url, Options::default()).await, Err(OpenError::Url { .. })), "{url}");
    }
}
