use crate::ForestError;

/// Groups items, in their order, so that no group holds more than `budget` tokens.
///
/// `n_tokens[i]` is the number of distinct tokens of item `i`; what items share among themselves only
/// makes a group smaller. A group is closed when the next item no longer fits.
///
/// # Errors
/// [`ForestError::OverBudget`] when one item alone is larger than the budget.
pub fn pack(n_tokens: &[usize], budget: usize) -> Result<Vec<Vec<usize>>, ForestError> {
    let mut groups: Vec<Vec<usize>> = Vec::new();
    let mut filled = budget;
    for (item, &size) in n_tokens.iter().enumerate() {
        if size > budget {
            return Err(ForestError::OverBudget { item, n_tokens: size, budget });
        }
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
    Ok(groups)
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

    proptest! {
        #[test]
        fn packs_keep_the_budget_and_lose_nothing(sizes in prop::collection::vec(1usize..50, 0..80)) {
            let groups = pack(&sizes, 64).unwrap();
            prop_assert!(groups.iter().all(|g| g.iter().map(|&i| sizes[i]).sum::<usize>() <= 64));
            prop_assert_eq!(groups.concat(), (0..sizes.len()).collect::<Vec<_>>());
        }
    }
}
