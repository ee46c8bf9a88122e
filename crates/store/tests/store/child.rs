//! Child processes: this test binary run again, in a role given by the environment.
//!
//! A child talks in lines on its standard output; the parent reads only those it
//! knows, because the test harness prints its own.

use std::{
    env,
    io::{BufRead, BufReader},
    path::Path,
    process::{Child, Command, Stdio},
};

use crate::load::Acknowledged;

const ROLE: &str = "CONFAB_STORE_CHILD";
const FOLDER: &str = "CONFAB_STORE_FOLDER";

/// Not a test: what a child process runs. Without a role it does nothing.
#[test]
fn entry() {
    let Ok(role) = env::var(ROLE) else {
        return;
    };
    let folder = env::var(FOLDER).expect("a child has a folder");
    let folder = Path::new(&folder);
    match role.as_str() {
        "append" => crate::crash::child(folder),
        "disk" => crate::disk::child(folder),
        "open" => crate::folder::child(folder),
        other => panic!("no such role: {other}"),
    }
}

pub(crate) struct Process {
    child: Child,
    lines: std::io::Lines<BufReader<std::process::ChildStdout>>,
}

impl Process {
    pub(crate) fn start(role: &str, folder: &Path, environment: &[(&str, &str)]) -> Self {
        let mut child = Command::new(env::current_exe().expect("our own path"))
            .args(["child::entry", "--exact", "--nocapture", "--test-threads=1"])
            .env(ROLE, role)
            .env(FOLDER, folder)
            .env_remove("CONFAB_MUTANT")
            .envs(environment.iter().copied())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("a child process");
        let output = child.stdout.take().expect("its output is piped");
        Self { child, lines: BufReader::new(output).lines() }
    }

    pub(crate) fn kill(&mut self) {
        self.child.kill().expect("SIGKILL");
    }

    /// Waits for the end; whether the child ended well by itself.
    pub(crate) fn wait(mut self) -> bool {
        self.child.wait().expect("the child ends").success()
    }
}

/// The child's lines, without the `> ` that marks them.
impl Iterator for Process {
    type Item = String;

    fn next(&mut self) -> Option<String> {
        loop {
            let line = self.lines.next()?.expect("a line of text");
            if let Some(said) = line.split_once("> ") {
                return Some(said.1.to_owned());
            }
        }
    }
}

/// Says a line to the parent.
pub(crate) fn say(line: &str) {
    println!("> {line}");
}

/// Notes `acked <writer> <row>`; whether the line was one.
pub(crate) fn note(line: &str, acknowledged: &mut Acknowledged) -> bool {
    let Some(rest) = line.strip_prefix("acked ") else {
        return false;
    };
    let (writer, row) = rest.split_once(' ').expect("writer and row");
    let row: u64 = row.parse().expect("a row's number");
    let known = acknowledged.entry(writer.parse().expect("a writer's number")).or_insert(0);
    // A row acknowledged twice is two promises.
    *known = row.max(*known + 1);
    true
}
