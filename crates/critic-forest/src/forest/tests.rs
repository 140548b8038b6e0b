use super::*;
use proptest::prelude::*;
use std::collections::HashSet;

/// The tokens from the root to the end of `node`, read back through rows.
fn read_back(forest: &Forest, node: NodeId, len: usize) -> Vec<u32> {
    let by_row: std::collections::HashMap<usize, u32> = forest
        .nodes_by_row()
        .into_iter()
        .flat_map(|id| forest.rows(id).zip(forest.tokens(id).to_vec()))
        .collect();
    (0..len).map(|position| by_row[&forest.row_at(node, position).unwrap()]).collect()
}

#[test]
fn a_shared_prompt_is_held_once() {
    let mut forest = Forest::new(100);
    let chosen = forest.insert(None, &[1, 2, 3, 4], 0).unwrap();
    let rejected = forest.insert(None, &[1, 2, 3, 5], 0).unwrap();
    assert_eq!((chosen.n_shared, rejected.n_shared), (0, 3));
    assert_eq!(forest.n_rows(), 5);
    assert_eq!(read_back(&forest, chosen.node, 4), [1, 2, 3, 4]);
    assert_eq!(read_back(&forest, rejected.node, 4), [1, 2, 3, 5]);
    assert_eq!(forest.prefix_rows(rejected.node), vec![0..3]);
}

#[test]
fn a_sequence_that_ends_inside_another_keeps_its_end() {
    let mut forest = Forest::new(100);
    let long = forest.insert(None, &[1, 2, 3, 4], 0).unwrap();
    let short = forest.insert(None, &[1, 2], 0).unwrap();
    assert_eq!(short.n_shared, 2);
    assert_eq!(read_back(&forest, short.node, 2), [1, 2]);
    assert_eq!(forest.row_at(short.node, 2), None);
    forest.release(long.node);
    assert_eq!(forest.n_used_rows(), 2);
    forest.release(short.node);
    assert_eq!((forest.n_used_rows(), forest.n_nodes()), (0, 0));
}

#[test]
fn private_tokens_are_not_shared() {
    let mut forest = Forest::new(100);
    forest.insert(None, &[1, 2, 3], 0).unwrap();
    let again = forest.insert(None, &[1, 2, 3], 1).unwrap();
    assert_eq!(again.n_shared, 2);
    assert_eq!(forest.n_rows(), 4);
}

#[test]
fn leaves_grow_within_their_rows_and_give_them_back() {
    let mut forest = Forest::new(10);
    let prompt = forest.insert(None, &[1, 2, 3], 1).unwrap().node;
    let (a, b) = (forest.open_leaf(prompt, 3).unwrap(), forest.open_leaf(prompt, 3).unwrap());
    assert!(matches!(
        forest.open_leaf(prompt, 2),
        Err(ForestError::OutOfRows { wanted: 2, limit: 10 })
    ));
    let rows: HashSet<usize> =
        (0..3).flat_map(|t| [forest.append(a, t).unwrap(), forest.append(b, t).unwrap()]).collect();
    assert_eq!(rows.len(), 6);
    assert!(forest.append(a, 9).is_err());
    forest.release(prompt);
    assert_eq!(forest.n_used_rows(), 9);
    forest.release(a);
    forest.release(b);
    assert_eq!((forest.n_used_rows(), forest.n_nodes()), (0, 0));
}

proptest! {
    #[test]
    fn every_sequence_is_read_back_and_nothing_is_held_twice(
        sequences in prop::collection::vec(prop::collection::vec(0u32..3, 1..9), 1..20),
        order in any::<prop::sample::Index>(),
    ) {
        let mut forest = Forest::new(usize::MAX);
        let nodes: Vec<NodeId> = sequences.iter().map(|s| forest.insert(None, s, 0).unwrap().node).collect();
        let distinct: HashSet<&[u32]> = sequences.iter().flat_map(|s| (1..=s.len()).map(move |n| &s[..n])).collect();
        prop_assert_eq!(forest.n_rows(), distinct.len());
        for (sequence, &node) in sequences.iter().zip(&nodes) {
            prop_assert_eq!(&read_back(&forest, node, sequence.len()), sequence);
            let prefix: Vec<usize> = forest.path_rows(node).into_iter().flatten().collect();
            let rows: Vec<usize> = (0..sequence.len()).map(|p| forest.row_at(node, p).unwrap()).collect();
            prop_assert_eq!(prefix, rows);
        }
        // Parents stand before their children.
        for id in forest.nodes_by_row() {
            for run in forest.prefix_rows(id) {
                prop_assert!(run.end <= forest.rows(id).start);
            }
        }
        let first = order.index(nodes.len());
        forest.release(nodes[first]);
        for (i, &node) in nodes.iter().enumerate() {
            if i != first {
                prop_assert_eq!(&read_back(&forest, node, sequences[i].len()), &sequences[i]);
            }
        }
        for (i, &node) in nodes.iter().enumerate() {
            if i != first {
                forest.release(node);
            }
        }
        prop_assert_eq!((forest.n_used_rows(), forest.n_nodes()), (0, 0));
    }
}

#[test]
fn a_held_beginning_outlives_its_sequence() {
    let mut forest = Forest::new(100);
    let whole = forest.insert(None, &[1, 2, 3, 4], 0).unwrap().node;
    let start = forest.hold(whole, 3).unwrap();
    assert_eq!(forest.hold(whole, 5), None);
    assert_eq!(forest.hold(whole, 0), None);
    forest.release(whole);
    assert_eq!(forest.n_used_rows(), 3);
    assert_eq!(read_back(&forest, start, 3), [1, 2, 3]);
    assert_eq!(forest.hold_longest(&[7]), None);
    let longest = forest.hold_longest(&[1, 2, 9]).unwrap();
    forest.release(start);
    assert_eq!(read_back(&forest, longest, 2), [1, 2]);
    forest.release(longest);
    assert_eq!((forest.n_used_rows(), forest.n_nodes()), (0, 0));
}

#[test]
fn a_leaf_is_never_shared_however_full_it_is() {
    let mut forest = Forest::new(100);
    let prompt = forest.insert(None, &[1, 2], 0).unwrap().node;
    let leaf = forest.open_leaf(prompt, 1).unwrap();
    forest.append(leaf, 3).unwrap();
    assert_eq!(forest.insert(None, &[1, 2, 3, 4], 0).unwrap().n_shared, 2);
}
