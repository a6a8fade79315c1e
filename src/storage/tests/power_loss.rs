//! Power losses at random instants: no acknowledged transaction is lost, and none is there by half.
//!
//! The disk keeps writes in a cache until it is told to flush. When the power fails, each sector of each write since
//! the last flush is kept or lost by chance, and the length of the file is the old or the new one.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::Mutex;
use redb::StorageBackend;

use crate::storage::conformance::{Random, load, pod};
use crate::storage::{Action, Backend, CommitError, Embedded, Expect, Options, Txn};

const SECTOR: usize = 512;
const LOSSES: u64 = 120;
const WRITERS: u64 = 4;
/// How many keys each transaction writes: all or none of them must be found.
const KEYS: u64 = 3;

/// A machine that can lose power, with a disk for the tables and one for each file of the log.
#[derive(Debug, Clone)]
struct Machine {
    state: Arc<Mutex<MachineState>>,
}

#[derive(Debug)]
struct MachineState {
    disks: [DiskState; 3],
    steps_left: u64,
    random: Random,
    dead: bool,
}

/// One of a machine's disks.
#[derive(Debug)]
struct Disk {
    machine: Machine,
    number: usize,
}

#[derive(Debug)]
struct DiskState {
    /// What survives.
    platters: Vec<u8>,
    /// What a running machine reads.
    cached: Vec<u8>,
    /// Writes since the last flush.
    unflushed: Vec<(usize, Vec<u8>)>,
}

/// What survives on all disks.
type Platters = [Vec<u8>; 3];

impl std::fmt::Debug for Random {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Random")
    }
}

impl Machine {
    fn new(platters: Platters, steps_left: u64, seed: u64) -> Self {
        let disk = |platters: Vec<u8>| DiskState { cached: platters.clone(), platters, unflushed: Vec::new() };
        let (disks, random) = (platters.map(disk), Random::new(seed));
        Self { state: Arc::new(Mutex::new(MachineState { disks, steps_left, random, dead: false })) }
    }

    fn open(&self, log_bytes: usize) -> Result<Arc<Embedded>, crate::storage::OpenError> {
        let disk = |number| Disk { machine: self.clone(), number };
        let options = Options { log_bytes, ..Options::default() };
        Embedded::open_on(disk(0), [Box::new(disk(1)), Box::new(disk(2))], options)
    }

    /// Does something, unless the power is gone or goes now.
    fn step<T>(&self, number: usize, work: impl FnOnce(&mut DiskState) -> T) -> std::io::Result<T> {
        let mut state = self.state.lock();
        if !state.dead && state.steps_left == 0 {
            state.lose_power();
        }
        if state.dead {
            return Err(std::io::Error::other("no power"));
        }
        state.steps_left -= 1;
        Ok(work(&mut state.disks[number]))
    }

    /// What is on the platters after the power was lost, now if it was not before.
    fn platters(&self) -> Platters {
        let mut state = self.state.lock();
        if !state.dead {
            state.lose_power();
        }
        state.disks.each_ref().map(|disk| disk.platters.clone())
    }
}

impl MachineState {
    fn lose_power(&mut self) {
        self.dead = true;
        for disk in &mut self.disks {
            disk.lose_power(&mut self.random);
        }
    }
}

impl DiskState {
    fn lose_power(&mut self, random: &mut Random) {
        if random.below(2) == 0 {
            self.platters.resize(self.cached.len(), 0);
        }
        for (offset, data) in std::mem::take(&mut self.unflushed) {
            for (number, sector) in data.chunks(SECTOR).enumerate() {
                let at = offset + number * SECTOR;
                if at + sector.len() <= self.platters.len() && random.below(2) == 0 {
                    self.platters[at..at + sector.len()].copy_from_slice(sector);
                }
            }
        }
    }
}

impl StorageBackend for Disk {
    fn len(&self) -> std::io::Result<u64> {
        self.machine.step(self.number, |state| state.cached.len() as u64)
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> std::io::Result<()> {
        let offset = offset as usize;
        self.machine.step(self.number, |state| out.copy_from_slice(&state.cached[offset..offset + out.len()]))
    }

    fn set_len(&self, len: u64) -> std::io::Result<()> {
        let len = len as usize;
        self.machine.step(self.number, |state| {
            state.cached.resize(len, 0);
            state.unflushed.retain(|(offset, data)| offset + data.len() <= len);
        })
    }

    fn sync_data(&self) -> std::io::Result<()> {
        self.machine.step(self.number, |state| {
            state.platters.resize(state.cached.len(), 0);
            for (offset, data) in std::mem::take(&mut state.unflushed) {
                state.platters[offset..offset + data.len()].copy_from_slice(&data);
            }
        })
    }

    fn write(&self, offset: u64, data: &[u8]) -> std::io::Result<()> {
        self.machine.step(self.number, |state| {
            let offset = offset as usize;
            state.cached[offset..offset + data.len()].copy_from_slice(data);
            state.unflushed.push((offset, data.to_vec()));
        })
    }
}

/// What must be found: for each writer the number of its last acknowledged transaction, and the revision of that.
type Acknowledged = BTreeMap<u64, (u64, u64)>;

/// Writers that overwrite their own keys with ever higher numbers until the power is gone.
async fn write_until_dark(engine: &Arc<Embedded>, acknowledged: &mut Acknowledged, next: &Arc<AtomicU64>) {
    let writers = (0..WRITERS).map(|writer| {
        let (engine, next) = (engine.clone(), next.clone());
        tokio::spawn(async move {
            let mut last = None;
            loop {
                let number = next.fetch_add(1, Ordering::Relaxed);
                // Values of many sizes, so that pages split and join.
                let text = format!("{number} {}", "x".repeat((number * 37 % 3000) as usize));
                let mut txn = Txn::default();
                for part in 0..KEYS {
                    let action = Action::Put(text.clone().into());
                    txn = txn.and(pod(&format!("c{part}/n/w{writer}")), Expect::Any, action);
                }
                match engine.commit(txn).await {
                    Ok(revision) => last = Some((number, revision)),
                    Err(CommitError::Fatal { .. }) => return (writer, last),
                    Err(other) => panic!("{other}"),
                }
            }
        })
    });
    for writer in futures::future::join_all(writers).await {
        if let (writer, Some(last)) = writer.unwrap() {
            acknowledged.insert(writer, last);
        }
    }
}

/// Reads the store back, checks it, and gives what is there as acknowledged.
async fn check(engine: &Embedded, acknowledged: &Acknowledged) -> Acknowledged {
    let (revision, records) = load(engine).await;
    let mut found: BTreeMap<u64, Vec<(u64, u64)>> = BTreeMap::new();
    for record in &records {
        let writer = record.key.name[1..].parse().unwrap();
        let text = std::str::from_utf8(&record.value).unwrap();
        let (number, filling) = text.split_once(' ').unwrap();
        let number = number.parse::<u64>().unwrap();
        assert_eq!(filling.len() as u64, number * 37 % 3000, "a value is whole");
        assert!(record.revision <= revision);
        found.entry(writer).or_default().push((number, record.revision));
    }
    for (writer, parts) in &found {
        assert_eq!(parts.len() as u64, KEYS, "writer {writer}: half a transaction");
        assert!(parts.iter().all(|part| *part == parts[0]), "writer {writer}: parts of two transactions: {parts:?}");
    }
    for (writer, (number, at)) in acknowledged {
        let parts = found.get(writer).unwrap_or_else(|| panic!("writer {writer} lost everything"));
        assert!(parts[0].0 >= *number && parts[0].1 >= *at, "writer {writer} lost {number}: {parts:?}");
    }
    found.into_iter().map(|(writer, parts)| (writer, parts[0])).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn power_losses_lose_nothing_acknowledged_and_halve_nothing() {
    let mut random = Random::new(11);
    let next = Arc::new(AtomicU64::new(1));
    let mut platters = Platters::default();
    let mut acknowledged = Acknowledged::new();
    let (mut reopened, mut commits) = (0, 0);
    for loss in 0..LOSSES {
        let machine = Machine::new(platters, random.below(600), loss);
        // In turns: tables that are written all the time, now and then, and only after a restart.
        let log_bytes = [1, 100_000, 16 << 20][loss as usize % 3];
        // The power may fail while the store is being opened, after which the next one must still open.
        if let Ok(engine) = machine.open(log_bytes) {
            write_until_dark(&engine, &mut acknowledged, &next).await;
        }
        platters = machine.platters();
        let calm = Machine::new(platters.clone(), u64::MAX, loss);
        let engine = calm.open(log_bytes).unwrap();
        let before = acknowledged.values().map(|(_, revision)| *revision).max().unwrap_or(1);
        acknowledged = check(&engine, &acknowledged).await;
        assert!(engine.revision().await.unwrap() >= before, "revisions never go back");
        reopened += 1;
        commits = next.load(Ordering::Relaxed);
    }
    assert!(reopened == LOSSES && commits > LOSSES, "the run was no use: {commits} commits");
}
