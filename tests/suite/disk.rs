//! The process and its disk: an fsync that fails, a disk that is full, a second
//! process on the same folder, and an orderly end. What was acknowledged is
//! there afterwards, and whoever asks is told the truth meanwhile.

use std::{
    collections::BTreeSet,
    fs,
    net::SocketAddr,
    path::{Path, PathBuf},
    time::Duration,
};

use confab_kit::error::Reason;
use confab_proto::{
    conversations::v1::{ConversationType, CreateConversationRequest},
    messages::v1::{Content, ListEventsRequest, SendMessageRequest, event::Kind},
    realtime::v1::connect_response::Frame,
};
use confab_tests::harness::{Checked, Node, NodeOptions, Violation, eventually, skipped, within};
use tempfile::TempDir;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    process::Command,
    task::JoinSet,
};

use tonic_health::pb::{
    HealthCheckRequest, health_check_response::ServingStatus, health_client::HealthClient,
};

use crate::{
    promises::program,
    raw::{PATIENCE, Raw, Refused, Stream, hello, reason_name},
};

const PROGRAM: &str = env!("CARGO_BIN_EXE_confab-under-test");
/// Whose variables are not the node's configuration.
const SHIM: &str = include_str!("../../crates/store/tests/fault_shim.c");
/// Messages before the fault, and senders during it.
const BEFORE: usize = 20;
const SENDERS: usize = 8;

/// What the log must say of a broken disk, to whoever has to replace it.
const EXPECTED: [&str; 5] = [
    "fjall::journal::writer",
    "fjall::batch",
    "store stopped, restart the process to go on",
    "log store failed",
    "dependency is lost",
];

/// A disk that fails while the trigger exists.
struct Fault {
    folder: TempDir,
    library: PathBuf,
}

impl Fault {
    /// `None`, said aloud, where there is no compiler or no preloading.
    async fn new(test: &str) -> Checked<Option<Self>> {
        let folder = tempfile::tempdir().map_err(Violation::unable)?;
        let (source, library) = (folder.path().join("shim.c"), folder.path().join("shim.so"));
        fs::write(&source, SHIM.replace("CONFAB_FAULT_", "FAULT_")).map_err(Violation::unable)?;
        if !cfg!(target_os = "linux") {
            skipped(test, "disk faults need LD_PRELOAD and /proc");
            return Ok(None);
        }
        let mut compiler = Command::new("cc");
        compiler.args(["-shared", "-fPIC", "-O1", "-o"]).arg(&library).arg(&source).arg("-ldl");
        match compiler.output().await {
            Ok(output) if output.status.success() => Ok(Some(Self { folder, library })),
            Ok(output) => Err(Violation::unable(String::from_utf8_lossy(&output.stderr))),
            Err(error) => {
                skipped(test, &format!("cc does not run: {error}"));
                Ok(None)
            }
        }
    }

    fn trigger(&self) -> PathBuf {
        self.folder.path().join("trigger")
    }

    /// The data folder is below the folder for temporary files; nothing else that
    /// the node writes to is.
    fn options(&self) -> Checked<NodeOptions> {
        let under = std::env::temp_dir().canonicalize().map_err(Violation::unable)?;
        let text = |path: &Path| path.to_string_lossy().into_owned();
        Ok(program(None)
            .env("LD_PRELOAD", &text(&self.library))
            .env("FAULT_UNDER", &text(&under))
            .env("FAULT_TRIGGER", &text(&self.trigger())))
    }

    fn begin(&self, mode: &str) -> Checked {
        let aside = self.folder.path().join("aside");
        fs::write(&aside, mode).map_err(Violation::unable)?;
        fs::rename(aside, self.trigger()).map_err(Violation::unable)
    }

    fn end(&self) -> Checked {
        fs::remove_file(self.trigger()).map_err(Violation::unable)
    }
}

fn send(id: &str, name: &str) -> SendMessageRequest {
    SendMessageRequest {
        conversation_id: id.to_owned(),
        request_id: name.to_owned(),
        after_seq: 0,
        content: Some(Content { text: name.to_owned(), ..Default::default() }),
        ..SendMessageRequest::default()
    }
}

/// The refusals that leave open, or deny, that anything was stored.
fn tells_of_the_store(refused: &Refused) -> bool {
    [Reason::OutcomeUnknown, Reason::StoreUnavailable].map(reason_name).contains(&refused.reason)
        && refused.retry
}

/// Everyone sends, nobody is acknowledged.
async fn nothing_is_acknowledged(raw: &Raw, id: &str, part: &str) -> Checked<Vec<String>> {
    let mut senders = JoinSet::new();
    for sender in 0..SENDERS {
        let (raw, request) = (raw.clone(), send(id, &format!("{part}-{sender}")));
        senders.spawn(async move { (raw.unary(&request).await, request.request_id) });
    }
    let mut names = Vec::new();
    while let Some(joined) = senders.join_next().await {
        let (outcome, name) = joined.map_err(Violation::unable)?;
        let outcome = outcome?;
        let told = matches!(&outcome, Err(refused) if tells_of_the_store(refused));
        Violation::unless(told, || format!("{name} on a broken disk: {outcome:?}"))?;
        names.push(name);
    }
    let create = CreateConversationRequest {
        request_id: part.to_owned(),
        r#type: ConversationType::Group.into(),
        ..Default::default()
    };
    let outcome = raw.unary(&create).await?;
    let told = matches!(&outcome, Err(refused) if tells_of_the_store(refused));
    Violation::unless(told, || format!("a creation on a broken disk: {outcome:?}"))?;
    Ok(names)
}

/// One request of an operator: the status line's number, and the body.
pub(crate) async fn get(address: SocketAddr, path: &str) -> Checked<(u16, String)> {
    let asked = async {
        let mut tcp = TcpStream::connect(address).await?;
        let request =
            format!("GET {path} HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\n\r\n");
        tcp.write_all(request.as_bytes()).await?;
        let mut answer = String::new();
        tcp.read_to_string(&mut answer).await?;
        std::io::Result::Ok(answer)
    };
    let answer = within(PATIENCE, path, asked).await?.map_err(Violation::unable)?;
    let status = answer.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap_or(0);
    Ok((status, answer.split_once("\r\n\r\n").map_or("", |(_, body)| body).to_owned()))
}

async fn readiness_is(node: &Node, wanted: (u16, &str)) -> Checked {
    let what = format!("/readyz says {wanted:?}");
    let ready = eventually(PATIENCE, &what, || async {
        let (status, body) = get(node.ops(), "/readyz").await?;
        Ok((status == wanted.0 && body.contains(wanted.1)).then_some(()))
    });
    ready.await?;
    let (alive, _) = get(node.ops(), "/healthz").await?;
    Violation::unless(alive == 200, || format!("/healthz answers {alive}"))
}

/// gRPC health of the whole and of a service.
async fn grpc_health_is(node: &Node, wanted: ServingStatus) -> Checked {
    let health = HealthClient::new(node.client("acme", "alice").await?.transport());
    for service in ["", "confab.messages.v1.MessagesService"] {
        let what = format!("gRPC health of {service:?} is {wanted:?}");
        eventually(PATIENCE, &what, || {
            let (mut health, service) = (health.clone(), service.to_owned());
            async move {
                let answer = health.check(HealthCheckRequest { service }).await?.into_inner();
                Ok((answer.status() == wanted).then_some(()))
            }
        })
        .await?;
    }
    Ok(())
}

/// Of what fails again and again only the beginning is told.
fn is_told_once(node: &Node) -> Checked {
    for text in ["log store failed", "dependency is lost", "store stopped"] {
        let told = node.log().lines().iter().filter(|line| line.contains(text)).count();
        Violation::unless(told <= 1, || format!("{text:?} is told {told} times"))?;
    }
    Ok(())
}

async fn survives(fault: &Fault, mode: &str) -> Checked {
    let options = EXPECTED.iter().fold(fault.options()?, |options, text| options.allow(text));
    let mut node = Node::start(options).await?;
    let alice = node.client("acme", "alice").await?;
    let token = node.tokens()?.user("acme", "alice");
    let raw = Raw::connect(node.uri()).await?.token(&token);
    let id = alice.create_group("disk", &["bob"]).await?.conversation_id;
    let mut acknowledged = BTreeSet::new();
    for number in 0..BEFORE {
        let name = format!("before-{number}");
        let outcome = raw.unary(&send(&id, &name)).await?;
        Violation::unless(outcome.is_ok(), || format!("before the fault: {outcome:?}"))?;
        acknowledged.insert(name);
    }
    readiness_is(&node, (200, "healthy")).await?;
    grpc_health_is(&node, ServingStatus::Serving).await?;

    fault.begin(mode)?;
    let mut open = nothing_is_acknowledged(&raw, &id, "during").await?;
    readiness_is(&node, (503, "unhealthy")).await?;
    let told = |line: &String| line.contains("store stopped") && line.contains("(os error");
    let log = node.log().lines();
    Violation::unless(log.iter().any(told), || format!("no cause in the log: {log:?}"))?;
    // A store that has lost a write cannot be believed any more, nor read.
    fault.end()?;
    open.extend(nothing_is_acknowledged(&raw, &id, "after").await?);
    readiness_is(&node, (503, "unhealthy")).await?;
    let list = ListEventsRequest { conversation_id: id.clone(), ..Default::default() };
    let read = raw.unary(&list).await?;
    let told = matches!(&read, Err(refused) if tells_of_the_store(refused));
    Violation::unless(told, || format!("a read from a broken disk: {read:?}"))?;

    grpc_health_is(&node, ServingStatus::NotServing).await?;
    is_told_once(&node)?;

    node.restart().await?;
    readiness_is(&node, (200, "healthy")).await?;
    let raw = Raw::connect(node.uri()).await?.token(&token);
    for name in open {
        let outcome = raw.unary(&send(&id, &name)).await?;
        Violation::unless(outcome.is_ok(), || format!("settling {name}: {outcome:?}"))?;
        acknowledged.insert(name);
    }
    holds(&node, &id, &acknowledged).await?;
    node.terminate(PATIENCE).await?;
    is_sound(&node.data_dir()).await?;
    node.finish()
}

/// Each acknowledged message stands in the log, once.
async fn holds(node: &Node, id: &str, acknowledged: &BTreeSet<String>) -> Checked {
    let (events, head) = node.client("acme", "alice").await?.events_after(id, 0, 500).await?;
    let messages =
        events.iter().filter(|event| matches!(event.kind, Some(Kind::MessageCreated(_))));
    let stored: Vec<&String> = messages.map(|event| &event.request_id).collect();
    let dense = events.iter().zip(1..).all(|(event, seq)| event.seq == seq);
    let same = stored.iter().copied().collect::<BTreeSet<_>>() == acknowledged.iter().collect();
    let right = dense && events.len() as u64 == head && stored.len() == acknowledged.len() && same;
    Violation::unless(right, || format!("{acknowledged:?} were acknowledged, stored is {stored:?}"))
}

/// `confab verify` finds nothing.
async fn is_sound(data_dir: &Path) -> Checked {
    let verify = Command::new(PROGRAM).arg("verify").arg("--data-dir").arg(data_dir).output();
    let output = within(PATIENCE, "confab verify", verify).await?.map_err(Violation::unable)?;
    Violation::unless(output.status.success(), || {
        format!("confab verify: {}", String::from_utf8_lossy(&output.stdout))
    })
}

async fn check_fault(test: &str, mode: &str) {
    let outcome = async {
        match Fault::new(test).await? {
            Some(fault) => survives(&fault, mode).await,
            None => Ok(()),
        }
    };
    outcome.await.unwrap_or_else(|violation| panic!("{violation}"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failed_fsync_is_told_and_loses_nothing() {
    check_fault("disk::a_failed_fsync_is_told_and_loses_nothing", "fsync").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_disk_is_told_and_loses_nothing() {
    check_fault("disk::a_full_disk_is_told_and_loses_nothing", "write").await;
}

/// The folder is named, and who has it; the one who has it goes on.
async fn check_second_process() -> Checked {
    let node = Node::start(program(None)).await?;
    let alice = node.client("acme", "alice").await?;
    let id = alice.create_group("mine", &[]).await?.conversation_id;
    let folder = node.data_dir();
    let any = "127.0.0.1:0";
    let clients = ["serve", "--listen", any, "--gateway-listen", any];
    let serve = [&clients[..], &["--mesh-listen", any, "--ops-listen", any]].concat();
    for arguments in [&serve[..], &["verify"]] {
        let mut second = Command::new(PROGRAM);
        second.args(arguments).arg("--data-dir").arg(&folder).kill_on_drop(true);
        let output = within(PATIENCE, "the second process", second.output()).await?;
        let output = output.map_err(Violation::unable)?;
        let said = String::from_utf8_lossy(&output.stderr);
        let clear = said.contains(&*folder.to_string_lossy()) && said.contains("in use");
        Violation::unless(!output.status.success() && clear, || {
            format!("{arguments:?} ended with {}: {said}", output.status)
        })?;
    }
    alice.send(&id, "still here").await?;
    node.finish()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_process_is_told_whose_folder_it_is() {
    check_second_process().await.unwrap_or_else(|violation| panic!("{violation}"));
}

/// Streams that listen, one that does not, and connections that say nothing.
async fn check_drain() -> Checked {
    let mut node = Node::start(program(None).env("CONFAB_DRAIN_SECONDS", "20")).await?;
    let alice = node.client("acme", "alice").await?;
    let id = alice.create_group("drain", &[]).await?.conversation_id;
    let token = node.tokens()?.user("acme", "alice");
    let mut streams = JoinSet::new();
    for _ in 0..5 {
        let raw = Raw::connect(node.uri()).await?.token(&token);
        for _ in 0..4 {
            let mut stream = Stream::welcomed(&raw, hello(&[&id])).await?;
            let synced = |frame| matches!(frame, Frame::Synced(_)).then_some(());
            stream.until(synced).await?;
            streams.spawn(stream.ending());
        }
    }
    let raw = Raw::connect(node.uri()).await?.token(&token);
    let _deaf = Stream::welcomed(&raw, hello(&[&id])).await?;
    let _silent = TcpStream::connect(node.public()).await.map_err(Violation::unable)?;
    let head = alice.send(&id, "the last word").await?.seq;
    node.terminate(Duration::from_secs(25)).await?;
    while let Some(ended) = streams.join_next().await {
        let ending = ended.map_err(Violation::unable)??;
        let later = ending.goodbye.as_ref().is_some_and(|goodbye| goodbye.retry_after.is_some());
        let right = ending.refused.reason == reason_name(Reason::Draining) && later;
        Violation::unless(right, || format!("a stream was drained with {ending:?}"))?;
    }
    node.restart().await?;
    let (_, now) = node.client("acme", "alice").await?.events_after(&id, 0, 1).await?;
    Violation::unless(now == head, || format!("the head was {head} and is {now}"))?;
    node.finish()
}

#[tokio::test(flavor = "multi_thread")]
async fn sigterm_says_goodbye_to_every_stream_and_ends() {
    check_drain().await.unwrap_or_else(|violation| panic!("{violation}"));
}
