//! The ordered set of a resource's entries: a B-tree whose copies share their nodes.
//!
//! A reader clones the tree, which copies one pointer, and walks its clone without a lock; a writer copies only the nodes
//! that some clone still shares. Subtrees know their sizes, so entries can be counted and skipped without being visited.

use std::sync::Arc;

use super::entry::Entry;
use crate::storage::key::{Parts, Position};

/// The most entries or children of a node.
const MAX: usize = 64;
/// Nodes with fewer are merged with a neighbour, if both fit into one.
const MIN: usize = 20;
/// How full nodes are made that are filled at once: a little room lets the next insertions in without splits.
const FILL: usize = 56;

/// Entries ordered by position.
#[derive(Clone)]
pub(super) struct Tree {
    root: Arc<Node>,
}

#[derive(Clone)]
enum Node {
    Leaf(Vec<Arc<Entry>>),
    Inner(Vec<Child>),
}

#[derive(Clone)]
struct Child {
    /// Everything in this child is at or after this position, and everything in earlier ones before it.
    first: Arc<Position>,
    len: usize,
    node: Arc<Node>,
}

/// Entries in order.
pub(super) struct Iter<'a> {
    inner: Vec<std::slice::Iter<'a, Child>>,
    leaf: std::slice::Iter<'a, Arc<Entry>>,
}

// === impl Tree ===

impl Tree {
    pub(super) fn new() -> Self {
        Self { root: Arc::new(Node::Leaf(Vec::new())) }
    }

    /// Makes a tree of entries that are sorted already. Those that are not find their place too, only slower.
    pub(super) fn from_sorted(entries: Vec<Arc<Entry>>) -> Self {
        if !entries.is_sorted_by(|a, b| a.parts() < b.parts()) {
            let mut tree = Self::new();
            entries.into_iter().for_each(|entry| drop(tree.insert(entry)));
            return tree;
        }
        let leaves = entries.chunks(FILL).map(|entries| Child {
            first: Arc::new(entries[0].position()),
            len: entries.len(),
            node: Arc::new(Node::Leaf(entries.to_vec())),
        });
        let mut level: Vec<Child> = leaves.collect();
        while level.len() > 1 {
            let parents = level.chunks(FILL).map(|children| Child {
                first: children[0].first.clone(),
                len: children.iter().map(|child| child.len).sum(),
                node: Arc::new(Node::Inner(children.to_vec())),
            });
            level = parents.collect();
        }
        level.pop().map_or_else(Self::new, |root| Self { root: root.node })
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.root.len()
    }

    pub(super) fn get(&self, at: Parts<'_>) -> Option<&Arc<Entry>> {
        let mut node = &*self.root;
        loop {
            match node {
                Node::Inner(children) => node = &children[child_of(children, at)].node,
                Node::Leaf(entries) => return find(entries, at).ok().map(|index| &entries[index]),
            }
        }
    }

    /// How many entries stand before the first one for which `before` is false; `before` must be true, then false.
    pub(super) fn partition_point(&self, before: impl Fn(Parts<'_>) -> bool) -> usize {
        let mut node = &*self.root;
        let mut passed = 0;
        loop {
            match node {
                Node::Inner(children) => {
                    let index = children[1..].partition_point(|child| before(child.first.parts()));
                    passed += children[..index].iter().map(|child| child.len).sum::<usize>();
                    node = &children[index].node;
                }
                Node::Leaf(entries) => return passed + entries.partition_point(|entry| before(entry.parts())),
            }
        }
    }

    /// The entries from the one with the given index on.
    pub(super) fn iter_from(&self, mut index: usize) -> Iter<'_> {
        let mut inner = Vec::new();
        let mut node = &*self.root;
        loop {
            match node {
                Node::Inner(children) => {
                    let mut at = 0;
                    while at + 1 < children.len() && index >= children[at].len {
                        index -= children[at].len;
                        at += 1;
                    }
                    inner.push(children[at + 1..].iter());
                    node = &children[at].node;
                }
                Node::Leaf(entries) => return Iter { inner, leaf: entries[index.min(entries.len())..].iter() },
            }
        }
    }

    /// Puts an entry in its place and gives back the one that was there.
    pub(super) fn insert(&mut self, entry: Arc<Entry>) -> Option<Arc<Entry>> {
        let (old, split) = Arc::make_mut(&mut self.root).insert(entry);
        if let Some(right) = split {
            let left = std::mem::replace(&mut self.root, Arc::new(Node::Leaf(Vec::new())));
            let first = Child { first: right.first.clone(), len: left.len(), node: left };
            self.root = Arc::new(Node::Inner(vec![first, right]));
        }
        old
    }

    /// Takes the entry at a position out.
    pub(super) fn remove(&mut self, at: Parts<'_>) -> Option<Arc<Entry>> {
        // Looked up first, so that nothing is copied for what is not there.
        self.get(at)?;
        let removed = Arc::make_mut(&mut self.root).remove(at);
        while let Node::Inner(children) = &*self.root
            && children.len() == 1
        {
            let only = children[0].node.clone();
            self.root = only;
        }
        removed
    }
}

// === impl Node ===

impl Node {
    /// How many entries there are in it.
    fn len(&self) -> usize {
        match self {
            Self::Leaf(entries) => entries.len(),
            Self::Inner(children) => children.iter().map(|child| child.len).sum(),
        }
    }

    /// How many entries or children it has of its own.
    fn width(&self) -> usize {
        match self {
            Self::Leaf(entries) => entries.len(),
            Self::Inner(children) => children.len(),
        }
    }

    fn insert(&mut self, entry: Arc<Entry>) -> (Option<Arc<Entry>>, Option<Child>) {
        match self {
            Self::Leaf(entries) => match find(entries, entry.parts()) {
                Ok(index) => (Some(std::mem::replace(&mut entries[index], entry)), None),
                Err(index) => {
                    entries.insert(index, entry);
                    (None, split_leaf(entries, index))
                }
            },
            Self::Inner(children) => {
                let index = child_of(children, entry.parts());
                let child = &mut children[index];
                let (old, split) = Arc::make_mut(&mut child.node).insert(entry);
                child.len += usize::from(old.is_none());
                if let Some(right) = split {
                    child.len -= right.len;
                    children.insert(index + 1, right);
                }
                (old, split_inner(children, index + 1))
            }
        }
    }

    fn remove(&mut self, at: Parts<'_>) -> Option<Arc<Entry>> {
        match self {
            Self::Leaf(entries) => find(entries, at).ok().map(|index| entries.remove(index)),
            Self::Inner(children) => {
                let index = child_of(children, at);
                let child = &mut children[index];
                let removed = Arc::make_mut(&mut child.node).remove(at)?;
                child.len -= 1;
                let (len, width) = (child.len, child.node.width());
                if len == 0 && children.len() > 1 {
                    children.remove(index);
                } else if width < MIN {
                    merge_around(children, index);
                }
                Some(removed)
            }
        }
    }
}

/// The index of the child that holds a position, if any does.
fn child_of(children: &[Child], at: Parts<'_>) -> usize {
    children[1..].partition_point(|child| child.first.parts() <= at)
}

fn find(entries: &[Arc<Entry>], at: Parts<'_>) -> Result<usize, usize> {
    entries.binary_search_by(|entry| entry.parts().cmp(&at))
}

/// Where to split a node that became too wide by an insertion at `index`: at the end if it grows there, since then it
/// probably goes on growing there.
fn split_point(width: usize, index: usize) -> usize {
    if index + 1 == width { width - 1 } else { width / 2 }
}

fn split_leaf(entries: &mut Vec<Arc<Entry>>, index: usize) -> Option<Child> {
    if entries.len() <= MAX {
        return None;
    }
    let right = entries.split_off(split_point(entries.len(), index));
    Some(Child { first: Arc::new(right[0].position()), len: right.len(), node: Arc::new(Node::Leaf(right)) })
}

fn split_inner(children: &mut Vec<Child>, index: usize) -> Option<Child> {
    if children.len() <= MAX {
        return None;
    }
    let right = children.split_off(split_point(children.len(), index));
    let len = right.iter().map(|child| child.len).sum();
    Some(Child { first: right[0].first.clone(), len, node: Arc::new(Node::Inner(right)) })
}

/// Merges the child at `index` with a neighbour if both fit into one node.
fn merge_around(children: &mut Vec<Child>, index: usize) {
    let fits =
        |left: usize| left + 1 < children.len() && children[left].node.width() + children[left + 1].node.width() <= MAX;
    let left = if fits(index) {
        index
    } else if index > 0 && fits(index - 1) {
        index - 1
    } else {
        return;
    };
    let right = children.remove(left + 1);
    let into = &mut children[left];
    into.len += right.len;
    match (Arc::make_mut(&mut into.node), Arc::unwrap_or_clone(right.node)) {
        (Node::Leaf(into), Node::Leaf(mut from)) => into.append(&mut from),
        (Node::Inner(into), Node::Inner(mut from)) => {
            // The first child of a node needs no bound of its own; here it gets its parent's, which now separates.
            if let Some(first) = from.first_mut() {
                first.first = right.first;
            }
            into.append(&mut from);
        }
        (Node::Leaf(_), Node::Inner(_)) | (Node::Inner(_), Node::Leaf(_)) => {
            unreachable!("neighbours are equally deep")
        }
    }
}

// === impl Iter ===

impl<'a> Iterator for Iter<'a> {
    type Item = &'a Arc<Entry>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            if let Some(entry) = self.leaf.next() {
                return Some(entry);
            }
            let mut node = loop {
                match self.inner.last_mut()?.next() {
                    Some(child) => break &*child.node,
                    None => drop(self.inner.pop()),
                }
            };
            loop {
                match node {
                    Node::Leaf(entries) => break self.leaf = entries.iter(),
                    Node::Inner(children) => {
                        let mut rest = children.iter();
                        let Some(first) = rest.next() else { break };
                        node = &first.node;
                        self.inner.push(rest);
                    }
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use atoll_api::{GroupResource, LogicalClusterName};
    use bytes::Bytes;

    use super::*;
    use crate::storage::conformance::Random;
    use crate::storage::key::Key;

    fn entry(number: u64, revision: u64) -> Arc<Entry> {
        let cluster = LogicalClusterName::parse("c").unwrap();
        let name = format!("{number:05}");
        let key = Key::new(GroupResource::new("", "pods"), cluster.clone(), "n", name);
        Arc::new(Entry::new(&key, cluster, Bytes::new(), revision))
    }

    fn content(tree: &Tree) -> Vec<(String, u64)> {
        tree.iter_from(0).map(|entry| (entry.name().to_owned(), entry.revision)).collect()
    }

    fn check_against(tree: &Tree, model: &BTreeMap<String, u64>) {
        assert_eq!(tree.len(), model.len());
        assert_eq!(content(tree), model.iter().map(|(name, at)| (name.clone(), *at)).collect::<Vec<_>>());
    }

    #[test]
    fn random_changes_leave_what_a_map_would_hold_and_clones_untouched() {
        let mut random = Random::new(1);
        for round in 0..20 {
            let (mut tree, mut model) = (Tree::new(), BTreeMap::new());
            let mut clones = Vec::new();
            // Growing, then shrinking.
            for step in 0..3000 {
                let number = random.below(2000);
                let grow = if step < 1800 { 80 } else { 10 };
                if random.below(100) < grow {
                    let old = tree.insert(entry(number, step));
                    assert_eq!(old.map(|e| e.revision), model.insert(format!("{number:05}"), step));
                } else {
                    let old = tree.remove(entry(number, 0).parts());
                    assert_eq!(old.map(|e| e.revision), model.remove(&format!("{number:05}")));
                }
                if step % 500 == round {
                    clones.push((tree.clone(), model.clone()));
                }
            }
            check_against(&tree, &model);
            clones.iter().for_each(|(tree, model)| check_against(tree, model));
            for name in model.keys().cloned().collect::<Vec<_>>() {
                assert!(tree.remove(entry(name.parse().unwrap(), 0).parts()).is_some());
            }
            assert_eq!(tree.len(), 0);
            assert!(tree.iter_from(0).next().is_none());
        }
    }

    #[test]
    fn entries_are_found_counted_and_skipped() {
        for count in [0, 1, 64, 65, 66, 4096, 5000] {
            let mut tree = Tree::new();
            for number in 0..count {
                tree.insert(entry(number * 2, number));
            }
            for number in [0, 1, 2, 63, 64, 65, 127, 128, 4095, 4096, 4999, 9998, 9999] {
                let probe = entry(number, 0);
                assert_eq!(tree.get(probe.parts()).is_some(), number % 2 == 0 && number / 2 < count);
                let rank = tree.partition_point(|at| at < probe.parts());
                assert_eq!(rank as u64, number.div_ceil(2).min(count));
                let next = tree.iter_from(rank).next().map(|entry| entry.revision);
                assert_eq!(next, (number.div_ceil(2) < count).then(|| number.div_ceil(2)));
                assert_eq!(tree.iter_from(rank).count(), tree.len() - rank);
            }
        }
    }

    #[test]
    fn a_tree_made_at_once_is_like_one_that_grew() {
        for count in [0, 1, 55, 56, 57, 112, 56 * 56, 56 * 56 + 1, 10_000] {
            let entries: Vec<_> = (0..count).map(|number| entry(number * 2, number)).collect();
            let mut shuffled = entries.clone();
            shuffled.reverse();
            for mut tree in [Tree::from_sorted(entries.clone()), Tree::from_sorted(shuffled)] {
                assert_eq!(tree.len() as u64, count);
                assert!(tree.iter_from(0).map(|entry| entry.revision).eq(0..count));
                let mut model: BTreeMap<String, u64> = content(&tree).into_iter().collect();
                for number in (0..count * 2).step_by(7) {
                    tree.insert(entry(number, number));
                    model.insert(format!("{number:05}"), number);
                    tree.remove(entry(number + 1, 0).parts());
                    model.remove(&format!("{:05}", number + 1));
                }
                check_against(&tree, &model);
            }
        }
    }
}
