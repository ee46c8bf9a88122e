//! The example clients in other languages (`tests/clients`), with the gRPC that
//! their languages have. Each goes through one scenario, over `Connect` and over
//! `Subscribe` at once, while the server is killed, later stopped, and started
//! again in the same place. The script checks what it sees; what it reports is
//! then compared with the log.

pub(crate) mod install;

use std::{collections::BTreeMap, process::Stdio, time::Duration};

use confab_client::Client;
use confab_tests::harness::{
    Checked, Node, Violation, lasting_port, must_be_caught, skipped, within,
};
use serde::Deserialize;
use tokio::{
    io::{AsyncBufReadExt as _, AsyncReadExt as _, BufReader},
    process::{Child, Command},
};

use self::install::{Contract, Language, Packages};
use super::promises::{WHOLE, all_events, fill, program};

/// SIGTERM may take as long.
const DRAIN: Duration = Duration::from_secs(20);
const USERS: [&str; 5] =
    ["alice-connect", "bob-connect", "alice-subscribe", "bob-subscribe", "late"];

/// What the script says of one conversation, in its last line.
#[derive(Deserialize)]
struct Chatted {
    conversation: String,
    /// Of each device: the seq and the request id of every event, in the order
    /// that its stream brought them.
    readers: Vec<Vec<(u64, String)>>,
    /// The seq of each message that was acknowledged.
    sent: BTreeMap<String, u64>,
    unknown_kinds: u64,
    unknown_frames: u64,
}

/// Breaks a promise on purpose.
#[derive(Clone, Copy)]
enum Mutant {
    FromTheStart(&'static str),
    AfterTheKill(&'static str),
}

async fn run(packages: &Packages, contract: Contract, mutant: Option<Mutant>) -> Checked {
    let (first, later) = match mutant {
        None => (None, None),
        Some(Mutant::FromTheStart(name)) => (Some(name), Some(name)),
        Some(Mutant::AfterTheKill(name)) => (None, Some(name)),
    };
    let mut node = Node::start(program(first).listen(lasting_port()?)).await?;
    // What a gap is paged from; a broken server is caught without it.
    let long = if mutant.is_none() { Some(long_conversation(&node).await?) } else { None };
    let mut script = start(&node, packages, contract, long)?;
    let stdout = script.stdout.take().ok_or_else(|| Violation::unable("no output"))?;
    let mut lines = BufReader::new(stdout).lines();
    let mut report = None;
    loop {
        let line = within(WHOLE, "the script's next line", lines.next_line()).await?;
        match line.map_err(Violation::unable)?.as_deref() {
            Some("kill") => {
                node.kill9();
                node.mutate(later);
                node.restart().await?;
            }
            Some("stop") => {
                node.terminate(DRAIN).await?;
                node.restart().await?;
            }
            Some(line) => report = Some(line.to_owned()),
            None => break,
        }
    }
    ended(script).await?;
    check(&node, &report.unwrap_or_default(), contract).await?;
    node.finish()
}

/// A conversation that is longer than what a stream replays.
async fn long_conversation(node: &Node) -> Checked<String> {
    let owner = node.client("dev", "owner").await?;
    let id = owner.create_group("long", &["late"]).await?.conversation_id;
    fill(&owner, &id).await?;
    Ok(id)
}

fn start(
    node: &Node,
    packages: &Packages,
    contract: Contract,
    long: Option<String>,
) -> Checked<Child> {
    let place = node.folder().join("client");
    std::fs::create_dir(&place).map_err(Violation::unable)?;
    let tokens = node.tokens()?;
    let tokens: BTreeMap<_, _> = USERS.map(|user| (user, tokens.user("dev", user))).into();
    let tokens = serde_json::to_string(&tokens).map_err(Violation::unable)?;
    Command::from(packages.scenario(contract, &place)?)
        .arg(node.public().to_string())
        .args(long)
        .env("TOKENS", tokens)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .map_err(Violation::unable)
}

/// What the script found.
async fn ended(mut script: Child) -> Checked {
    let mut complaint = String::new();
    if let Some(mut stderr) = script.stderr.take() {
        let read = stderr.read_to_string(&mut complaint);
        within(WHOLE, "the script's complaint", read).await?.map_err(Violation::unable)?;
    }
    let status = within(WHOLE, "the script's end", script.wait()).await?;
    let status = status.map_err(Violation::unable)?;
    if status.success() {
        return Ok(());
    }
    match complaint.split_once("VIOLATION: ") {
        Some((_, what)) => Err(Violation::broken(what.trim())),
        None => Err(Violation::unable(format!("the script ends with {status}: {complaint}"))),
    }
}

/// Holds what the script says against the log.
async fn check(node: &Node, report: &str, contract: Contract) -> Checked {
    let report: Vec<Chatted> = serde_json::from_str(report)
        .map_err(|error| Violation::unable(format!("{error}: {report}")))?;
    Violation::unless(report.len() == 2, || "a chat over each way")?;
    let reader = node.client("dev", "alice-connect").await?;
    let other = node.client("dev", "alice-subscribe").await?;
    for (chatted, client) in report.iter().zip([reader, other]) {
        check_chat(chatted, &client, contract).await?;
    }
    Ok(())
}

async fn check_chat(chatted: &Chatted, client: &Client, contract: Contract) -> Checked {
    let log = all_events(client, &chatted.conversation).await?;
    let log: Vec<_> = log.into_iter().map(|event| (event.seq, event.request_id)).collect();
    for brought in &chatted.readers {
        Violation::unless(*brought == log, || {
            format!("a stream brought {} events of {}", brought.len(), log.len())
        })?;
    }
    let of_request: BTreeMap<_, _> = log.iter().map(|(seq, id)| (id, seq)).collect();
    Violation::unless(of_request.len() == log.len(), || "a request took effect twice")?;
    for (id, seq) in &chatted.sent {
        let found = of_request.get(id);
        Violation::unless(found == Some(&seq), || format!("{id} was {seq}, is {found:?}"))?;
    }
    let unknown = [chatted.unknown_kinds, chatted.unknown_frames];
    let expected = match contract {
        Contract::Todays => unknown == [0, 0],
        Contract::Older => unknown.iter().all(|count| *count > 0),
    };
    Violation::unless(expected, || format!("unknown kinds of {contract:?}: {unknown:?}"))?;
    let enough = chatted.readers.len() == 3 && chatted.sent.len() >= 40;
    Violation::unless(enough, || format!("only {} messages", chatted.sent.len()))
}

/// The packages, or `None` after saying why the test is skipped.
async fn packages(test: &str, language: Language) -> Option<Packages> {
    let installing = tokio::task::spawn_blocking(move || Packages::install(language));
    match installing.await.expect("the installation does not panic") {
        Ok(packages) => Some(packages),
        Err(why) => {
            skipped(test, &why);
            None
        }
    }
}

/// The client knows an older contract: what is newer has its place in the order
/// all the same.
async fn chats(test: &str, language: Language) {
    let Some(packages) = packages(test, language).await else { return };
    let run = run(&packages, Contract::Older, None);
    run.await.unwrap_or_else(|violation| panic!("{violation}"));
}

async fn catches(test: &str, language: Language) {
    let Some(packages) = packages(test, language).await else { return };
    for mutant in [
        Mutant::FromTheStart("realtime-drop-event"),
        Mutant::FromTheStart("no-id-lookup"),
        Mutant::AfterTheKill("realtime-no-replay"),
    ] {
        let (Mutant::FromTheStart(name) | Mutant::AfterTheKill(name)) = mutant;
        must_be_caught(name, run(&packages, Contract::Todays, Some(mutant)).await);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_python_client_misses_nothing() {
    chats("clients::a_python_client_misses_nothing", Language::Python).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_javascript_client_misses_nothing() {
    chats("clients::a_javascript_client_misses_nothing", Language::JavaScript).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_python_client_catches_broken_servers() {
    catches("clients::a_python_client_catches_broken_servers", Language::Python).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_javascript_client_catches_broken_servers() {
    catches("clients::a_javascript_client_catches_broken_servers", Language::JavaScript).await;
}
