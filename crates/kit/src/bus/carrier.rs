//! Carries signals to other processes and back over a broker, for as long as the
//! process lives. Publishers never wait for it: what does not fit into its queue is
//! dropped and counted, and all that is published while the broker is away.
//!
//! After each time away, here or at a process that says so, the listeners of this
//! process are told that they have missed something, and read it.

use std::{
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use confab_log::mutant;
use confab_proto::bus::v1::{self as pb, signal::What};
use prost::Message as _;
use tokio::{
    sync::mpsc,
    time::{Instant, MissedTickBehavior, interval, sleep, timeout},
};

use super::{
    Bus, Signal, Topic,
    broker::{Broker, BrokerError, Heard, Line},
    interest::Interests,
    wire,
};
use crate::{backoff::doubled, random, trouble::Trouble};

/// Signals that wait to be published, and their bytes.
const QUEUE: usize = 4096;
const QUEUE_BYTES: usize = 16 * 1024 * 1024;
/// Signals in one request, and topics.
const BATCH: usize = 128;
const TOPICS: usize = 500;
/// How often the broker is asked whether it is there.
const PING: Duration = Duration::from_secs(1);
/// Between two connections: at first, and the longest.
const BACKOFF: Duration = Duration::from_millis(100);
const MAX_BACKOFF: Duration = Duration::from_secs(5);
/// While the broker is away, how often streams look for what it would have told.
const AWAY: Duration = Duration::from_secs(10);
/// The least time between two words that signals of this process were lost: each
/// makes all streams of all processes read.
const LOST: Duration = Duration::from_secs(10);
/// What every process follows.
const EVERYBODY: &str = "everybody";

/// How the broker is, for whoever asks whether this process is ready.
#[derive(Clone, Debug)]
pub struct BrokerHealth(Arc<Mutex<Result<(), String>>>);

impl BrokerHealth {
    /// An error is why it is away.
    pub fn check(&self) -> Result<(), String> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn set(&self, health: Result<(), String>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = health;
    }
}

/// See the module.
pub(super) struct Carrier {
    bus: Bus,
    broker: Arc<dyn Broker>,
    outlet: Arc<Outlet>,
    queue: mpsc::Receiver<(String, Bytes)>,
    health: BrokerHealth,
    trouble: Trouble,
    /// When the others were told last that signals were lost.
    told_lost: Option<Instant>,
}

/// Where published signals go in.
struct Outlet {
    /// Of this process: nobody needs to hear itself.
    origin: u64,
    interests: Arc<Interests>,
    queue: mpsc::Sender<(String, Bytes)>,
    waiting_bytes: AtomicUsize,
    connected: AtomicBool,
    lossy: AtomicBool,
    dropped: metrics::Counter,
    received: metrics::Counter,
}

impl Carrier {
    /// Takes what is published on the bus from now on.
    pub(super) fn new(bus: &Bus, interests: Arc<Interests>, broker: Arc<dyn Broker>) -> Self {
        let (sender, queue) = mpsc::channel(QUEUE);
        let outlet = Arc::new(Outlet {
            origin: u64::from_be_bytes(random::bytes()),
            interests,
            queue: sender,
            waiting_bytes: AtomicUsize::new(0),
            connected: AtomicBool::new(false),
            lossy: AtomicBool::new(false),
            dropped: metrics::counter!("confab_bus_dropped_total"),
            received: metrics::counter!("confab_bus_received_total"),
        });
        let publishing = Arc::clone(&outlet);
        bus.attach_carrier(Arc::new(move |signal| publishing.take(signal)));
        let health = BrokerHealth(Arc::new(Mutex::new(Err("not connected yet".to_owned()))));
        let (bus, trouble) = (bus.clone(), Trouble::default());
        Self { bus, broker, outlet, queue, health, trouble, told_lost: None }
    }

    pub(super) fn health(&self) -> BrokerHealth {
        self.health.clone()
    }

    /// Connects, again and again. Never ends.
    pub(super) async fn run(mut self) {
        let mut failures = 0;
        let mut healed = Instant::now();
        loop {
            let error = match self.connect().await {
                Ok(line) => {
                    let error = self.serve(&*line).await;
                    (failures, healed) = (0, Instant::now());
                    error
                }
                Err(error) => error,
            };
            self.lose(&error);
            let delay = doubled(BACKOFF, failures, MAX_BACKOFF);
            failures += 1;
            sleep(random::jitter(delay)).await;
            if healed.elapsed() >= AWAY {
                healed = Instant::now();
                self.bus.deliver(&Signal::Missed);
            }
        }
    }

    /// A connection that follows all that is needed.
    async fn connect(&mut self) -> Result<Box<dyn Line>, BrokerError> {
        let (bus, outlet) = (self.bus.clone(), Arc::clone(&self.outlet));
        let heard: Heard = Arc::new(move |bytes| outlet.hear(&bus, bytes));
        let line = self.broker.connect(heard).await?;
        line.subscribe(vec![EVERYBODY.to_owned()]).await?;
        let interests = &self.outlet.interests;
        interests.begin();
        while !interests.complete() {
            self.follow_some(&*line).await?;
        }
        self.outlet.connected.store(true, Ordering::Release);
        metrics::counter!("confab_bus_connections_total").increment(1);
        if self.trouble.ends() {
            tracing::info!(topics = interests.count(), "redis is back");
        }
        if !mutant::is("bus-reconnects-silently") {
            self.bus.deliver(&Signal::Missed);
        }
        self.health.set(Ok(()));
        Ok(line)
    }

    /// Follows and publishes until that fails.
    async fn serve(&mut self, line: &dyn Line) -> BrokerError {
        let outlet = Arc::clone(&self.outlet);
        let following = follow(&outlet, line);
        tokio::select! {
            error = self.publish(line) => error,
            error = following => error,
            () = line.lost() => BrokerError("the connection has ended".to_owned()),
        }
    }

    fn lose(&self, error: &BrokerError) {
        self.outlet.connected.store(false, Ordering::Release);
        self.outlet.interests.lost();
        metrics::gauge!("confab_bus_subscriptions").set(0);
        self.health.set(Err(error.to_string()));
        if self.trouble.begins() {
            tracing::warn!(%error, "redis is lost");
        }
    }

    async fn publish(&mut self, line: &dyn Line) -> BrokerError {
        let published = metrics::counter!("confab_bus_published_total");
        let mut signals = Vec::with_capacity(BATCH);
        loop {
            let patience = self.until_lost_is_told();
            let _none = timeout(patience, self.queue.recv_many(&mut signals, BATCH)).await;
            let bytes = signals.iter().map(|(_, signal)| signal.len()).sum();
            self.outlet.waiting_bytes.fetch_sub(bytes, Ordering::Relaxed);
            let count = signals.len() as u64;
            if self.until_lost_is_told().is_zero() {
                self.outlet.lossy.store(false, Ordering::Relaxed);
                self.told_lost = Some(Instant::now());
                // Before whatever could look as if nothing had been lost.
                signals.insert(0, (EVERYBODY.to_owned(), self.outlet.lost()));
            }
            if signals.is_empty() {
                continue;
            }
            if let Err(error) = line.publish(std::mem::take(&mut signals)).await {
                self.outlet.drop_signals(count);
                return error;
            }
            published.increment(count);
        }
    }

    /// How long to wait before the others are told that signals of this process were
    /// lost; long where there is nothing to tell.
    fn until_lost_is_told(&self) -> Duration {
        if !self.outlet.lossy.load(Ordering::Relaxed) || mutant::is("bus-hides-losses") {
            return LOST;
        }
        self.told_lost.map_or(Duration::ZERO, |told| LOST.saturating_sub(told.elapsed()))
    }

    async fn follow_some(&self, line: &dyn Line) -> Result<(), BrokerError> {
        follow_some(&self.outlet.interests, line).await
    }
}

async fn follow(outlet: &Outlet, line: &dyn Line) -> BrokerError {
    let mut ticks = interval(PING);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        let done = tokio::select! {
            () = outlet.interests.changed() => follow_some(&outlet.interests, line).await,
            _tick = ticks.tick() => unfollow_some(&outlet.interests, line).await,
        };
        if let Err(error) = done {
            return error;
        }
    }
}

/// Follows all that is to be followed.
async fn follow_some(interests: &Interests, line: &dyn Line) -> Result<(), BrokerError> {
    loop {
        let (topics, number) = interests.take_asked(TOPICS);
        if !topics.is_empty() && !mutant::is("bus-follows-nothing") {
            line.subscribe(topics.iter().map(ToString::to_string).collect()).await?;
        }
        let done = topics.len() < TOPICS;
        interests.follow(topics, number);
        if done {
            count(interests);
            return Ok(());
        }
    }
}

/// Ends what nobody has needed for long, and finds out whether the broker answers.
async fn unfollow_some(interests: &Interests, line: &dyn Line) -> Result<(), BrokerError> {
    for topics in interests.take_idle().chunks(TOPICS) {
        line.unsubscribe(topics.iter().map(ToString::to_string).collect()).await?;
    }
    count(interests);
    line.ping().await
}

#[expect(clippy::cast_precision_loss, reason = "a metric; exact to 2^52")]
fn count(interests: &Interests) {
    metrics::gauge!("confab_bus_subscriptions").set(interests.count() as f64);
}

impl Outlet {
    /// Takes a signal that was published here. Never waits.
    fn take(&self, signal: &Signal) {
        let Some(topic) = Topic::of(signal) else { return };
        if !self.connected.load(Ordering::Acquire) {
            return self.drop_signals(1);
        }
        let Some(signal) = wire::to_pb(signal) else { return };
        let bytes = Bytes::from(pb::Signal { origin: self.origin, ..signal }.encode_to_vec());
        let size = bytes.len();
        let waiting = self.waiting_bytes.fetch_add(size, Ordering::Relaxed);
        let fits = waiting + size <= QUEUE_BYTES;
        let topic =
            if mutant::is("bus-broadcasts") { EVERYBODY.to_owned() } else { topic.to_string() };
        if !fits || self.queue.try_send((topic, bytes)).is_err() {
            self.waiting_bytes.fetch_sub(size, Ordering::Relaxed);
            self.drop_signals(1);
        }
    }

    fn drop_signals(&self, count: u64) {
        self.dropped.increment(count);
        self.lossy.store(true, Ordering::Relaxed);
    }

    /// The word that signals of this process were lost.
    fn lost(&self) -> Bytes {
        let what = Some(What::Lost(pb::SignalsLost {}));
        pb::Signal { what, origin: self.origin, ..pb::Signal::default() }.encode_to_vec().into()
    }

    /// Takes what arrives from the broker.
    fn hear(&self, bus: &Bus, bytes: &[u8]) {
        let Ok(signal) = pb::Signal::decode(bytes) else {
            return tracing::debug!("a signal that is none");
        };
        if signal.origin == self.origin {
            return;
        }
        self.received.increment(1);
        if let Some(signal) = wire::from_pb(signal)
            // Whoever can write to the broker can revoke nothing.
            && !matches!(signal, Signal::Revoked(_))
        {
            bus.deliver(&signal);
        }
    }
}
