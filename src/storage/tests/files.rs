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
        let backend = Embedded::open(&path, Options { durability, ..Options::default() }).unwrap();
        fill(&*backend).await;
        let before = load(&*backend).await;
        backend.close().await;
        drop(backend);
        let backend = Embedded::open(&path, Options { durability, ..Options::default() }).unwrap();
        assert_eq!(load(&*backend).await, before);
        let revision = backend.commit(Txn::create(pod("a/n/7"), value("2"))).await.unwrap();
        assert!(revision > before.0, "revisions go on where they were");
        // Dropped without being closed.
        drop(backend);
        let backend = Embedded::open(&path, Options { durability, ..Options::default() }).unwrap();
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
    assert!(matches!(error, OpenError::Format { found: 99, expected: 2 }), "{error}");
}

/// The files of a store as a process that is killed leaves them.
fn copy(from: &std::path::Path, to: &std::path::Path) {
    for file in std::fs::read_dir(from).unwrap() {
        let file = file.unwrap();
        std::fs::copy(file.path(), to.join(file.file_name())).unwrap();
    }
}

#[tokio::test]
async fn what_is_only_in_the_log_is_found_after_a_kill() {
    for log_bytes in [1, 16 << 20] {
        let (running, killed) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let options = Options { log_bytes, ..Options::default() };
        let backend = Embedded::open(running.path(), options.clone()).unwrap();
        fill(&*backend).await;
        if log_bytes > 1 {
            copy(running.path(), killed.path());
            let found = Embedded::open(killed.path(), options.clone()).unwrap();
            assert_eq!(load(&*found).await, load(&*backend).await);
        }
        let before = load(&*backend).await;
        backend.commit(Txn::create(pod("a/n/new"), value("1"))).await.unwrap();
        backend.close().await;
        drop(backend);
        let backend = Embedded::open(running.path(), options).unwrap();
        assert_eq!(load(&*backend).await.0, before.0 + 1);
    }
}

#[tokio::test]
async fn a_log_that_does_not_follow_the_tables_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    let backend = Embedded::open(directory.path(), Options::default()).unwrap();
    let early = tempfile::tempdir().unwrap();
    copy(directory.path(), early.path());
    fill(&*backend).await;
    backend.close().await;
    drop(backend);
    fill_again(&*backend_at(directory.path())).await;
    // The tables of before with the log of after, as by a restore of half a backup.
    let late = backend_at(directory.path());
    late.commit(Txn::create(pod("a/n/late"), value("1"))).await.unwrap();
    for name in ["atoll.log.0", "atoll.log.1"] {
        std::fs::copy(directory.path().join(name), early.path().join(name)).unwrap();
    }
    let error = Embedded::open(early.path(), Options::default()).err().unwrap();
    let cause = std::error::Error::source(&error).map(ToString::to_string).unwrap_or_default();
    assert!(cause.contains("is missing"), "{error}: {cause}");
}

fn backend_at(directory: &std::path::Path) -> Arc<Embedded> {
    Embedded::open(directory, Options::default()).unwrap()
}

async fn fill_again(backend: &dyn Backend) {
    for number in 0..10 {
        backend.commit(Txn::create(pod(&format!("b/n/{number}")), value("1"))).await.unwrap();
    }
    backend.close().await;
}

#[tokio::test]
async fn a_store_of_the_format_before_is_brought_up_to_date() {
    let directory = tempfile::tempdir().unwrap();
    let backend = Embedded::open(directory.path(), Options::default()).unwrap();
    fill(&*backend).await;
    let before = load(&*backend).await;
    backend.close().await;
    drop(backend);
    // Format 1 had tables alone, and no word of a log in them.
    let meta: redb::TableDefinition<'_, &str, u64> = redb::TableDefinition::new("meta");
    let database = redb::Database::open(directory.path().join("atoll.redb")).unwrap();
    let txn = database.begin_write().unwrap();
    txn.open_table(meta).unwrap().insert("format", 1).unwrap();
    txn.open_table(meta).unwrap().remove("log").unwrap();
    txn.commit().unwrap();
    drop(database);
    for name in ["atoll.log.0", "atoll.log.1"] {
        std::fs::remove_file(directory.path().join(name)).unwrap();
    }
    for _ in 0..2 {
        let backend = Embedded::open(directory.path(), Options::default()).unwrap();
        assert_eq!(load(&*backend).await, before);
    }
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
    for url in ["", "file://relative", "sqlite://relative", "http://x", "postgres://x"] {
        assert!(matches!(storage::open(url, Options::default()).await, Err(OpenError::Url { .. })), "{url}");
    }
}
