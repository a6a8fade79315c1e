//! A store that is filled from a backup, step by step: whoever opens it meanwhile, or after the filling was cut off, is told so.
//!
//! A mark is put before the first value and goes with the last one, in one transaction. Every step in between demands that the mark
//! is as it was put, so that of two who fill a store only the last to begin gets anywhere. Engines that can put a whole store in
//! its place at once need none of this.

use std::sync::Arc;

use atoll_api::{GroupResource, LogicalClusterName};
use bytes::Bytes;
use parking_lot::Mutex;

use super::{Action, Backend, BackendError, CommitError, Expect, Key, MAX_TXN_CHECKS, Op, Store, Txn};

/// How many bytes one step has.
const STEP_BYTES: usize = 256 << 10;
/// And how many values: each is checked not to be there, as is the mark.
const STEP_VALUES: usize = MAX_TXN_CHECKS - 1;

/// Why a store was not filled.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// It holds something that no restore has put there.
    #[error("it is not empty")]
    NotEmpty,
    /// It cannot be read.
    #[error("read it")]
    Read(#[source] BackendError),
    /// It did not take a step.
    #[error("write to it")]
    Commit(#[source] CommitError),
}

/// A store that is being filled.
pub struct Filling<'a> {
    backend: &'a dyn Backend,
    /// The revision that put the mark.
    mark: u64,
}

/// Whether a store holds only part of a backup.
pub fn is_unfinished(store: &Store) -> bool {
    store.get(&mark()).is_some()
}

/// A resource that no definition can name, so that no API ever shows it.
fn mark() -> Key {
    Key::new(GroupResource::new("-atoll", "restores"), LogicalClusterName::root(), "", "unfinished")
}

// === impl Filling ===

impl<'a> Filling<'a> {
    /// Begins with a store that holds nothing, or what an earlier attempt left, which is taken away.
    pub async fn begin(backend: &'a dyn Backend) -> Result<Self, Error> {
        let found = Arc::new(Mutex::new(Vec::new()));
        let into = found.clone();
        let loaded = backend.load(Box::new(move |record| into.lock().push((record.key, record.revision)))).await;
        loaded.map_err(Error::Read)?;
        let mut left = std::mem::take(&mut *found.lock());
        let before = left.iter().position(|(key, _)| *key == mark()).map(|place| left.swap_remove(place).1);
        if before.is_none() && !left.is_empty() {
            return Err(Error::NotEmpty);
        }
        let expect = before.map_or(Expect::Absent, Expect::Revision);
        // Beginning with metadata, as everything the cache holds.
        let value = Bytes::from_static(br#"{"metadata":{"name":"unfinished"}}"#);
        let put = Txn { ops: vec![Op { key: mark(), expect, action: Action::Put(value) }] };
        let filling = Self { backend, mark: backend.commit(put).await.map_err(Error::Commit)? };
        for step in left.chunks(STEP_VALUES) {
            let delete = |(key, _): &(Key, u64)| Op { key: key.clone(), expect: Expect::Any, action: Action::Delete };
            filling.commit(step.iter().map(delete).collect(), Action::Check).await?;
        }
        Ok(filling)
    }

    /// Puts all values; calls `before_the_last` when the last step is all that is left to be done.
    pub async fn put_all<E: From<Error>>(
        self,
        values: impl IntoIterator<Item = (Key, Bytes)>,
        before_the_last: impl FnOnce() -> Result<(), E>,
    ) -> Result<(), E> {
        let (mut ops, mut bytes) = (Vec::new(), 0);
        for (key, value) in values {
            if !ops.is_empty() && (ops.len() >= STEP_VALUES || bytes + value.len() > STEP_BYTES) {
                self.commit(std::mem::take(&mut ops), Action::Check).await?;
                bytes = 0;
            }
            bytes += value.len();
            ops.push(Op { key, expect: Expect::Absent, action: Action::Put(value) });
        }
        before_the_last()?;
        Ok(self.commit(ops, Action::Delete).await?)
    }

    /// Commits one step, and does something to the mark.
    async fn commit(&self, mut ops: Vec<Op>, to_the_mark: Action) -> Result<(), Error> {
        ops.push(Op { key: mark(), expect: Expect::Revision(self.mark), action: to_the_mark });
        self.backend.commit(Txn { ops }).await.map(drop).map_err(Error::Commit)
    }
}

#[cfg(test)]
mod tests {
    use atoll_api::ClusterScope;

    use super::super::{ListQuery, Memory};
    use super::*;

    fn values(count: usize) -> Vec<(Key, Bytes)> {
        let key =
            |number| Key::new(GroupResource::new("", "things"), LogicalClusterName::root(), "", format!("{number}"));
        (0..count).map(|number| (key(number), Bytes::from_static(br#"{"metadata":{}}"#))).collect()
    }

    async fn things(backend: &Arc<dyn Backend>) -> (usize, bool) {
        let store = Store::open(backend.clone()).await.expect("it opens");
        let (resource, scope) = (GroupResource::new("", "things"), ClusterScope::All);
        let page = store.list(ListQuery::new(&resource, &scope)).expect("a list");
        (page.entries.len(), is_unfinished(&store))
    }

    #[tokio::test]
    async fn a_store_is_unfinished_until_the_last_step_and_may_be_begun_again() {
        let backend: Arc<dyn Backend> = Memory::new();
        for expected in [300, 310] {
            let filling = Filling::begin(&*backend).await.expect("it begins");
            assert_eq!(things(&backend).await, (0, true), "what an earlier attempt left is gone");
            let cut = filling.put_all(values(expected), || Err(Error::NotEmpty)).await;
            assert!(cut.is_err());
            let (found, unfinished) = things(&backend).await;
            assert!(found > 100 && found < expected && unfinished, "{found}");
        }
        let filling = Filling::begin(&*backend).await.expect("it begins");
        filling.put_all(values(250), || Ok::<(), Error>(())).await.expect("it is filled");
        assert_eq!(things(&backend).await, (250, false));
        assert!(matches!(Filling::begin(&*backend).await, Err(Error::NotEmpty)));
    }

    #[tokio::test]
    async fn who_began_earlier_gets_nowhere() {
        let backend: Arc<dyn Backend> = Memory::new();
        let first = Filling::begin(&*backend).await.expect("it begins");
        let second = Filling::begin(&*backend).await.expect("it begins");
        let refused = first.put_all(values(1), || Ok::<(), Error>(())).await;
        assert!(matches!(refused, Err(Error::Commit(CommitError::Conflict { .. }))), "{refused:?}");
        second.put_all(values(3), || Ok::<(), Error>(())).await.expect("it is filled");
        assert_eq!(things(&backend).await, (3, false));
    }
}
