//! A port that a node can come back to.

use std::{
    net::{Ipv4Addr, SocketAddr, TcpListener},
    process,
    sync::atomic::{AtomicU16, Ordering},
};

use super::{Checked, Violation};

/// Below what Linux (from 32768) and others (from 49152) give to whoever does not
/// ask for a certain port: nobody takes it while the node is down.
const FIRST: u16 = 20_000;
const COUNT: u16 = 10_000;

static NEXT: AtomicU16 = AtomicU16::new(0);

/// An address on loopback that is free, and stays so while nobody listens there.
///
/// # Errors
/// [`Violation::Unable`] when all are taken.
pub fn lasting_port() -> Checked<SocketAddr> {
    // Other test runs on this machine begin elsewhere.
    let start = process::id() % u32::from(COUNT);
    for _ in 0..COUNT {
        let next = u32::from(NEXT.fetch_add(1, Ordering::Relaxed));
        let offset = u16::try_from((start + next) % u32::from(COUNT)).unwrap_or(0);
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, FIRST + offset));
        if TcpListener::bind(address).is_ok() {
            return Ok(address);
        }
    }
    Err(Violation::unable("no free port"))
}
