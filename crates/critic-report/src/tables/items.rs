use crate::format::{ABSENT, signed};
use crate::table::{Cell, Table};
use crate::{ItemRecord, RunRecord};

/// How many pairs stand in the page's table; all are in the browser of items and in a file.
const N_SHOWN: usize = 20;

/// The pairs that are ranked wrong by the most.
pub(super) fn wrong(record: &RunRecord) -> Option<Table> {
    let mut wrong: Vec<&ItemRecord> = record.items.iter().filter(|item| !item.correct).collect();
    wrong.sort_by(|a, b| a.margin().total_cmp(&b.margin()));
    let caption = match &record.main {
        Some(main) => format!("The pairs that {main} ranks wrong by the most"),
        None => "The pairs ranked wrong by the most".to_owned(),
    };
    table("items-wrong", caption, wrong.into_iter().take(N_SHOWN))
}

/// Every pair.
pub(super) fn all(record: &RunRecord) -> Option<Table> {
    table("items", "Held-out pairs".to_owned(), record.items.iter())
}

fn table<'a>(
    id: &'static str,
    caption: String,
    items: impl Iterator<Item = &'a ItemRecord>,
) -> Option<Table> {
    let mut table = Table::new(
        id,
        caption,
        &["pair", "domain", "#reward of chosen", "#reward of rejected", "#margin", "ranked"],
    );
    for item in items {
        let reward = |value: f64| Cell::number(value, |value| signed(value, 3));
        table.row([
            item.pair_id.as_str().into(),
            item.domain.as_deref().unwrap_or(ABSENT).into(),
            reward(item.chosen_prediction.mean.value()),
            reward(item.rejected_prediction.mean.value()),
            reward(item.margin()),
            if item.correct { "right" } else { "wrong" }.into(),
        ]);
    }
    table.if_any()
}
