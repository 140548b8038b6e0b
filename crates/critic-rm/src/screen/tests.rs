use super::draw::{self, Scene};
use super::palette::Palette;
use super::state::{Message, State};
use super::view::{View, Wish};
use crate::progress::{News, Planned};
use critic_report::{Fact, FunnelStep, StageRecord};
use critic_train::{EvaluationRecord, StepRecord};
use critic_types::{
    Candidate, Conversation, CritiqueScores, FinishReason, PreferencePair, Provenance, Reward,
    RewardPrediction, Side,
};
use ratatui::Terminal;
use ratatui::backend::TestBackend;
use ratatui::buffer::Buffer;
use ratatui::crossterm::event::{KeyCode, KeyEvent, KeyModifiers};
use ratatui::style::Color;
use std::path::PathBuf;
use std::time::Duration;

const SIZES: [(u16, u16); 3] = [(80, 24), (120, 40), (40, 10)];

fn buffer(state: &State, view: &View, palette: Palette, (width, height): (u16, u16)) -> Buffer {
    let mut terminal = Terminal::new(TestBackend::new(width, height)).unwrap();
    let scene = Scene { state, view, palette, now: Duration::from_secs(90) };
    terminal.draw(|frame| draw::frame(frame, scene)).unwrap();
    terminal.backend().buffer().clone()
}

/// What a person sees, a line a row.
fn seen(state: &State, view: &View, size: (u16, u16)) -> String {
    let buffer = buffer(state, view, Palette::new(true), size);
    let row = |y: u16| {
        let row: String = (0..size.0).map(|x| buffer[(x, y)].symbol()).collect();
        row.trim_end().to_owned()
    };
    (0..size.1).map(row).collect::<Vec<_>>().join("\n")
}

#[track_caller]
fn assert_seen(name: &str, state: &State, view: &View) {
    for (width, height) in SIZES {
        let name = format!("{name} at {width} x {height}");
        insta::assert_snapshot!(name, seen(state, view, (width, height)));
    }
}

fn said(state: &mut State, messages: impl IntoIterator<Item = Message>) {
    for message in messages {
        state.take(message, Duration::from_secs(30));
    }
}

fn news(news: News) -> Message {
    Message::News(Box::new(news))
}

fn planned() -> State {
    let mut state = State::new("runs/default");
    let stages = ["critique", "filter", "refine", "train critic-rm", "train scalar"];
    let scores = ["score critic-rm", "score scalar"];
    let stages = stages
        .iter()
        .chain(&scores)
        .map(|name| Planned { name: (*name).to_owned(), seconds: Some(60.0) })
        .collect();
    let model = "smollm2-135m-instruct".to_owned();
    said(
        &mut state,
        [
            Message::Said("about 7 min 00 s from the start on this machine".to_owned()),
            news(News::Planned { folder: PathBuf::from("runs/default"), model, stages }),
        ],
    );
    state
}

fn finished(name: &str, seconds: f64, facts: &[(&str, &str)]) -> Message {
    let summary = facts
        .iter()
        .map(|(value, label)| Fact { value: (*value).to_owned(), label: (*label).to_owned() })
        .collect();
    news(News::Finished(StageRecord { name: name.to_owned(), seconds, summary, resumed: false }))
}

fn began(name: &str, total: u64, done: u64) -> Message {
    Message::Began { name: name.to_owned(), total, done }
}

fn pair(prompt: &str, response: &str) -> PreferencePair {
    PreferencePair {
        id: "gsm8k-17".to_owned(),
        prompt: Conversation::from_user(prompt),
        chosen: response.to_owned(),
        rejected: "10".to_owned(),
        margin: None,
        domain: None,
        subset: None,
    }
}

fn candidate(text: &str) -> Candidate {
    Candidate {
        pair_id: "gsm8k-17".to_owned(),
        side: Side::Chosen,
        index: 0,
        text: text.to_owned(),
        scores: CritiqueScores { parsed: Some(8.0), expected: Some(7.4), verdict: Some(1.25) },
        finish_reason: FinishReason::Stop,
        n_tokens: 600,
        provenance: Provenance::Sampled,
    }
}

fn writing() -> State {
    let mut state = planned();
    let question = "Natalia sold clips to 48 of her friends in April, and then she sold half as many \
                    clips in May. How many clips did Natalia sell altogether in April and May?";
    let response = "Natalia sold 48/2 = 24 clips in May. Altogether she sold 48+24 = 72 clips in \
                    April and May. #### 72";
    let critique = "The response divides the clips of April by two, which is what \"half as many\" \
                    asks for, and adds both months.\n\nThe arithmetic is right: 48 + 24 is 72. The \
                    steps are short but each of them is there.\n\nScore: 8";
    let critiques = vec![candidate("Too short to be of use."), candidate(critique)];
    said(&mut state, [began("writing critiques", 40, 0)]);
    let wrote = News::wrote(&pair(question, response), Side::Chosen, &critiques);
    state.take(news(wrote), Duration::from_secs(60));
    let advanced = (0..12).map(|_| Message::Advanced(String::new()));
    said(&mut state, advanced);
    said(&mut state, [Message::Logged(" WARN the tokenizer has no chat template".to_owned())]);
    state
}

fn record(step: usize) -> StepRecord {
    let t = step as f64;
    let evaluation = EvaluationRecord {
        set: "dev".to_owned(),
        n_pairs: 50,
        preference_loss: Some(0.7 - 0.001 * t),
        accuracy: Some(0.5 + 0.002 * t),
        critique_loss: Some(2.6 - 0.01 * t),
    };
    StepRecord {
        step,
        epoch: step / 50,
        critique_weight: if step < 50 { 1.0 } else { 1.0 - 0.018 * (t - 50.0) },
        learning_rate: 1e-5 * (t / 10.0).min(1.0),
        critique_loss: Some(2.0 + (-t / 20.0).exp() + 0.1 * (t * 1.7).sin()),
        preference_loss: (step >= 50).then_some(0.7 - 0.004 * (t - 50.0)),
        joint_loss: 2.0,
        accuracy: (step >= 50).then(|| 0.5 + 0.3 * (t * 0.7).sin().abs()),
        grad_norm: 1.0 + 0.5 * (t * 0.9).cos(),
        n_tokens: 1500,
        n_unshared_tokens: 4000,
        seconds: 0.5,
        evaluations: if step % 20 == 19 { vec![evaluation] } else { Vec::new() },
    }
}

fn training() -> State {
    let mut state = writing();
    let stages = [
        finished(
            "critique",
            123.0,
            &[("120", "critiques"), ("80", "of them with a readable score")],
        ),
        finished("filter", 0.2, &[("40", "critiques kept"), ("14", "pairs kept")]),
        finished("refine", 8.0, &[("28", "critiques to train on")]),
        began("training critic-rm", 100, 0),
    ];
    said(&mut state, stages);
    for step in 0..80 {
        let folder = PathBuf::from("nowhere");
        let name = "critic-rm".to_owned();
        let step = News::Stepped { folder, name, n_steps: 100, record: record(step) };
        state.take(news(step), Duration::from_secs(80));
        state.take(Message::Advanced(String::new()), Duration::from_secs(80));
    }
    state.training.peak_bytes = Some(1_900_000_000);
    state
}

fn scoring() -> State {
    let mut state = training();
    said(&mut state, [began("scoring with critic-rm", 12, 0)]);
    for (place, chosen) in [0.5, -1.0, 2.0].into_iter().enumerate() {
        for (side, reward) in [(Side::Chosen, chosen), (Side::Rejected, 0.0)] {
            let reward = Reward::new(reward, "test").unwrap();
            let prediction = RewardPrediction {
                mean: reward,
                std: None,
                without_critique: Some(reward),
                critiques: Vec::new(),
                n_failed: 0,
            };
            let scored = News::scored("critic-rm", 2, &place.to_string(), side, &prediction);
            said(&mut state, [news(scored), Message::Advanced(String::new())]);
        }
    }
    state
}

fn filtering() -> State {
    let mut state = writing();
    let step = |label: &str, n_pairs, n_critiques| {
        news(News::Left(FunnelStep { label: label.to_owned(), n_pairs, n_critiques }))
    };
    said(
        &mut state,
        [
            Message::Ended,
            step("pairs", 20, None),
            step("candidates", 20, Some(120)),
            step("filter by verdict score", 14, Some(40)),
            step("ranked, best 2 of a response", 14, Some(28)),
        ],
    );
    state
}

fn pressing(keys: &[KeyCode], state: &State) -> View {
    let mut view = View::default();
    for &key in keys {
        view.press(KeyEvent::new(key, KeyModifiers::NONE), state, Duration::from_secs(90));
    }
    view
}

#[test]
fn before_the_first_stage_it_says_that_the_run_is_being_opened() {
    let mut state = State::new("runs/default");
    said(&mut state, [Message::Said("fetching smollm2-135m".to_owned())]);
    assert_seen("opening", &state, &View::default());
}

#[test]
fn while_critiques_are_written_the_newest_stands_below_its_response() {
    assert_seen("critiques", &writing(), &View::default());
}

#[test]
fn after_the_filter_it_shows_what_each_step_left() {
    assert_seen("filter", &filtering(), &View::default());
}

#[test]
fn while_it_trains_it_shows_curves() {
    assert_seen("training", &training(), &View::default());
}

#[test]
fn a_chosen_curve_has_the_pane_to_itself() {
    let state = training();
    assert_seen("one curve", &state, &pressing(&[KeyCode::Right; 3], &state));
}

#[test]
fn while_it_scores_it_shows_accuracy_for_each_number_of_critiques() {
    assert_seen("scores", &scoring(), &View::default());
}

#[test]
fn help_says_what_the_keys_do() {
    let state = training();
    assert_seen("help", &state, &pressing(&[KeyCode::Char('?')], &state));
}

#[test]
fn a_tiny_window_says_what_size_is_needed() {
    let text = seen(&training(), &View::default(), (30, 6));
    assert!(text.contains("30 × 6") && text.contains("40 × 10"), "{text}");
}

#[test]
fn every_size_can_be_drawn() {
    let states = [State::new("x"), writing(), filtering(), training(), scoring()];
    for state in &states {
        for width in (1..140).step_by(7) {
            for height in (1..50).step_by(3) {
                seen(state, &View::default(), (width, height));
                seen(state, &pressing(&[KeyCode::Left], state), (width, height));
            }
        }
    }
}

#[test]
fn commands_to_the_terminal_in_any_text_are_never_drawn_raw() {
    let evil = "\u{1b}]0;owned\u{7}\u{1b}[2J\u{9b}1m\u{202e}x";
    let mut state = State::new(evil);
    let stages = vec![Planned { name: evil.to_owned(), seconds: None }];
    let plan = News::Planned { folder: PathBuf::from(evil), model: evil.to_owned(), stages };
    let critiques = [candidate(evil)];
    let wrote = News::wrote(&pair(evil, evil), Side::Chosen, &critiques);
    let messages = [
        news(plan),
        began(evil, 3, 1),
        Message::Advanced(evil.to_owned()),
        Message::Said(evil.to_owned()),
        Message::Logged(evil.to_owned()),
        news(wrote),
        finished(evil, 1.0, &[(evil, evil)]),
    ];
    said(&mut state, messages);
    for size in SIZES {
        for pane in 0..5 {
            let view = pressing(&vec![KeyCode::Tab; pane], &state);
            let text = seen(&state, &view, size);
            let is_raw = |c: char| c != '\n' && (c.is_control() || c == '\u{202e}');
            assert!(!text.contains(is_raw), "{text:?}");
        }
    }
    assert!(seen(&state, &View::default(), (120, 40)).contains("␛[2J"));
}

#[test]
fn without_colors_no_cell_has_one() {
    for state in [writing(), filtering(), training(), scoring()] {
        let drawn = buffer(&state, &View::default(), Palette::new(false), (120, 40));
        let plain = |color| color == Color::Reset;
        assert!(drawn.content.iter().all(|cell| plain(cell.fg) && plain(cell.bg)));
    }
}

#[test]
fn a_frozen_view_stays_while_the_work_goes_on() {
    let mut state = training();
    let view = pressing(&[KeyCode::Char('p')], &state);
    let (frozen, at) = view.frozen.as_ref().unwrap();
    let before = seen(frozen, &view, (80, 24));
    said(&mut state, [Message::Advanced(String::new()), Message::Said("later".to_owned())]);
    assert_eq!(seen(frozen, &view, (80, 24)), before);
    assert!(before.contains("frozen") && !before.contains("later"));
    assert_eq!(*at, Duration::from_secs(90));
}

#[test]
fn q_and_control_c_ask_to_stop_and_no_other_key_does() {
    let state = training();
    let mut view = View::default();
    let mut press =
        |code, modifiers| view.press(KeyEvent::new(code, modifiers), &state, Duration::ZERO);
    assert_eq!(press(KeyCode::Char('q'), KeyModifiers::NONE), Wish::Stop);
    assert_eq!(press(KeyCode::Char('c'), KeyModifiers::CONTROL), Wish::Stop);
    for code in [KeyCode::Char('c'), KeyCode::Tab, KeyCode::Esc, KeyCode::Char('p'), KeyCode::Up] {
        assert_eq!(press(code, KeyModifiers::NONE), Wish::Nothing);
    }
}
