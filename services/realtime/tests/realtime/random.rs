//! A bus that loses, doubles and reorders, and a reader that stops and goes, at
//! random by seed: whatever they do, the client sees every event once, in order, up
//! to its own removal, whichever way each event took.

use std::{sync::Arc, time::Duration};

use confab_log::mutant;
use confab_proto::{messages::v1::Event, realtime::v1::connect_response::Frame};
use rand::{Rng as _, SeedableRng as _, rngs::SmallRng, seq::SliceRandom as _};
use tokio::task::yield_now;

use crate::support::{Client, Node, Way, World, id, watching};

/// A client that folds: it knows what must come next.
struct Folding {
    client: Client,
    cursor: u64,
    ended: bool,
}

impl Folding {
    /// Takes frames until nothing comes for a while.
    async fn fold(&mut self) -> Result<(), String> {
        while let Ok(frame) =
            tokio::time::timeout(Duration::from_millis(1), self.client.next()).await
        {
            self.apply(frame)?;
        }
        Ok(())
    }

    fn apply(&mut self, frame: Frame) -> Result<(), String> {
        match frame {
            Frame::Event(event) if self.ended || event.seq != self.cursor + 1 => {
                let (cursor, ended) = (self.cursor, self.ended);
                return Err(format!("{} after {cursor}, ended: {ended}", event.seq));
            }
            Frame::Event(event) => self.cursor = event.seq,
            Frame::WatchEnded(_) => self.ended = true,
            Frame::Gap(gap) => return Err(format!("a gap so small: {gap:?}")),
            _ => {}
        }
        Ok(())
    }
}

struct Chaos {
    random: SmallRng,
    world: World,
    /// Told later, in any order.
    held: Vec<Arc<Event>>,
}

impl Chaos {
    fn happen(&mut self, leaves: bool) -> Option<u64> {
        let (event, left) = if leaves {
            let (event, _) = self.world.leave(1, "alice");
            (Arc::clone(&event), Some(event.seq))
        } else {
            (self.world.write(1, "hi"), None)
        };
        match self.random.random_range(0..10) {
            0..2 => {}
            2..5 => self.held.push(event),
            5 => {
                self.world.tell(&event);
                self.world.tell(&event);
            }
            _ => self.world.tell(&event),
        }
        if self.random.random_ratio(1, 5) {
            self.held.shuffle(&mut self.random);
            for event in self.held.drain(..) {
                self.world.tell(&event);
            }
        }
        left
    }
}

async fn run(seed: u64, way: Way) -> Result<(), String> {
    let mut random = SmallRng::seed_from_u64(seed);
    let world = World::default();
    world.join(1, "alice");
    let steps = random.random_range(20..200);
    // Often nothing follows it.
    let removal = random.random_bool(0.5).then(|| random.random_range(0..steps * 2).min(steps - 1));
    // A quarter of it is room, and all that can happen here never is too much.
    let queue = if random.random_bool(0.5) { 16 << 10 } else { 1 << 20 };
    let node = Node::with(world.clone(), |limits| {
        limits.page_events = 7;
        limits.stream_queue_bytes = queue;
    });
    let node = node.by(way);
    let client = node.hello("alice", watching(&[(1, 0)])).await;
    let mut folding = Folding { client, cursor: 0, ended: false };
    let mut chaos = Chaos { random, world: world.clone(), held: Vec::new() };
    let mut left_at = None;
    for step in 0..steps {
        left_at = left_at.or(chaos.happen(removal == Some(step)));
        match chaos.random.random_range(0..20) {
            0 if !folding.ended => {
                let hello = watching(&[(1, folding.cursor)]);
                folding.client = node.hello("alice", hello).await;
            }
            1..4 => folding.fold().await?,
            4..10 => yield_now().await,
            _ => {}
        }
    }
    // The log is asked for what was lost without anything following it.
    tokio::time::sleep(Duration::from_mins(1)).await;
    folding.fold().await?;
    let head = world.lock().logs[&id(1)].head();
    let expected = left_at.unwrap_or(head);
    if folding.cursor != expected || folding.ended != left_at.is_some() {
        return Err(format!("at {} of {expected}, ended: {}", folding.cursor, folding.ended));
    }
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn the_client_sees_a_dense_sequence_whatever_the_bus_does() {
    for way in Way::BOTH {
        for seed in 0..300 {
            if let Err(seen) = run(seed, way).await {
                panic!("seed {seed}: {seen}");
            }
        }
    }
}

/// The ways that an event can go must not know of each other's events too late, and
/// the short one must leave the user's own removal to the other.
#[tokio::test(start_paused = true)]
async fn a_lane_that_breaks_its_promise_is_seen() {
    for name in ["lane-keeps-cursor", "lane-takes-all", "realtime-after-removal"] {
        mutant::set(Some(name));
        let mut seen = Ok(());
        for seed in 0..300 {
            seen = seen.and(run(seed, Way::Connect).await);
            if seen.is_err() {
                break;
            }
        }
        mutant::set(None);
        assert!(seen.is_err(), "{name} is not seen");
    }
}
