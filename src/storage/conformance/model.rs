//! Random histories, compared with a model that keeps every state there ever was.

use std::collections::BTreeMap;
use std::sync::Arc;

use atoll_api::{ClusterScope, LogicalClusterName};

use super::{Random, Subject, key, value};
use crate::storage::{
    Action, CommitError, EventKind, Expect, Key, ListQuery, Position, ReadError, Store, StoreOptions, Txn, WatchItem,
    WatchQuery, Watcher,
};

const RESOURCES: [&str; 2] = ["pods", "secrets"];
const CLUSTERS: [&str; 3] = ["a", "a-b", "b"];
const NAMESPACES: [&str; 3] = ["n", "n-1", ""];
const STEPS: usize = 600;
/// So few that the past gets lost during a run.
const HISTORY: usize = 150;

/// The objects of all resources: encoded key → key, text and revision.
type State = BTreeMap<Vec<u8>, (Key, String, u64)>;

/// The store under test and every state it should have had.
struct Run {
    store: Arc<Store>,
    random: Random,
    /// The states by the revision that made them.
    states: BTreeMap<u64, State>,
    watches: Vec<Watch>,
}

/// A watcher, and the state as its events tell it.
struct Watch {
    watcher: Watcher,
    scope: ClusterScope,
    namespace: Option<&'static str>,
    resource: &'static str,
    state: BTreeMap<Vec<u8>, (String, u64)>,
}

/// Whatever happens, in whatever order: reads of now and then, pages and watches say what the model says.
pub async fn random_histories_are_read_and_watched_as_they_were(subject: Subject) {
    let options = StoreOptions { history_events: HISTORY, ..StoreOptions::default() };
    let store = Store::open_with(subject.backend.clone(), options).await.unwrap();
    let states = BTreeMap::from([(store.revision(), State::new())]);
    let mut run = Run { store, random: Random::new(7), states, watches: Vec::new() };
    for step in 0..STEPS {
        match run.random.below(100) {
            0..70 => run.commit(step).await,
            70..80 => run.check_list(),
            80..85 => run.check_get(),
            85..92 => run.check_pages(),
            92..97 => run.open_watch(),
            97..99 => run.check_watches(),
            _ => run.delete_cluster().await,
        }
    }
    run.check_watches();
    assert!(run.states.len() > 100, "the run was no use");
    let reopened = Store::open(subject.backend.clone()).await.unwrap();
    run.store = reopened;
    run.check_list_at(None);
}

impl Run {
    fn now(&self) -> &State {
        self.states.last_key_value().expect("there is a first state").1
    }

    /// The state at a revision: that of the last commit up to it.
    fn state_at(&self, revision: u64) -> &State {
        self.states.range(..=revision).next_back().expect("revisions come from the store").1
    }

    fn pick<T: Copy>(&mut self, from: &[T]) -> T {
        from[self.random.below(from.len() as u64) as usize]
    }

    fn pick_key(&mut self) -> Key {
        let (resource, cluster, namespace) = (self.pick(&RESOURCES), self.pick(&CLUSTERS), self.pick(&NAMESPACES));
        let name = self.random.below(12);
        key(resource, &format!("{cluster}/{namespace}/{name}"))
    }

    fn pick_scope(&mut self) -> ClusterScope {
        match self.random.below(4) {
            0 => ClusterScope::All,
            _ => ClusterScope::One(LogicalClusterName::parse(self.pick(&CLUSTERS)).unwrap()),
        }
    }

    async fn commit(&mut self, step: usize) {
        let mut txn = Txn::default();
        let mut after = self.now().clone();
        let mut conflict = None;
        for _ in 0..=self.random.below(3) {
            let key = self.pick_key();
            let encoded = key.encode();
            if txn.ops.iter().any(|op| op.key == key) {
                continue;
            }
            let current = self.now().get(&encoded).map(|(_, _, revision)| *revision);
            let expect = match self.random.below(12) {
                0 => Expect::Absent,
                1 => Expect::Revision(1),
                2..6 => current.map_or(Expect::Absent, Expect::Revision),
                _ => Expect::Any,
            };
            if !expect.holds(current) && conflict.is_none() {
                conflict = Some((txn.ops.len(), current));
            }
            let action = match self.random.below(10) {
                0 => Action::Check,
                1..4 => Action::Delete,
                _ => Action::Put(value(&step.to_string()).into()),
            };
            match &action {
                Action::Put(_) => drop(after.insert(encoded, (key.clone(), step.to_string(), 0))),
                Action::Delete => drop(after.remove(&encoded)),
                Action::Check => {}
            }
            txn = txn.and(key, expect, action);
        }
        match (self.store.commit(txn).await, conflict) {
            (Ok(revision), None) => {
                for (_, _, at) in after.values_mut().filter(|(_, _, at)| *at == 0) {
                    *at = revision;
                }
                self.states.insert(revision, after);
            }
            (Err(CommitError::Conflict { index, current, .. }), Some(expect)) => assert_eq!((index, current), expect),
            (outcome, expect) => panic!("{outcome:?} instead of {expect:?}"),
        }
        // An engine with notes of its own may be a little further.
        assert!(Some(self.store.revision()) >= self.states.keys().next_back().copied());
    }

    async fn delete_cluster(&mut self) {
        let cluster = LogicalClusterName::parse(self.pick(&CLUSTERS)).unwrap();
        let mut keys: Vec<Key> = self.now().values().map(|(key, _, _)| key.clone()).collect();
        keys.retain(|key| key.cluster == cluster);
        let mut resources = self.store.resources_of(&cluster);
        let before = self.store.revision();
        self.store.delete_cluster(&cluster, None).await.unwrap();
        // In which order the resources go is the store's affair, so the states between are not known to the model.
        let mut state = self.now().clone();
        resources.retain(|resource| keys.iter().any(|key| key.resource == *resource));
        for (number, resource) in resources.iter().enumerate() {
            state.retain(|_, (key, _, _)| key.cluster != cluster || key.resource != *resource);
            self.states.insert(before + 1 + number as u64, state.clone());
        }
        // An engine with notes of its own may be a little further.
        assert!(Some(self.store.revision()) >= self.states.keys().next_back().copied());
    }

    fn check_list(&mut self) {
        let back = self.random.below(120);
        let at = self.store.revision().saturating_sub(back).max(1);
        self.check_list_at((back > 20).then_some(at));
    }

    fn check_list_at(&mut self, at: Option<u64>) {
        let (resource, scope) = (self.pick(&RESOURCES), self.pick_scope());
        let namespace = self.pick(&[None, None, Some("n"), Some("n-1"), Some("")]);
        let resource_name = key(resource, "a/n/x").resource;
        let even = |entry: &crate::storage::Entry| entry.name().parse::<u64>().unwrap().is_multiple_of(2);
        let filtered = self.random.below(2) == 0;
        let filter: Option<&dyn Fn(&crate::storage::Entry) -> bool> = if filtered { Some(&even) } else { None };
        let query = ListQuery { namespace, at, filter, ..ListQuery::new(&resource_name, &scope) };
        match self.store.list(query) {
            Ok(page) => {
                let mut expect = shown(self.state_at(page.revision), resource, &scope, namespace);
                expect.retain(|(key, _, _)| !filtered || key.name.parse::<u64>().unwrap().is_multiple_of(2));
                assert_eq!(found(&page.entries, resource), expect);
                assert_eq!((page.next, page.remaining), (None, None));
                assert!(at.is_none_or(|at| at == page.revision));
            }
            Err(ReadError::Expired { oldest }) => assert!(at.is_some_and(|at| at < oldest)),
            Err(other) => panic!("{other}"),
        }
    }

    fn check_get(&mut self) {
        let key = self.pick_key();
        let expect = self.now().get(&key.encode()).map(|(_, _, revision)| *revision);
        assert_eq!(self.store.get(&key).map(|entry| entry.revision), expect);
        let back = self.random.below(100);
        let at = self.store.revision().saturating_sub(back).max(1);
        match self.store.get_at(&key, at) {
            Ok(entry) => {
                let expect = self.state_at(at).get(&key.encode()).map(|(_, _, revision)| *revision);
                assert_eq!(entry.map(|entry| entry.revision), expect);
            }
            Err(ReadError::Expired { oldest }) => assert!(at < oldest),
            Err(other) => panic!("{other}"),
        }
    }

    fn check_pages(&mut self) {
        let (resource, scope) = (self.pick(&RESOURCES), self.pick_scope());
        let resource_name = key(resource, "a/n/x").resource;
        let limit = 1 + self.random.below(7) as usize;
        let back = self.random.below(40);
        let mut at = Some(self.store.revision().saturating_sub(back).max(1));
        let mut after: Option<Position> = None;
        let mut entries = Vec::new();
        let mut promised = None;
        loop {
            let query =
                ListQuery { after: after.as_ref(), at, limit: Some(limit), ..ListQuery::new(&resource_name, &scope) };
            let page = match self.store.list(query) {
                Ok(page) => page,
                Err(ReadError::Expired { .. }) => return,
                Err(other) => panic!("{other}"),
            };
            entries.extend(page.entries);
            let total = page.remaining.map(|remaining| entries.len() + remaining);
            assert!(promised.is_none_or(|promised| total.is_none_or(|total| promised == total)));
            promised = promised.or(total);
            at = Some(page.revision);
            match page.next {
                Some(next) => after = Some(next),
                None => break,
            }
        }
        let expect = shown(self.state_at(at.unwrap()), resource, &scope, None);
        assert_eq!(found(&entries, resource), expect);
        assert!(promised.is_none_or(|promised| promised == expect.len()));
    }

    /// Opens a watch after some revision of the past, with the state of then.
    fn open_watch(&mut self) {
        let (resource, scope) = (self.pick(&RESOURCES), self.pick_scope());
        let namespace = self.pick(&[None, Some("n"), Some("n-1"), Some("")]);
        let back = self.random.below(60);
        let after = self.store.revision().saturating_sub(back).max(1);
        let resource_name = key(resource, "a/n/x").resource;
        let query = WatchQuery { resource: &resource_name, scope: &scope, namespace, name: None };
        match self.store.watch(query, after) {
            Ok(watcher) => {
                let state = shown(self.state_at(after), resource, &scope, namespace);
                let state = state.into_iter().map(|(key, text, revision)| (key.encode(), (text, revision))).collect();
                self.watches.push(Watch { watcher, scope, namespace, resource, state });
            }
            Err(ReadError::Expired { oldest }) => assert!(after < oldest),
            Err(other) => panic!("{other}"),
        }
    }

    /// Every watcher's events lead from the state where it began to the state of now.
    fn check_watches(&mut self) {
        let now = self.now().clone();
        let current = self.store.revision();
        self.watches.retain_mut(|watch| {
            if !watch.catch_up() {
                return false;
            }
            let expect = shown(&now, watch.resource, &watch.scope, watch.namespace);
            let expect: BTreeMap<_, _> =
                expect.into_iter().map(|(key, text, revision)| (key.encode(), (text, revision))).collect();
            assert_eq!(watch.state, expect);
            assert_eq!(watch.watcher.revision(), current);
            true
        });
    }
}

impl Watch {
    /// Applies all events that are due; false when the watch has ended.
    fn catch_up(&mut self) -> bool {
        loop {
            match self.watcher.try_next() {
                None => return true,
                Some(WatchItem::Closed(_)) => return false,
                Some(WatchItem::Event(event)) => {
                    let entry = &event.entry;
                    let path = format!("{}/{}/{}", entry.cluster(), entry.namespace(), entry.name());
                    let encoded = key(self.resource, &path).encode();
                    let text = entry.labels().get("text").unwrap().to_owned();
                    let before = match event.kind {
                        EventKind::Delete => self.state.remove(&encoded),
                        EventKind::Put { created } => {
                            let before = self.state.insert(encoded, (text, event.revision));
                            assert_eq!(created, before.is_none());
                            before
                        }
                    };
                    let previous = event.previous.as_ref().map(|previous| previous.revision);
                    assert_eq!(before.map(|(_, revision)| revision), previous);
                }
            }
        }
    }
}

/// What a list of a state should show.
fn shown(state: &State, resource: &str, scope: &ClusterScope, namespace: Option<&str>) -> Vec<(Key, String, u64)> {
    let within = |key: &Key| {
        *key.resource.resource == *resource
            && scope.one().is_none_or(|cluster| *cluster == key.cluster)
            && namespace.is_none_or(|namespace| namespace == &*key.namespace)
    };
    let mut shown: Vec<_> = state.values().filter(|(key, _, _)| within(key)).cloned().collect();
    shown.sort_by_key(|(key, _, _)| key.position());
    shown
}

/// What a list showed.
fn found(entries: &[Arc<crate::storage::Entry>], resource: &str) -> Vec<(Key, String, u64)> {
    let shown = entries.iter().map(|entry| {
        let key = key(resource, &format!("{}/{}/{}", entry.cluster(), entry.namespace(), entry.name()));
        (key, entry.labels().get("text").unwrap().to_owned(), entry.revision)
    });
    shown.collect()
}
