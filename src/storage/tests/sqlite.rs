//! The engine over SQLite: what is there after a restart or a kill, what is refused at opening, and what a full disk does.

use std::path::Path;
use std::sync::Arc;

use rusqlite::Connection;

use crate::storage::conformance::{Random, Recorder, load, pod, value};
use crate::storage::{
    self, Action, Backend, ChangeSink, CommitError, Durability, Expect, OpenError, Options, Sqlite, Txn,
};

fn open(file: &Path) -> Arc<Sqlite> {
    Sqlite::open(file, Options::default()).unwrap()
}

fn put(path: &str, bytes: usize) -> Txn {
    Txn::one(pod(path), Expect::Any, Action::Put(vec![b'x'; bytes].into()))
}

#[tokio::test]
async fn a_store_is_the_same_after_it_was_opened_again() {
    for durability in [Durability::Full, Durability::Relaxed] {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("made/on/demand/atoll.db");
        let options = Options { durability, ..Options::default() };
        let backend = Sqlite::open(&file, options.clone()).unwrap();
        for number in 0..50 {
            backend.commit(Txn::create(pod(&format!("a/n/{number}")), value("1"))).await.unwrap();
        }
        backend.commit(Txn::one(pod("a/n/7"), Expect::Any, Action::Delete)).await.unwrap();
        let before = load(&*backend).await;
        backend.close().await;
        drop(backend);
        let backend = Sqlite::open(&file, options.clone()).unwrap();
        assert_eq!(load(&*backend).await, before);
        let revision = backend.commit(Txn::create(pod("a/n/7"), value("2"))).await.unwrap();
        assert_eq!(revision, before.0 + 1, "revisions go on where they were");
        // Dropped without being closed.
        drop(backend);
        assert_eq!(load(&*Sqlite::open(&file, options).unwrap()).await.0, revision);
    }
}

#[tokio::test]
async fn what_cannot_be_opened_is_refused_with_advice() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("atoll.db");
    let first = open(&file);
    let error = Sqlite::open(&file, Options::default()).err().unwrap();
    assert!(matches!(error, OpenError::InUse { .. }), "{error}");
    drop(first);
    Connection::open(&file).unwrap().pragma_update(None, "user_version", 99).unwrap();
    let error = Sqlite::open(&file, Options::default()).err().unwrap();
    assert!(matches!(error, OpenError::Format { found: 99, expected: 1 }), "{error}");
    let foreign = directory.path().join("foreign.db");
    Connection::open(&foreign).unwrap().execute_batch("CREATE TABLE recipes (name TEXT)").unwrap();
    let error = Sqlite::open(&foreign, Options::default()).err().unwrap();
    assert!(format!("{error:?}").contains("a database of another program"), "{error:?}");
    let noise = directory.path().join("noise.db");
    std::fs::write(&noise, vec![7; 10_000]).unwrap();
    assert!(matches!(Sqlite::open(&noise, Options::default()), Err(OpenError::Engine { .. })));
    assert!(matches!(Sqlite::open(directory.path(), Options::default()), Err(OpenError::Io { .. })));
}

#[tokio::test]
async fn a_url_names_the_file() {
    let directory = tempfile::tempdir().unwrap();
    let url = format!("sqlite://{}", directory.path().join("atoll.db").display());
    let backend = storage::open(&url, Options::default()).await.unwrap();
    backend.commit(put("a/n/x", 1)).await.unwrap();
    backend.close().await;
}

/// A kill leaves the files as they are; a power loss leaves, of what was not flushed, any part. What was acknowledged is
/// in the part that was flushed.
#[tokio::test]
async fn whatever_is_left_of_what_was_not_flushed_the_acknowledged_is_there_and_nothing_by_halves() {
    let mut random = Random::new(11);
    for round in 0..40 {
        let (running, lost) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let name = |directory: &tempfile::TempDir, end| directory.path().join(format!("atoll.db{end}"));
        let backend = open(&name(&running, ""));
        let pair = |number: u64| {
            put("a/n/x", 1 + number as usize).and(
                pod("b/n/y"),
                Expect::Any,
                Action::Put(vec![b'x'; 1 + number as usize].into()),
            )
        };
        let acknowledged = random.below(20);
        for number in 0..=acknowledged {
            backend.commit(pair(number)).await.unwrap();
        }
        let flushed = std::fs::metadata(name(&running, "-wal")).unwrap().len();
        std::fs::copy(name(&running, ""), name(&lost, "")).unwrap();
        for number in 1..=random.below(8) {
            backend.commit(pair(acknowledged + number)).await.unwrap();
        }
        let mut log = std::fs::read(name(&running, "-wal")).unwrap();
        let unflushed = log.len() as u64 - flushed;
        if unflushed > 0 {
            log.truncate((flushed + random.below(unflushed + 1)) as usize);
            if log.len() as u64 > flushed {
                let at = flushed + random.below(log.len() as u64 - flushed);
                log[at as usize] ^= (round % 2) as u8;
            }
        }
        std::fs::write(name(&lost, "-wal"), log).unwrap();
        let (_, records) = load(&*open(&name(&lost, ""))).await;
        let lengths: Vec<usize> = records.iter().map(|record| record.value.len()).collect();
        assert!(lengths.len() == 2 && lengths[0] == lengths[1], "{lengths:?}");
        assert!(lengths[0] > acknowledged as usize, "{} of {acknowledged} are there", lengths[0] - 1);
    }
}

#[tokio::test]
async fn a_full_disk_refuses_what_does_not_fit_and_nothing_else() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("atoll.db");
    let backend = open(&file);
    let recorder = Arc::new(Recorder::after(1));
    let sink: std::sync::Weak<Recorder> = Arc::downgrade(&recorder);
    let sink: std::sync::Weak<dyn ChangeSink> = sink;
    backend.subscribe(1, sink).await.unwrap();
    // As large as the file may become, in pages.
    backend.limit_pages(100).await;
    let mut number = 0;
    let refused = loop {
        match backend.commit(put(&format!("a/n/{number}"), 20_000)).await {
            Ok(_) => number += 1,
            Err(error) => break error,
        }
    };
    assert!(matches!(refused, CommitError::Full { .. }), "{refused}");
    assert!(number > 5, "only {number} fitted");
    let before = load(&*backend).await;
    assert_eq!((before.1.len(), recorder.changes().len()), (number, number));
    // Room is made, and used.
    backend.commit(Txn::one(pod("a/n/0"), Expect::Any, Action::Delete)).await.unwrap();
    let revision = backend.commit(put("a/n/new", 20_000)).await.unwrap();
    assert_eq!(revision, before.0 + 2);
    drop(backend);
    assert_eq!(load(&*open(&file)).await.1.len(), number);
}

#[tokio::test]
async fn a_file_becomes_smaller_when_much_was_deleted() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("atoll.db");
    let backend = open(&file);
    for number in 0..200 {
        backend.commit(put(&format!("a/n/{number}"), 20_000)).await.unwrap();
    }
    let range = storage::KeyRange::cluster(&pod("a/n/x").resource, &pod("a/n/x").cluster);
    assert_eq!(backend.delete_range(range, 1000, None).await.unwrap().deleted, 200);
    let size = || std::fs::metadata(&file).unwrap().len();
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(60);
    while size() > 200_000 {
        assert!(std::time::Instant::now() < deadline, "it still has {} bytes", size());
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
}
