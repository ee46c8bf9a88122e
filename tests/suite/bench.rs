//! The measuring instrument, measured: each scenario of `confab bench` runs
//! tiny against a real server, its report has the shape that scripts read, and
//! a server that breaks a promise fails the run. No figure is looked at: it
//! would say something about the machine only.

use std::process::Command;

use confab_tests::harness::{Checked, Node, Violation, backends, must_be_caught};
use serde_json::Value;

use crate::promises::program;

const CONFAB: &str = env!("CARGO_BIN_EXE_confab-under-test");
/// Enough for some operations of everything.
const SHORT: [&str; 5] = ["--seconds", "0.3", "--warmup", "0.1", "--json"];

/// Runs the bench to its end: its report, and whether it ended well.
fn bench(arguments: &[&str], mutant: Option<&str>) -> Checked<(Value, bool)> {
    let folder = tempfile::tempdir().map_err(Violation::unable)?;
    let file = folder.path().join("report.json");
    let mut command = Command::new(CONFAB);
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("CONFAB_") {
            command.env_remove(name);
        }
    }
    command.arg("bench").args(arguments).args(SHORT).arg(&file);
    if let Some(mutant) = mutant {
        command.env("CONFAB_MUTANT", mutant);
    }
    let output = command.output().map_err(Violation::unable)?;
    let text = std::fs::read_to_string(&file).map_err(|error| {
        let complaint = String::from_utf8_lossy(&output.stderr);
        Violation::unable(format!("{arguments:?}: no report: {error}: {complaint}"))
    })?;
    Ok((serde_json::from_str(&text).map_err(Violation::unable)?, output.status.success()))
}

/// A server of its own, a sound run, and a report that says so.
fn sound(scenario: &str, unit: &str, arguments: &[&str], figures: &[&str]) -> Checked<Value> {
    let (report, well) = bench(&[&[scenario, "--spawn"], arguments].concat(), None)?;
    let whole = report.to_string();
    let holds = |condition: bool, what: &str| {
        Violation::unless(condition, || format!("{scenario}: {what}: {whole}"))
    };
    holds(well, "it did not end well")?;
    holds(report["scenario"] == scenario && report["unit"] == unit, "another scenario")?;
    holds(report["operations"].as_u64() > Some(0), "nothing was measured")?;
    holds(report["seconds"].as_f64() > Some(0.0), "no time")?;
    holds(report["rate"].as_f64() > Some(0.0), "no rate")?;
    holds(report["machine"]["cpus"].as_u64() > Some(0), "no machine")?;
    holds(report["check"]["violations"] == 0, "violations")?;
    if scenario != "idle" {
        holds(report["check"]["events"].as_u64() > Some(0), "nothing was checked")?;
        let latency = |name: &str| report["latency_us"][name].as_u64().unwrap_or(0);
        let rising = ["p50", "p90", "p99", "p999", "max"].map(latency);
        holds(rising[0] > 0 && rising.is_sorted(), "latencies")?;
    }
    let cost = report["server"].as_object().map_or(0, serde_json::Map::len);
    holds(cost == 5, "no cost")?;
    for figure in figures {
        holds(report["figures"][figure].is_f64(), figure)?;
    }
    Ok(report)
}

#[test]
fn sends_are_measured_and_checked() -> Checked {
    let few = ["--in-flight", "8", "--conversations", "2", "--connections", "3"];
    sound("send", "sends", &few, &["retries", "messages_per_commit"])?;
    let open_loop = [&few[..], &["--rate", "200", "--subscribers", "3"]].concat();
    sound("send", "sends", &open_loop, &["delivery_p99_us", "gaps", "bytes_per_event"]).map(drop)
}

#[test]
fn the_fan_out_is_measured_and_checked() -> Checked {
    let few = ["--streams", "12", "--conversations", "2", "--streams-per-connection", "3"];
    sound("fanout", "deliveries", &few, &["events_per_write", "bytes_per_event"])?;
    let burst = [&few[..], &["--burst", "4", "--acks", "--rate", "30"]].concat();
    sound("fanout", "deliveries", &burst, &["gaps"]).map(drop)
}

#[test]
fn pages_are_measured_and_checked() -> Checked {
    sound("read", "pages", &["--messages", "120", "--in-flight", "2"], &[])?;
    sound("read", "pages", &["--messages", "120", "--newest"], &[]).map(drop)
}

#[test]
fn a_storm_of_devices_is_measured_and_checked() -> Checked {
    let few = ["--streams", "12", "--conversations", "2", "--missed", "20"];
    sound("resume", "devices", &few, &["hot_pages", "events_per_second"]).map(drop)
}

#[test]
fn idle_streams_are_measured() -> Checked {
    let few = ["--streams", "20", "--group", "7", "--settle", "0.05"];
    sound("idle", "streams", &few, &["opened_per_second"]).map(drop)
}

#[test]
fn a_user_of_many_conversations_is_measured_and_checked() -> Checked {
    let few = ["--conversations", "20", "--times", "3"];
    sound("connect", "connects", &few, &["welcome_p50_us", "compare_heads_of_all_us"]).map(drop)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_runs_already_is_measured() -> Checked {
    let node = Node::start(program(None)).await?;
    let (server, ops, data) = (node.uri(), node.ops().to_string(), node.data_dir());
    let data = data.to_string_lossy().into_owned();
    let measuring = tokio::task::spawn_blocking(move || {
        let place = ["--server", &server, "--ops", &ops, "--data-dir", &data];
        bench(&[&["send", "--in-flight", "4"][..], &place].concat(), None)
    });
    let (report, well) = measuring.await.map_err(Violation::unable)??;
    Violation::unless(well && report["operations"].as_u64() > Some(0), || report.to_string())?;
    node.finish()
}

#[test]
fn the_engine_is_measured_with_the_rows_of_a_server() -> Checked {
    sound("engine", "rows", &["--in-flight", "8"], &["confab_store_of_fjall", "rows_per_group"])
        .map(drop)
}

#[test]
fn the_stream_server_writes_the_same_bytes_as_confab() -> Checked {
    let few = ["--streams", "6"];
    let theirs = ["events_per_write", "memory_bytes_per_stream"];
    let theirs = sound("streams", "deliveries", &few, &theirs)?;
    let ours = sound("fanout", "deliveries", &few, &["events_per_write"])?;
    let bytes = |report: &Value| report["figures"]["bytes_per_event"].as_f64().unwrap_or(0.0);
    let (ours, theirs) = (bytes(&ours), bytes(&theirs));
    // Numbers and times of more digits take more bytes.
    let same = ours > 200.0 && (ours - theirs).abs() < 16.0;
    Violation::unless(same, || format!("{ours} bytes an event, and {theirs}"))
}

#[test]
fn figures_are_held_against_their_targets() -> Checked {
    let folder = tempfile::tempdir().map_err(Violation::unable)?;
    let file = folder.path().join("table.json");
    let output = Command::new(CONFAB)
        .args(["bench", "ratios", "--only", "burst,connect", "--rounds", "1"])
        .args(["--seconds", "0.2", "--scale", "0.005", "--json"])
        .arg(&file)
        .output()
        .map_err(Violation::unable)?;
    let printed = String::from_utf8_lossy(&output.stdout);
    Violation::unless(printed.contains("| Figure | Target |"), || printed.clone())?;
    let table = std::fs::read_to_string(&file).map_err(Violation::unable)?;
    let table: Vec<Value> = serde_json::from_str(&table).map_err(Violation::unable)?;
    let held = table.iter().filter(|row| row["met"].is_boolean()).count();
    // CPU time is counted in ticks, and a tiny run may take none.
    let timed = table.iter().filter(|row| row["unit"] != " µs");
    let measured = timed.into_iter().all(|row| row["median"].as_f64() > Some(0.0));
    Violation::unless(table.len() == 3 && held == 2 && measured, || format!("{table:?}"))
}

#[tokio::test(flavor = "multi_thread")]
async fn confab_on_a_cql_server_is_held_against_the_driver() -> Checked {
    let name = "bench::confab_on_a_cql_server_is_held_against_the_driver";
    let Some(server) = backends::cql_or_skip(name).await else { return Ok(()) };
    let folder = tempfile::tempdir().map_err(Violation::unable)?;
    let file = folder.path().join("table.json");
    let mut command = tokio::process::Command::new(CONFAB);
    command.args(["bench", "cql", "--only", "stream", "--rounds", "1", "--seconds", "0.3"]);
    command.args(["--cql", &server.0[0], "--json"]).arg(&file);
    let output = command.output().await.map_err(Violation::unable)?;
    let complaint = String::from_utf8_lossy(&output.stderr);
    Violation::unless(output.status.success(), || complaint.clone())?;
    let table = std::fs::read_to_string(&file).map_err(Violation::unable)?;
    let table: Vec<Value> = serde_json::from_str(&table).map_err(Violation::unable)?;
    let held = table.iter().filter(|row| row["met"].is_boolean()).count();
    let measured = table.iter().all(|row| row["median"].as_f64() > Some(0.0));
    Violation::unless(table.len() == 4 && held == 1 && measured, || format!("{table:?}"))
}

/// What a broken server's run ends with.
fn run(mutant: &str, arguments: &[&str]) -> Checked {
    let (report, well) = bench(arguments, Some(mutant))?;
    let violations = report["check"]["violations"].as_u64().unwrap_or(0);
    if well != (violations == 0) {
        return Err(Violation::unable(format!("{violations} violations, ended well: {well}")));
    }
    let told = report["check"]["told"][0].as_str().unwrap_or_default();
    Violation::unless(violations == 0, || format!("{violations} violations, first: {told}"))
}

/// By a schedule: an event that is missing shows by the next one.
const FEW: [&str; 6] = ["fanout", "--spawn", "--streams", "6", "--rate", "100"];

#[test]
fn a_dropped_event_fails_the_run() {
    must_be_caught("realtime-drop-event", run("realtime-drop-event", &FEW));
}

#[test]
fn a_hole_that_nobody_looks_for_fails_the_run() {
    let mutant = "publish-drops,realtime-skip-hole-check";
    must_be_caught(mutant, run(mutant, &FEW));
}

#[test]
fn an_overwritten_message_fails_the_run() {
    let mutant = "two-drivers,append-unconditional";
    let few = ["send", "--spawn", "--in-flight", "16", "--conversations", "1"];
    must_be_caught(mutant, run(mutant, &few));
}

#[test]
fn every_command_of_the_benchmarks_page_exists() -> Checked {
    let page = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/benchmarks.md");
    let page = std::fs::read_to_string(page).map_err(Violation::unable)?;
    let commands = page.split('`').skip(1).step_by(2).filter_map(|text| {
        let arguments = text.strip_prefix("confab bench ")?;
        Some(arguments.split_whitespace().collect::<Vec<_>>())
    });
    let mut tried = 0;
    for arguments in commands {
        let output = Command::new(CONFAB).arg("bench").args(&arguments).arg("--help").output();
        let well = output.map_err(Violation::unable)?.status.success();
        Violation::unless(well, || format!("the page names bench {arguments:?}"))?;
        tried += 1;
    }
    Violation::unless(tried >= 8, || format!("the page names {tried} commands only"))
}
