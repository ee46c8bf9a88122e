//! Lists of participants that several processes remember, each for itself and together
//! in a Redis: what is changed through one of them is seen through the other one at
//! once, whatever becomes of Redis and of what is in it.

use std::{collections::BTreeSet, time::Duration};

use confab_kit::role::Role;
use confab_tests::harness::{
    Checked, Deployment, Node, NodeOptions, Shape, Violation,
    backends::{self, Redis},
    eventually, within,
};

use super::{
    redis::command,
    removal::{Both, at, both},
};
use crate::promises::{WHOLE, among_kills, can_be_clustered, caught};

const ROUNDS: u64 = 6;
/// After each thing that happens to Redis.
const FEW_ROUNDS: u64 = 2;
/// Much longer than a signal takes, and much shorter than a list is kept.
const TOLD: Duration = Duration::from_secs(10);
/// How long Redis may take to be used again.
const BACK: Duration = Duration::from_secs(30);

/// Two halves that meet in the store and in a Redis, or one process.
struct World {
    confab: Deployment,
    /// At each half.
    owner: Both,
    id: String,
    /// Who is in the conversation.
    inside: BTreeSet<String>,
}

/// Where lists came from, of both processes of participants.
#[derive(Clone, Copy, Debug, Default)]
struct Counts {
    memory: u64,
    redis: u64,
    missed: u64,
}

impl World {
    async fn new(shape: Shape, redis: &Redis, mutant: Option<&str>) -> Checked<Self> {
        let url = format!("redis://{}", redis.address());
        let options = among_kills(mutant).env("CONFAB_REDIS__URL", &url);
        let complaints = [
            "redis is lost",
            "dependency is lost",
            "budgets are not shared",
            "rooms are not shared",
        ];
        let options = complaints.into_iter().fold(options, NodeOptions::allow);
        let confab = Deployment::start(shape, options).await?;
        let owner = if shape == Shape::Single {
            let client = confab.client("dev", "owner").await?;
            vec![client.clone(), client]
        } else {
            both(&confab, "owner").await?
        };
        let inside = ["owner", "member-0"].map(str::to_owned).into();
        let id = owner[0].create_group("remembered", &["member-0"]).await?.conversation_id;
        let world = Self { confab, owner, id, inside };
        world.connected().await?;
        Ok(world)
    }

    /// Those that remember lists.
    fn processes(&self) -> Vec<&Node> {
        let several: Vec<_> = self.confab.all_of(Role::Participants).collect();
        if several.is_empty() { self.confab.nodes().collect() } else { several }
    }

    /// Waits until both processes use Redis.
    async fn connected(&self) -> Checked {
        for node in self.processes() {
            eventually(BACK, "a shared cache", || async {
                let up = node.scrape().await?.value("confab_shared_cache_connected");
                Ok((up > 0.0).then_some(()))
            })
            .await?;
        }
        Ok(())
    }

    /// Lists through one half: exactly those who are inside.
    async fn list(&self, half: u64) -> Checked {
        let list = at(&self.owner, half).all_participants(&self.id).await?;
        let list: BTreeSet<String> = list.into_iter().map(|one| one.user_id).collect();
        Violation::unless(list == self.inside, || {
            format!("half {half} lists {list:?}, but inside are {:?}", self.inside)
        })
    }

    /// Lets somebody in or out, through one half.
    async fn change(&mut self, half: u64, number: u64) -> Checked {
        let owner = at(&self.owner, half);
        let name = format!("member-{}", number / 2);
        if self.inside.contains(&name) {
            owner.remove_participant(&self.id, &name).await?;
            self.inside.remove(&name);
        } else {
            owner.add_participants(&self.id, &[&name]).await?;
            self.inside.insert(name);
        }
        Ok(())
    }

    async fn counts(&self) -> Checked<Counts> {
        let mut counts = Counts::default();
        for node in self.processes() {
            let scrape = node.scrape().await?;
            let of = |outcome: &str| {
                scrape.count(&format!("confab_participant_cache_total{{outcome=\"{outcome}\"}}"))
            };
            counts.memory += of("memory");
            counts.redis += of("redis");
            counts.missed += of("miss");
        }
        Ok(counts)
    }

    /// How many conversations a process remembers.
    async fn remembered(node: &Node) -> Checked<f64> {
        Ok(node.scrape().await?.value("confab_participant_cache_conversations"))
    }
}

async fn tell(redis: &Redis, words: &[&[u8]]) -> Checked {
    command(&redis.address().to_string(), words).await.map(drop)
}

/// Changes through one half are seen through the other one, with the answer.
async fn changes(world: &mut World, rounds: u64) -> Checked {
    for number in 0..rounds {
        let other = number + 1;
        // Both remember it, as of a head that has moved without a change.
        world.list(number).await?;
        world.list(other).await?;
        at(&world.owner, number).send(&world.id, "nobody comes, nobody goes").await?;
        world.list(other).await?;
        world.change(number, number).await?;
        world.list(other).await?;
        world.list(number).await?;
    }
    Ok(())
}

/// What is changed through one half is forgotten by the process of the other one, which
/// nobody asks.
async fn frees(world: &mut World) -> Checked {
    for half in 0..2 {
        world.list(half).await?;
    }
    for node in world.processes() {
        let remembered = World::remembered(node).await?;
        Violation::unless(remembered > 0.0, || "nothing is remembered")?;
    }
    world.change(0, 2).await?;
    for node in world.processes() {
        eventually(TOLD, "that it is told", || async {
            Ok((World::remembered(node).await? <= 0.0).then_some(()))
        })
        .await?;
    }
    Ok(())
}

/// What holds for one process, too.
async fn alone(redis: &Redis, mutant: Option<&str>) -> Checked {
    let mut world = World::new(Shape::Single, redis, mutant).await?;
    changes(&mut world, ROUNDS).await?;
    frees(&mut world).await?;
    world.confab.finish()
}

/// All that can happen to a Redis.
async fn storm(redis: &mut Redis) -> Checked {
    let mut world = World::new(Shape::Halves, redis, None).await?;
    changes(&mut world, ROUNDS).await?;
    frees(&mut world).await?;
    let counts = world.counts().await?;
    println!("{counts:?}");
    let used = counts.memory >= ROUNDS && counts.redis > 0 && counts.missed > 0;
    Violation::unless(used, || format!("what is remembered is not used: {counts:?}"))?;

    tell(redis, &[b"FLUSHALL"]).await?;
    changes(&mut world, FEW_ROUNDS).await?;

    // A change, so that nobody has the list in memory, and something else in its place.
    let name = format!("confab/roster/dev/{}", world.id);
    let garbage: [&[&[u8]]; 4] = [
        &[b"SET", name.as_bytes(), b""],
        &[b"SET", name.as_bytes(), b"\x01\xFF\xFF"],
        &[b"SET", name.as_bytes(), b"not a list at all"],
        &[b"RPUSH", name.as_bytes(), b"another kind of value"],
    ];
    let before = world.counts().await?;
    for (number, command) in (0..).zip(garbage) {
        world.change(number, number).await?;
        tell(redis, &[b"DEL", name.as_bytes()]).await?;
        tell(redis, command).await?;
        world.list(number + 1).await?;
    }
    let after = world.counts().await?;
    let missed = after.missed - before.missed;
    Violation::unless(missed >= 4 && after.redis == before.redis, || {
        format!("garbage was taken for a list: {before:?}, then {after:?}")
    })?;
    world.connected().await?;

    redis.server().kill9();
    changes(&mut world, FEW_ROUNDS).await?;
    redis.server().start().map_err(Violation::unable)?;
    world.connected().await?;
    redis.server().pause();
    changes(&mut world, FEW_ROUNDS).await?;
    redis.server().resume();
    world.connected().await?;
    changes(&mut world, FEW_ROUNDS).await?;
    world.confab.finish()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_change_through_one_process_is_seen_through_another_whatever_redis_does() -> Checked {
    let test =
        "mesh::cache::a_change_through_one_process_is_seen_through_another_whatever_redis_does";
    if !can_be_clustered(test).await {
        return Ok(());
    }
    let Some(mut redis) = backends::own_redis_or_skip(test).await else { return Ok(()) };
    within(WHOLE, test, Box::pin(storm(&mut redis))).await?
}

#[tokio::test(flavor = "multi_thread")]
async fn what_one_process_remembers_is_never_old_and_forgotten_when_it_changes() -> Checked {
    let test = "mesh::cache::what_one_process_remembers_is_never_old_and_forgotten_when_it_changes";
    let Some(redis) = backends::own_redis_or_skip(test).await else { return Ok(()) };
    within(WHOLE, test, Box::pin(alone(&redis, None))).await?
}

#[tokio::test(flavor = "multi_thread")]
async fn believing_what_is_remembered_and_forgetting_nothing_are_caught() {
    let test = "mesh::cache::believing_what_is_remembered_and_forgetting_nothing_are_caught";
    let Some(redis) = backends::own_redis_or_skip(test).await else { return };
    // The first one shows in what is read from Redis: memory is told.
    for mutant in ["cache-without-version", "cache-hears-nothing"] {
        caught(mutant, alone(&redis, Some(mutant))).await;
    }
}
