//! Sets of field paths, as trees with sorted branches.
//!
//! All operations are linear in the smaller of the two sets (times a logarithm), so that many managers with few fields each
//! cost little, except unions, which are linear in both.

use super::path::Element;

/// A set of field paths.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Set {
    /// Sorted by element, each element once; no branch without members.
    branches: Vec<Branch>,
}

/// One step below, and what of it is in the set.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Branch {
    pub(super) element: Element,
    /// The path that ends here is in the set.
    pub(super) member: bool,
    /// The paths that go on.
    pub(super) children: Set,
}

// === impl Set ===

impl Set {
    pub(super) fn is_empty(&self) -> bool {
        self.branches.is_empty()
    }

    pub(super) fn branches(&self) -> &[Branch] {
        &self.branches
    }

    /// For changes that keep the elements and leave no branch empty.
    pub(super) fn branches_mut(&mut self) -> &mut [Branch] {
        &mut self.branches
    }

    pub(super) fn get(&self, element: &Element) -> Option<&Branch> {
        self.branches.get(self.search(element).ok()?)
    }

    /// The branch of the field `name`, found without making an element.
    pub(super) fn field(&self, name: &str) -> Option<&Branch> {
        self.branches.get(self.search_field(name)?)
    }

    /// Adds a branch, together with what there is already of it; without members it adds nothing.
    pub(super) fn add(&mut self, branch: Branch) {
        if !branch.member && branch.children.is_empty() {
            return;
        }
        if self.branches.last().is_none_or(|last| last.element < branch.element) {
            self.branches.push(branch);
            return;
        }
        match self.search(&branch.element) {
            Ok(place) => {
                let known = &mut self.branches[place];
                known.member |= branch.member;
                known.children = std::mem::take(&mut known.children).union(branch.children);
            }
            Err(place) => self.branches.insert(place, branch),
        }
    }

    /// The paths in either set.
    pub(super) fn union(self, other: Self) -> Self {
        if self.is_empty() {
            return other;
        }
        Self::union_all(vec![self, other])
    }

    /// The paths in any of the sets.
    pub(super) fn union_all(sets: Vec<Self>) -> Self {
        Self::of_branches(sets.into_iter().flat_map(|set| set.branches).collect())
    }

    /// The paths in any of the branches, which have members.
    pub(super) fn of_branches(mut branches: Vec<Branch>) -> Self {
        if branches.is_sorted_by(|a, b| a.element < b.element) {
            return Self { branches };
        }
        branches.sort_by(|a, b| a.element.cmp(&b.element));
        let mut united = Self::default();
        let mut rest = branches.into_iter().peekable();
        while let Some(mut branch) = rest.next() {
            let mut below = Vec::new();
            while let Some(twin) = rest.next_if(|next| next.element == branch.element) {
                branch.member |= twin.member;
                below.push(twin.children);
            }
            if !below.is_empty() {
                below.push(branch.children);
                branch.children = Self::union_all(below);
            }
            united.branches.push(branch);
        }
        united
    }

    /// Takes the paths of `other` out, but not what is below them. Tells whether any was there.
    pub(super) fn remove(&mut self, other: &Self) -> bool {
        let mut removed = false;
        self.each_common(other, &mut |mine, theirs| {
            removed |= mine.member && theirs.member;
            mine.member &= !theirs.member;
            removed |= mine.children.remove(&theirs.children);
        });
        if removed {
            self.drop_empty();
        }
        removed
    }

    /// The paths in both sets.
    pub(super) fn common(&self, other: &Self) -> Self {
        let mut common = Self::default();
        let (small, large) = if self.branches.len() <= other.branches.len() { (self, other) } else { (other, self) };
        for one in &small.branches {
            if let Some(two) = large.get(&one.element) {
                common.add(Branch {
                    element: one.element.clone(),
                    member: one.member && two.member,
                    children: one.children.common(&two.children),
                });
            }
        }
        common
    }

    /// Takes out the path of field names, and everything below it.
    pub(super) fn prune(&mut self, path: &[&str]) {
        let Some((name, rest)) = path.split_first() else { return };
        let Some(place) = self.search_field(name) else { return };
        let branch = &mut self.branches[place];
        if !rest.is_empty() {
            branch.children.prune(rest);
        }
        if rest.is_empty() || (!branch.member && branch.children.is_empty()) {
            self.branches.remove(place);
        }
    }

    /// Takes out the field `name` itself, but not what is below it.
    pub(super) fn forget_field(&mut self, name: &str) {
        let Some(place) = self.search_field(name) else { return };
        let branch = &mut self.branches[place];
        branch.member = false;
        if branch.children.is_empty() {
            self.branches.remove(place);
        }
    }

    /// Changes what is below the field `name`.
    pub(super) fn change_below(&mut self, name: &str, change: impl FnOnce(&mut Self)) {
        let Some(place) = self.search_field(name) else { return };
        let branch = &mut self.branches[place];
        change(&mut branch.children);
        if !branch.member && branch.children.is_empty() {
            self.branches.remove(place);
        }
    }

    /// How many paths there are.
    pub(super) fn count(&self) -> usize {
        self.branches.iter().map(|branch| usize::from(branch.member) + branch.children.count()).sum()
    }

    /// The paths as text, until they have `bytes` bytes together; those that end at one level come before those that go on.
    pub(super) fn paths(&self, bytes: usize) -> Vec<String> {
        let mut paths = Paths { listed: Vec::new(), left: bytes };
        paths.list(self, "");
        paths.listed
    }

    /// Whether the path of field names is in the set.
    pub(super) fn has(&self, path: &[&str]) -> bool {
        let Some((name, rest)) = path.split_first() else { return false };
        self.field(name).is_some_and(|branch| if rest.is_empty() { branch.member } else { branch.children.has(rest) })
    }

    /// The set of one path of field names.
    pub(super) fn of_path(path: &[&str]) -> Self {
        let mut set = Self::default();
        if let Some((name, rest)) = path.split_first() {
            set.add(Branch { element: Element::field(name), member: rest.is_empty(), children: Self::of_path(rest) });
        }
        set
    }

    fn each_common(&mut self, other: &Self, act: &mut impl FnMut(&mut Branch, &Branch)) {
        if self.branches.len() <= other.branches.len() {
            for mine in &mut self.branches {
                if let Some(theirs) = other.get(&mine.element) {
                    act(mine, theirs);
                }
            }
        } else {
            for theirs in &other.branches {
                if let Ok(place) = self.search(&theirs.element) {
                    act(&mut self.branches[place], theirs);
                }
            }
        }
    }

    fn drop_empty(&mut self) {
        self.branches.retain(|branch| branch.member || !branch.children.is_empty());
    }

    fn search(&self, element: &Element) -> Result<usize, usize> {
        self.branches.binary_search_by(|branch| branch.element.cmp(element))
    }

    fn search_field(&self, name: &str) -> Option<usize> {
        let compare = |branch: &Branch| match &branch.element {
            Element::Field(field) => (**field).cmp(name),
            _ => std::cmp::Ordering::Greater,
        };
        self.branches.binary_search_by(compare).ok()
    }
}

/// Paths as text, as many as may be.
struct Paths {
    listed: Vec<String>,
    /// How many bytes there is room for.
    left: usize,
}

// === impl Paths ===

impl Paths {
    fn list(&mut self, set: &Set, prefix: &str) {
        for branch in set.branches.iter().filter(|branch| branch.member) {
            if self.left == 0 {
                return;
            }
            let path = format!("{prefix}{}", branch.element);
            self.left = self.left.saturating_sub(path.len());
            self.listed.push(path);
        }
        for branch in set.branches.iter().filter(|branch| !branch.children.is_empty()) {
            if self.left == 0 {
                return;
            }
            self.list(&branch.children, &format!("{prefix}{}", branch.element));
        }
    }
}
