//! P10: a hot page is read once. A thousand readers of one page at once cost two
//! reads of the store; nobody is shown what was before they asked; and each may see
//! what they may see, whoever read it for them.

use std::time::{Duration, Instant};

use confab_client::{Client, Error, Rpc};
use confab_kit::error::Reason;
use confab_kit::role::Role;
use confab_proto::messages::v1::{GetMessageRequest, ListMessagesRequest, ListMessagesResponse};
use confab_tests::harness::{Checked, Deployment, Shape, Violation, must_be_caught, within};
use http::uri::PathAndQuery;
use tokio::task::JoinSet;
use tonic::{Request, client::Grpc};
use tonic_prost::ProstCodec;

use super::{
    can_be_clustered, program,
    support::{WHOLE, all_ended},
};

/// A read of a page takes three seconds with this one, which breaks nothing: time
/// for all readers to come.
const SLOWLY: &str = "slow-pages";
const USERS: usize = 20;
const READERS: usize = 1000;
const MESSAGES: usize = 60;
const PAGE: i32 = 50;
const SLOW: Duration = Duration::from_secs(3);
/// On a busy machine not all readers come while the first one reads.
const TRIES: usize = 3;
const LONGEST: Duration = Duration::from_secs(50);

const READS: &str = "confab_page_reads_total";
const SHARED: &str = "confab_page_reads_shared_total";

struct Scene {
    confab: Deployment,
    alice: Client,
    id: String,
    /// Seq of each message.
    messages: Vec<u64>,
}

impl Scene {
    async fn new(shape: Shape, mutant: Option<&str>) -> Checked<Self> {
        let mutants = mutant.map(|mutant| format!("{SLOWLY},{mutant}"));
        let options = program(mutants.as_deref()).env("CONFAB_MUTANT", SLOWLY);
        let confab = Deployment::start(shape, options).await?;
        let alice = confab.client("acme", "alice").await?;
        let users: Vec<String> = (0..USERS).map(user).collect();
        let users: Vec<&str> = users.iter().map(String::as_str).collect();
        let id = alice.create_group("hot", &users).await?.conversation_id;
        let mut messages = Vec::new();
        for number in 0..MESSAGES {
            messages.push(alice.send(&id, format!("{number}")).await?.seq);
        }
        Ok(Self { confab, alice, id, messages })
    }

    fn page(&self) -> ListMessagesRequest {
        ListMessagesRequest {
            conversation_id: self.id.clone(),
            page_size: PAGE,
            ..ListMessagesRequest::default()
        }
    }

    /// The newest page of the first so many messages.
    fn newest(&self, messages: usize) -> Vec<u64> {
        self.messages[..messages].iter().rev().take(PAGE as usize).copied().collect()
    }

    /// Of all processes that read pages.
    async fn counters(&self) -> Checked<(u64, u64)> {
        let (mut reads, mut shared) = (0, 0);
        for node in self.confab.all_of(Role::Messages) {
            let scrape = node.scrape().await?;
            reads += scrape.count(READS);
            shared += scrape.count(SHARED);
        }
        Ok((reads, shared))
    }
}

fn user(number: usize) -> String {
    format!("user-{number}")
}

/// One try, with all the time that a slow page takes.
async fn patiently<R: Rpc>(client: &Client, request: R) -> Result<R::Response, Error> {
    let mut grpc = Grpc::new(client.transport());
    grpc.ready().await.map_err(|error| Error::Transport(error.to_string()))?;
    let mut request = Request::new(request);
    request.set_timeout(LONGEST);
    let path = PathAndQuery::from_static(R::METHOD.path);
    let codec = ProstCodec::<R, R::Response>::default();
    Ok(grpc.unary(request, path, codec).await?.into_inner())
}

fn seqs(page: &ListMessagesResponse) -> Vec<u64> {
    page.messages.iter().map(|message| message.seq).collect()
}

/// All readers at once, until they cost no more than two reads.
async fn a_thousand_readers(scene: &Scene) -> Checked {
    let mut clients = Vec::new();
    for number in 0..USERS {
        clients.push(scene.confab.client("acme", &user(number)).await?);
    }
    let mut costs = Vec::new();
    for _ in 0..TRIES {
        let (reads, shared) = scene.counters().await?;
        let began = Instant::now();
        let mut readers = JoinSet::new();
        for number in 0..READERS {
            let (client, request) = (clients[number % USERS].clone(), scene.page());
            let due = scene.newest(MESSAGES);
            readers.spawn(async move {
                let page = patiently(&client, request).await?;
                Violation::unless(seqs(&page) == due, || format!("a page of {:?}", seqs(&page)))
            });
        }
        all_ended(readers, LONGEST, "the readers").await?;
        let (reads_after, shared_after) = scene.counters().await?;
        let cost = (reads_after - reads, shared_after - shared);
        if cost == (2, READERS as u64 - 2) {
            return Ok(());
        }
        // Those who come later share the next read, and that one has to wait.
        let one_by_one = 1 + began.elapsed().as_secs() / SLOW.as_secs();
        costs.push((cost, one_by_one));
    }
    if costs.iter().all(|((reads, _), one_by_one)| (2..=*one_by_one).contains(reads)) {
        return Ok(());
    }
    let what =
        format!("{READERS} readers of one page cost (reads, saved), at most so many {costs:?}");
    Err(Violation::broken(what))
}

/// A reader who asks after a change was acknowledged, while another one's read of
/// the same message is under way, sees the change.
async fn nobody_sees_the_past(scene: &Scene) -> Checked {
    let get =
        GetMessageRequest { conversation_id: scene.id.clone(), message_seq: scene.messages[0] };
    let reader = scene.confab.client("acme", &user(0)).await?;
    let (reads, _) = scene.counters().await?;
    let (early, request) = (reader.clone(), get.clone());
    let early = tokio::spawn(async move { patiently(&early, request).await });
    while scene.counters().await?.0 == reads {
        tokio::task::yield_now().await;
    }
    scene.alice.edit(&scene.id, scene.messages[0], "changed").await?;
    let late = patiently(&reader, get).await?;
    let text = late.message.and_then(|message| message.content).map(|content| content.text);
    Violation::unless(text.as_deref() == Some("changed"), || {
        format!("a read after the change shows {text:?}")
    })?;
    early.await.map_err(Violation::unable)??;
    Ok(())
}

/// Members, somebody who was removed, and a stranger ask for the same page.
async fn each_on_their_own(scene: &mut Scene) -> Checked {
    let removed = scene.confab.client("acme", &user(1)).await?;
    let member = scene.confab.client("acme", &user(2)).await?;
    let stranger = scene.confab.client("acme", "stranger").await?;
    let foreigner = scene.confab.client("other", &user(2)).await?;
    scene.alice.remove_participant(&scene.id, &user(1)).await?;
    let before = scene.messages.len();
    scene.messages.push(scene.alice.send(&scene.id, "among us").await?.seq);
    let page = scene.page();
    let (members, removed, stranger, foreigner) = tokio::join!(
        patiently(&member, page.clone()),
        patiently(&removed, page.clone()),
        patiently(&stranger, page.clone()),
        patiently(&foreigner, page),
    );
    let (members, removed) = (seqs(&members?), seqs(&removed?));
    Violation::unless(members == scene.newest(before + 1), || format!("members see {members:?}"))?;
    Violation::unless(removed == scene.newest(before), || format!("the removed see {removed:?}"))?;
    for (who, outcome) in [("a stranger", stranger), ("a foreigner", foreigner)] {
        let reason = outcome.as_ref().err().and_then(Error::reason);
        Violation::unless(reason == Some(Reason::ConversationNotFound), || {
            format!("{who} is answered {reason:?}")
        })?;
    }
    Ok(())
}

async fn check(shape: Shape, mutant: Option<&str>) -> Checked {
    let mut scene = Scene::new(shape, mutant).await?;
    let checks = async {
        nobody_sees_the_past(&scene).await?;
        a_thousand_readers(&scene).await?;
        each_on_their_own(&mut scene).await
    };
    within(WHOLE, "hot pages", checks).await??;
    scene.confab.finish()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hot_page_is_read_once() {
    check(Shape::Single, None).await.unwrap_or_else(|violation| panic!("{violation}"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hot_page_is_read_once_in_a_cluster() {
    if can_be_clustered("promises::p10_hot_page::a_hot_page_is_read_once_in_a_cluster").await {
        check(Shape::Cluster, None).await.unwrap_or_else(|violation| panic!("{violation}"));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn joining_a_read_under_way_is_caught() {
    let mutant = "page-flight-joined";
    must_be_caught(mutant, check(Shape::Single, Some(mutant)).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn reading_for_each_reader_is_caught() {
    let mutant = "pages-not-shared";
    must_be_caught(mutant, check(Shape::Single, Some(mutant)).await);
}
