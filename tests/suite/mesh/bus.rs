//! The bus over a real Redis: each process hears what it needs and nothing else, and
//! whatever may have been lost is said. A process is a bus here, with a connection of
//! its own.

use std::{
    collections::HashSet,
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use confab::node::redis;
use confab_kit::{
    bus::{BrokerHealth, Bus, Interest, Signal, Topic},
    config::{Config, Secret},
    lifecycle::Lifecycle,
};
use confab_log::{ConversationId, RequestId, TenantId, UserId, mutant};
use confab_proto::{messages::v1::Event, participants::v1::InboxEvent};
use confab_tests::harness::{
    Checked, Fault, Proxy, Seed, Violation,
    backends::{self, Redis},
    eventually, must_be_caught, within,
};
use rand::Rng as _;

const WHOLE: Duration = Duration::from_mins(1);
const TRAFFIC: &str = "mesh::bus::each_process_hears_what_it_needs_and_nothing_else";

/// One process's end of the bus.
struct Process {
    bus: Bus,
    health: BrokerHealth,
    /// Signals about topics that it heard of others.
    heard: Arc<AtomicU64>,
    /// Those of them that are events.
    events: Arc<AtomicU64>,
    /// Times that it was told that some are missing.
    missed: Arc<AtomicU64>,
    lifecycle: Lifecycle,
}

impl Process {
    fn new(redis: &str, prefix: &str) -> Checked<Self> {
        let mut config = Config::default();
        config.redis.url = Some(Secret::new(format!("redis://{redis}")));
        prefix.clone_into(&mut config.redis.prefix);
        let parts = redis::open(&config).map_err(Violation::unable)?;
        let parts = parts.ok_or_else(|| Violation::unable("no redis configured"))?;
        let (bus, lifecycle) = (Bus::default(), Lifecycle::new(Duration::ZERO));
        let [heard, events, missed] = [(); 3].map(|()| Arc::<AtomicU64>::default());
        let counters = [&heard, &events, &missed].map(Arc::clone);
        bus.attach(Arc::new(move |signal| {
            let [heard, events, missed] = &counters;
            let one_more = |counter: &AtomicU64| counter.fetch_add(1, Ordering::SeqCst);
            match signal {
                Signal::Missed => one_more(missed),
                Signal::Event { .. } => one_more(events) + one_more(heard),
                _ => one_more(heard),
            };
        }));
        let health = bus.attach_broker(parts.broker, lifecycle.clone());
        Ok(Self { bus, health, heard, events, missed, lifecycle })
    }

    fn heard(&self) -> u64 {
        self.heard.load(Ordering::SeqCst)
    }

    fn events(&self) -> u64 {
        self.events.load(Ordering::SeqCst)
    }

    fn missed(&self) -> u64 {
        self.missed.load(Ordering::SeqCst)
    }

    async fn connected(&self) -> Checked {
        let health = &self.health;
        eventually(WHOLE, "a connection", || async { Ok(health.check().ok()) }).await
    }

    async fn away(&self) -> Checked {
        let health = &self.health;
        eventually(WHOLE, "that it is away", || async { Ok(health.check().err().map(drop)) }).await
    }

    async fn heard_so_many(&self, many: u64) -> Checked {
        let what = format!("{many} signals");
        eventually(WHOLE, &what, || async { Ok((self.heard() >= many).then_some(())) }).await
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.lifecycle.stop();
    }
}

fn tenant() -> TenantId {
    TenantId::parse("acme").expect("an id")
}

fn user(name: &str) -> UserId {
    UserId::parse(name).expect("an id")
}

fn conversation(number: usize) -> ConversationId {
    let request = RequestId::parse(&format!("r{number}")).expect("an id");
    ConversationId::group(&tenant(), &user("owner"), &request)
}

fn event(conversation: &ConversationId) -> Signal {
    let event = Event { conversation_id: conversation.to_string(), seq: 1, ..Event::default() };
    Signal::Event {
        tenant: tenant(),
        conversation: conversation.clone(),
        event: Arc::new(event),
        participants: None,
    }
}

fn inbox(name: &str) -> Signal {
    Signal::Inbox { tenant: tenant(), user: user(name), event: Arc::new(InboxEvent::default()) }
}

fn follow(process: &Process, conversation: &ConversationId) -> Interest {
    process.bus.interest(|| Topic::Conversation(tenant(), conversation.clone()))
}

/// A Redis to kill, or why there is none.
/// 1,000 conversations of 10 people who are connected to any of so many processes. One
/// event in each: how many signals all processes hear, of so many in a broadcast.
async fn traffic(redis: &str, prefix: &str, size: usize) -> Checked<(u64, u64)> {
    let mut random = Seed::of("traffic").part(size as u64);
    let processes: Checked<Vec<Process>> = (0..size).map(|_| Process::new(redis, prefix)).collect();
    let processes = processes?;
    for process in &processes {
        process.connected().await?;
    }
    let (mut interests, mut expected) = (Vec::new(), vec![0; size]);
    let conversations: Vec<ConversationId> = (0..1000).map(conversation).collect();
    for (number, id) in conversations.iter().enumerate() {
        let places: HashSet<usize> = (0..10).map(|_| random.random_range(0..size)).collect();
        for place in places {
            interests.push(follow(&processes[place], id));
            // A process does not hear itself over Redis.
            expected[place] += u64::from(place != number % size);
        }
    }
    for process in &processes {
        within(WHOLE, "subscriptions", process.bus.settled()).await?;
    }
    for (number, id) in conversations.iter().enumerate() {
        processes[number % size].bus.publish(event(id));
    }
    // The last word of each process: when it has come, so has all before it.
    let last = (0..size).map(|place| format!("last-{place}")).collect::<Vec<_>>();
    for process in &processes {
        for name in &last {
            interests.push(process.bus.interest(|| Topic::User(tenant(), user(name))));
        }
        within(WHOLE, "subscriptions", process.bus.settled()).await?;
    }
    for (process, name) in processes.iter().zip(&last) {
        process.bus.publish(inbox(name));
    }
    let words = size as u64 - 1;
    let (mut heard, mut own) = (0, 0);
    for (place, process) in processes.iter().enumerate() {
        // What is published here is heard here, too, without Redis.
        let published = (1000 - place).div_ceil(size) as u64 + 1;
        let due = published + words + expected[place];
        process.heard_so_many(due).await?;
        Violation::unless(process.heard() == due, || {
            format!("process {place} heard {} signals, and needs {due}", process.heard())
        })?;
        heard += process.heard() - published - words;
        own += expected[place];
    }
    Violation::unless(heard == own, || format!("{heard} heard, {own} needed"))?;
    Ok((heard, 1000 * (size as u64 - 1)))
}

/// In small meshes nearly every process has somebody of each conversation.
async fn all_traffic(redis: &str) -> Checked {
    for (size, least) in [(5, 0), (100, 90)] {
        let (heard, broadcast) = traffic(redis, &format!("traffic-{size}"), size).await?;
        let less = 100 * (broadcast - heard) / broadcast;
        println!("{size} processes hear {heard} signals, of {broadcast} in a broadcast: -{less} %");
        Violation::unless(less >= least, || format!("{less} % less in {size} processes"))?;
    }
    Ok(())
}

#[tokio::test]
async fn each_process_hears_what_it_needs_and_nothing_else() -> Checked {
    let Some(redis) = backends::redis_or_skip(TRAFFIC).await else { return Ok(()) };
    within(WHOLE, "traffic", all_traffic(&redis)).await?
}

#[tokio::test]
async fn a_broadcast_is_caught() {
    let Some(redis) = backends::redis_or_skip("mesh::bus::a_broadcast_is_caught").await else {
        return;
    };
    let mutant = "bus-broadcasts";
    mutant::set(Some(mutant));
    let run = within(WHOLE, mutant, traffic(&redis, mutant, 5)).await;
    must_be_caught(mutant, run.and_then(|run| run.map(drop)));
}

/// Whoever has waited until its interest is settled hears what is published from then
/// on, however much there is to follow.
async fn settled(redis: &str, prefix: &str) -> Checked {
    let (here, there) = (Process::new(redis, prefix)?, Process::new(redis, prefix)?);
    here.connected().await?;
    there.connected().await?;
    let interests: Vec<Interest> =
        (0..5000).map(|number| follow(&here, &conversation(number))).collect();
    within(WHOLE, "subscriptions", here.bus.settled()).await?;
    there.bus.publish(event(&conversation(4999)));
    // What comes after it, over the same connections.
    let _last = here.bus.interest(|| Topic::User(tenant(), user("last")));
    eventually(WHOLE, "a word", || async {
        there.bus.publish(inbox("last"));
        Ok((here.heard() > here.events()).then_some(()))
    })
    .await?;
    drop(interests);
    Violation::unless(here.events() == 1, || format!("heard {} times", here.events()))
}

#[tokio::test]
async fn what_is_published_after_interest_is_settled_is_heard() -> Checked {
    let test = "mesh::bus::what_is_published_after_interest_is_settled_is_heard";
    let Some(redis) = backends::redis_or_skip(test).await else { return Ok(()) };
    within(WHOLE, test, settled(&redis, "settled")).await?
}

#[tokio::test]
async fn reading_before_interest_is_settled_is_caught() {
    let test = "mesh::bus::reading_before_interest_is_settled_is_caught";
    let Some(redis) = backends::redis_or_skip(test).await else { return };
    let mutant = "bus-does-not-settle";
    mutant::set(Some(mutant));
    let run = within(WHOLE, mutant, settled(&redis, mutant)).await;
    must_be_caught(mutant, run.and_then(|run| run));
}

/// A Redis that is killed: after its start everything is followed again, and
/// listeners know that they have missed something.
async fn killed(redis: &mut Redis) -> Checked {
    let address = redis.address().to_string();
    let (here, there) = (Process::new(&address, "killed")?, Process::new(&address, "killed")?);
    let id = conversation(1);
    let _interest = follow(&here, &id);
    for round in 1..=3 {
        here.connected().await?;
        there.connected().await?;
        let missed = here.missed();
        Violation::unless(missed >= round, || format!("{missed} times missed in round {round}"))?;
        let heard = here.heard();
        there.bus.publish(event(&id));
        here.heard_so_many(heard + 1).await?;
        redis.server().kill9();
        here.away().await?;
        there.away().await?;
        redis.server().start().map_err(Violation::unable)?;
    }
    Ok(())
}

#[tokio::test]
async fn after_a_restart_of_redis_all_is_followed_and_the_loss_is_told() -> Checked {
    let test = "mesh::bus::after_a_restart_of_redis_all_is_followed_and_the_loss_is_told";
    let Some(mut redis) = backends::own_redis_or_skip(test).await else { return Ok(()) };
    within(WHOLE, test, killed(&mut redis)).await?
}

#[tokio::test]
async fn coming_back_in_silence_or_deaf_is_caught() {
    let test = "mesh::bus::coming_back_in_silence_or_deaf_is_caught";
    let Some(mut redis) = backends::own_redis_or_skip(test).await else { return };
    for mutant in ["bus-reconnects-silently", "bus-follows-nothing"] {
        mutant::set(Some(mutant));
        let limit = Duration::from_secs(5);
        let run = within(limit, mutant, killed(&mut redis)).await;
        must_be_caught(mutant, run.and_then(|run| run));
    }
}

/// A process that is cut off alone: when it is back, the others know that they have
/// missed something of it.
async fn cut_off(redis: SocketAddr) -> Checked {
    let way = Proxy::to(redis).await?;
    let here = Process::new(&redis.to_string(), "cut-off")?;
    let there = Process::new(&way.address().to_string(), "cut-off")?;
    let _interest = follow(&here, &conversation(1));
    let _last = here.bus.interest(|| Topic::User(tenant(), user("last")));
    here.connected().await?;
    there.connected().await?;
    within(WHOLE, "subscriptions", here.bus.settled()).await?;
    let missed = here.missed();
    way.plan(|_| Fault { down: Some(0), ..Fault::default() });
    way.cut_all();
    there.away().await?;
    there.bus.publish(event(&conversation(1)));
    way.heal();
    there.connected().await?;
    there.bus.publish(inbox("last"));
    here.heard_so_many(1).await?;
    Violation::unless(here.missed() > missed, || "what was lost elsewhere is not told here")
}

#[tokio::test]
async fn what_one_process_could_not_publish_is_told_to_the_others() -> Checked {
    let test = "mesh::bus::what_one_process_could_not_publish_is_told_to_the_others";
    let Some(redis) = backends::own_redis_or_skip(test).await else { return Ok(()) };
    within(WHOLE, test, cut_off(redis.address())).await?
}

#[tokio::test]
async fn hiding_losses_is_caught() {
    let test = "mesh::bus::hiding_losses_is_caught";
    let Some(redis) = backends::own_redis_or_skip(test).await else { return };
    let mutant = "bus-hides-losses";
    mutant::set(Some(mutant));
    let run = within(WHOLE, mutant, cut_off(redis.address())).await;
    must_be_caught(mutant, run.and_then(|run| run));
}
