//! The real program on a pseudo-terminal: the screen comes up, stops when asked, and gives the terminal back.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use portable_pty::{Child, CommandBuilder, MasterPty, PtySize, native_pty_system};
use std::fs;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

/// How long the program may take for anything that is waited for.
const PATIENCE: Duration = Duration::from_secs(120);

const SIZE: PtySize = PtySize { rows: 40, cols: 120, pixel_width: 0, pixel_height: 0 };

fn root(path: &str) -> PathBuf {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../..")).join(path)
}

/// The arguments of a small run in `out`.
fn arguments(out: &Path, data: &Path) -> Vec<String> {
    let text = |path: &Path| path.display().to_string();
    let mut words = vec!["run".to_owned(), "--out".to_owned(), text(out)];
    for (flag, path) in [
        ("--model", root("reference/golden/tiny_llama")),
        ("--data", data.to_owned()),
        ("--eval", root("examples/eval.jsonl")),
    ] {
        words.extend([flag.to_owned(), text(&path)]);
    }
    for setting in [
        "data.train_limit=10",
        "data.eval_limit=6",
        "critique.n_candidates=3",
        "critique.max_new_tokens=12",
        "train.epochs=40",
        "score.n_critiques=2",
        "score.max_new_tokens=12",
    ] {
        words.extend(["--set".to_owned(), setting.to_owned()]);
    }
    words
}

/// The program on a terminal of its own.
struct OnTerminal {
    child: Box<dyn Child + Send + Sync>,
    master: Box<dyn MasterPty + Send>,
    keys: Box<dyn Write + Send>,
    /// Every byte that the terminal was sent.
    bytes: Arc<Mutex<Vec<u8>>>,
    reader: JoinHandle<()>,
}

impl OnTerminal {
    fn start(arguments: &[String]) -> Self {
        let pty = native_pty_system().openpty(SIZE).unwrap();
        let mut command = CommandBuilder::new(env!("CARGO_BIN_EXE_critic-rm"));
        command.args(arguments);
        command.env("TERM", "xterm-256color");
        let child = pty.slave.spawn_command(command).unwrap();
        drop(pty.slave);
        let mut output = pty.master.try_clone_reader().unwrap();
        let bytes = Arc::new(Mutex::new(Vec::new()));
        let read = bytes.clone();
        let reader = thread::spawn(move || {
            let mut buffer = [0; 4096];
            while let Ok(n @ 1..) = output.read(&mut buffer) {
                read.lock().unwrap().extend_from_slice(&buffer[..n]);
            }
        });
        let keys = pty.master.take_writer().unwrap();
        Self { child, master: pty.master, keys, bytes, reader }
    }

    /// What a terminal would show now.
    fn terminal(&self) -> vt100::Parser {
        let (rows, cols) = self.master.get_size().map(|size| (size.rows, size.cols)).unwrap();
        let mut parser = vt100::Parser::new(rows, cols, 0);
        parser.process(&self.bytes.lock().unwrap());
        parser
    }

    /// Waits until the screen shows all `words`; gives it.
    #[track_caller]
    fn wait_for(&self, words: &[&str]) -> String {
        let started = Instant::now();
        loop {
            let terminal = self.terminal();
            let text = terminal.screen().contents();
            if terminal.screen().alternate_screen() && words.iter().all(|word| text.contains(word))
            {
                return text;
            }
            assert!(started.elapsed() < PATIENCE, "{words:?} did not come:\n{text}");
            thread::sleep(Duration::from_millis(20));
        }
    }

    fn press(&mut self, keys: &str) {
        self.keys.write_all(keys.as_bytes()).unwrap();
        self.keys.flush().unwrap();
    }

    /// Waits for the end; gives the exit code and all that the terminal was sent.
    fn end(mut self) -> (u32, vt100::Parser, String) {
        let code = self.child.wait().unwrap().exit_code();
        let terminal_size = self.master.get_size().unwrap();
        drop((self.keys, self.master));
        self.reader.join().unwrap();
        let bytes = self.bytes.lock().unwrap().clone();
        let mut parser = vt100::Parser::new(terminal_size.rows, terminal_size.cols, 0);
        parser.process(&bytes);
        (code, parser, String::from_utf8_lossy(&bytes).into_owned())
    }
}

#[track_caller]
fn assert_given_back(terminal: &vt100::Parser) {
    assert!(!terminal.screen().alternate_screen(), "the other screen is still up");
    assert!(!terminal.screen().hide_cursor(), "the cursor is hidden");
}

#[track_caller]
fn succeeds(arguments: &[String]) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_critic-rm"));
    let output = command.args(arguments).stdin(Stdio::null()).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

fn weights(out: &Path) -> [Vec<u8>; 2] {
    ["critic-rm", "scalar"]
        .map(|name| fs::read(out.join("checkpoints").join(name).join("model.safetensors")).unwrap())
}

#[test]
fn a_run_that_q_stops_gives_the_terminal_back_and_goes_on_to_the_same_weights() {
    let folder = tempfile::tempdir().unwrap();
    let data = root("examples/train.jsonl");
    let straight = folder.path().join("straight");
    succeeds(&arguments(&straight, &data));

    let stopped = folder.path().join("stopped");
    let plain = arguments(&stopped, &data);
    let with_screen = [plain.clone(), vec!["--tui".to_owned()]].concat();
    let mut program = OnTerminal::start(&with_screen);
    program.wait_for(&["critic-rm", "train scalar", "q stop"]);
    program.wait_for(&["training critic-rm", "gradient norm"]);
    program.press("q");
    let (code, terminal, _) = program.end();
    assert_eq!(code, 8);
    assert_given_back(&terminal);
    let left = terminal.screen().contents();
    assert!(left.contains("error: interrupted"), "{left}");
    assert!(!stopped.join("checkpoints/scalar/training.json").exists(), "it was not in the middle");

    succeeds(&plain);
    assert!(weights(&stopped) == weights(&straight), "other weights");
}

#[test]
fn a_resumed_run_shows_the_earlier_steps_and_a_whole_run_ends_with_its_results_in_sight() {
    let folder = tempfile::tempdir().unwrap();
    let words = arguments(&folder.path().join("run"), &root("examples/train.jsonl"));
    let words = [words, vec!["--tui".to_owned()]].concat();
    let mut program = OnTerminal::start(&words);
    program.wait_for(&["training critic-rm"]);
    // Ctrl-C as the key that a raw terminal makes of it.
    program.press("\u{3}");
    assert_eq!(program.end().0, 8);

    let mut program = OnTerminal::start(&words);
    program.wait_for(&["critic-rm"]);
    program.press("?");
    program.wait_for(&["freeze the view"]);
    program.master.resize(PtySize { rows: 6, cols: 30, ..SIZE }).unwrap();
    program.master.resize(SIZE).unwrap();
    program.press("?\t");
    let (code, terminal, _) = program.end();
    assert_eq!(code, 0);
    assert_given_back(&terminal);
    let left = terminal.screen().contents();
    assert!(left.contains("contestant") && left.contains("bag of words"), "{left}");
}

#[test]
fn commands_to_the_terminal_in_the_data_do_not_reach_it() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("train.jsonl");
    let evil = "\u{1b}]0;owned\u{7}\u{1b}[31;45mpaint";
    let rows: Vec<String> = fs::read_to_string(root("examples/train.jsonl"))
        .unwrap()
        .lines()
        .map(|line| {
            let mut row: serde_json::Value = serde_json::from_str(line).unwrap();
            for key in ["chosen", "rejected"] {
                if let Some(text) = row[key].as_str() {
                    row[key] = format!("{evil} {text}").into();
                }
            }
            row.to_string()
        })
        .collect();
    assert!(rows[0].contains("owned"), "{}", rows[0]);
    critic_types::atomic_file::write(&data, rows.join("\n").as_bytes()).unwrap();
    let words = arguments(&folder.path().join("run"), &data);
    let mut program = OnTerminal::start(&[words, vec!["--tui".to_owned()]].concat());
    program.wait_for(&["training critic-rm", "gradient norm"]);
    // To the critiques, which stand below their responses.
    program.press("\u{1b}[Z\u{1b}[Z");
    program.wait_for(&["␛]0;owned", "paint"]);
    program.press("q");
    let (code, terminal, sent) = program.end();
    assert_eq!(code, 8);
    assert_given_back(&terminal);
    assert!(!sent.contains("\u{1b}]0;owned") && !sent.contains("\u{1b}[31;45m"));
}

#[test]
fn without_a_terminal_one_line_says_so_and_plain_lines_follow() {
    let folder = tempfile::tempdir().unwrap();
    let words = arguments(&folder.path().join("run"), &root("examples/train.jsonl"));
    let mut command = Command::new(env!("CARGO_BIN_EXE_critic-rm"));
    let output =
        command.args(["critique"]).args(&words[1..]).arg("--tui").stdin(Stdio::null()).output();
    let output = output.unwrap();
    assert!(output.status.success());
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert!(stderr.starts_with("note: --tui needs a terminal"), "{stderr}");
    assert!(stderr.contains("\nwriting critiques: 0/20\n"), "{stderr}");
    assert!(!stderr.contains("\u{1b}[?1049h"), "{stderr}");
}
