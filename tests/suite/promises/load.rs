//! Load on a few conversations: users who send, edit, delete, react and read, and
//! a history of all of it.

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use confab_client::Client;
use confab_proto::errors::v1::Reason;
use confab_tests::harness::{Checked, Violation};
use rand::{Rng as _, rngs::StdRng, seq::IndexedRandom as _};

use super::history::{Answer, Attempt, Deed, History};

/// What of the commands may be refused: a message that was deleted meanwhile.
const EXPECTED: &[Reason] = &[
    Reason::MessageDeleted,
    Reason::TooManyEdits,
    Reason::ReactionExists,
    Reason::TooManyReactions,
];

/// What all who make load share.
pub(crate) struct Load {
    pub(crate) conversations: Vec<String>,
    pub(crate) history: History,
    /// Requests that were answered are asked again while the load goes on.
    pub(crate) ask_again: bool,
    /// Requests of one worker.
    pub(crate) limit: u64,
    stop: AtomicBool,
}

/// One pair of hands that send, edit, delete, react and read.
pub(crate) struct Worker {
    pub(crate) client: Client,
    pub(crate) load: Arc<Load>,
    pub(crate) random: StdRng,
    user: String,
    hand: u64,
    count: u64,
    /// Own requests that were answered.
    answered: Vec<(Attempt, u64)>,
    pub(crate) heads: BTreeMap<String, u64>,
}

impl Load {
    pub(crate) fn new(conversations: Vec<String>) -> Self {
        Self {
            conversations,
            history: History::default(),
            ask_again: true,
            limit: u64::MAX,
            stop: AtomicBool::new(false),
        }
    }

    /// Everybody ends after their last answer.
    pub(crate) fn stop(&self) {
        self.stop.store(true, Ordering::Relaxed);
    }
}

impl Worker {
    /// A hand of a user; users have several.
    pub(crate) fn new(
        load: &Arc<Load>,
        client: Client,
        user: &str,
        hand: u64,
        random: StdRng,
    ) -> Self {
        Self {
            client,
            load: Arc::clone(load),
            random,
            user: user.to_owned(),
            hand,
            count: 0,
            answered: Vec::new(),
            heads: BTreeMap::new(),
        }
    }

    /// Whether the load goes on.
    pub(crate) fn goes_on(&self) -> bool {
        !self.load.stop.load(Ordering::Relaxed) && self.count < self.load.limit
    }

    pub(crate) async fn run(mut self) -> Checked {
        while self.goes_on() {
            if let Some((attempt, seq)) = self.answered.choose(&mut self.random).cloned()
                && self.load.ask_again
                && self.random.random_ratio(1, 12)
            {
                self.same_answer(&attempt, seq).await?;
                continue;
            }
            let attempt = self.invent();
            self.carry_out(attempt).await?;
        }
        Ok(())
    }

    pub(crate) fn invent(&mut self) -> Attempt {
        self.count += 1;
        let conversations = &self.load.conversations;
        let conversation = conversations.choose(&mut self.random).cloned().unwrap_or_default();
        let sent = |(attempt, seq): &(Attempt, u64)| {
            (attempt.conversation == conversation && matches!(attempt.deed, Deed::Send(_)))
                .then_some(*seq)
        };
        let own: Vec<u64> = self.answered.iter().filter_map(sent).collect();
        let head = self.heads.get(&conversation).copied().unwrap_or(0);
        let request_id = format!("{}.{}.{}", self.user, self.hand, self.count);
        let body = format!("text of {request_id}");
        let deed = match (self.random.random_range(0..20), own.choose(&mut self.random)) {
            (0..3, Some(own)) => Deed::Edit(*own, body),
            (3, Some(own)) => Deed::Delete(*own),
            (4 | 5, Some(own)) => Deed::React(*own, format!("e{}", self.random.random_range(0..9))),
            (6 | 7, _) if head > 0 => Deed::MarkRead(head),
            _ => Deed::Send(body),
        };
        Attempt {
            actor: self.user.clone(),
            conversation,
            request_id,
            // Now and then a sender that knows nothing.
            after_seq: if self.random.random_ratio(1, 8) { 0 } else { head },
            deed,
            begun: 0,
            ended: None,
        }
    }

    /// Tries until it is settled; sometimes gives up, as users do.
    async fn carry_out(&mut self, attempt: Attempt) -> Checked {
        let place = self.load.history.begin(attempt.clone());
        self.settle(place, attempt).await.map(drop)
    }

    /// Tries an attempt that was begun until it is settled, or given up: `false`.
    pub(crate) async fn settle(&mut self, place: usize, attempt: Attempt) -> Checked<bool> {
        loop {
            match attempt.perform(&self.client).await {
                Ok(seq) => {
                    self.load.history.end(place, Answer::Seq(seq));
                    let head = self.heads.entry(attempt.conversation.clone()).or_default();
                    *head = seq.max(*head);
                    if !matches!(attempt.deed, Deed::MarkRead(_)) {
                        self.answered.push((attempt, seq));
                    }
                    return Ok(true);
                }
                Err(error) if error.is_retryable() => {
                    if self.random.random_ratio(1, 40) {
                        return Ok(false);
                    }
                    tokio::time::sleep(Duration::from_millis(10)).await;
                }
                Err(error) => {
                    let reason = error.reason().unwrap_or_default();
                    self.load.history.end(place, Answer::Refused(reason));
                    Violation::unless(EXPECTED.contains(&reason), || {
                        format!("{attempt:?} was refused: {error}")
                    })?;
                    return Ok(true);
                }
            }
        }
    }

    /// An answered request gets the same answer, whatever was killed since.
    async fn same_answer(&mut self, attempt: &Attempt, seq: u64) -> Checked {
        match attempt.perform(&self.client).await {
            Ok(again) => Violation::unless(again == seq, || {
                format!("answered with {seq} before and with {again} now: {attempt:?}")
            }),
            Err(error) if error.is_retryable() => Ok(()),
            Err(error) => Err(Violation::broken(format!(
                "answered with {seq} before and refused now ({error}): {attempt:?}"
            ))),
        }
    }
}
