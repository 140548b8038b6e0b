use crate::ItemRecord;
use crate::format::{optional, signed, size};
use critic_types::{FinishReason, RewardPrediction};
use maud::{Markup, html};

/// A pair that opens to its prompt, both responses and what was written about them.
pub(crate) fn item_html(item: &ItemRecord, open: bool) -> Markup {
    let margin = item.chosen_prediction.mean.value() - item.rejected_prediction.mean.value();
    let (verdict, word) =
        if item.correct { ("right", "✓ ranked right") } else { ("wrong", "✗ ranked wrong") };
    html! {
        details.item open[open] {
            summary {
                span.verdict.(verdict) { (word) } " "
                bdi { (item.pair_id) }
                @if let Some(domain) = &item.domain { " · " bdi { (domain) } }
                " · margin " (signed(margin, 3))
            }
            @for message in item.prompt.messages() {
                div.turn {
                    p.role { (message.role.as_str()) }
                    p.text dir="auto" { (message.content) }
                }
            }
            div.responses {
                (response_html("Chosen", &item.chosen, &item.chosen_prediction))
                (response_html("Rejected", &item.rejected, &item.rejected_prediction))
            }
        }
    }
}

fn response_html(side: &str, response: &str, prediction: &RewardPrediction) -> Markup {
    let spread = optional(prediction.std, |std| format!("{std:.3}"));
    let n_critiques = prediction.critiques.len();
    html! {
        article {
            h3 { (side) " · reward " (signed(prediction.mean.value(), 3)) }
            p.text dir="auto" { (response) }
            p.facts {
                @match n_critiques {
                    0 => { "no critique" }
                    1 => { "1 critique" }
                    n => { (size(n)) " critiques, standard deviation " (spread) }
                }
                @if let Some(fast) = prediction.without_critique {
                    " · without critique " (signed(fast.value(), 3))
                }
                @if prediction.n_failed > 0 { " · " (size(prediction.n_failed)) " failed" }
            }
            @if n_critiques > 0 {
                ol.critiques {
                    @for critique in &prediction.critiques {
                        li {
                            p.facts {
                                strong { "reward " (signed(critique.reward.value(), 3)) }
                                " · " (size(critique.n_tokens)) " tokens"
                                @if critique.finish_reason == FinishReason::Length {
                                    " · cut at the token limit"
                                }
                            }
                            p.text dir="auto" { (critique.text) }
                        }
                    }
                }
            }
        }
    }
}
