//! The check of a store's files: sound ones pass untouched, every damage that matters is found, and a repair keeps all
//! that can be read.

use std::collections::BTreeMap;
use std::path::Path;

use redb::{Database, ReadableDatabase, ReadableTable, TableDefinition};

use crate::storage::conformance::{Random, load, pod};
use crate::storage::embedded::{Repair, check, restore};
use crate::storage::{Action, Backend, Embedded, Expect, Key, OpenError, Options, Txn};

const ROWS: TableDefinition<'_, (u64, u32), &[u8]> = TableDefinition::new("rows");
const INDEX: TableDefinition<'_, &[u8], (u64, u32)> = TableDefinition::new("index");
const META: TableDefinition<'_, &str, u64> = TableDefinition::new("meta");

fn object(key: &Key, text: &str) -> String {
    format!(r#"{{"metadata":{{"name":"{}","namespace":"n"}},"data":"{text}"}}"#, key.name)
}

/// A store with some values in its tables and some in its log only, as a process that was killed leaves it.
async fn killed(directory: &Path) -> (u64, BTreeMap<Vec<u8>, Vec<u8>>) {
    let running = tempfile::tempdir().unwrap();
    let backend = Embedded::open(running.path(), Options::default()).unwrap();
    let put = async |number: usize, text: &str| {
        let key = pod(&format!("c{}/n/o{number}", number % 3));
        let value = object(&key, text);
        backend.commit(Txn::one(key, Expect::Any, Action::Put(value.into()))).await.unwrap();
    };
    for number in 0..40 {
        put(number, "first").await;
    }
    // Into the tables.
    load(&*backend).await;
    for number in 20..60 {
        put(number, &"second".repeat(50)).await;
    }
    let (revision, records) = {
        std::fs::create_dir_all(directory).unwrap();
        copy(running.path(), directory);
        load(&*backend).await
    };
    (revision, records.into_iter().map(|record| (record.key.encode(), record.value.to_vec())).collect())
}

fn copy(from: &Path, to: &Path) {
    for file in std::fs::read_dir(from).unwrap() {
        let file = file.unwrap();
        std::fs::copy(file.path(), to.join(file.file_name())).unwrap();
    }
}

fn bytes(directory: &Path) -> BTreeMap<String, Vec<u8>> {
    let files = std::fs::read_dir(directory).unwrap().map(Result::unwrap);
    files.map(|file| (file.file_name().into_string().unwrap(), std::fs::read(file.path()).unwrap())).collect()
}

async fn values(directory: &Path) -> BTreeMap<Vec<u8>, Vec<u8>> {
    let backend = Embedded::open(directory, Options::default()).unwrap();
    let (_, records) = load(&*backend).await;
    backend.close().await;
    records.into_iter().map(|record| (record.key.encode(), record.value.to_vec())).collect()
}

#[tokio::test]
async fn a_sound_store_passes_and_is_left_as_it_was() {
    let directory = tempfile::tempdir().unwrap();
    let (revision, held) = killed(directory.path()).await;
    let before = bytes(directory.path());
    let report = check(directory.path(), Repair::Nothing).unwrap();
    assert_eq!(report.faults, Vec::<String>::new());
    assert_eq!((report.revision, report.values), (revision, held.len() as u64));
    assert!(report.logged > 0, "some of it was in the log only");
    assert_eq!(before, bytes(directory.path()));
    assert_eq!(values(directory.path()).await, held);
    let report = check(directory.path(), Repair::Everything).unwrap();
    assert_eq!(report.faults, Vec::<String>::new());
    assert_eq!(values(directory.path()).await, held);
}

#[tokio::test]
async fn a_store_in_use_and_one_that_is_not_there_are_not_checked() {
    let directory = tempfile::tempdir().unwrap();
    assert!(matches!(check(directory.path(), Repair::Nothing), Err(OpenError::Io { .. })));
    let _open = Embedded::open(directory.path(), Options::default()).unwrap();
    for repair in [Repair::Nothing, Repair::Everything] {
        let error = check(directory.path(), repair).err().unwrap();
        assert!(matches!(error, OpenError::InUse { .. }), "{error}");
    }
}

#[tokio::test]
async fn changed_bytes_are_found_or_do_not_matter_and_a_repair_invents_nothing() {
    let sound = tempfile::tempdir().unwrap();
    let (_, held) = killed(sound.path()).await;
    let mut random = Random::new(11);
    let (mut found, mut repaired) = (0, 0);
    for round in 0..60 {
        let directory = tempfile::tempdir().unwrap();
        copy(sound.path(), directory.path());
        let name = ["atoll.redb", "atoll.log.0", "atoll.log.1"][round % 3];
        let path = directory.path().join(name);
        let mut content = std::fs::read(&path).unwrap();
        // Most of the files is empty as yet.
        let used: Vec<usize> = (0..content.len()).filter(|at| content[*at] != 0).collect();
        if used.is_empty() {
            continue;
        }
        // A few neighbours, as a bad sector has them.
        let at = used[random.below(used.len() as u64) as usize];
        for byte in content.iter_mut().skip(at).take(16) {
            *byte ^= 0x5a;
        }
        std::fs::write(&path, content).unwrap();
        let report = check(directory.path(), Repair::Nothing).unwrap();
        if report.faults.is_empty() {
            let left = values(directory.path()).await;
            // The last write of the log looks as if it had been under way, and is forgotten as such.
            let differ = held.iter().filter(|(key, value)| left.get(*key) != Some(value)).count();
            let most = usize::from(name.starts_with("atoll.log"));
            assert!(differ <= most && left.len() + most >= held.len(), "byte {at} of {name} mattered: {differ}");
            continue;
        }
        found += 1;
        let after = check(directory.path(), Repair::Everything).unwrap();
        let cannot = |faults: &[String]| faults.iter().any(|fault| fault.contains("nothing can be repaired"));
        if cannot(&report.faults) || cannot(&after.faults) {
            continue;
        }
        repaired += 1;
        assert_eq!(
            check(directory.path(), Repair::Nothing).unwrap().faults,
            Vec::<String>::new(),
            "byte {at} of {name}"
        );
        for (key, value) in values(directory.path()).await {
            let text = String::from_utf8_lossy(&value).into_owned();
            assert!(held.contains_key(&key) && (text.contains("first") || text.contains("second")), "{text}");
        }
    }
    assert!(found > 5 && repaired > 0, "{found} found, {repaired} repaired");
}

/// Changes the tables behind the engine's back.
fn meddle(directory: &Path, change: impl FnOnce(&redb::WriteTransaction)) {
    let database = Database::open(directory.join("atoll.redb")).unwrap();
    let txn = database.begin_write().unwrap();
    change(&txn);
    txn.commit().unwrap();
}

fn first_row(directory: &Path) -> ((u64, u32), Vec<u8>) {
    let database = Database::open(directory.join("atoll.redb")).unwrap();
    let rows = database.begin_read().unwrap().open_table(ROWS).unwrap();
    let (id, row) = rows.first().unwrap().unwrap();
    (id.value(), row.value().to_vec())
}

#[tokio::test]
async fn each_sort_of_damage_is_named_and_put_right() {
    type Change = fn(&redb::WriteTransaction, (u64, u32), &[u8]);
    let cases: [(&str, usize, Change); 7] = [
        ("the index does not know 1", 0, |txn, _, row| {
            drop(txn.open_table(INDEX).unwrap().remove(&row[4..4 + row[3] as usize]).unwrap());
        }),
        ("to a row that is not its own", 0, |txn, _, row| {
            drop(txn.open_table(INDEX).unwrap().insert(&row[4..4 + row[3] as usize], (7777, 7)).unwrap());
        }),
        ("it is too short", 1, |txn, id, _| drop(txn.open_table(ROWS).unwrap().insert(id, &b"\0\0"[..]).unwrap())),
        ("is not a key of this store", 1, |txn, id, row| {
            let mut bad = row.to_vec();
            bad[4] = b'!';
            drop(txn.open_table(ROWS).unwrap().insert(id, bad.as_slice()).unwrap());
        }),
        ("holds no JSON", 1, |txn, id, row| {
            drop(txn.open_table(ROWS).unwrap().insert(id, &row[..row.len() - 3]).unwrap());
        }),
        ("is newer than the store's revision", 0, |txn, _, _| {
            drop(txn.open_table(META).unwrap().insert("revision", 3).unwrap());
        }),
        ("has two values", 0, |txn, _, row| {
            drop(txn.open_table(ROWS).unwrap().insert((2, 99), row).unwrap());
        }),
    ];
    for (told, lost, change) in cases {
        let directory = tempfile::tempdir().unwrap();
        let (_, held) = killed(directory.path()).await;
        // All of it in the tables, so that the log does not heal it.
        let held_now = values(directory.path()).await;
        assert_eq!(held, held_now);
        let (id, row) = first_row(directory.path());
        meddle(directory.path(), |txn| change(txn, id, &row));
        for name in ["atoll.log.0", "atoll.log.1"] {
            std::fs::remove_file(directory.path().join(name)).unwrap();
        }
        let report = check(directory.path(), Repair::Nothing).unwrap();
        assert!(report.faults.iter().any(|fault| fault.contains(told)), "{told}: {:?}", report.faults);
        check(directory.path(), Repair::Everything).unwrap();
        assert_eq!(check(directory.path(), Repair::Nothing).unwrap().faults, Vec::<String>::new(), "{told}");
        assert_eq!(values(directory.path()).await.len(), held.len() - lost, "{told}");
    }
}

#[tokio::test]
async fn a_restored_store_has_the_revisions_it_had() {
    let place = tempfile::tempdir().unwrap();
    let (from, to) = (place.path().join("from"), place.path().join("to"));
    killed(&from).await;
    let backend = Embedded::open(&from, Options::default()).unwrap();
    let (revision, records) = load(&*backend).await;
    let all = records.clone().into_iter().map(|record| (record.key.encode(), record.revision, record.value));
    restore(&to, revision + 100, all.clone()).unwrap();
    let restored = Embedded::open(&to, Options::default()).unwrap();
    assert_eq!(load(&*restored).await, (revision + 100, records));
    let next = restored.commit(Txn::create(pod("c/n/new"), object(&pod("c/n/new"), "x"))).await.unwrap();
    assert_eq!(next, revision + 101);
    restored.close().await;
    drop(restored);
    assert_eq!(check(&to, Repair::Nothing).unwrap().faults, Vec::<String>::new());
    assert!(restore(&to, revision, all).is_err(), "nothing is written over");
}
