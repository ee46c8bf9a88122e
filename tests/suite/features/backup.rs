//! Backups of a node under load, and what is restored of them: everything that was
//! acknowledged before, of one moment, with the same keys; and a client whose
//! cursor is above what was restored is told.

use std::{
    collections::BTreeMap,
    path::Path,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
};

use confab_client::Client;
use confab_kit::error::Reason;
use confab_proto::{
    messages::v1::Event,
    realtime::v1::{Hello, connect_request, connect_response::Frame},
};
use confab_tests::harness::{Checked, Node, Violation, eventually, must_be_caught, within};
use tokio::{process::Command, task::JoinSet};

use super::PATIENCE;
use crate::{
    promises::program,
    raw::{Raw, Stream, reason_name, watching},
};

const CONFAB: &str = env!("CARGO_BIN_EXE_confab-under-test");
const SENDERS: usize = 4;
/// Acknowledged before the backup begins.
const BEFORE: usize = 200;

/// Characters of a complaint.
const SHOWN: usize = 500;

/// Runs a command of the program to its end; what it printed.
async fn confab(mutant: Option<&str>, arguments: &[&str]) -> Checked<String> {
    let mut command = Command::new(CONFAB);
    command.args(arguments).kill_on_drop(true);
    if let Some(mutant) = mutant {
        command.env("CONFAB_MUTANT", mutant);
    }
    let output = within(PATIENCE, arguments[0], command.output()).await?;
    let output = output.map_err(Violation::unable)?;
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    Violation::unless(output.status.success(), || {
        let said = text(&output.stderr) + &text(&output.stdout);
        format!("{arguments:?}: {}", said.chars().take(SHOWN).collect::<String>())
    })?;
    Ok(text(&output.stdout))
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap_or_default()
}

/// What was acknowledged, by conversation and seq.
type Acknowledged = Arc<Mutex<BTreeMap<(String, u64), String>>>;

fn acknowledged(all: &Acknowledged) -> BTreeMap<(String, u64), String> {
    all.lock().unwrap_or_else(PoisonError::into_inner).clone()
}

/// Sends, edits and reacts, and lets a guest come and go, until told to stop.
async fn talk(
    alice: Client,
    id: String,
    sender: usize,
    all: Acknowledged,
    is_over: Arc<AtomicBool>,
) -> Checked {
    let guest = format!("guest-{sender}");
    for number in 0.. {
        if is_over.load(Ordering::Relaxed) {
            break;
        }
        let text = format!("{sender}-{number}");
        let seq = alice.send(&id, text.as_str()).await?.seq;
        all.lock().unwrap_or_else(PoisonError::into_inner).insert((id.clone(), seq), text);
        match number % 4 {
            0 => drop(alice.react(&id, seq, "+1").await?),
            1 => drop(alice.edit(&id, seq, "edited").await?),
            2 => drop(alice.add_participants(&id, &[&guest]).await?),
            _ => drop(alice.remove_participant(&id, &guest).await?),
        }
    }
    Ok(())
}

async fn log_of(client: &Client, id: &str) -> Checked<Vec<Event>> {
    let mut log = Vec::new();
    loop {
        let (page, head) = client.events_after(id, log.len() as u64, 500).await?;
        log.extend(page);
        if log.len() as u64 >= head {
            return Ok(log);
        }
    }
}

/// What must be in the restored log: the same events as before the backup, and
/// perhaps some of those that came while it was made; what they say now may
/// have changed since.
fn is_beginning_of(restored: &[Event], whole: &[Event]) -> Checked {
    let names = |events: &[Event]| -> Vec<(u64, String)> {
        events.iter().map(|event| (event.seq, event.request_id.clone())).collect()
    };
    let (restored, whole) = (names(restored), names(whole));
    Violation::unless(whole.starts_with(&restored), || {
        format!("{} restored events are not the beginning of {}", restored.len(), whole.len())
    })
}

/// Makes a backup of a node under load and starts another node on it.
async fn check_load(mutant: Option<&str>) -> Checked {
    let node = Node::start(program(mutant)).await?;
    let alice = node.client("acme", "alice").await?;
    let mut ids = Vec::new();
    for number in 0..SENDERS / 2 {
        ids.push(alice.create_group(format!("{number}"), &["bob"]).await?.conversation_id);
    }
    let (all, is_over) = (Acknowledged::default(), Arc::new(AtomicBool::new(false)));
    let mut talking = JoinSet::new();
    for sender in 0..SENDERS {
        let id = ids[sender % ids.len()].clone();
        talking.spawn(talk(alice.clone(), id, sender, Arc::clone(&all), Arc::clone(&is_over)));
    }
    eventually(PATIENCE, "load", || async {
        Ok((acknowledged(&all).len() >= BEFORE).then_some(()))
    })
    .await?;

    let copy = node.folder().join("copy");
    let before = acknowledged(&all);
    let data_dir = node.data_dir();
    let backup = ["backup", "--to", text(&copy), "--data-dir", text(&data_dir)];
    let told = confab(None, &backup).await?;
    Violation::unless(told.contains("rows"), || told)?;
    let during = acknowledged(&all).len();
    eventually(PATIENCE, "the load goes on", || async {
        Ok((acknowledged(&all).len() > during + 20).then_some(()))
    })
    .await?;
    is_over.store(true, Ordering::Relaxed);
    while let Some(ended) = talking.join_next().await {
        ended.map_err(Violation::unable)??;
    }
    Violation::unless(during > before.len(), || "nothing was acknowledged during the backup")?;
    let told = confab(None, &["verify", "--data-dir", text(&copy)]).await?;
    Violation::unless(told.contains("all as they were written"), || told)?;

    let restored = Node::start_with(program(None), async |data_dir: &Path| {
        confab(None, &["restore", "--from", text(&copy), "--data-dir", text(data_dir)]).await?;
        confab(None, &["verify", "--data-dir", text(data_dir)]).await.map(drop)
    });
    let restored = restored.await?;
    // The same keys: the token of before is good.
    let token = node.tokens()?.user("acme", "alice");
    let options = confab_client::ClientOptions::new(restored.uri()).token(token);
    let again = Client::connect(options).await?;
    for id in &ids {
        let (whole, now) = (log_of(&alice, id).await?, log_of(&again, id).await?);
        is_beginning_of(&now, &whole)?;
        let head = now.len() as u64;
        let lost = before.keys().find(|(of, seq)| of == id && *seq > head);
        Violation::unless(lost.is_none(), || format!("{lost:?} is lost, the head is {head}"))?;
        Violation::unless(head < whole.len() as u64, || "the backup is not of its moment")?;
        resumes(&restored, id, head, whole.len() as u64).await?;
        let next = again.send(id, "after all").await?.seq;
        Violation::unless(next == head + 1, || format!("event {next} after the head {head}"))?;
    }
    drop((alice, again));
    restored.finish()?;
    node.finish()
}

/// A client at the restored head goes on; one that knows of more is told.
async fn resumes(node: &Node, id: &str, head: u64, beyond: u64) -> Checked {
    let token = node.tokens()?.user("acme", "bob");
    let raw = Raw::connect(node.uri()).await?.token(&token);
    let hello = |seq| {
        let watch = vec![watching(id, seq)];
        connect_request::Frame::Hello(Hello { watch, ..Hello::default() })
    };
    let mut stream = Stream::welcomed(&raw, hello(head)).await?;
    let synced = |frame| match frame {
        Frame::Synced(synced) if synced.conversation_id == id => Some(synced.seq),
        _ => None,
    };
    let seq = stream.until(synced).await?;
    Violation::unless(seq == head, || format!("synced at {seq}, the head is {head}"))?;
    let mut stream = Stream::welcomed(&raw, hello(beyond)).await?;
    let ended = |frame| if let Frame::WatchEnded(ended) = frame { ended.failure } else { None };
    let why = stream.until(ended).await?.reason();
    Violation::unless(why == Reason::CursorAboveHead, || {
        format!("a cursor beyond the head ends with {}", reason_name(why))
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn a_backup_under_load_has_all_that_was_acknowledged() {
    check_load(None).await.unwrap_or_else(|violation| panic!("{violation}"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_backup_of_many_moments_is_caught() {
    let mutant = "backup-of-many-moments";
    must_be_caught(mutant, check_load(Some(mutant)).await);
}

/// A folder that nobody serves; and what must not be overwritten, or believed.
#[tokio::test(flavor = "multi_thread")]
async fn a_folder_that_nobody_serves_is_backed_up_too() -> Checked {
    let mut node = Node::start(program(None)).await?;
    let alice = node.client("acme", "alice").await?;
    let id = alice.create_group("group", &["bob"]).await?.conversation_id;
    alice.send(&id, "hello").await?;
    drop(alice);
    node.terminate(PATIENCE).await?;
    let (copy, again) = (node.folder().join("copy"), node.folder().join("again"));
    let data_dir = node.data_dir();
    let backup = ["backup", "--to", text(&copy), "--data-dir", text(&data_dir)];
    confab(None, &backup).await?;
    for (arguments, complaint) in [
        (&backup[..], "exists"),
        (&["serve", "--data-dir", text(&copy)], "is a backup"),
        (&["restore", "--from", text(&copy), "--data-dir", text(&data_dir)], "exists"),
        (&["restore", "--from", text(&data_dir), "--data-dir", text(&again)], "is no backup"),
        // Who listens where it did is not told the credential.
        (&["log-level", "info", "--data-dir", text(&data_dir)], "no process serves"),
    ] {
        let refused = confab(None, arguments).await.err().map(|error| error.to_string());
        let refused = refused.unwrap_or_default();
        Violation::unless(refused.contains(complaint), || format!("{arguments:?}: {refused:?}"))?;
    }
    confab(None, &["restore", "--from", text(&copy), "--data-dir", text(&again)]).await?;
    confab(None, &["verify", "--data-dir", text(&again)]).await?;

    // One flipped bit in what is stored is named, and nothing is restored.
    let key = copy.join("digest-key");
    let mut bytes = std::fs::read(&key).map_err(Violation::unable)?;
    bytes[0] ^= 1;
    std::fs::write(&key, bytes).map_err(Violation::unable)?;
    let third = node.folder().join("third");
    let restore = ["restore", "--from", text(&copy), "--data-dir", text(&third)];
    for arguments in [&["verify", "--data-dir", text(&copy)][..], &restore] {
        let refused = confab(None, arguments).await.err().map(|error| error.to_string());
        let refused = refused.unwrap_or_default();
        Violation::unless(refused.contains("digest-key holds other bytes"), || refused)?;
    }
    Violation::unless(!third.exists(), || "a damaged backup was restored")?;
    let unchecked = confab(Some("backup-unchecked"), &restore).await;
    Violation::unless(unchecked.is_ok() && third.exists(), || "the mutant checks")?;
    node.finish()
}

/// Who has not the credential makes none, and the node's log tells of those made.
#[tokio::test(flavor = "multi_thread")]
async fn a_node_refuses_what_is_no_place_for_a_backup() -> Checked {
    let node = Node::start(program(None).allow("backup not made")).await?;
    let data_dir = node.data_dir();
    let nowhere = node.folder().join("missing/below");
    for (to, complaint) in [(nowhere.as_path(), "No such file"), (node.folder(), "exists")] {
        let backup = ["backup", "--to", text(to), "--data-dir", text(&data_dir)];
        let refused = confab(None, &backup).await.err().map(|error| error.to_string());
        let refused = refused.unwrap_or_default();
        Violation::unless(refused.contains(complaint), || refused)?;
    }
    let copy = node.folder().join("copy");
    confab(None, &["backup", "--to", text(&copy), "--data-dir", text(&data_dir)]).await?;
    let scrape = node.scrape().await?;
    let made = scrape.count("confab_backups_total{outcome=\"made\"}");
    let failed = scrape.count("confab_backups_total{outcome=\"failed\"}");
    Violation::unless((made, failed) == (1, 2), || format!("{made} made, {failed} failed"))?;
    Violation::unless(scrape.value("confab_backup_last_made_seconds") > 1.7e9, || "when?")?;
    node.finish()
}
