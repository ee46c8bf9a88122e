//! A bus that loses, doubles and reorders, at random by seed: whatever it does,
//! the client sees every event once, in order, up to its own removal.

use std::{sync::Arc, time::Duration};

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
    async fn fold(&mut self) {
        while let Ok(frame) =
            tokio::time::timeout(Duration::from_millis(1), self.client.next()).await
        {
            self.apply(frame);
        }
    }

    fn apply(&mut self, frame: Frame) {
        match frame {
            Frame::Event(event) => {
                assert!(!self.ended, "nothing comes after the end of a watch");
                assert_eq!(event.seq, self.cursor + 1, "the next event is the cursor plus one");
                self.cursor = event.seq;
            }
            Frame::WatchEnded(_) => self.ended = true,
            Frame::Gap(gap) => panic!("a gap so small: {gap:?}"),
            _ => {}
        }
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
    let removal = random.random_bool(0.5).then(|| random.random_range(0..steps));
    let node = Node::with(world.clone(), |limits| limits.page_events = 7).by(way);
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
            1..4 => folding.fold().await,
            4..10 => yield_now().await,
            _ => {}
        }
    }
    // The log is asked for what was lost without anything following it.
    tokio::time::sleep(Duration::from_mins(1)).await;
    folding.fold().await;
    let head = world.lock().logs[&id(1)].head();
    let expected = left_at.unwrap_or(head);
    if folding.cursor != expected || folding.ended != left_at.is_some() {
        return Err(format!(
            "seed {seed}: at {} of {expected}, ended: {}",
            folding.cursor, folding.ended
        ));
    }
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn the_client_sees_a_dense_sequence_whatever_the_bus_does() {
    for way in Way::BOTH {
        for seed in 0..300 {
            run(seed, way).await.expect("dense to the end");
        }
    }
}
