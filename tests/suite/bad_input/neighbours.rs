//! Alice and bob, who have nothing to do with it: their chat goes on, on the
//! connections that they have, without a pause to reconnect.

use confab_client::{Client, EventStream, StreamOptions, Update};
use confab_proto::messages::v1::event::Kind;
use confab_tests::harness::{Checked, Node, Violation, within};

use super::TENANT;
use crate::raw::PATIENCE;

/// Messages of one exchange.
const ROUNDS: usize = 3;

/// Two healthy clients.
pub(super) struct Neighbours {
    alice: Client,
    bob: EventStream,
    /// Their conversation, which is nobody else's business.
    pub(super) conversation: String,
}

impl Neighbours {
    pub(super) async fn meet(node: &Node) -> Checked<Self> {
        let alice = node.client(TENANT, "alice").await?;
        let bob = node.client(TENANT, "bob").await?;
        let conversation = alice.open_direct("bob").await?.conversation_id;
        let bob = bob.stream(StreamOptions::default().watching(&conversation, 0));
        let mut neighbours = Self { alice, bob, conversation };
        neighbours.are_well().await?;
        Ok(neighbours)
    }

    /// Alice writes, bob hears it, alice reads it.
    pub(super) async fn are_well(&mut self) -> Checked {
        for _ in 0..ROUNDS {
            let sent = self.alice.send(&self.conversation, "still here").await?;
            let heard = within(PATIENCE, "bob hears alice", self.hear(sent.seq));
            heard.await??;
        }
        let (events, head) = self.alice.events_after(&self.conversation, 0, 500).await?;
        let dense = events.iter().zip(1..).all(|(event, seq)| event.seq == seq);
        Violation::unless(dense && events.len() as u64 == head, || {
            format!("the neighbours' log has a hole: {head} {events:?}")
        })
    }

    async fn hear(&mut self, seq: u64) -> Checked {
        loop {
            match self.bob.next().await {
                Some(Ok(Update::Event(event))) if event.seq == seq => {
                    let message = matches!(event.kind, Some(Kind::MessageCreated(_)));
                    return Violation::unless(message, || format!("bob hears {event:?}"));
                }
                Some(Ok(Update::Disconnected { reason, .. })) => {
                    return Err(Violation::broken(format!("bob was cut off: {reason}")));
                }
                Some(Ok(_)) => {}
                Some(Err(error)) => return Err(error.into()),
                None => return Err(Violation::broken("bob's stream has ended")),
            }
        }
    }

    /// Ends bob's stream, so that it is no part of what the node's end shows.
    pub(super) async fn part(self) {
        self.bob.close().await;
    }
}
