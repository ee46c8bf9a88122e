//! Very many connections that prove nothing, while people chat.

use std::net::SocketAddr;

use confab_tests::harness::{Checked, Violation, skipped, within};
use rustix::process::{Resource, getrlimit, setrlimit};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    task::JoinSet,
    time::Duration,
};

use super::{Place, TENANT, passes};
use crate::promises::program;

const TEST: &str = "bad_input::connections::ten_thousand_idle_connections_harm_nobody";
/// As the issue asks.
const WANTED: u64 = 10_000;
/// Fewer show nothing.
const LEAST: u64 = 2_000;
/// Files that the tests, and the node, need besides.
const RESERVED: u64 = 1_500;
/// Until the last of them is closed by the node.
const CLOSED_BY: Duration = Duration::from_mins(2);
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\x00\x00\x00\x04\x00\x00\x00\x00\x00";

/// How many connections the limits of this machine allow.
fn that_fit() -> u64 {
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    if setrlimit(Resource::Nofile, limit).is_err() {
        limit = getrlimit(Resource::Nofile);
    }
    limit.current.unwrap_or(u64::MAX).saturating_sub(RESERVED).min(WANTED)
}

/// Opens them; every other one begins to speak HTTP/2 and goes silent.
async fn idle(address: SocketAddr, count: u64) -> Checked<Vec<TcpStream>> {
    let mut opening = JoinSet::new();
    let mut open = Vec::new();
    for number in 0..count {
        opening.spawn(async move {
            let mut tcp = TcpStream::connect(address).await?;
            if number % 2 == 0 {
                tcp.write_all(PREFACE).await?;
            }
            std::io::Result::Ok(tcp)
        });
        while opening.len() >= 64 {
            open.extend(opened(&mut opening).await?);
        }
    }
    while !opening.is_empty() {
        open.extend(opened(&mut opening).await?);
    }
    Ok(open)
}

async fn opened(opening: &mut JoinSet<std::io::Result<TcpStream>>) -> Checked<Option<TcpStream>> {
    match opening.join_next().await {
        None => Ok(None),
        Some(opened) => {
            let opened = opened.map_err(Violation::unable)?;
            opened.map(Some).map_err(|error| Violation::broken(format!("not accepted: {error}")))
        }
    }
}

/// Waits until the node has closed it.
async fn closed(mut tcp: TcpStream) {
    let mut buffer = [0; 1024];
    while let Ok(1..) = tcp.read(&mut buffer).await {}
}

async fn check(count: u64) -> Checked {
    let options = program(None).env("CONFAB_LIMITS__UNAUTHENTICATED_IDLE_SECONDS", "15");
    let mut place = Place::with(options).await?;
    let idle = idle(place.node.public(), count).await?;
    // Those who are here go on, and others still get in.
    place.neighbours.are_well().await?;
    let late = place.node.client(TENANT, "walter").await?;
    late.send(&place.group, "still room").await?;
    let mut ends = JoinSet::new();
    for tcp in idle {
        ends.spawn(closed(tcp));
    }
    let all = async { while ends.join_next().await.is_some() {} };
    within(CLOSED_BY, "the node closes what proves nothing", all).await?;
    late.send(&place.group, "and after").await?;
    place.unharmed().await
}

/// Where there is no room, whoever proves nothing makes it.
async fn check_full() -> Checked {
    let mut place = Place::with(program(None).env("CONFAB_LIMITS__MAX_CONNECTIONS", "50")).await?;
    let _idle = idle(place.node.public(), 500).await?;
    place.neighbours.are_well().await?;
    for number in 0..10 {
        let late = place.node.client(TENANT, &format!("late-{number}")).await?;
        late.create_group("room", &[]).await?;
    }
    place.unharmed().await
}

#[tokio::test(flavor = "multi_thread")]
async fn ten_thousand_idle_connections_harm_nobody() {
    let count = that_fit();
    if count < LEAST {
        skipped(TEST, &format!("the limit of open files allows {count} connections only"));
        return;
    }
    println!("{TEST}: {count} connections");
    passes(check(count).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn idle_connections_make_room() {
    passes(check_full().await);
}
