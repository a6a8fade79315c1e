//! Clients that read and write the same few values at once, and whether what they saw could have come from one copy.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use super::linear::{self, Deed, Operation, Outcome, Verdict};
use super::{Random, Subject, pod, value};
use crate::storage::{Action, CommitError, Entry, Expect, Store, Txn};

const CLIENTS: u64 = 8;
const VALUES: u64 = 3;
const EACH: usize = 60;

/// Half of the clients at one cache, half at another, as at two servers.
pub async fn what_clients_of_two_caches_see_at_once_is_linearizable(subject: Subject) {
    let stores =
        [Store::open(subject.backend.clone()).await.unwrap(), Store::open(subject.backend.clone()).await.unwrap()];
    let clock = Arc::new(AtomicU64::new(0));
    let clients = (0..CLIENTS).map(|number| {
        let client = Client {
            store: stores[number as usize % 2].clone(),
            clock: clock.clone(),
            random: Random::new(number),
            seen: vec![None; VALUES as usize],
        };
        tokio::spawn(client.work())
    });
    let mut histories = vec![Vec::new(); VALUES as usize];
    for client in futures::future::join_all(clients).await {
        for (at, operation) in client.unwrap() {
            histories[at].push(operation);
        }
    }
    for history in histories {
        assert!(history.len() > EACH, "the run was no use");
        assert_eq!(linear::check(&history), Verdict::Linearizable, "{history:#?}");
    }
}

struct Client {
    store: Arc<Store>,
    clock: Arc<AtomicU64>,
    random: Random,
    /// What this client knows of each value: its number, and the revision that put it.
    seen: Vec<Option<(u64, u64)>>,
}

impl Client {
    async fn work(mut self) -> Vec<(usize, Operation)> {
        let mut done = Vec::new();
        for _ in 0..EACH {
            let at = self.random.below(VALUES) as usize;
            done.push((at, self.act(at).await));
        }
        done
    }

    async fn act(&mut self, at: usize) -> Operation {
        let key = pod(&format!("a/n/{at}"));
        let called = self.clock.fetch_add(1, Ordering::SeqCst);
        // Moments are never the same, so they are numbers for values, too.
        let put = Action::Put(value(&called.to_string()).into());
        let (deed, txn) = match (self.random.below(8), self.seen[at]) {
            (0, Some((from, revision))) => (Deed::Swap { from, to: None }, Txn::delete(key.clone(), revision)),
            (1..4, Some((from, revision))) => {
                let expect = Expect::Revision(revision);
                (Deed::Swap { from, to: Some(called) }, Txn::one(key.clone(), expect, put))
            }
            (0..2, None) => (Deed::Create(called), Txn::one(key.clone(), Expect::Absent, put)),
            _ => {
                self.store.catch_up().await.unwrap();
                let found = self.store.get(&key);
                self.seen[at] = found.as_deref().map(|entry| (number(entry), entry.revision));
                let deed = Deed::Read(self.seen[at].map(|(number, _)| number));
                let version = self.seen[at].map(|(_, revision)| revision);
                return self.answered(called, deed, Outcome::Done, version);
            }
        };
        match self.store.commit(txn).await {
            Ok(revision) => {
                let put = !matches!(deed, Deed::Swap { to: None, .. });
                self.seen[at] = put.then_some((called, revision));
                self.answered(called, deed, Outcome::Done, Some(revision))
            }
            Err(CommitError::Conflict { .. }) => {
                self.seen[at] = None;
                self.answered(called, deed, Outcome::Refused, None)
            }
            Err(other) => panic!("{other}"),
        }
    }

    fn answered(&self, called: u64, deed: Deed, outcome: Outcome, version: Option<u64>) -> Operation {
        Operation { called, answered: self.clock.fetch_add(1, Ordering::SeqCst), deed, outcome, version }
    }
}

fn number(entry: &Entry) -> u64 {
    entry.labels().get("text").and_then(|text| text.parse().ok()).unwrap()
}
