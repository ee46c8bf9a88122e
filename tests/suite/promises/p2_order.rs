//! P2: one order. While users write, others read every way there is: streams of
//! the reference client and raw ones, `ListEvents`, `ListMessages` from both ends.
//! All must have seen the order that the log has in the end: 1, 2, 3 …

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use confab_client::{Client, StreamOptions, Update};
use confab_proto::messages::v1::{Event, ListMessagesRequest, ListOrder, Message, event::Kind};
use confab_tests::harness::{
    Checked, Deployment, Seed, Shape, Violation, effort, must_be_caught, within,
};
use rand::{Rng as _, rngs::StdRng};
use tokio::{sync::watch, task::JoinSet};

use super::{
    load::{Load, Worker},
    order::{Ends, Finish, Mark, Seen, complete, note},
    program,
    raw_stream::{Brought, RawStream, SILENCE},
    support::{WHOLE, all_ended, all_events},
};

const WRITERS: u64 = 5;
const HANDS: u64 = 2;

/// Reads a stream of the reference client to the end.
async fn follow(client: Client, ids: Vec<String>, mut finish: Finish) -> Checked<Seen> {
    let options = ids.iter().fold(StreamOptions::default(), |o, id| o.watching(id, 0));
    let mut stream = client.stream(options);
    let mut seen = Seen::new();
    while !complete(&seen, &finish) {
        let update = tokio::select! {
            update = within(SILENCE, "the next update of a stream", stream.next()) => update?,
            _ = finish.changed() => continue,
        };
        match update {
            Some(Ok(Update::Event(event))) => note(&mut seen, &event),
            Some(Ok(_)) => {}
            Some(Err(error)) => return Err(error.into()),
            None => return Err(Violation::broken("the stream ended")),
        }
    }
    stream.close().await;
    Ok(seen)
}

/// Reads a raw stream to the end.
async fn follow_raw(client: Client, ids: Vec<String>, mut finish: Finish) -> Checked<Seen> {
    let cursors = ids.into_iter().map(|id| (id, 0)).collect();
    let mut stream = RawStream::watch(&client, &cursors).await??;
    let mut seen = Seen::new();
    while !complete(&seen, &finish) {
        let brought = tokio::select! {
            brought = stream.next() => brought?,
            _ = finish.changed() => continue,
        };
        match brought {
            Brought::Event(event) => note(&mut seen, &event),
            Brought::Gone(why) => return Err(Violation::broken(format!("gone: {why:?}"))),
            Brought::Ended(..) | Brought::Other(_) => {}
        }
    }
    Ok(seen)
}

/// Pages the log forward to the end.
async fn page(
    client: Client,
    ids: Vec<String>,
    finish: Finish,
    mut random: StdRng,
) -> Checked<Seen> {
    let mut seen = Seen::new();
    while !complete(&seen, &finish) {
        for id in &ids {
            let after = seen.get(id).map_or(0, Vec::len) as u64;
            let (events, head) = client.events_after(id, after, random.random_range(1..40)).await?;
            for (event, due) in events.iter().zip(after + 1..) {
                Violation::unless(event.seq == due && due <= head, || {
                    format!("ListEvents gives {} where {due} is due, head {head}", event.seq)
                })?;
                note(&mut seen, event);
            }
        }
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    Ok(seen)
}

/// One walk over the messages from one end, and up to where it has to be complete.
struct Walk {
    id: String,
    order: ListOrder,
    complete_to: u64,
    messages: Vec<Message>,
}

async fn walk(client: &Client, id: &str, random: &mut StdRng) -> Checked<Walk> {
    let order = [ListOrder::NewestFirst, ListOrder::OldestFirst][random.random_range(0..2)];
    let mut request = ListMessagesRequest {
        conversation_id: id.to_owned(),
        page_size: random.random_range(1..60),
        order: order.into(),
        ..ListMessagesRequest::default()
    };
    let mut walk = Walk { id: id.to_owned(), order, complete_to: 0, messages: Vec::new() };
    let mut first = true;
    loop {
        let page = client.call(request.clone()).await?;
        // Newest first, the first page says where the walk begins; oldest first,
        // the last one says where it ends.
        if first || order == ListOrder::OldestFirst {
            walk.complete_to = page.as_of_seq;
        }
        first = false;
        walk.messages.extend(page.messages);
        if page.next_page_token.is_empty() {
            return Ok(walk);
        }
        request.page_token = page.next_page_token;
    }
}

async fn walk_on(
    client: Client,
    ids: Vec<String>,
    finish: Finish,
    mut random: StdRng,
) -> Checked<Vec<Walk>> {
    let mut walks = Vec::new();
    loop {
        let last = finish.borrow().is_some();
        for id in &ids {
            walks.push(walk(&client, id, &mut random).await?);
        }
        if last {
            return Ok(walks);
        }
    }
}

impl Walk {
    /// The messages of the log up to where the walk is complete, once each.
    fn check(&self, log: &[Event]) -> Checked {
        let mut listed: Vec<&Message> = self.messages.iter().collect();
        if self.order == ListOrder::NewestFirst {
            listed.reverse();
        }
        let listed: Vec<(u64, u64)> = listed.iter().map(|m| (m.seq, m.ordinal)).collect();
        let logged = log.iter().filter(|e| matches!(e.kind, Some(Kind::MessageCreated(_))));
        let logged: Vec<(u64, u64)> = logged.map(|event| (event.seq, event.ordinal)).collect();
        let due = logged.iter().take_while(|(seq, _)| *seq <= self.complete_to).count();
        let fits = listed.len() >= due && logged.get(..listed.len()) == Some(listed.as_slice());
        Violation::unless(fits, || {
            let wrong = listed.iter().zip(&logged).find(|(a, b)| a != b);
            format!(
                "{:?} of {} as of {} lists {} messages where {due} are due, first wrong: {wrong:?}",
                self.order,
                self.id,
                self.complete_to,
                listed.len()
            )
        })
    }
}

/// Those who read while others write.
struct Readers {
    streams: JoinSet<Checked<Seen>>,
    walks: JoinSet<Checked<Vec<Walk>>>,
}

impl Readers {
    async fn begin(
        confab: &Deployment,
        ids: &[String],
        finish: &Finish,
        chance: Seed,
    ) -> Checked<Self> {
        let mut readers = Self { streams: JoinSet::new(), walks: JoinSet::new() };
        let reader = async || confab.client("dev", "reader").await;
        for number in 0..2 {
            let (ids, finish) = (ids.to_vec(), finish.clone());
            readers.streams.spawn(follow(reader().await?, ids.clone(), finish.clone()));
            readers.streams.spawn(follow_raw(reader().await?, ids.clone(), finish.clone()));
            readers.walks.spawn(walk_on(reader().await?, ids, finish, chance.part(500 + number)));
        }
        let random = chance.part(400);
        readers.streams.spawn(page(reader().await?, ids.to_vec(), finish.clone(), random));
        Ok(readers)
    }

    /// What all of them saw is what the logs say. Returns the number of walks.
    async fn check(self, logs: &BTreeMap<String, Vec<Event>>) -> Checked<usize> {
        let order: Seen =
            logs.iter().map(|(id, log)| (id.clone(), log.iter().map(Mark::of).collect())).collect();
        for seen in all_ended(self.streams, WHOLE, "the readers").await? {
            Violation::unless(seen == order, || "a reader saw another order".to_owned())?;
        }
        let walks = all_ended(self.walks, WHOLE, "the walks").await?;
        for walk in walks.iter().flatten() {
            walk.check(logs.get(&walk.id).map_or(&[], Vec::as_slice))?;
        }
        Ok(walks.iter().map(Vec::len).sum())
    }
}

async fn run(mutant: Option<&str>) -> Checked {
    let confab = Deployment::start(Shape::Single, program(mutant)).await?;
    on(&confab).await?;
    confab.finish()
}

/// The whole check, on what runs already.
pub(super) async fn on(confab: &Deployment) -> Checked {
    let chance = Seed::of("p2");
    let owner = confab.client("dev", "owner").await?;
    let writers: Vec<String> = (0..WRITERS).map(|n| format!("writer{n}")).collect();
    let mut names: Vec<&str> = writers.iter().map(String::as_str).collect();
    names.push("reader");
    let mut ids = Vec::new();
    for title in ["one", "two"] {
        ids.push(owner.create_group(title, &names).await?.conversation_id);
    }
    let mut load = Load::new(ids.clone());
    load.limit = 40 * u64::from(effort());
    let load = Arc::new(load);

    let (finished, finish) = watch::channel(None);
    let readers = Readers::begin(confab, &ids, &finish, chance).await?;
    let mut workers = JoinSet::new();
    for (number, writer) in (0..).zip(&writers) {
        for hand in 0..HANDS {
            let client = confab.client("dev", writer).await?;
            let random = chance.part(number * HANDS + hand);
            workers.spawn(Worker::new(&load, client, writer, hand, random).run());
        }
    }
    all_ended(workers, WHOLE, "the writers").await?;
    let mut logs = BTreeMap::new();
    for id in &ids {
        let log = all_events(&owner, id).await?;
        load.history.check(id, &log)?;
        logs.insert(id.clone(), log);
    }
    consistent(logs.values())?;
    let heads = logs.iter().map(|(id, log)| (id.clone(), log.len() as u64)).collect();
    finished.send_replace(Some(Ends { heads, inbox: 0 }));
    let walks = readers.check(&logs).await?;
    println!("{} acknowledged, {walks} walks", load.history.acknowledged());
    Ok(())
}

/// Times and ordinals never go back.
fn consistent<'a>(logs: impl Iterator<Item = &'a Vec<Event>>) -> Checked {
    for pair in logs.flat_map(|log| log.windows(2)) {
        let time = |event: &Event| event.create_time.map(|time| (time.seconds, time.nanos));
        let counts = u64::from(matches!(pair[1].kind, Some(Kind::MessageCreated(_))));
        let grows = time(&pair[0]) <= time(&pair[1]) && pair[0].ordinal + counts == pair[1].ordinal;
        Violation::unless(grows, || format!("time or ordinal goes wrong at {}", pair[1].seq))?;
    }
    Ok(())
}

async fn caught(mutant: &str) {
    must_be_caught(mutant, run(Some(mutant)).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn everybody_sees_one_dense_order() {
    run(None).await.unwrap_or_else(|violation| panic!("{violation}"));
}

#[tokio::test(flavor = "multi_thread")]
async fn two_appenders_of_one_log_keep_one_order() {
    run(Some("two-drivers")).await.unwrap_or_else(|violation| panic!("{violation}"));
}

#[tokio::test(flavor = "multi_thread")]
async fn appending_without_the_condition_is_caught() {
    caught("two-drivers,append-unconditional").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hole_in_a_stream_is_caught() {
    caught("publish-drops,realtime-skip-hole-check").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lane_that_keeps_the_cursor_is_caught() {
    caught("lane-keeps-cursor").await;
}
