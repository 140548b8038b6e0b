use super::Figure;
use super::shares::{SharePoint, share_figure};
use crate::ReportError;
use critic_eval::{Accuracy, ContestantResult};

/// Accuracy of every contestant that has one, as a point on its interval; absent when none has.
pub(crate) fn accuracy_figure(
    contestants: &[ContestantResult],
) -> Result<Option<Figure>, ReportError> {
    let rows: Vec<(&ContestantResult, Accuracy)> = contestants
        .iter()
        .filter_map(|result| result.accuracy.map(|accuracy| (result, accuracy)))
        .collect();
    if rows.is_empty() {
        return Ok(None);
    }
    let mut caption =
        "How often the chosen response of a held-out pair has the larger reward, with \
                       its 95\u{a0}% Wilson interval. The dashed line is chance."
            .to_owned();
    if rows.iter().any(|(result, _)| result.n_critiques.is_some()) {
        caption.push_str(
            " m is how many critiques a reward is the mean over; m=0 reads it without any.",
        );
    }
    let has = |name: &str| rows.iter().any(|(result, _)| result.name == name);
    if has("length") {
        caption.push_str(" length, a control, prefers the longer response.");
    }
    if has("bag of words") {
        caption.push_str(
            " bag of words, a control, weighs words by the training pairs and knows no order.",
        );
    }
    let points: Vec<SharePoint> = rows
        .iter()
        .map(|(result, accuracy)| SharePoint {
            name: result.name.clone(),
            series: family_index(contestants, &result.family),
            share: accuracy.agreement.accuracy,
            interval: accuracy.interval,
        })
        .collect();
    share_figure("Accuracy by contestant", caption, &points).map(Some)
}

/// The place of a family among those of all contestants, in the order of their first appearance.
pub(crate) fn family_index(contestants: &[ContestantResult], family: &str) -> usize {
    let mut families: Vec<&str> = Vec::new();
    for result in contestants {
        if !families.contains(&result.family.as_str()) {
            families.push(&result.family);
        }
    }
    families.iter().position(|&known| known == family).unwrap_or(0)
}
