use crate::ForestError;

/// Groups items, in their order, so that no group holds more than `budget` tokens and all are about even.
///
/// `n_tokens[i]` is the number of distinct tokens of item `i`; what items share among themselves only
/// makes a group smaller. There are as few groups as the order allows, and the largest is as small as
/// that number of groups allows.
///
/// # Errors
/// [`ForestError::OverBudget`] when one item alone is larger than the budget.
pub fn pack(n_tokens: &[usize], budget: usize) -> Result<Vec<Vec<usize>>, ForestError> {
    if let Some(item) = n_tokens.iter().position(|&size| size > budget) {
        return Err(ForestError::OverBudget { item, n_tokens: n_tokens[item], budget });
    }
    let n_groups = fill(n_tokens, budget).len();
    let (mut least, mut enough) = (n_tokens.iter().copied().max().unwrap_or(0), budget);
    while least < enough {
        let middle = least + (enough - least) / 2;
        if fill(n_tokens, middle).len() <= n_groups { enough = middle } else { least = middle + 1 }
    }
    Ok(fill(n_tokens, enough))
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
    fn an_item_over_the_budget_is_named() {
        assert_eq!(
            pack(&[3, 9], 8),
            Err(ForestError::OverBudget { item: 1, n_tokens: 9, budget: 8 })
        );
    }

    #[test]
    fn groups_are_even() {
        let sizes = [10; 7];
        let groups = pack(&sizes, 60).unwrap();
        assert_eq!(groups, [vec![0, 1, 2, 3], vec![4, 5, 6]]);
        assert_eq!(pack(&[], 60).unwrap(), Vec::<Vec<usize>>::new());
    }

    proptest! {
        #[test]
        fn packs_keep_the_budget_and_lose_nothing(sizes in prop::collection::vec(1usize..50, 0..80)) {
            let groups = pack(&sizes, 64).unwrap();
            prop_assert!(groups.iter().all(|g| g.iter().map(|&i| sizes[i]).sum::<usize>() <= 64));
            prop_assert_eq!(groups.concat(), (0..sizes.len()).collect::<Vec<_>>());
            prop_assert_eq!(groups.len(), fill(&sizes, 64).len());
        }
    }
}
