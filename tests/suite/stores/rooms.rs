//! Who is where, on a real Redis. A process is a connection here.

use std::time::Duration;

use confab_log::{TenantId, UserId, mutant};
use confab_realtime::store::{
    LIVES, Rooms as _, Said, Status, Word, conformance, redis::RedisRooms,
};
use confab_store::redis::Redis;
use confab_tests::harness::{Checked, Violation, backends, eventually, must_be_caught};

use super::new_name;
use crate::mesh::redis::command;

/// Two processes that share nothing with those of other tests.
fn processes(address: &str, lives: Duration) -> [RedisRooms; 2] {
    let redis = Redis::new(&format!("redis://{address}"), &new_name()).expect("an address");
    [RedisRooms::with_life(&redis, lives), RedisRooms::with_life(&redis, lives)]
}

#[tokio::test]
async fn rooms_conform() {
    let Some(address) = backends::redis_or_skip("stores::rooms::rooms_conform").await else {
        return;
    };
    conformance::rooms(|| async { processes(&address, LIVES) }).await;
}

fn words(command: &str) -> Vec<&[u8]> {
    command.split(' ').map(str::as_bytes).collect()
}

/// Somebody else writes what is of no use under every name.
async fn garbage(address: &str) -> Checked {
    let prefix = new_name();
    let redis = Redis::new(&format!("redis://{address}"), &prefix).map_err(Violation::unable)?;
    let rooms = RedisRooms::new(&redis);
    let (tenant, alice) = (TenantId::parse("acme"), UserId::parse("alice"));
    let (tenant, alice) = (tenant.map_err(Violation::unable)?, [alice.map_err(Violation::unable)?]);
    let room = format!("{prefix}/room/acme/alice");
    command(address, &words(&format!("SET {prefix}/rooms x"))).await?;
    rooms.enter().await.map_err(Violation::unable)?;
    for garbage in [
        format!("SET {room} x"),
        format!("HSET {room} in/nobody x status x text x at x"),
        format!("HSET {room} status away at 1e300"),
    ] {
        command(address, &words(&garbage)).await?;
        let asked = rooms.ask(&tenant, &alice).await.map_err(Violation::unable)?;
        Violation::unless(asked == [None], || format!("{asked:?} of {garbage}"))?;
        let told = rooms.tell(&tenant, &alice[0], &Word::Here(None)).await;
        let told = told.map_err(Violation::unable)?.map(|said| (said.status, said.text));
        let due = Some((Status::Online, String::new()));
        Violation::unless(told == due, || format!("{told:?} after {garbage}"))?;
        rooms.tell(&tenant, &alice[0], &Word::Gone).await.map_err(Violation::unable)?;
    }
    Ok(())
}

#[tokio::test]
async fn what_others_have_written_is_dropped() -> Checked {
    let test = "stores::rooms::what_others_have_written_is_dropped";
    let Some(address) = backends::redis_or_skip(test).await else { return Ok(()) };
    garbage(&address).await
}

/// One process says no more that it lives.
async fn silence(address: &str) -> Checked {
    let (tenant, alice) = (TenantId::parse("acme"), UserId::parse("alice"));
    let (tenant, alice) = (tenant.map_err(Violation::unable)?, alice.map_err(Violation::unable)?);
    let [silent, other] = processes(address, Duration::from_secs(2));
    let lunch = Said { status: Status::Away, text: "lunch".to_owned(), at: 0 };
    for process in [&silent, &other] {
        process.enter().await.map_err(Violation::unable)?;
    }
    let word = Word::Here(Some(lunch));
    let told = silent.tell(&tenant, &alice, &word).await.map_err(Violation::unable)?;
    let alice = [alice];
    eventually(Duration::from_secs(8), "a process that is silent is gone", || async {
        // Whatever time this one got.
        if other.stay().await.is_err() {
            other.enter().await.map_err(Violation::unable)?;
        }
        let asked = other.ask(&tenant, &alice).await.map_err(Violation::unable)?;
        Ok((asked == [None]).then_some(()))
    })
    .await?;
    let forgotten = silent.tell(&tenant, &alice[0], &Word::Here(None)).await;
    Violation::unless(forgotten.is_err(), || "it was gone, and is not told so")?;
    silent.enter().await.map_err(Violation::unable)?;
    let again = silent.tell(&tenant, &alice[0], &Word::Here(told.clone())).await;
    Violation::unless(matches!(&again, Ok(again) if *again == told), || {
        format!("what was said is not what was written again: {again:?}")
    })
}

#[tokio::test]
async fn who_was_at_a_process_that_is_silent_is_gone() -> Checked {
    let test = "stores::rooms::who_was_at_a_process_that_is_silent_is_gone";
    let Some(address) = backends::redis_or_skip(test).await else { return Ok(()) };
    silence(&address).await
}

#[tokio::test]
async fn rooms_that_outlive_their_process_are_caught() {
    let test = "stores::rooms::rooms_that_outlive_their_process_are_caught";
    let Some(address) = backends::redis_or_skip(test).await else { return };
    let mutant = "room-outlives-process";
    mutant::set(Some(mutant));
    let checked = silence(&address).await;
    mutant::set(None);
    must_be_caught(mutant, checked);
}
