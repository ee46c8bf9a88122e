//! What a typed line means.

/// What is shown by `/help`.
pub(super) const HELP: &str = "\
Type a line to send it. [7] before a message is its number.
/edit 7 TEXT    replace the text of your message 7
/delete 7       delete message 7
/react 7 👍     react to message 7; /unreact 7 👍 takes it back
/who            who is here
/history        the newest messages again
/quit           leave the chat (the conversation stays)
//TEXT          send a text that begins with a slash";

/// A typed line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Line {
    Empty,
    Send(String),
    Edit(u64, String),
    Delete(u64),
    React(u64, String),
    Unreact(u64, String),
    Who,
    History,
    Help,
    Quit,
    /// It cannot be understood; this says why.
    Wrong(String),
}

impl Line {
    pub(super) fn parse(line: &str) -> Self {
        let line = line.trim_end_matches(['\r', '\n']);
        if line.trim().is_empty() {
            return Self::Empty;
        }
        let Some(command) = line.strip_prefix('/') else { return Self::Send(line.to_owned()) };
        if command.starts_with('/') {
            return Self::Send(command.to_owned());
        }
        let (name, rest) = split(command);
        match name {
            "edit" => with_text(rest, "/edit 7 TEXT", Self::Edit),
            "react" => with_text(rest, "/react 7 👍", Self::React),
            "unreact" => with_text(rest, "/unreact 7 👍", Self::Unreact),
            "delete" => match number(rest) {
                Some(seq) => Self::Delete(seq),
                None => Self::Wrong("say it like this: /delete 7".to_owned()),
            },
            "who" => Self::Who,
            "history" => Self::History,
            "help" => Self::Help,
            "quit" | "exit" => Self::Quit,
            _ => Self::Wrong(format!("there is no /{name}; /help says what there is")),
        }
    }
}

fn split(text: &str) -> (&str, &str) {
    let (first, rest) = text.split_once(char::is_whitespace).unwrap_or((text, ""));
    (first, rest.trim())
}

fn number(text: &str) -> Option<u64> {
    text.trim_start_matches('[').trim_end_matches(']').parse().ok()
}

fn with_text(rest: &str, example: &str, line: fn(u64, String) -> Line) -> Line {
    let (seq, text) = split(rest);
    match number(seq) {
        Some(seq) if !text.is_empty() => line(seq, text.to_owned()),
        _ => Line::Wrong(format!("say it like this: {example}")),
    }
}
