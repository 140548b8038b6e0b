//! The browser of items: its controls, its data, its script.
//!
//! The items stand in the page as JSON that no browser runs: an index of numbers, which is read when the
//! page opens, and chunks of texts, which are read when one of their pairs is looked at or searched. The
//! script makes text nodes of them and nothing else; the page's policy lets no other script run.

use crate::{ItemRecord, ReportError};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use critic_stats::critiques::pair_odds;
use critic_types::{RewardPrediction, SeedTree};
use maud::{Markup, PreEscaped, html};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

/// The one script of the page.
const SCRIPT: &str = include_str!("browser.js");
/// Items whose texts are read together.
const CHUNK: usize = 64;
/// How much of a prompt the list shows.
const LEAD: usize = 120;

/// How a policy names the script.
pub(super) fn script_hash() -> String {
    format!("'sha256-{}'", STANDARD.encode(Sha256::digest(SCRIPT)))
}

/// The browser of these items; `main` is the contestant whose rewards they hold.
pub(crate) fn browser_html(main: &str, items: &[ItemRecord]) -> Result<Markup, ReportError> {
    let index = in_script(&index(main, items))?;
    let chunks: Vec<String> = items
        .chunks(CHUNK)
        .map(|chunk| in_script(&chunk.iter().map(texts).collect()))
        .collect::<Result<_, _>>()?;
    Ok(html! {
        p { "Every held-out pair that " bdi { (main) } " scored, with what it wrote about both responses and the reward after each critique." }
        noscript { p { "Looking at pairs one by one needs JavaScript; the files beside this page have the numbers." } }
        div.browser #browser hidden {
            form.filters #filters role="search" aria-label="Pairs" {
                label.search { span { "Search" } input #query type="search" autocomplete="off" spellcheck="false" placeholder="words in prompts, responses, critiques, ids"; }
                label { span { "Show" } select #show {
                    option value="all" { "all pairs" }
                    option value="wrong" { "ranked wrong" }
                    option value="right" { "ranked right" }
                    option value="divided" { "critiques disagree" }
                    option value="cut" { "a critique was cut" }
                } }
                label { span { "Domain" } select #domain { option value="" { "any" } } }
                label { span { "Against other methods" } select #versus { option value="" { "any" } } }
                label { span { "Order" } select #order {
                    option value="wrong" { "most wrong first" }
                    option value="wide" { "largest margin first" }
                    option value="close" { "closest first" }
                    option value="divided" { "most divided critiques first" }
                    option value="spread" { "widest spread first" }
                    option value="data" { "as in the data" }
                } }
            }
            p.facts #count role="status" {}
            div.panes {
                div.pairs #pairs role="listbox" tabindex="0" aria-label="Pairs; arrow keys choose, Enter reads" { div #rows role="presentation" {} }
                div.pair #pair role="region" tabindex="0" aria-label="The chosen pair" {}
            }
        }
        script type="application/json" id="items-index" { (PreEscaped(&index)) }
        @for chunk in &chunks {
            script.items-chunk type="application/json" { (PreEscaped(chunk)) }
        }
        script { (PreEscaped(SCRIPT)) }
    })
}

/// The numbers of all items, in the order that the script reads them.
fn index(main: &str, items: &[ItemRecord]) -> Value {
    let mut domains: Vec<&str> = items.iter().filter_map(|item| item.domain.as_deref()).collect();
    domains.sort_unstable();
    domains.dedup();
    let mut contestants: Vec<&String> = items.iter().flat_map(|item| item.rewards.keys()).collect();
    contestants.sort_unstable();
    contestants.dedup();
    let rows: Vec<Value> = items
        .iter()
        .map(|item| {
            let domain = item.domain.as_deref().and_then(|name| domains.binary_search(&name).ok());
            let both = [&item.chosen_prediction, &item.rejected_prediction];
            let spread = both.iter().filter_map(|side| side.std).max_by(f64::total_cmp);
            let is_cut = |critique: &&critic_types::CritiqueReward| {
                critique.finish_reason == critic_types::FinishReason::Length
            };
            let n_cut = both.iter().flat_map(|side| &side.critiques).filter(is_cut).count();
            let rewards: Vec<Option<&[f64; 2]>> =
                contestants.iter().map(|name| item.rewards.get(*name)).collect();
            json!([
                item.pair_id,
                domain.map_or(-1, |place| place as i64),
                item.chosen_prediction.mean.value(),
                item.rejected_prediction.mean.value(),
                critiques_agree(item),
                spread,
                n_cut,
                lead(item),
                rewards,
            ])
        })
        .collect();
    json!({
        "main": main, "contestants": contestants, "domains": domains, "chunk": CHUNK, "items": rows,
    })
}

/// The share of combinations of a critique of each response that favours the chosen one, a tie half.
fn critiques_agree(item: &ItemRecord) -> Option<f64> {
    let rewards = |side: &RewardPrediction| -> Vec<f64> {
        side.critiques.iter().map(|critique| critique.reward.value()).collect()
    };
    let (chosen, rejected) = (rewards(&item.chosen_prediction), rewards(&item.rejected_prediction));
    // A single critique is one subset: nothing is drawn.
    let odds = pair_odds(&chosen, &rejected, 1, SeedTree::new(0)).ok()?;
    Some(odds.win + 0.5 * odds.tie)
}

/// The beginning of what was asked.
fn lead(item: &ItemRecord) -> String {
    let words: Vec<&str> = item.prompt.last_user_text().split_whitespace().collect();
    words.join(" ").chars().take(LEAD).collect()
}

/// The texts of an item.
fn texts(item: &ItemRecord) -> Value {
    let turns: Vec<[&str; 2]> = item
        .prompt
        .messages()
        .iter()
        .map(|message| [message.role.as_str(), message.content.as_str()])
        .collect();
    let side = |response: &str, side: &RewardPrediction| {
        let critiques: Vec<Value> = side
            .critiques
            .iter()
            .map(|critique| {
                let (reward, ended) = (critique.reward.value(), critique.finish_reason.as_str());
                json!([critique.text, reward, critique.n_tokens, ended])
            })
            .collect();
        json!({
            "t": response, "r": side.mean.value(), "s": side.std,
            "w": side.without_critique.map(critic_types::Reward::value), "f": side.n_failed, "z": critiques,
        })
    };
    json!({
        "p": turns,
        "c": side(&item.chosen, &item.chosen_prediction),
        "x": side(&item.rejected, &item.rejected_prediction),
    })
}

/// JSON that stands in a `script` element: no character in it can end the element.
fn in_script(value: &Value) -> Result<String, ReportError> {
    let text = serde_json::to_string(value)?;
    let mut escaped = String::with_capacity(text.len() + text.len() / 64);
    for c in text.chars() {
        match c {
            '<' | '>' | '&' | '\u{2028}' | '\u{2029}' => {
                escaped.push_str(&format!("\\u{:04x}", c as u32));
            }
            c => escaped.push(c),
        }
    }
    Ok(escaped)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixtures;

    #[test]
    fn data_cannot_leave_its_element_and_comes_back_as_it_was() {
        let record = fixtures::hostile();
        let value = texts(&record.items[0]);
        let text = in_script(&value).unwrap();
        assert!(!text.contains(['<', '>', '&', '\u{2028}', '\u{2029}']), "{text}");
        assert_eq!(serde_json::from_str::<Value>(&text).unwrap(), value);
    }

    #[test]
    fn the_script_never_reads_text_as_markup_or_code() {
        for way in [
            "innerHTML",
            "outerHTML",
            "insertAdjacent",
            "document.write",
            "eval(",
            "Function(",
            "srcdoc",
        ] {
            assert!(!SCRIPT.contains(way), "{way}");
        }
        assert!(!SCRIPT.contains("</script") && !SCRIPT.contains("<!--"));
    }

    #[test]
    fn critiques_agree_counts_all_combinations() {
        let mut item = fixtures::record().items[0].clone();
        // Chosen 0.9, 1.4, 0.7 against rejected −0.6, −1.1, −0.2.
        assert_eq!(critiques_agree(&item), Some(1.0));
        item.rejected_prediction.critiques.truncate(1);
        item.rejected_prediction.critiques[0].reward = item.chosen_prediction.critiques[0].reward;
        assert_eq!(critiques_agree(&item), Some(0.5));
        item.rejected_prediction.critiques.clear();
        assert_eq!(critiques_agree(&item), None);
    }
}
