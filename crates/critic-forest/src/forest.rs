use crate::{ForestError, RowPool};
use std::cmp::Ordering;
use std::ops::Range;

/// A node of a [`Forest`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct NodeId(usize);

/// A run of tokens below a parent.
#[derive(Debug, Clone)]
struct Node {
    parent: Option<NodeId>,
    children: Vec<NodeId>,
    tokens: Vec<u32>,
    /// Rows of the tokens, then rows kept free for tokens to come.
    rows: Range<usize>,
    /// Position of the first token in its sequence.
    depth: usize,
    /// How many sequences end here.
    n_holders: usize,
    /// Opened by [`Forest::open_leaf`]: never shared.
    is_leaf: bool,
}

/// Where a sequence came to stand.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Inserted {
    /// The node that ends the sequence; hold on to it and [`release`](Forest::release) it.
    pub node: NodeId,
    /// How many tokens at its start were in the forest already.
    pub n_shared: usize,
}

/// Token sequences as paths from a root, every distinct prefix held once.
///
/// # Invariants
/// - A node's tokens lie in consecutive rows; a parent's rows are given out before its children's.
/// - The children of a node begin with different tokens, apart from tokens inserted as private and
///   leaves opened by [`open_leaf`](Forest::open_leaf), which nobody else shares.
#[derive(Debug, Clone)]
pub struct Forest {
    nodes: Vec<Option<Node>>,
    vacant: Vec<usize>,
    roots: Vec<NodeId>,
    pool: RowPool,
}

impl Forest {
    /// An empty forest of at most `row_limit` rows.
    pub fn new(row_limit: usize) -> Self {
        Self {
            nodes: Vec::new(),
            vacant: Vec::new(),
            roots: Vec::new(),
            pool: RowPool::new(row_limit),
        }
    }

    /// One past the highest row in use.
    pub fn n_rows(&self) -> usize {
        self.pool.n_rows()
    }

    /// Rows in use, those kept free for tokens to come included.
    pub fn n_used_rows(&self) -> usize {
        self.pool.n_used()
    }

    /// The most rows that may be in use.
    pub fn row_limit(&self) -> usize {
        self.pool.limit()
    }

    /// How many nodes there are.
    pub fn n_nodes(&self) -> usize {
        self.nodes.len() - self.vacant.len()
    }

    /// Inserts a sequence below `parent` (or as a root) and shares what is there already, except its
    /// last `n_private` tokens, which get rows of their own even when the forest has them.
    ///
    /// # Errors
    /// [`ForestError::EmptySequence`], and [`ForestError::OutOfRows`], which leaves the forest as it was
    /// but for nodes that were cut in two.
    pub fn insert(
        &mut self,
        parent: Option<NodeId>,
        tokens: &[u32],
        n_private: usize,
    ) -> Result<Inserted, ForestError> {
        if tokens.is_empty() {
            return Err(ForestError::EmptySequence);
        }
        let shareable = tokens.len().saturating_sub(n_private);
        let mut at = parent;
        let mut n_shared = 0;
        while let Some(child) = self.child_starting_with(at, &tokens[n_shared..shareable]) {
            let node = self.node(child);
            let common = node
                .tokens
                .iter()
                .zip(&tokens[n_shared..shareable])
                .take_while(|(a, b)| a == b)
                .count();
            n_shared += common;
            if common < node.tokens.len() {
                at = Some(self.cut(child, common));
                break;
            }
            at = Some(child);
        }
        let node = if n_shared == tokens.len() {
            at.expect("a non-empty sequence that is wholly shared ends in a node")
        } else {
            let rows = self.pool.take(tokens.len() - n_shared)?;
            self.add(at, tokens[n_shared..].to_vec(), rows)
        };
        self.node_mut(node).n_holders += 1;
        Ok(Inserted { node, n_shared })
    }

    /// Holds the longest beginning of this sequence that the forest has; nothing when it has none.
    pub fn hold_longest(&mut self, tokens: &[u32]) -> Option<NodeId> {
        let mut at = None;
        let mut n_shared = 0;
        while let Some(child) = self.child_starting_with(at, &tokens[n_shared..]) {
            let held = &self.node(child).tokens;
            let common = held.iter().zip(&tokens[n_shared..]).take_while(|(a, b)| a == b).count();
            n_shared += common;
            if common < held.len() {
                at = Some(self.cut(child, common));
                break;
            }
            at = Some(child);
        }
        self.node_mut(at?).n_holders += 1;
        at
    }

    /// Holds the first `n_tokens` tokens of the sequence that ends at `node`; nothing when that is none
    /// of it or more than it has.
    pub fn hold(&mut self, node: NodeId, n_tokens: usize) -> Option<NodeId> {
        let mut id = node;
        while self.node(id).depth >= n_tokens {
            id = self.node(id).parent?;
        }
        let at = n_tokens - self.node(id).depth;
        let held = match at.cmp(&self.node(id).tokens.len()) {
            Ordering::Less => self.cut(id, at),
            Ordering::Equal => id,
            Ordering::Greater => return None,
        };
        self.node_mut(held).n_holders += 1;
        Some(held)
    }

    /// Opens an empty leaf below `parent` with `capacity` rows kept for the tokens to come.
    ///
    /// # Errors
    /// [`ForestError::OutOfRows`].
    pub fn open_leaf(&mut self, parent: NodeId, capacity: usize) -> Result<NodeId, ForestError> {
        let rows = self.pool.take(capacity)?;
        let leaf = self.add(Some(parent), Vec::new(), rows);
        let node = self.node_mut(leaf);
        node.n_holders += 1;
        node.is_leaf = true;
        Ok(leaf)
    }

    /// Puts a token at the end of an open leaf and returns its row.
    ///
    /// # Errors
    /// [`ForestError::OutOfRows`] when the leaf's rows are used up.
    pub fn append(&mut self, leaf: NodeId, token: u32) -> Result<usize, ForestError> {
        let limit = self.pool.limit();
        let node = self.node_mut(leaf);
        let row = node.rows.start + node.tokens.len();
        if row >= node.rows.end {
            return Err(ForestError::OutOfRows { wanted: 1, limit });
        }
        node.tokens.push(token);
        Ok(row)
    }

    /// Gives up one sequence that ends at `node`; rows that no sequence needs any more return to the pool.
    pub fn release(&mut self, node: NodeId) {
        let holders = &mut self.node_mut(node).n_holders;
        *holders = holders.saturating_sub(1);
        let mut at = Some(node);
        while let Some(id) = at {
            let node = self.node(id);
            if node.n_holders > 0 || !node.children.is_empty() {
                return;
            }
            let (parent, rows) = (node.parent, node.rows.clone());
            self.pool.give_back(rows);
            self.nodes[id.0] = None;
            self.vacant.push(id.0);
            self.siblings_mut(parent).retain(|&sibling| sibling != id);
            at = parent;
        }
    }

    /// Position in its sequence of the first token of `node`.
    pub fn depth(&self, node: NodeId) -> usize {
        self.node(node).depth
    }

    /// Tokens of the node itself.
    pub fn tokens(&self, node: NodeId) -> &[u32] {
        &self.node(node).tokens
    }

    /// Rows of the node's own tokens.
    pub fn rows(&self, node: NodeId) -> Range<usize> {
        let node = self.node(node);
        node.rows.start..node.rows.start + node.tokens.len()
    }

    /// Rows of everything above `node`, root first; neighbouring runs are joined.
    pub fn prefix_rows(&self, node: NodeId) -> Vec<Range<usize>> {
        let mut runs: Vec<Range<usize>> = Vec::new();
        let mut at = self.node(node).parent;
        while let Some(id) = at {
            let rows = self.rows(id);
            match runs.last_mut() {
                Some(below) if rows.end == below.start => below.start = rows.start,
                _ if rows.is_empty() => {}
                _ => runs.push(rows),
            }
            at = self.node(id).parent;
        }
        runs.reverse();
        runs
    }

    /// Rows of the whole sequence that ends at `node`, in order; neighbouring runs are joined.
    pub fn path_rows(&self, node: NodeId) -> Vec<Range<usize>> {
        let mut runs = self.prefix_rows(node);
        let own = self.rows(node);
        match runs.last_mut() {
            Some(above) if above.end == own.start => above.end = own.end,
            _ if own.is_empty() => {}
            _ => runs.push(own),
        }
        runs
    }

    /// The row of the token at `position` of the sequence that ends at `node`.
    pub fn row_at(&self, node: NodeId, position: usize) -> Option<usize> {
        let mut at = Some(node);
        while let Some(id) = at {
            let node = self.node(id);
            if position >= node.depth {
                let offset = position - node.depth;
                return (offset < node.tokens.len()).then(|| node.rows.start + offset);
            }
            at = node.parent;
        }
        None
    }

    /// The nodes that hold tokens, by row.
    pub fn nodes_by_row(&self) -> Vec<NodeId> {
        let mut ids: Vec<NodeId> = (0..self.nodes.len())
            .filter(|&i| self.nodes[i].as_ref().is_some_and(|node| !node.tokens.is_empty()))
            .map(NodeId)
            .collect();
        ids.sort_by_key(|&id| self.node(id).rows.start);
        ids
    }

    fn child_starting_with(&self, parent: Option<NodeId>, tokens: &[u32]) -> Option<NodeId> {
        let first = tokens.first()?;
        let siblings = match parent {
            Some(id) => &self.node(id).children,
            None => &self.roots,
        };
        siblings.iter().copied().find(|&child| {
            self.node(child).tokens.first() == Some(first) && !self.node(child).is_leaf
        })
    }

    /// Cuts the first `at` tokens off `id` into a node of their own above it and returns that node.
    ///
    /// Whoever holds `id` means the end of its sequence, so the lower part keeps the id.
    fn cut(&mut self, id: NodeId, at: usize) -> NodeId {
        let node = self.node_mut(id);
        let parent = node.parent;
        let lower_tokens = node.tokens.split_off(at);
        let upper_tokens = std::mem::replace(&mut node.tokens, lower_tokens);
        let upper_rows = node.rows.start..node.rows.start + at;
        node.rows.start += at;
        node.depth += at;
        self.siblings_mut(parent).retain(|&sibling| sibling != id);
        let upper = self.add(parent, upper_tokens, upper_rows);
        self.node_mut(upper).children.push(id);
        self.node_mut(id).parent = Some(upper);
        upper
    }

    fn add(&mut self, parent: Option<NodeId>, tokens: Vec<u32>, rows: Range<usize>) -> NodeId {
        let depth = parent.map_or(0, |id| self.node(id).depth + self.node(id).tokens.len());
        let node = Node {
            parent,
            children: Vec::new(),
            tokens,
            rows,
            depth,
            n_holders: 0,
            is_leaf: false,
        };
        let id = match self.vacant.pop() {
            Some(slot) => {
                self.nodes[slot] = Some(node);
                NodeId(slot)
            }
            None => {
                self.nodes.push(Some(node));
                NodeId(self.nodes.len() - 1)
            }
        };
        self.siblings_mut(parent).push(id);
        id
    }

    fn siblings_mut(&mut self, parent: Option<NodeId>) -> &mut Vec<NodeId> {
        match parent {
            Some(id) => &mut self.node_mut(id).children,
            None => &mut self.roots,
        }
    }

    fn node(&self, id: NodeId) -> &Node {
        self.nodes[id.0].as_ref().expect("an id is valid until its last sequence is released")
    }

    fn node_mut(&mut self, id: NodeId) -> &mut Node {
        self.nodes[id.0].as_mut().expect("an id is valid until its last sequence is released")
    }
}

#[cfg(test)]
mod tests;
