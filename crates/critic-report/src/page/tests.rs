use super::*;
use crate::fixtures;
use proptest::prelude::*;

/// What stands inside every `attribute="…"`.
fn attributes<'a>(page: &'a str, attribute: &str) -> Vec<&'a str> {
    let opening = format!(" {attribute}=\"");
    page.match_indices(&opening)
        .filter_map(|(at, _)| page[at + opening.len()..].split('"').next())
        .collect()
}

/// The names of all tags that the page opens.
fn tags(page: &str) -> Vec<&str> {
    let ends = |c: char| !c.is_ascii_alphanumeric();
    page.match_indices('<')
        .filter_map(|(at, _)| page[at + 1..].split(ends).next())
        .filter(|name| !name.is_empty())
        .collect()
}

#[test]
fn an_empty_run_still_has_its_page() {
    let page = html(&fixtures::empty()).unwrap();
    assert!(page.starts_with("<!DOCTYPE html>"));
    assert!(page.contains("smollm2-135m"));
    for absent in
        ["id=\"result\"", "id=\"critiques\"", "id=\"training\"", "id=\"items\"", "Remarks"]
    {
        assert!(!page.contains(absent), "{absent}");
    }
    assert!(page.contains("id=\"run\""));
}

#[test]
fn lists_of_things_without_content_are_left_out() {
    let mut record = fixtures::record();
    for result in &mut record.contestants {
        result.accuracy = None;
        result.mean_nll = None;
        result.by_domain.clear();
    }
    for curve in &mut record.training {
        curve.steps.clear();
        curve.held_out.clear();
    }
    for round in &mut record.rounds {
        round.histograms.clear();
    }
    record.stages.clear();
    record.items.clear();
    record.diagnostics.clear();
    record.critique_studies.clear();
    let page = html(&record).unwrap();
    assert!(!page.contains("<figure"));
    assert!(!page.contains("By domain"));
    assert!(page.contains("critic-rm m=4"));
}

#[test]
fn the_page_begins_with_the_result_in_words() {
    let page = html(&fixtures::record()).unwrap().replace(['\u{a0}', '\u{2060}'], " ");
    for words in [
        "critic-rm m=4 ranks 222 of 318 held-out pairs as their labels do: 69.8 %",
        "It differs from length by +14.4 points (+9.7 to +19.3; corrected p &lt; 0.001). One other",
    ] {
        assert!(page.contains(words), "{words}");
    }
}

#[test]
fn hostile_text_stays_text() {
    let ordinary = html(&fixtures::record()).unwrap();
    let page = html(&fixtures::hostile()).unwrap();
    let known: std::collections::BTreeSet<&str> = tags(&ordinary).into_iter().collect();
    for tag in tags(&page) {
        assert!(known.contains(tag), "<{tag} came from data");
    }
    assert_eq!(page.matches("</style>").count(), 1);
    assert!(page.contains("&lt;script&gt;alert(1)&lt;/script&gt;"));
    for name in ["onerror", "onmouseover", "onload", "onclick"] {
        assert!(attributes(&page, name).is_empty(), "{name}");
    }
}

#[test]
fn the_page_loads_nothing() {
    for record in [fixtures::record(), fixtures::hostile()] {
        let page = html(&record).unwrap();
        assert!(attributes(&page, "src").is_empty());
        assert!(attributes(&page, "href").iter().all(|target| target.starts_with('#')));
        assert!(!page.contains("url(") && !page.contains("@import"));
    }
    // The name of SVG's elements is no address.
    let page = html(&fixtures::record()).unwrap().replace("http://www.w3.org/2000/svg", "");
    assert!(!page.contains("http://") && !page.contains("https://"));
}

#[test]
fn every_link_has_its_target() {
    let page = html(&fixtures::record()).unwrap();
    let targets = attributes(&page, "id");
    for link in attributes(&page, "href").iter().chain(&attributes(&page, "aria-labelledby")) {
        assert!(targets.contains(&link.trim_start_matches('#')), "{link}");
    }
    let mut once = targets.clone();
    once.sort_unstable();
    once.dedup();
    assert_eq!(once.len(), targets.len());
}

#[test]
fn every_item_stands_in_the_page_as_data() {
    let mut record = fixtures::record();
    record.items = fixtures::items(130);
    let page = html(&record).unwrap();
    assert_eq!(page.matches("<script class=\"items-chunk\" type=\"application/json\">").count(), 3);
    for item in &record.items {
        assert!(page.contains(&format!("\"{}\"", item.pair_id)), "{}", item.pair_id);
    }
    // Texts of the browser are data: none of them is markup of the page.
    assert!(!page.contains("Clarity is good.\n\nScore"));
    assert!(page.contains("Clarity is good.\\n\\nScore: 7"));
}

#[test]
fn the_policy_lets_in_the_script_of_the_page_and_nothing_else() {
    let page = html(&fixtures::hostile()).unwrap();
    let policy =
        attributes(&page, "content").into_iter().find(|text| text.contains("-src")).unwrap();
    assert!(policy.starts_with("default-src 'none'; script-src 'sha256-"), "{policy}");
    assert!(policy.contains("require-trusted-types-for 'script'"), "{policy}");
    assert!(!policy.contains("unsafe-inline'; script") && !policy.contains("unsafe-eval"));
    assert_eq!(page.matches("<script>").count(), 1);
    let page = html(&fixtures::empty()).unwrap();
    assert!(page.contains("script-src 'none'") && !page.contains("<script"));
}

fn page_of(losses: &[f64], share: f64, step: usize) -> String {
    let mut record = fixtures::record();
    let template = record.training[0].steps[0];
    record.training[0].steps = losses
        .iter()
        .map(|&loss| crate::StepPoint {
            step,
            joint_loss: loss,
            critique_weight: loss,
            grad_norm: -loss,
            accuracy: Some(loss),
            ..template
        })
        .collect();
    let accuracy = record.contestants[0].accuracy.as_mut().unwrap();
    accuracy.agreement.accuracy = share;
    accuracy.interval.low = share;
    record.stages[0].seconds = share;
    record.comparisons[0].comparison.mcnemar_p = share;
    record.comparisons[0].clustered.interval.high = share;
    record.comparisons[0].holm_p = share;
    html(&record).unwrap()
}

#[track_caller]
fn assert_whole(page: &str) {
    assert!(page.ends_with("</html>") && !page.contains("NaN") && !page.contains("inf "));
}

#[test]
fn a_share_too_large_for_a_percentage_gives_a_page() {
    assert_whole(&page_of(&[], 2e306, 0));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn any_numbers_give_a_page(
        losses in prop::collection::vec(any::<f64>(), 0..60), share in any::<f64>(), step in any::<usize>(),
    ) {
        assert_whole(&page_of(&losses, share, step));
    }
}
