//! Who is here, where there are several processes: each test has two, which share a
//! Redis in memory.

use std::{sync::Arc, time::Duration};

use confab_kit::bus::Signal;
use confab_log::{TenantId, mutant};
use confab_proto::realtime::v1::{Presence, PresenceStatus};
use confab_realtime::store::LIVES;
use tokio::time::{Instant, sleep};

use crate::{
    presence::{away, here, is_silent, never_here, presence, present, watcher, world},
    support::{Disk, MemoryRedis, Node},
};

use PresenceStatus::{Away, Offline};

/// Within so long a stream looks at the presence of those it watches.
const LOOK: Duration = Duration::from_secs(45);

/// Two processes, and what they share.
async fn two() -> (Node, Node, MemoryRedis) {
    let redis = MemoryRedis::default();
    let disk = Disk { redis: Some(redis.clone()), ..Disk::default() };
    let world = world();
    let one = Node::over(world.clone(), &disk, |_| {});
    let other = Node::over(world, &disk, |_| {});
    // Both have entered.
    sleep(Duration::from_secs(1)).await;
    (one, other, redis)
}

fn lunch() -> Presence {
    Presence { status: Away.into(), text: "lunch".to_owned(), ..here("bob") }
}

/// The check fails with the mutant.
async fn is_caught<F: Future<Output = Result<(), String>>>(name: &'static str, check: F) {
    mutant::set(Some(name));
    let checked = check.await;
    mutant::set(None);
    assert!(checked.is_err(), "{name} is not seen");
}

#[expect(clippy::needless_pass_by_value, reason = "so it reads as assert_eq does")]
fn equal<T: PartialEq + std::fmt::Debug>(found: T, due: T) -> Result<(), String> {
    if found == due { Ok(()) } else { Err(format!("{found:?} is not {due:?}")) }
}

/// Bob is at one process; at the other alice watches him, and he says how he is.
async fn seen_from_elsewhere() -> Result<(), String> {
    let (one, other, redis) = two().await;
    // Not known to the others before the welcome, without waiting for it.
    redis.is_slow(Duration::from_millis(100));
    let _bob = one.hello("bob", crate::support::watching(&[])).await.linger();
    let set = other.set_presence("bob", away("lunch")).await.map_err(|error| error.to_string())?;
    equal(set, lunch())?;
    let (mut alice, seen) = watcher(&other, &["bob"]).await;
    equal(seen, vec![lunch()])?;
    sleep(Duration::from_secs(10)).await;
    let back = confab_proto::realtime::v1::SetPresenceRequest {
        status: PresenceStatus::Online.into(),
        text: String::new(),
    };
    other.set_presence("bob", back).await.map_err(|error| error.to_string())?;
    equal(presence(&mut alice).await, here("bob"))
}

#[tokio::test(start_paused = true)]
async fn who_is_at_another_process_is_seen_and_says_so_anywhere() {
    seen_from_elsewhere().await.expect("seen");
    is_caught("room-forgets-others", seen_from_elsewhere()).await;
    is_caught("room-welcome-first", seen_from_elsewhere()).await;
}

/// Bob is at both processes, and leaves one.
async fn one_of_two_ends() -> Result<(), String> {
    let (one, other, _) = two().await;
    let bob = present(&one, "bob").await;
    let _still = present(&other, "bob").await;
    let (mut here_too, _) = watcher(&one, &["bob"]).await;
    let (mut alice, seen) = watcher(&other, &["bob"]).await;
    equal(seen, vec![here("bob")])?;
    drop(bob);
    let silent = tokio::join!(is_silent(&mut here_too), is_silent(&mut alice));
    equal(silent, (true, true))
}

#[tokio::test(start_paused = true)]
async fn who_leaves_one_of_two_processes_is_still_here() {
    one_of_two_ends().await.expect("still here");
    is_caught("room-own-word-only", one_of_two_ends()).await;
}

/// A process tells late that bob has left it: he is at another one since.
async fn told_late() -> Result<(), String> {
    let (one, other, _) = two().await;
    let _bob = present(&one, "bob").await;
    let (mut alice, seen) = watcher(&other, &["bob"]).await;
    equal(seen, vec![here("bob")])?;
    sleep(Duration::from_secs(10)).await;
    let tenant = TenantId::parse("acme").map_err(|error| error.to_string())?;
    let presence = Arc::new(never_here("bob"));
    one.world.bus.publish(Signal::Presence { tenant, presence });
    equal(is_silent(&mut alice).await, true)
}

#[tokio::test(start_paused = true)]
async fn who_is_said_to_be_gone_and_is_not_does_not_flicker() {
    told_late().await.expect("no flicker");
    is_caught("room-lets-gone-stand", told_late()).await;
}

#[tokio::test(start_paused = true)]
async fn who_reconnects_elsewhere_does_not_flicker_and_keeps_what_they_said() {
    let (one, other, _) = two().await;
    let mut bob = present(&one, "bob").await;
    one.set_presence("bob", away("lunch")).await.expect("answered");
    let (mut alice, seen) = watcher(&other, &["bob"]).await;
    assert_eq!(seen, [lunch()]);
    for node in [&other, &one, &other] {
        drop(bob);
        sleep(Duration::from_secs(9)).await;
        bob = present(node, "bob").await;
    }
    assert!(is_silent(&mut alice).await);
    drop(bob);
    assert_eq!(presence(&mut alice).await.status(), Offline);
    let _bob = present(&one, "bob").await;
    assert_eq!(presence(&mut alice).await, here("bob"), "what was said is forgotten");
}

/// One process drains; bob comes back at the other one, carol does not.
async fn drained() -> Result<(), String> {
    let (one, other, _) = two().await;
    let (bob, carol) = (present(&one, "bob").await, present(&one, "carol").await);
    let (mut alice, _) = watcher(&other, &["bob", "carol"]).await;
    sleep(Duration::from_secs(10)).await;
    let drained = Instant::now();
    one.draining.cancel();
    drop((bob, carol));
    sleep(Duration::from_secs(4)).await;
    let _bob = present(&other, "bob").await;
    let seen = presence(&mut alice).await;
    equal((seen.user_id.as_str(), seen.status()), ("carol", Offline))?;
    equal(seen.last_seen_time.is_some(), true)?;
    equal(drained.elapsed() <= LIVES + LOOK, true)?;
    equal(is_silent(&mut alice).await, true)
}

#[tokio::test(start_paused = true)]
async fn who_comes_back_elsewhere_while_a_process_drains_does_not_flicker() {
    drained().await.expect("no flicker");
    is_caught("room-drains-empty", drained()).await;
}

#[tokio::test(start_paused = true)]
async fn whose_process_is_killed_is_gone_within_about_a_minute() {
    let (one, other, _) = two().await;
    let _bob = present(&one, "bob").await;
    let (mut alice, seen) = watcher(&other, &["bob"]).await;
    assert_eq!(seen, [here("bob")]);
    let killed = Instant::now();
    one.rooms.as_ref().expect("rooms").cut();
    assert_eq!(presence(&mut alice).await.status(), Offline);
    assert!(killed.elapsed() <= LIVES + LOOK, "{:?}", killed.elapsed());
    let _bob = present(&other, "bob").await;
    assert_eq!(presence(&mut alice).await, here("bob"));
}

/// Redis loses everything.
async fn flushed() -> Result<(), String> {
    let (one, other, redis) = two().await;
    let _bob = present(&one, "bob").await;
    other.set_presence("bob", away("lunch")).await.map_err(|error| error.to_string())?;
    let (mut alice, seen) = watcher(&other, &["bob"]).await;
    equal(seen, vec![lunch()])?;
    redis.flush();
    // Whatever was seen meanwhile: both processes have noticed, and written it again.
    sleep(Duration::from_secs(15)).await;
    let (_later, seen) = watcher(&other, &["bob"]).await;
    equal(seen, vec![lunch()])?;
    let mut last = lunch();
    while let Ok(frame) = tokio::time::timeout(LOOK, alice.next()).await {
        if let confab_proto::realtime::v1::connect_response::Frame::Presence(presence) = frame {
            last = presence;
        }
    }
    equal(last, lunch())
}

#[tokio::test(start_paused = true)]
async fn what_redis_has_lost_is_written_again_with_what_was_said() {
    flushed().await.expect("written again");
    is_caught("room-not-rebuilt", flushed()).await;
}

#[tokio::test(start_paused = true)]
async fn while_redis_is_away_each_process_knows_its_own_and_then_all_again() {
    let (one, other, redis) = two().await;
    let carol = present(&one, "carol").await;
    let _bob = present(&one, "bob").await;
    let (mut alice, seen) = watcher(&other, &["bob"]).await;
    assert_eq!(seen, [here("bob")]);
    redis.is_away(true);
    let mut gone = never_here("bob");
    let seen = presence(&mut alice).await;
    gone.last_seen_time = seen.last_seen_time;
    assert_eq!((seen, gone.last_seen_time.is_some()), (gone, true), "with when they were here");
    // Nobody waits, and what is known here is known.
    let begun = Instant::now();
    let (_own, seen) = watcher(&one, &["bob"]).await;
    assert_eq!(seen, [here("bob")]);
    one.set_presence("bob", away("lunch")).await.expect("answered");
    assert!(begun.elapsed() < Duration::from_secs(1), "{:?}", begun.elapsed());
    drop(carol);
    // The bus goes on here, as it does not over Redis.
    while !is_silent(&mut alice).await {}
    redis.is_away(false);
    let back = Instant::now();
    assert_eq!(presence(&mut alice).await, lunch());
    assert!(back.elapsed() <= Duration::from_secs(15), "{:?}", back.elapsed());
    sleep(LIVES).await;
    let (_later, seen) = watcher(&other, &["carol"]).await;
    assert_eq!(seen[0].status(), Offline, "she left meanwhile");
}

#[tokio::test(start_paused = true)]
async fn a_redis_that_does_not_answer_delays_nobody_for_long() {
    let (one, _other, redis) = two().await;
    redis.is_slow(Duration::from_hours(1));
    let begun = Instant::now();
    let _bob = present(&one, "bob").await;
    assert!(begun.elapsed() <= Duration::from_secs(3), "{:?}", begun.elapsed());
    let begun = Instant::now();
    let _carol = present(&one, "carol").await;
    assert!(begun.elapsed().is_zero(), "it is known to be away");
}
