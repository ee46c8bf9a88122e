//! A disk that fails under load: a failed fsync, a full disk, a write cut short,
//! a full disk under the background threads. After it nothing is acknowledged or
//! read until a restart, and nothing acknowledged before is lost.

use std::{
    env, fs,
    io::Write,
    path::{Path, PathBuf},
    process::Command,
};

use confab_store::StoreError;

use crate::{
    child::{Process, note, say},
    load::{Acknowledged, Load, WRITERS},
};

const TRIGGER: &str = "CONFAB_FAULT_TRIGGER";
const MODE: &str = "CONFAB_FAULT_MODE";

/// Works, switches the fault on, goes on working, switches it off, tries again.
pub(crate) fn child(folder: &Path) {
    let load = Load::open(folder);
    let trigger = env::var(TRIGGER).expect("a trigger");
    let mode = env::var(MODE).expect("a mode");
    let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
    runtime.block_on(async {
        work(&load, 20, 200).await;
        fs::write(&trigger, &mode).expect("the trigger");
        say("fault on");
        // Tables are written when 64 MiB have come together.
        let bytes = if mode == "tables" { 1 << 20 } else { 200 };
        work(&load, 10, bytes).await;
        fs::remove_file(&trigger).expect("the trigger goes");
        say("fault off");
        work(&load, 1, 200).await;
        say(&format!("read {}", verdict(&load.read())));
        say(&format!("health {}", verdict(&load.engine.health())));
        say(&format!("probe {}", verdict(&load.engine.probe().await)));
    });
    drop(load);
    say("done");
}

async fn work(load: &Load, appends: u32, bytes: usize) {
    let mut writers = tokio::task::JoinSet::new();
    for writer in 0..WRITERS {
        let load = load.clone();
        writers.spawn(async move {
            for _ in 0..appends {
                match load.append(writer, bytes).await {
                    Ok(row) => say(&format!("acked {writer} {row}")),
                    Err(error) => say(verdict::<()>(&Err(error))),
                }
            }
        });
    }
    writers.join_all().await;
}

fn verdict<T>(result: &Result<T, StoreError>) -> &'static str {
    match result {
        Ok(_) => "ok",
        Err(StoreError::OutcomeUnknown { .. }) => "unknown",
        Err(StoreError::Failed { .. }) => "failed",
        Err(_) => "other",
    }
}

/// What a child saw of a fault.
#[derive(Debug, Default)]
struct Report {
    acknowledged: Acknowledged,
    acknowledged_with_fault: usize,
    acknowledged_after: usize,
    unknown: usize,
    failed: usize,
    other: Vec<String>,
    after: Vec<String>,
    done: bool,
}

fn run(mode: &str, environment: &[(&str, &str)]) -> Option<(Report, Result<(), String>)> {
    let tools = tempfile::tempdir().expect("a folder");
    let shim = compile_shim(tools.path())?;
    let folder = tempfile::tempdir().expect("a folder");
    let under = folder.path().canonicalize().expect("the folder's own name");
    let trigger = tools.path().join("trigger");
    let mut all = vec![
        ("LD_PRELOAD", text(&shim)),
        ("CONFAB_FAULT_UNDER", text(&under)),
        (TRIGGER, text(&trigger)),
        (MODE, mode),
    ];
    all.extend(environment);
    let process = Process::start("disk", &under, &all);
    let report = listen(process);
    let stored = Load::open(&under).check(&report.acknowledged);
    Some((report, stored))
}

fn listen(mut process: Process) -> Report {
    let mut report = Report::default();
    let mut phase = 0;
    for line in process.by_ref() {
        match line.as_str() {
            "fault on" => phase = 1,
            "fault off" => phase = 2,
            "unknown" => report.unknown += 1,
            "failed" => report.failed += 1,
            "done" => report.done = true,
            line if note(line, &mut report.acknowledged) => match phase {
                0 => {}
                1 => report.acknowledged_with_fault += 1,
                _ => report.acknowledged_after += 1,
            },
            line if phase == 2 => report.after.push(line.to_owned()),
            line => report.other.push(line.to_owned()),
        }
    }
    report.done &= process.wait();
    report
}

fn text(path: &Path) -> &str {
    path.to_str().expect("a path of text")
}

/// The shim as a library; `None`, said aloud, where it cannot be made.
fn compile_shim(folder: &Path) -> Option<PathBuf> {
    let library = folder.join("fault_shim.so");
    let source = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fault_shim.c");
    let compiled = Command::new("cc")
        .args(["-shared", "-fPIC", "-O1", "-o"])
        .args([text(&library), source, "-ldl"])
        .output();
    let why = match compiled {
        _ if !cfg!(target_os = "linux") => "disk faults need LD_PRELOAD and /proc".to_owned(),
        Ok(output) if output.status.success() => return Some(library),
        Ok(output) => panic!("{}", String::from_utf8_lossy(&output.stderr)),
        Err(error) => format!("cc does not run: {error}"),
    };
    // Not captured by the harness: whoever runs the tests must see it.
    writeln!(std::io::stderr(), "SKIPPED: store::disk: {why}").expect("standard error");
    None
}

fn assert_stopped(report: &Report, stored: &Result<(), String>) {
    assert_eq!(report.other, Vec::<String>::new(), "{report:?}");
    assert_eq!(report.acknowledged_after, 0, "{report:?}");
    assert_eq!(report.after, ["read failed", "health failed", "probe failed"], "{report:?}");
    assert!(report.done, "{report:?}");
    assert_eq!(*stored, Ok(()));
}

fn assert_journal_fault(mode: &str) {
    let Some((report, stored)) = run(mode, &[]) else {
        return;
    };
    assert_eq!(report.acknowledged_with_fault, 0, "{report:?}");
    assert!(report.unknown >= 1, "{report:?}");
    // Only the group whose commit failed is in doubt; the rest was refused.
    assert!(report.unknown <= WRITERS as usize, "{report:?}");
    assert_stopped(&report, &stored);
}

#[test]
fn a_failed_fsync_stops_acknowledging_and_loses_nothing() {
    assert_journal_fault("fsync");
}

#[test]
fn a_full_disk_stops_acknowledging_and_loses_nothing() {
    assert_journal_fault("write");
}

#[test]
fn a_write_cut_short_stops_acknowledging_and_loses_nothing() {
    assert_journal_fault("short");
}

#[test]
fn a_disk_too_full_for_the_background_threads_stops_the_store() {
    let Some((report, stored)) = run("tables", &[]) else {
        return;
    };
    // The journal still worked, so those were rightly acknowledged.
    assert!(report.acknowledged_with_fault > 0, "{report:?}");
    assert!(report.failed > 0, "{report:?}");
    assert_stopped(&report, &stored);
}

#[test]
fn the_mutant_that_goes_on_after_a_failed_fsync_is_found() {
    let Some((report, stored)) = run("fsync", &[("CONFAB_MUTANT", "retry-failed-fsync")]) else {
        return;
    };
    assert!(report.acknowledged_with_fault > 0, "{report:?}");
    assert!(stored.is_err(), "nothing was lost: {report:?}");
}
