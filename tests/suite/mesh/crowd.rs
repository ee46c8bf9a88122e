//! People who write under whatever a test does meanwhile, and who are held to what
//! they were answered.

use std::sync::Arc;

use confab_client::Client;
use confab_tests::harness::{Checked, Deployment, Seed};
use tokio::task::JoinSet;

use crate::promises::{WHOLE, all_ended, answered, load, p1_durable};

const SENDERS: [&str; 3] = ["alice", "bob", "carol"];
/// Requests of one sender that are open at a time.
const HANDS: u64 = 2;

/// People who write, through every process, until they are told to stop.
pub(super) struct Crowd {
    pub(super) owner: Client,
    pub(super) load: Arc<load::Load>,
    workers: JoinSet<Checked>,
}

impl Crowd {
    pub(super) async fn gather(confab: &Deployment, seed: Seed) -> Checked<Self> {
        let owner = confab.lasting_client("dev", "owner").await?;
        let mut conversations = Vec::new();
        for title in ["one", "two"] {
            conversations.push(owner.create_group(title, &SENDERS).await?.conversation_id);
        }
        let mut load = load::Load::new(conversations);
        // What is asked again is what nobody answered.
        load.ask_again = false;
        let load = Arc::new(load);
        let mut workers = JoinSet::new();
        for (number, sender) in (0..).zip(SENDERS) {
            for hand in 0..HANDS {
                let client = confab.lasting_client("dev", sender).await?;
                let random = seed.part(1 + number * HANDS + hand);
                workers.spawn(load::Worker::new(&load, client, sender, hand, random).run());
            }
        }
        Ok(Self { owner, load, workers })
    }

    /// Waits until so many more were answered; nobody ends before, but with a violation.
    pub(super) async fn answered(&mut self, more: u64) -> Checked {
        answered(&self.load.history, &mut self.workers, more, (WHOLE, "answers")).await
    }

    /// Holds the logs against all that was answered.
    pub(super) async fn check(self) -> Checked {
        self.load.stop();
        all_ended(self.workers, WHOLE, "the last answers").await?;
        for id in &self.load.conversations {
            p1_durable::check(&self.owner, &self.load.history, id).await?;
        }
        Ok(())
    }
}
