//! Which topics this process needs, and which of them its connection to the broker
//! follows. A state behind a lock: it never waits, and knows no broker.
//!
//! A topic is followed soon after somebody needs it and for a while after nobody
//! does, so that a device that comes back finds it followed.

use std::{
    collections::{HashMap, HashSet, VecDeque},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use confab_log::mutant;
use tokio::{
    sync::{Notify, watch},
    time::Instant,
};

use super::Topic;

/// How long a topic that nobody needs is still followed.
const LINGER: Duration = Duration::from_secs(30);

/// Somebody in this process needs what is told of a topic, for as long as this lives.
#[derive(Debug, Default)]
pub struct Interest(Option<(Arc<Interests>, Topic)>);

impl Drop for Interest {
    fn drop(&mut self) {
        if let Some((interests, topic)) = self.0.take() {
            interests.release(topic);
        }
    }
}

/// See the module.
#[derive(Debug)]
pub(super) struct Interests {
    state: Mutex<State>,
    changed: Notify,
    /// How many of the topics that were ever asked for are settled.
    settled: watch::Sender<u64>,
}

#[derive(Debug, Default)]
struct State {
    /// By how many.
    needed: HashMap<Topic, usize>,
    /// There is a connection, or one is being made.
    linked: bool,
    /// It follows everything that was needed when it began.
    live: bool,
    followed: HashSet<Topic>,
    /// To be followed, in this order.
    asked: VecDeque<Topic>,
    /// Followed, and needed by nobody since then.
    idle: HashMap<Topic, Instant>,
    /// Counts what was ever put among `asked`, and what was taken from there.
    asked_count: u64,
    taken_count: u64,
}

impl Default for Interests {
    fn default() -> Self {
        let (settled, _) = watch::channel(0);
        Self { state: Mutex::default(), changed: Notify::new(), settled }
    }
}

impl Interests {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Somebody needs the topic.
    pub(super) fn need(self: &Arc<Self>, topic: Topic) -> Interest {
        let mut state = self.lock();
        let count = state.needed.entry(topic.clone()).or_default();
        *count += 1;
        if *count == 1 {
            state.idle.remove(&topic);
            if state.linked && !state.followed.contains(&topic) {
                state.ask(topic.clone());
                self.changed.notify_one();
            }
        }
        drop(state);
        Interest(Some((Arc::clone(self), topic)))
    }

    fn release(&self, topic: Topic) {
        let mut state = self.lock();
        let Some(count) = state.needed.get_mut(&topic) else { return };
        *count -= 1;
        if *count == 0 {
            state.needed.remove(&topic);
            if state.followed.contains(&topic) {
                state.idle.insert(topic, Instant::now());
            }
        }
    }

    /// Resolves when everything that is needed by now is followed. Where there is no
    /// connection it does so at once: when there is one again, listeners are told that
    /// they have missed something.
    pub(super) fn settled(&self) -> impl Future<Output = ()> + Send + use<> {
        let state = self.lock();
        let live = state.live && !mutant::is("bus-does-not-settle");
        let through = if live { state.asked_count } else { 0 };
        let mut settled = self.settled.subscribe();
        drop(state);
        async move {
            // The bus ends first only with the process.
            let _gone = settled.wait_for(|count| *count >= through).await.is_err();
        }
    }

    /// A connection is there that follows nothing yet.
    pub(super) fn begin(&self) {
        let mut state = self.lock();
        state.linked = true;
        let needed: Vec<Topic> = state.needed.keys().cloned().collect();
        for topic in needed {
            state.ask(topic);
        }
    }

    /// Whether everything that is needed is followed; then the connection is live.
    pub(super) fn complete(&self) -> bool {
        let mut state = self.lock();
        state.live = state.asked.is_empty();
        state.live
    }

    /// The connection is gone, and all that it followed.
    pub(super) fn lost(&self) {
        let mut state = self.lock();
        let needed = std::mem::take(&mut state.needed);
        let asked_count = state.asked_count;
        *state = State { needed, asked_count, taken_count: asked_count, ..State::default() };
        self.settled.send_replace(asked_count);
    }

    /// Some topics to be followed next, and the number to [`Self::follow`] them with.
    pub(super) fn take_asked(&self, most: usize) -> (Vec<Topic>, u64) {
        let mut state = self.lock();
        let taken = state.asked.len().min(most);
        state.taken_count += taken as u64;
        let topics: Vec<Topic> = state.asked.drain(..taken).collect();
        let needed = topics.into_iter().filter(|topic| state.needed.contains_key(topic));
        (needed.collect(), state.taken_count)
    }

    /// These are followed now.
    pub(super) fn follow(&self, topics: Vec<Topic>, number: u64) {
        let mut state = self.lock();
        for topic in topics {
            if !state.needed.contains_key(&topic) {
                state.idle.insert(topic.clone(), Instant::now());
            }
            state.followed.insert(topic);
        }
        self.settled.send_replace(number);
    }

    /// Those that nobody has needed for long: they are not followed from now on.
    pub(super) fn take_idle(&self) -> Vec<Topic> {
        let mut state = self.lock();
        let now = Instant::now();
        let long = |since: &Instant| now.duration_since(*since) >= LINGER;
        let idle: Vec<Topic> =
            state.idle.extract_if(|_, since| long(since)).map(|(topic, _)| topic).collect();
        for topic in &idle {
            state.followed.remove(topic);
        }
        idle
    }

    /// Resolves when there may be something to follow.
    pub(super) async fn changed(&self) {
        self.changed.notified().await;
    }

    /// How many topics are followed.
    pub(super) fn count(&self) -> usize {
        self.lock().followed.len()
    }
}

impl State {
    fn ask(&mut self, topic: Topic) {
        self.asked.push_back(topic);
        self.asked_count += 1;
    }
}
