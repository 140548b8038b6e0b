/// Groups items, in their order, so that no group of several holds more than `budget` tokens and all are
/// about even; an item that is larger has a group of its own.
///
/// `n_tokens[i]` is the number of distinct tokens of item `i`; what items share among themselves only
/// makes a group smaller. There are as few groups as the order allows, and the largest of those within the
/// budget is as small as that number of groups allows.
pub fn pack(n_tokens: &[usize], budget: usize) -> Vec<Vec<usize>> {
    let n_groups = fill(n_tokens, budget).len();
    let within = n_tokens.iter().copied().filter(|&size| size <= budget);
    let (mut least, mut enough) = (within.max().unwrap_or(budget), budget);
    while least < enough {
        let middle = least + (enough - least) / 2;
        if fill(n_tokens, middle).len() <= n_groups { enough = middle } else { least = middle + 1 }
    }
    fill(n_tokens, enough)
}

/// Closes a group when the next item no longer fits.
fn fill(n_tokens: &[usize], budget: usize) -> Vec<Vec<usize>> {
    let mut groups: Vec<Vec<usize>> = Vec::new();
    let mut filled = 0;
    for (item, &size) in n_tokens.iter().enumerate() {
        match groups.last_mut() {
            Some(group) if filled + size <= budget => {
                group.push(item);
                filled += size;
            }
            _ => {
                groups.push(vec![item]);
                filled = size;
            }
        }
    }
    groups
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn an_item_over_the_budget_has_a_group_of_its_own_and_leaves_the_others_even() {
        assert_eq!(pack(&[3, 9, 3, 3, 3, 3], 12), [vec![0, 1], vec![2, 3, 4, 5]]);
        assert_eq!(
            pack(&[3, 13, 3, 3, 3, 3, 3], 12),
            [vec![0], vec![1], vec![2, 3, 4], vec![5, 6]]
        );
        assert_eq!(pack(&[13, 14], 12), [vec![0], vec![1]]);
    }

    #[test]
    fn groups_are_even() {
        let sizes = [10; 7];
        let groups = pack(&sizes, 60);
        assert_eq!(groups, [vec![0, 1, 2, 3], vec![4, 5, 6]]);
        assert_eq!(pack(&[], 60), Vec::<Vec<usize>>::new());
    }

    proptest! {
        #[test]
        fn packs_keep_the_budget_and_lose_nothing(sizes in prop::collection::vec(1usize..80, 0..80)) {
            let groups = pack(&sizes, 64);
            let n_tokens = |group: &Vec<usize>| group.iter().map(|&i| sizes[i]).sum::<usize>();
            prop_assert!(groups.iter().all(|group| group.len() == 1 || n_tokens(group) <= 64));
            prop_assert_eq!(groups.concat(), (0..sizes.len()).collect::<Vec<_>>());
            prop_assert_eq!(groups.len(), fill(&sizes, 64).len());
        }
    }
}
