//! Logs and what they fold to, written down for clients in other languages: the
//! web client's fold is proven by them to be this one (tests/vectors/fold.txt).
//!
//! A line is a word, then Protobuf in hexadecimal or a name. `log` begins a log and
//! names its reader; `event` is the next event; `conversation`, `participant` and
//! `message` are what the reader sees after the last one.

use std::{fmt::Write as _, fs, path::Path};

use proptest::{
    prelude::*,
    strategy::ValueTree as _,
    test_runner::{Config, TestRunner},
};
use prost::Message as _;

use crate::fold::{USERS, Writer, fold, participants, step};

const LOGS: usize = 12;

fn vectors() -> String {
    // It always gives the same.
    let mut runner = TestRunner::new_with_rng(
        Config::default(),
        proptest::test_runner::TestRng::deterministic_rng(
            proptest::test_runner::RngAlgorithm::ChaCha,
        ),
    );
    let steps = prop::collection::vec(step(), 20..80);
    let mut text = String::new();
    for index in 0..LOGS {
        let steps = steps.new_tree(&mut runner).expect("it filters nothing").current();
        let log = Writer::write(&steps);
        let reader = USERS[index % USERS.len()];
        let state = fold(&log, reader);
        line(&mut text, "log", reader);
        for event in &log {
            line(&mut text, "event", &hexadecimal(&event.encode_to_vec()));
        }
        let conversation = state.conversation().expect("it began");
        line(&mut text, "conversation", &hexadecimal(&conversation.encode_to_vec()));
        for row in participants(&state) {
            line(&mut text, "participant", &hexadecimal(&row.encode_to_vec()));
        }
        for message in state.messages() {
            line(&mut text, "message", &hexadecimal(&message.encode_to_vec()));
        }
    }
    text
}

fn line(text: &mut String, word: &str, value: &str) {
    text.push_str(word);
    text.push(' ');
    text.push_str(value);
    text.push('\n');
}

fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        write!(text, "{byte:02x}").expect("a string takes everything");
        text
    })
}

/// The file is what this fold gives. To write it anew: `CONFAB_TEST_VECTORS=write`.
#[test]
fn the_written_vectors_are_what_this_fold_gives() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/vectors/fold.txt");
    let now = vectors();
    if std::env::var("CONFAB_TEST_VECTORS").is_ok_and(|what| what == "write") {
        fs::write(&path, &now).expect("the folder is there");
    }
    let written = fs::read_to_string(&path).expect("it was written");
    assert!(written == now, "{} is not what this fold gives", path.display());
}
