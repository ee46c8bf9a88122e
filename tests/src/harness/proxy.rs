//! A TCP proxy in front of a node, or of several by turns: an address that outlives
//! restarts, and a network that cuts connections where it is told to. It knows no
//! protocol.

use std::{
    net::SocketAddr,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{
        TcpListener, TcpStream,
        tcp::{ReadHalf, WriteHalf},
    },
    sync::watch,
    task::JoinHandle,
};

use super::{Checked, Violation, node::Place};

/// What happens to one connection.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Fault {
    /// After so many bytes to the client.
    pub down: Option<u64>,
    /// After so many bytes to the node.
    pub up: Option<u64>,
    /// Nothing goes on, but the connection stays, instead of being cut.
    pub stall: bool,
}

type Plan = Box<dyn FnMut(u64) -> Fault + Send>;

/// Listens on loopback until it is dropped.
pub struct Proxy {
    address: SocketAddr,
    shared: Arc<Shared>,
    acceptor: JoinHandle<()>,
}

struct Shared {
    places: Vec<Place>,
    plan: Mutex<Plan>,
    connections: AtomicU64,
    faults: AtomicU64,
    /// Moved on to end every connection of before.
    generation: watch::Sender<u64>,
}

impl Proxy {
    pub(super) async fn start(place: Place) -> Checked<Self> {
        Self::balance(vec![place]).await
    }

    /// In front of several: each connection goes to the next one that is up.
    pub(super) async fn balance(places: Vec<Place>) -> Checked<Self> {
        let unable = |error: std::io::Error| Violation::unable(error);
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.map_err(unable)?;
        let address = listener.local_addr().map_err(unable)?;
        let shared = Arc::new(Shared {
            places,
            plan: Mutex::new(Box::new(|_| Fault::default())),
            connections: AtomicU64::new(0),
            faults: AtomicU64::new(0),
            generation: watch::Sender::new(0),
        });
        let acceptor = tokio::spawn(accept(listener, Arc::clone(&shared)));
        Ok(Self { address, shared, acceptor })
    }

    /// In front of whatever listens at this address.
    ///
    /// # Errors
    /// [`Violation::Unable`] when no port is to be had.
    pub async fn to(address: SocketAddr) -> Checked<Self> {
        Self::start(Arc::new(Mutex::new(Some(address)))).await
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// For clients.
    pub fn uri(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Decides for each new connection, by its number from 0, what happens to it.
    pub fn plan(&self, plan: impl FnMut(u64) -> Fault + Send + 'static) {
        *self.shared.plan.lock().unwrap_or_else(PoisonError::into_inner) = Box::new(plan);
    }

    /// Lets everything through from the next connection on.
    pub fn heal(&self) {
        self.plan(|_| Fault::default());
    }

    /// Cuts every connection now.
    pub fn cut_all(&self) {
        self.shared.generation.send_modify(|generation| *generation += 1);
    }

    /// Connections so far.
    pub fn connections(&self) -> u64 {
        self.shared.connections.load(Ordering::Relaxed)
    }

    /// Connections that a plan has cut or stalled so far.
    pub fn faults(&self) -> u64 {
        self.shared.faults.load(Ordering::Relaxed)
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.acceptor.abort();
        self.cut_all();
    }
}

impl Shared {
    /// Where a connection of this number goes; nowhere while all are down.
    fn address(&self, number: u64) -> Option<SocketAddr> {
        let count = self.places.len();
        let turn = usize::try_from(number).unwrap_or(0) % count.max(1);
        let mut by_turns = self.places.iter().cycle().skip(turn).take(count);
        by_turns.find_map(|place| *place.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

async fn accept(listener: TcpListener, shared: Arc<Shared>) {
    while let Ok((client, _)) = listener.accept().await {
        let number = shared.connections.fetch_add(1, Ordering::Relaxed);
        let fault = (shared.plan.lock().unwrap_or_else(PoisonError::into_inner))(number);
        let mut generation = shared.generation.subscribe();
        generation.mark_unchanged();
        let shared = Arc::clone(&shared);
        tokio::spawn(async move {
            tokio::select! {
                () = carry(client, number, fault, &shared) => {}
                _ = generation.changed() => {}
            }
        });
    }
}

async fn carry(mut client: TcpStream, number: u64, fault: Fault, shared: &Shared) {
    let Some(address) = shared.address(number) else { return };
    let Ok(mut node) = TcpStream::connect(address).await else { return };
    let _late = (client.set_nodelay(true), node.set_nodelay(true));
    let (from_client, to_client) = client.split();
    let (from_node, to_node) = node.split();
    let reached = tokio::select! {
        reached = pump(from_client, to_node, fault.up) => reached,
        reached = pump(from_node, to_client, fault.down) => reached,
    };
    if reached {
        shared.faults.fetch_add(1, Ordering::Relaxed);
        if fault.stall {
            std::future::pending::<()>().await;
        }
    }
}

/// Copies until an end, or until the budget is spent: `true`.
async fn pump(mut from: ReadHalf<'_>, mut to: WriteHalf<'_>, budget: Option<u64>) -> bool {
    let mut left = budget.unwrap_or(u64::MAX);
    let mut buffer = vec![0; 8192];
    while left > 0 {
        let room = usize::try_from(left).unwrap_or(usize::MAX).min(buffer.len());
        let Ok(count @ 1..) = from.read(&mut buffer[..room]).await else { return false };
        if to.write_all(&buffer[..count]).await.is_err() {
            return false;
        }
        left -= count as u64;
    }
    true
}
