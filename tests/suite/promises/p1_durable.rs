//! P1: an acknowledged write is durable. One data folder, SIGKILL under load
//! again and again; in the end the log must hold all that was acknowledged, once,
//! as it was acknowledged, in an order that nobody can have seen otherwise.

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use confab_client::{Client, ClientOptions, fold::ConversationState};
use confab_proto::{errors::v1::Reason, messages::v1::ListOrder};
use confab_tests::harness::{
    Checked, Node, Seed, Violation, effort, eventually, must_be_caught, within,
};
use rand::{Rng as _, rngs::StdRng, seq::IndexedRandom as _};
use tokio::task::JoinSet;

use super::{
    history::{Answer, Attempt, Deed, History},
    program,
    support::{WHOLE, all_events, all_messages, all_receipts, text_of},
};

const CONVERSATIONS: usize = 4;
const SENDERS: u64 = 8;
/// Requests of one sender that are open at a time.
const HANDS: u64 = 2;

/// What of the commands may be refused: a message that was deleted meanwhile.
const EXPECTED: &[Reason] = &[
    Reason::MessageDeleted,
    Reason::TooManyEdits,
    Reason::ReactionExists,
    Reason::TooManyReactions,
];

struct Scenario {
    kills: u32,
    /// Requests that were answered are asked again while the load goes on.
    ask_again: bool,
    seed: Seed,
}

/// One pair of hands that send, edit, delete, react and read.
struct Worker {
    client: Client,
    name: String,
    conversations: Arc<Vec<String>>,
    history: Arc<History>,
    stop: Arc<AtomicBool>,
    random: StdRng,
    ask_again: bool,
    /// Own requests that were answered: asked again now and then.
    answered: Vec<(Attempt, u64)>,
    heads: BTreeMap<String, u64>,
    count: u64,
}

impl Worker {
    async fn run(mut self) -> Checked {
        while !self.stop.load(Ordering::Relaxed) {
            if let Some((attempt, seq)) = self.answered.choose(&mut self.random).cloned()
                && self.ask_again
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

    fn invent(&mut self) -> Attempt {
        self.count += 1;
        let conversation = self.conversations.choose(&mut self.random).cloned().unwrap_or_default();
        let sent = |(attempt, seq): &(Attempt, u64)| {
            (attempt.conversation == conversation && matches!(attempt.deed, Deed::Send(_)))
                .then_some(*seq)
        };
        let own: Vec<u64> = self.answered.iter().filter_map(sent).collect();
        let head = self.heads.get(&conversation).copied().unwrap_or(0);
        let body = format!("{} {}", self.name, self.count);
        let deed = match (self.random.random_range(0..20), own.choose(&mut self.random)) {
            (0..3, Some(own)) => Deed::Edit(*own, body),
            (3, Some(own)) => Deed::Delete(*own),
            (4 | 5, Some(own)) => Deed::React(*own, format!("e{}", self.random.random_range(0..9))),
            (6 | 7, _) if head > 0 => Deed::MarkRead(head),
            _ => Deed::Send(body),
        };
        Attempt {
            actor: self.name.split('/').next().unwrap_or_default().to_owned(),
            conversation,
            request_id: format!("{}.{}", self.name.replace('/', "."), self.count),
            // Now and then a sender that knows nothing.
            after_seq: if self.random.random_ratio(1, 8) { 0 } else { head },
            deed,
            begun: 0,
            ended: None,
        }
    }

    /// Tries until it is settled; sometimes gives up, as users do.
    async fn carry_out(&mut self, attempt: Attempt) -> Checked {
        let place = self.history.begin(attempt.clone());
        loop {
            match attempt.perform(&self.client).await {
                Ok(seq) => {
                    self.history.end(place, Answer::Seq(seq));
                    let head = self.heads.entry(attempt.conversation.clone()).or_default();
                    *head = seq.max(*head);
                    if !matches!(attempt.deed, Deed::MarkRead(_)) {
                        self.answered.push((attempt, seq));
                    }
                    return Ok(());
                }
                Err(error) if error.is_retryable() => {
                    if self.random.random_ratio(1, 40) {
                        return Ok(());
                    }
                    tokio::time::sleep(Duration::from_millis(10)).await;
                }
                Err(error) => {
                    let reason = error.reason().unwrap_or_default();
                    self.history.end(place, Answer::Refused(reason));
                    return Violation::unless(EXPECTED.contains(&reason), || {
                        format!("{attempt:?} was refused: {error}")
                    });
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

/// The owner, who adds and removes a guest.
async fn rule(mut worker: Worker) -> Checked {
    let guests: Vec<String> =
        (0..worker.conversations.len()).map(|n| format!("guest{n}")).collect();
    let mut inside = vec![false; guests.len()];
    while !worker.stop.load(Ordering::Relaxed) {
        let at = worker.random.random_range(0..guests.len());
        let mut attempt = worker.invent();
        attempt.conversation.clone_from(&worker.conversations[at]);
        attempt.after_seq = worker.heads.get(&attempt.conversation).copied().unwrap_or(0);
        let guest = guests[at].clone();
        attempt.deed = if inside[at] { Deed::Remove(guest) } else { Deed::Add(guest) };
        let known = worker.answered.len();
        worker.carry_out(attempt.clone()).await?;
        if worker.answered.len() == known {
            // Given up: settle it after all, or nobody knows who is inside.
            worker.carry_out(attempt).await?;
        }
        inside[at] = !inside[at];
    }
    Ok(())
}

async fn run(scenario: &Scenario, mutant: Option<&str>) -> Checked {
    let mut node = Node::start(program(None)).await?;
    let proxy = node.proxy().await?;
    let tokens = node.tokens()?;
    let client = async |user: &str| {
        let options = ClientOptions::new(proxy.uri()).token(tokens.user("dev", user));
        Client::connect(options).await.map_err(Violation::from)
    };
    let owner = client("owner").await?;
    let senders: Vec<String> = (0..SENDERS).map(|n| format!("sender{n}")).collect();
    let names: Vec<&str> = senders.iter().map(String::as_str).collect();
    let mut conversations = Vec::new();
    for number in 0..CONVERSATIONS {
        let group = owner.create_group(format!("group {number}"), &names).await?;
        conversations.push(group.conversation_id);
    }
    // A mutant that cannot even be set up would be caught for nothing.
    node.mutate(mutant);
    node.restart().await?;
    let conversations = Arc::new(conversations);
    let history = Arc::new(History::default());
    let stop = Arc::new(AtomicBool::new(false));
    let worker = |client: Client, name: String, part: u64| Worker {
        client,
        name,
        conversations: Arc::clone(&conversations),
        history: Arc::clone(&history),
        stop: Arc::clone(&stop),
        random: scenario.seed.part(part),
        ask_again: scenario.ask_again,
        answered: Vec::new(),
        heads: BTreeMap::new(),
        count: 0,
    };
    let mut workers = JoinSet::new();
    for (number, sender) in (0..).zip(&senders) {
        for hand in 0..HANDS {
            let name = format!("{sender}/{hand}");
            let part = 1 + number * HANDS + hand;
            workers.spawn(worker(client(sender).await?, name, part).run());
        }
    }
    workers.spawn(rule(worker(owner.clone(), "owner/0".to_owned(), 999)));
    let killed = kill_again_and_again(scenario, &mut node, &history, &mut workers).await;
    stop.store(true, Ordering::Relaxed);
    killed?;
    while let Some(ended) = within(WHOLE, "the workers' last answers", workers.join_next()).await? {
        ended.map_err(Violation::unable)??;
    }
    for id in conversations.iter() {
        check(&owner, &history, id).await?;
    }
    println!("{} kills, {} acknowledged", scenario.kills, history.acknowledged());
    node.finish()
}

async fn kill_again_and_again(
    scenario: &Scenario,
    node: &mut Node,
    history: &History,
    workers: &mut JoinSet<Checked>,
) -> Checked {
    let mut random = scenario.seed.part(0);
    for kill in 0..scenario.kills {
        let target = history.acknowledged() + random.random_range(1..150);
        let what = format!("answers before kill {kill}");
        eventually(Duration::from_secs(30), &what, || {
            // A worker ends early only with a violation.
            let ended = workers.try_join_next();
            let reached = history.acknowledged() >= target;
            async move {
                match ended {
                    Some(ended) => ended.map_err(Violation::unable)?.map(|()| None),
                    None => Ok(reached.then_some(())),
                }
            }
        })
        .await?;
        node.kill9();
        node.restart().await?;
    }
    Ok(())
}

/// The log and every other read, against the history.
async fn check(reader: &Client, history: &History, id: &str) -> Checked {
    let log = all_events(reader, id).await?;
    history.check(id, &log)?;

    let messages = all_messages(reader, id, ListOrder::OldestFirst, 200).await?;
    let of_log: Vec<_> = log
        .iter()
        .filter_map(|event| match &event.kind {
            Some(confab_proto::messages::v1::event::Kind::MessageCreated(message)) => Some(message),
            _ => None,
        })
        .collect();
    Violation::unless(messages.iter().collect::<Vec<_>>() == of_log, || {
        let first = messages.iter().zip(&of_log).find(|(listed, logged)| listed != *logged);
        format!("ListMessages differs from ListEvents in {id}, first: {first:?}")
    })?;
    let silent = messages.iter().find(|m| text_of(m).is_none() && m.delete_time.is_none());
    Violation::unless(silent.is_none(), || format!("a message lost its content: {silent:?}"))?;

    let mut folded = ConversationState::new(id, "owner");
    for event in &log {
        folded.apply(event).map_err(Violation::unable)?;
    }
    let fresh = ConversationState::from_snapshot(reader.snapshot(id, 100_000).await?, "owner");
    let differences = folded.diff(&fresh);
    // Who left is in the fold, with a time; a read gives who is there.
    Violation::unless(differences.is_empty(), || format!("folded is not read: {differences:?}"))?;

    let receipts = all_receipts(reader, id).await?;
    for attempt in history.attempts() {
        let (Deed::MarkRead(_), Some((_, Answer::Seq(seq)))) = (&attempt.deed, attempt.ended)
        else {
            continue;
        };
        if attempt.conversation != id {
            continue;
        }
        let cursor = receipts.iter().find(|receipt| receipt.user_id == attempt.actor);
        let cursor = cursor.map_or(0, |receipt| receipt.read_seq);
        Violation::unless(cursor >= seq, || {
            format!("{} read up to {seq} in {id}, and is at {cursor} now", attempt.actor)
        })?;
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn sigkill_under_load_loses_nothing_acknowledged() {
    let scenario = Scenario { kills: 25 * effort(), ask_again: true, seed: Seed::of("p1") };
    run(&scenario, None).await.unwrap_or_else(|violation| panic!("{violation}"));
}

#[tokio::test(flavor = "multi_thread")]
async fn acknowledging_before_the_commit_is_caught() {
    // Caught by what the kills lose, not by who looks again before them.
    let scenario = Scenario { kills: 5, ask_again: false, seed: Seed::of("p1") };
    let mutant = "ack-before-commit";
    must_be_caught(mutant, run(&scenario, Some(mutant)).await);
}
