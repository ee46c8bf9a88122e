//! What a node wrote to its log, and whether any of it was not to be expected.

use std::{
    io::{BufRead as _, BufReader, Read},
    sync::{Arc, Mutex, PoisonError},
    thread,
};

/// The lines of one node's log, over all its starts. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct Log(Arc<Mutex<Vec<String>>>);

impl Log {
    /// Collects what a process writes, line by line, until it ends. A line that a
    /// kill cut off is dropped.
    pub(super) fn collect(&self, from: impl Read + Send + 'static) -> thread::JoinHandle<()> {
        let log = self.clone();
        thread::spawn(move || {
            let mut reader = BufReader::new(from);
            loop {
                let mut line = Vec::new();
                match reader.read_until(b'\n', &mut line) {
                    Ok(_) if line.ends_with(b"\n") => {
                        log.push(String::from_utf8_lossy(&line).trim_end().to_owned());
                    }
                    _ => return,
                }
            }
        })
    }

    fn push(&self, line: String) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(line);
    }

    /// All lines.
    pub fn lines(&self) -> Vec<String> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Warnings, errors and whatever is no log line at all (a panic), without
    /// those that hold an allowed text.
    pub fn unexpected(&self, allowed: &[String]) -> Vec<String> {
        let is_allowed = |line: &String| allowed.iter().any(|text| line.contains(text));
        self.lines().into_iter().filter(|line| is_alarming(line) && !is_allowed(line)).collect()
    }
}

fn is_alarming(line: &str) -> bool {
    match serde_json::from_str::<serde_json::Value>(line) {
        Ok(line) => !matches!(line["level"].as_str(), Some("TRACE" | "DEBUG" | "INFO")),
        Err(_) => true,
    }
}
