//! P4: resume is exact. The network cuts or stalls every connection of a stream at
//! some byte, and the node is killed now and then; each reader must still get each
//! event once, in order, with gaps announced. Six kinds of reader: the reference
//! client, a raw stream and a raw subscription, each by cursors and by session.

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use confab_client::{Client, ClientOptions, Resume, StreamOptions, Update};
use confab_proto::participants::v1::{InboxEvent, ListInboxEventsRequest};
use confab_tests::harness::{
    Checked, Deployment, Fault, Proxy, Seed, Shape, Violation, effort, eventually, must_be_caught,
    within,
};
use rand::{Rng as _, rngs::StdRng};
use tokio::{sync::watch, task::JoinSet};
use tonic::Code;

use super::{
    among_kills, can_be_clustered,
    order::{Ends, Finish, Mark, Seen, complete, note},
    raw_stream::{Brought, RawStream, Way, from_cursors, from_session},
    support::{WHOLE, all_ended, all_events, fill},
};

/// A stream says something at least this often.
const HEARTBEAT: Duration = Duration::from_millis(300);
/// Without a word for so long, everything hangs.
const PROGRESS: Duration = Duration::from_secs(30);

/// Cuts most connections at a random byte, most of them early, and stalls some.
fn bad_network(mut random: StdRng) -> impl FnMut(u64) -> Fault + Send {
    move |_| {
        let at = |random: &mut StdRng| {
            let scale = 1_u64 << random.random_range(5..16);
            Some(scale + random.random_range(0..scale))
        };
        let stall = random.random_ratio(1, 25);
        if random.random_ratio(1, 6) {
            Fault { up: at(&mut random), stall, ..Fault::default() }
        } else {
            Fault { down: at(&mut random), stall, ..Fault::default() }
        }
    }
}

struct World {
    shape: Shape,
    confab: Deployment,
    ids: Vec<String>,
    seed: Seed,
    gaps: Arc<AtomicU64>,
}

impl World {
    async fn new(shape: Shape, mutant: Option<&str>) -> Checked<Self> {
        let heartbeat = HEARTBEAT.as_millis().to_string();
        let options = among_kills(None).env("CONFAB_LIMITS__HEARTBEAT_MS", &heartbeat);
        let mut confab = Deployment::start(shape, options).await?;
        let owner = confab.client("dev", "owner").await?;
        let mut ids = Vec::new();
        for title in ["long", "one", "two"] {
            ids.push(owner.create_group(title, &["reader"]).await?.conversation_id);
        }
        fill(&owner, &ids[0]).await?;
        confab.mutate(mutant).await?;
        Ok(Self { shape, confab, ids, seed: Seed::of("p4"), gaps: Arc::default() })
    }

    /// A client behind a network of its own; in a cluster each connection leads to
    /// another process than the one before.
    async fn reader(&self, number: u64) -> Checked<(Client, Proxy)> {
        let proxy = match self.shape {
            Shape::Cluster => self.confab.balancer().await?,
            _ => self.confab.entry().proxy().await?,
        };
        proxy.plan(bad_network(self.seed.part(number)));
        Ok((self.client(&proxy, "reader").await?, proxy))
    }

    async fn client(&self, proxy: &Proxy, user: &str) -> Checked<Client> {
        let token = self.confab.tokens()?.user("dev", user);
        let options = ClientOptions::new(proxy.uri()).token(token).deadline(PROGRESS);
        Ok(Client::connect(options).await?)
    }
}

/// What a reader saw; raw ones have no inbox.
struct Read {
    events: Seen,
    inbox: Option<Vec<InboxEvent>>,
}

/// The reference client: exactness is its business, so nothing is forgiven here.
async fn follow(
    client: Client,
    ids: Vec<String>,
    resume: Resume,
    mut finish: Finish,
) -> Checked<Read> {
    let mut options = StreamOptions {
        inbox_cursor: Some(0),
        resume,
        connect_timeout: Duration::from_secs(2),
        first_retry: Duration::from_millis(2),
        longest_retry: Duration::from_millis(20),
        ack_interval: Duration::from_millis(5),
        ..StreamOptions::default()
    };
    for id in &ids {
        options = options.watching(id, 0);
    }
    let mut stream = client.stream(options);
    let (mut events, mut inbox) = (Seen::new(), Vec::new());
    while !complete(&events, &finish) || !inbox_complete(&inbox, &finish) {
        let update = tokio::select! {
            update = within(PROGRESS, "the next update of a stream", stream.next()) => update?,
            _ = finish.changed() => continue,
        };
        match update {
            Some(Ok(Update::Event(event))) => note_next(&mut events, &event)?,
            Some(Ok(Update::Inbox(event))) => {
                let due = inbox.len() as u64 + 1;
                Violation::unless(event.inbox_seq == due, || {
                    format!("inbox event {} came where {due} is due", event.inbox_seq)
                })?;
                inbox.push(*event);
            }
            Some(Ok(Update::Hidden { .. } | Update::WatchEnded { .. })) => {
                return Err(Violation::broken("the reader never left"));
            }
            Some(Ok(_)) => {}
            Some(Err(error)) => {
                return Err(Violation::broken(format!("the stream ended: {error}")));
            }
            None => return Err(Violation::broken("the stream ended")),
        }
    }
    stream.close().await;
    Ok(Read { events, inbox: Some(inbox) })
}

fn inbox_complete(inbox: &[InboxEvent], finish: &Finish) -> bool {
    finish.borrow().as_ref().is_some_and(|ends| inbox.len() as u64 >= ends.inbox)
}

fn note_next(seen: &mut Seen, event: &confab_proto::messages::v1::Event) -> Checked {
    let due = seen.get(&event.conversation_id).map_or(0, Vec::len) as u64 + 1;
    Violation::unless(event.seq == due, || format!("event {} came where {due} is due", event.seq))?;
    note(seen, event);
    Ok(())
}

/// A raw stream, opened again from the cursors whenever it is gone.
async fn follow_raw(
    client: Client,
    pager: Client,
    ids: Vec<String>,
    (way, by_session): (Way, bool),
    gaps: Arc<AtomicU64>,
    mut finish: Finish,
) -> Checked<Seen> {
    let mut seen = Seen::new();
    let mut session = None;
    let mut acked: BTreeMap<String, u64> = BTreeMap::new();
    while !complete(&seen, &finish) {
        let cursor = |id: &String| (id.clone(), seen.get(id).map_or(0, Vec::len) as u64);
        let cursors: BTreeMap<String, u64> = ids.iter().map(cursor).collect();
        let hello = session.as_deref().map_or_else(|| from_cursors(&cursors), from_session);
        let stream = match RawStream::open(&client, way, hello).await? {
            Ok(stream) => stream,
            Err(status) if status.code() == Code::NotFound && session.is_some() => {
                session = None;
                continue;
            }
            Err(status) if is_about_the_way(&status) => {
                tokio::time::sleep(Duration::from_millis(5)).await;
                continue;
            }
            Err(status) => return Err(Violation::broken(format!("no stream: {status}"))),
        };
        let mut stream = stream.over_bad_network(&pager, HEARTBEAT * 3);
        if by_session {
            // The server knows what was acknowledged, and no more than that.
            for (id, at) in &stream.cursors {
                let known = acked.get(id).copied().unwrap_or(0);
                Violation::unless(session.is_none() || *at <= known, || {
                    format!("the session is at {at} of {id}, but only {known} was acknowledged")
                })?;
            }
            if session.is_none() {
                acked.clone_from(&stream.cursors);
            }
            session = Some(stream.welcome.session_id.clone());
        }
        read_raw(&mut stream, &mut seen, &mut finish, by_session, &mut acked, &gaps).await?;
    }
    Ok(seen)
}

async fn read_raw(
    stream: &mut RawStream,
    seen: &mut Seen,
    finish: &mut Finish,
    by_session: bool,
    acked: &mut BTreeMap<String, u64>,
    gaps: &AtomicU64,
) -> Checked {
    while !complete(seen, finish) {
        let brought = tokio::select! {
            brought = stream.next() => brought?,
            _ = finish.changed() => continue,
        };
        gaps.fetch_add(std::mem::take(&mut stream.gaps), Ordering::Relaxed);
        match brought {
            Brought::Event(event) => {
                let have = seen.get(&event.conversation_id).map_or(0, Vec::len) as u64;
                if by_session && event.seq <= have {
                    // Not acknowledged, so it comes again; the same one.
                    continue;
                }
                note_next(seen, &event)?;
                if by_session && event.seq.is_multiple_of(7) {
                    acked.clone_from(&stream.cursors);
                    stream.ack().await?;
                }
            }
            Brought::Gone(_) => return Ok(()),
            Brought::Ended(id, reason) => {
                return Err(Violation::broken(format!("the watch of {id} ended: {reason}")));
            }
            Brought::Other(_) => {}
        }
    }
    Ok(())
}

fn is_about_the_way(status: &tonic::Status) -> bool {
    matches!(
        status.code(),
        Code::Unavailable
            | Code::Unknown
            | Code::Cancelled
            | Code::DeadlineExceeded
            | Code::Internal
            | Code::Aborted
    )
}

/// Writes until told to stop: messages, and groups that the reader's inbox tells of.
async fn write(
    owner: Client,
    ids: Vec<String>,
    mut random: StdRng,
    stop: watch::Receiver<bool>,
) -> Checked<u64> {
    let mut groups = 0;
    while !*stop.borrow() {
        let id = &ids[random.random_range(0..ids.len())];
        owner.send(id, "x".repeat(random.random_range(1..200))).await?;
        if random.random_ratio(1, 20) {
            owner.create_group("more", &["reader"]).await?;
            groups += 1;
        }
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    Ok(groups)
}

/// Readers and the bad networks that they are behind.
struct Readers {
    tasks: JoinSet<Checked<Read>>,
    proxies: Vec<Proxy>,
}

impl Readers {
    async fn begin(world: &World, pager: &Client, finish: &Finish) -> Checked<Self> {
        let mut readers = Self { tasks: JoinSet::new(), proxies: Vec::new() };
        for (number, resume) in (0..).zip([Resume::Cursors, Resume::Session]) {
            let (client, proxy) = world.reader(number).await?;
            readers.tasks.spawn(follow(client, world.ids.clone(), resume, finish.clone()));
            readers.proxies.push(proxy);
        }
        let ways = [Way::Connect, Way::Subscribe];
        let kinds = ways.into_iter().flat_map(|way| [(way, false), (way, true)]);
        for (number, kind) in (10..).zip(kinds) {
            let (client, proxy) = world.reader(number).await?;
            let (ids, gaps) = (world.ids.clone(), Arc::clone(&world.gaps));
            let raw = follow_raw(client, pager.clone(), ids, kind, gaps, finish.clone());
            readers.tasks.spawn(async { Ok(Read { events: raw.await?, inbox: None }) });
            readers.proxies.push(proxy);
        }
        Ok(readers)
    }

    fn faults(&self) -> u64 {
        self.proxies.iter().map(Proxy::faults).sum()
    }

    /// Waits until so many connections were cut. Readers end early only with a
    /// violation.
    async fn suffer(&mut self, faults: u64) -> Checked {
        let what = format!("{faults} connections cut");
        eventually(WHOLE, &what, || {
            let ended = self.tasks.try_join_next();
            let reached = self.faults() >= faults;
            async move {
                match ended {
                    Some(ended) => ended.map_err(Violation::unable)?.map(|_| None),
                    None => Ok(reached.then_some(())),
                }
            }
        })
        .await
    }
}

async fn run(shape: Shape, cuts: u64, kills: u32, mutant: Option<&str>) -> Checked {
    let mut world = World::new(shape, mutant).await?;
    let (finished, finish) = watch::channel(None);
    let steady = world.confab.entry().proxy().await?;
    let pager = world.client(&steady, "reader").await?;
    let mut readers = Readers::begin(&world, &pager, &finish).await?;
    let (stop, stopped) = watch::channel(false);
    let writer = world.client(&steady, "owner").await?;
    let random = world.seed.part(20);
    let writing = tokio::spawn(write(writer, world.ids.clone(), random, stopped));
    for kill in 1..=kills {
        readers.suffer(cuts * u64::from(kill) / u64::from(kills + 1)).await?;
        world.confab.kill_one(kill as usize).await?;
    }
    readers.suffer(cuts).await?;

    stop.send_replace(true);
    let groups = within(PROGRESS, "the writer", writing).await?.map_err(Violation::unable)??;
    readers.proxies.iter().for_each(Proxy::heal);
    let order = ends(&world, groups, &finished).await?;
    readers.proxies.iter().for_each(Proxy::cut_all);
    let faults = readers.faults();
    let inbox = pager.call(ListInboxEventsRequest { after_inbox_seq: 0, page_size: 500 }).await?;
    for read in all_ended(readers.tasks, PROGRESS, "the readers").await? {
        Violation::unless(read.events == order, || "a reader saw another log".to_owned())?;
        let same = read.inbox.is_none_or(|events| events == inbox.events);
        Violation::unless(same, || "a reader saw another inbox".to_owned())?;
    }
    let gaps = world.gaps.load(Ordering::Relaxed);
    Violation::unless(gaps > 0, || "no gap was ever announced".to_owned())?;
    println!("{faults} connections cut, {kills} kills, {gaps} gaps");
    world.confab.finish()
}

/// The logs as they are in the end; tells the readers how far they have to get.
async fn ends(world: &World, groups: u64, finished: &watch::Sender<Option<Ends>>) -> Checked<Seen> {
    let owner = world.confab.client("dev", "owner").await?;
    let mut order = Seen::new();
    for id in &world.ids {
        let log = all_events(&owner, id).await?;
        order.insert(id.clone(), log.iter().map(Mark::of).collect());
    }
    let heads = order.iter().map(|(id, marks)| (id.clone(), marks.len() as u64)).collect();
    // The reader is in as many groups.
    finished.send_replace(Some(Ends { heads, inbox: world.ids.len() as u64 + groups }));
    Ok(order)
}

#[tokio::test(flavor = "multi_thread")]
async fn every_event_comes_once_over_a_bad_network() {
    let run = run(Shape::Single, 110 * u64::from(effort()), 3, None).await;
    run.unwrap_or_else(|violation| panic!("{violation}"));
}

#[tokio::test(flavor = "multi_thread")]
async fn every_event_comes_once_through_any_process() {
    // As many kills as there are processes.
    let run = run(Shape::Mesh, 110 * u64::from(effort()), 4, None).await;
    run.unwrap_or_else(|violation| panic!("{violation}"));
}

#[tokio::test(flavor = "multi_thread")]
async fn every_event_comes_once_through_a_cluster() {
    if can_be_clustered("promises::p4_resume::every_event_comes_once_through_a_cluster").await {
        // As many kills as there are processes.
        let run = run(Shape::Cluster, 110 * u64::from(effort()), 6, None).await;
        run.unwrap_or_else(|violation| panic!("{violation}"));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_without_replay_is_caught_in_a_mesh() {
    let mutant = "realtime-no-replay";
    must_be_caught(mutant, run(Shape::Mesh, 110, 0, Some(mutant)).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dropped_event_is_caught() {
    must_be_caught(
        "realtime-drop-event",
        run(Shape::Single, 110, 0, Some("realtime-drop-event")).await,
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_without_replay_is_caught() {
    must_be_caught(
        "realtime-no-replay",
        run(Shape::Single, 110, 0, Some("realtime-no-replay")).await,
    );
}
