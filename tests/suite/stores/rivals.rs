//! Two and three messages services on one CQL log, each with a memory of its own,
//! fight for one conversation while its partitions fill up: what any of them has
//! acknowledged stands there once, in one order. Some have faults in their
//! statements: time-outs that applied, did not apply, or apply later.

mod history;
mod rival;

use std::{cell::RefCell, time::Duration};

use confab_kit::random;
use confab_log::{
    Command, Content, ConversationId, Request, RequestId, TenantId, UserId,
    event::{Assignment, Creation, Description, Kind, LeaveCause, Role},
    mutant,
};
use confab_messages::{error::Error, store::LogKey};
use confab_tests::harness::{Checked, Seed, Violation, backends, must_be_caught, within};
use futures_util::future::try_join_all;
use rand::{Rng as _, rngs::StdRng};

use super::{connect, new_name};
use history::History;
use rival::{Reader, Rival};

const SENDERS: usize = 32;
const MESSAGES: usize = 4;
/// Fights in which a mutant must be caught.
const ROUNDS: u64 = 5;
/// Who is removed while everybody sends.
const REMOVED: usize = 0;

#[derive(Clone, Copy)]
struct Fight {
    rivals: usize,
    /// The first ones have faults in their statements.
    faulty: usize,
}

/// One conversation and everybody who has to do with it.
struct Ring {
    rivals: Vec<Rival>,
    reader: Reader,
    key: LogKey,
    history: RefCell<History>,
}

async fn fight(
    seed: Seed,
    round: u64,
    addresses: &backends::CqlAddresses,
    fight: Fight,
) -> Checked {
    let ring = Ring::build(&mut seed.part(round), addresses, fight).await?;
    let limit = Duration::from_mins(1);
    within(limit, "every command is settled", ring.everybody_sends()).await??;
    let log = ring.reader.log(&ring.key).await?;
    ring.history.borrow().check(&log)?;
    for rival in &ring.rivals {
        rival.heal().await;
    }
    let healed = ring.reader.log(&ring.key).await?;
    Violation::unless(healed == log, || "a late write has changed the log")?;
    for rival in &ring.rivals {
        let head = rival.head(&ring.key).await?;
        Violation::unless(head == log.len() as u64, || format!("{head} is not the head"))?;
    }
    Ok(())
}

impl Ring {
    async fn build(
        chance: &mut StdRng,
        addresses: &backends::CqlAddresses,
        fight: Fight,
    ) -> Checked<Self> {
        let keyspace = new_name();
        let reader = Reader::open(&connect(addresses, &keyspace).await).await;
        let mut rivals = Vec::new();
        for _ in 0..fight.rivals {
            let cql = connect(addresses, &keyspace).await;
            rivals.push(Rival::start(cql, chance.random()).await);
        }
        let tenant = TenantId::parse("fight").expect("well-formed");
        let conversation = ConversationId::group(&tenant, &user("owner"), &request_id("create"));
        let key = LogKey { tenant, conversation };
        let ring = Self { rivals, reader, key, history: RefCell::default() };
        ring.settle(0, &request("owner", "create", create())).await?;
        // Or each failure would begin again with everybody's inbox.
        ring.reader.raise(&ring.key, 1).await?;
        for rival in ring.rivals.iter().take(fight.faulty) {
            rival.break_now();
        }
        Ok(ring)
    }

    async fn everybody_sends(&self) -> Checked {
        let (user, cause) = (user(&sender(REMOVED)), LeaveCause::Removed);
        let removal = Command::Remove { user, cause, reason: String::new() };
        let removal = request("owner", "remove", removal);
        let senders = try_join_all((0..SENDERS).map(|number| self.sends(number)));
        tokio::try_join!(self.settle(1, &removal), senders).map(drop)
    }

    /// One message after the other; every other one through two services at a time.
    async fn sends(&self, number: usize) -> Checked {
        for message in 0..MESSAGES {
            let text = format!("{number}.{message}");
            let content = Content { text: text.clone(), ..Content::default() };
            let request = request(&sender(number), &text, Command::send(content));
            if message % 2 == 0 {
                let copies = (self.settle(number, &request), self.settle(number + 1, &request));
                tokio::try_join!(copies.0, copies.1)?;
            } else if !self.never_happens(number + message, &request).await? {
                self.settle(number + message + 1, &request).await?;
            }
        }
        Ok(())
    }

    /// Asks once; `true`: the answer is that it did not happen, and nobody tries it
    /// again.
    async fn never_happens(&self, at: usize, request: &Request) -> Checked<bool> {
        let answer = self.rivals[at % self.rivals.len()].append(&self.key, request).await;
        if matches!(answer, Err(Error::Unavailable)) {
            self.history.borrow_mut().did_not_happen(request);
            return Ok(true);
        }
        self.history.borrow_mut().answered(request, answer)?;
        Ok(false)
    }

    /// Asks one service after the other, from this one on, until one knows.
    async fn settle(&self, first: usize, request: &Request) -> Checked {
        for rival in self.rivals.iter().cycle().skip(first % self.rivals.len()) {
            let answer = rival.append(&self.key, request).await;
            if self.history.borrow_mut().answered(request, answer)? {
                break;
            }
            tokio::time::sleep(random::jitter(Duration::from_millis(10))).await;
        }
        Ok(())
    }
}

fn user(name: &str) -> UserId {
    UserId::parse(name).expect("well-formed")
}

fn request_id(id: &str) -> RequestId {
    RequestId::parse(id).expect("well-formed")
}

fn sender(number: usize) -> String {
    format!("sender{number}")
}

fn request(actor: &str, id: &str, command: Command) -> Request {
    Request::new(user(actor), request_id(id), command.digest(&rival::DIGEST_KEY), command)
}

fn create() -> Command {
    let member = |number| Assignment { user: user(&sender(number)), role: Role::Member };
    let owner = Assignment { user: user("owner"), role: Role::Owner };
    Command::Create(Creation {
        kind: Kind::Group,
        participants: std::iter::once(owner).chain((0..SENDERS).map(member)).collect(),
        description: Description::default(),
    })
}

#[tokio::test]
async fn two_services_share_a_log() {
    let test = "stores::rivals::two_services_share_a_log";
    let Some(addresses) = backends::cql_or_skip(test).await else { return };
    let of = Fight { rivals: 2, faulty: 0 };
    fight(Seed::of(test), 0, &addresses, of)
        .await
        .unwrap_or_else(|violation| panic!("{violation}"));
}

#[tokio::test]
async fn three_services_share_a_log_though_two_have_faults() {
    let test = "stores::rivals::three_services_share_a_log_though_two_have_faults";
    let Some(addresses) = backends::cql_or_skip(test).await else { return };
    let of = Fight { rivals: 3, faulty: 2 };
    fight(Seed::of(test), 0, &addresses, of)
        .await
        .unwrap_or_else(|violation| panic!("{violation}"));
}

#[tokio::test]
async fn the_fight_catches_mutants() {
    let test = "stores::rivals::the_fight_catches_mutants";
    let Some(addresses) = backends::cql_or_skip(test).await else { return };
    for (name, faulty) in [
        ("append-unconditional", 0),
        ("no-second-decision", 0),
        ("no-id-lookup", 1),
        ("unclear-is-failed", 2),
    ] {
        let of = Fight { rivals: 2, faulty };
        mutant::set(Some(name));
        let mut checked = Ok(());
        // Whether rivals meet in the one moment that counts is a matter of chance.
        for round in 0..ROUNDS {
            checked = fight(Seed::of(test), round, &addresses, of).await;
            if checked.is_err() {
                break;
            }
        }
        mutant::set(None);
        must_be_caught(name, checked);
    }
}
