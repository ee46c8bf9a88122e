//! The listeners (public, mesh, operations, and the gateway's where there is one),
//! their connections, and how all of it ends. Knows HTTP, no RPC.
//!
//! What protects the others from one client: connections are capped, in all
//! and for each address, and those that never prove who they are go first; streams per connection, the
//! headers, and what is buffered for a stream that is not read are bounded;
//! a dead peer is found by pings, and one that reads nothing by its writes.

mod arrivals;
mod connection;
mod linger;
mod pieces;
mod registry;
mod secured;
mod serving;
mod stall;
mod stream;
mod web;

use std::{convert::Infallible, net::SocketAddr, sync::Arc, time::Duration};

use futures_util::FutureExt as _;
use http::Request;
use hyper::{body::Incoming, server::conn::http1};
use hyper_util::rt::{TokioIo, TokioTimer};
use serde::{Deserialize, Serialize};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::{
    config::{Config, Limits},
    health::{self, Health},
    layers::Layered,
    lifecycle::Lifecycle,
    mesh_tls::MeshTls,
    server_tls::ServerTls,
    task,
};

use registry::Registry;
pub use stream::StreamReset;
use web::Answers;
pub use web::Web;

/// File descriptors that connections leave to the store and to us.
const RESERVED_FILES: u64 = 512;
/// Connections that the kernel holds until they are accepted: all devices of a
/// node that was restarted come at once, and those that do not fit are reset.
/// The kernel's own bound (`net.core.somaxconn`) is 4,096 unless changed.
const BACKLOG: u32 = 4096;
/// Calls that another process may have open on one connection, at least.
const MESH_STREAMS: u32 = 2000;
/// After a failed accept: most often there are no file descriptors left.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
/// An operator's request must have come by then.
const OPERATOR_PATIENCE: Duration = Duration::from_secs(10);

/// Where a server listens.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Addresses {
    /// For clients.
    pub public: SocketAddr,
    /// For other Confab processes.
    pub mesh: SocketAddr,
    /// For operators.
    pub ops: SocketAddr,
    /// For browsers, where this process has a gateway.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gateway: Option<SocketAddr>,
}

/// What a server serves.
#[derive(Clone, Debug)]
pub struct Services {
    /// On the public port.
    pub public: Layered,
    /// On the mesh's port.
    pub mesh: Layered,
    /// On the operations port.
    pub health: Health,
    /// On the gateway's port.
    pub gateway: Option<Web>,
}

/// Why a server cannot listen.
#[derive(Debug, thiserror::Error)]
#[error("cannot listen on {address} ({key}): {source}")]
pub struct BindError {
    key: &'static str,
    address: SocketAddr,
    source: std::io::Error,
}

/// A server that listens and does not accept yet.
#[derive(Debug)]
pub struct Server {
    public: TcpListener,
    mesh: TcpListener,
    ops: TcpListener,
    gateway: Option<TcpListener>,
    addresses: Addresses,
    limits: Limits,
    arrivals: Arc<arrivals::Arrivals>,
    mesh_tls: Option<MeshTls>,
    gateway_tls: Option<ServerTls>,
}

impl Server {
    /// Listens where the configuration says; port 0 takes a free one. Within a
    /// runtime only.
    pub fn bind(config: &Config) -> Result<Self, BindError> {
        let (public, public_address) = listen("listen", config.listen)?;
        let (mesh, mesh_address) = listen("mesh_listen", config.mesh_listen)?;
        let (ops, ops_address) = listen("ops_listen", config.ops_listen)?;
        let (gateway, gateway_address) = match config.gateway_listen() {
            Some(address) => Some(listen("gateway.listen", address)?).unzip(),
            None => (None, None),
        };
        let addresses = Addresses {
            public: public_address,
            mesh: mesh_address,
            ops: ops_address,
            gateway: gateway_address,
        };
        let mut limits = config.limits.clone();
        limits.max_connections = limits.max_connections.min(connections_that_fit());
        let arrivals = Arc::new(arrivals::Arrivals::new(config));
        Ok(Self {
            public,
            mesh,
            ops,
            gateway,
            addresses,
            limits,
            arrivals,
            mesh_tls: None,
            gateway_tls: None,
        })
    }

    /// Speaks TLS on the mesh's port.
    #[must_use]
    pub fn with_mesh_tls(mut self, tls: Option<MeshTls>) -> Self {
        self.mesh_tls = tls;
        self
    }

    /// Speaks TLS on the gateway's port.
    #[must_use]
    pub fn with_gateway_tls(mut self, tls: Option<ServerTls>) -> Self {
        self.gateway_tls = tls;
        self
    }

    /// Where it listens.
    pub fn addresses(&self) -> Addresses {
        self.addresses
    }

    /// Serves until the lifecycle ends. When draining begins it accepts no
    /// more, tells every connection to go elsewhere, and waits for their open
    /// calls; what is still open at the hard stop is dropped.
    pub async fn serve(self, services: Services, lifecycle: Lifecycle) {
        let connections = TaskTracker::new();
        let acceptor = |port, answers, limits: &Limits| {
            let (limits, lifecycle) = (limits.clone(), lifecycle.clone());
            connection::Acceptor::new(port, answers, limits, lifecycle, connections.clone())
        };
        let public = Answers::Grpc(services.public);
        let arrivals = Arc::clone(&self.arrivals);
        let public = acceptor("public", public, &self.limits).limiting(arrivals);
        connections.spawn_named("acceptor", public.run(self.public));
        // Processes share few connections, whatever a client may have.
        let streams_per_connection = self.limits.streams_per_connection.max(MESH_STREAMS);
        let mesh_limits = Limits { streams_per_connection, ..self.limits.clone() };
        let mesh = Answers::Grpc(services.mesh);
        let tls = self.mesh_tls.map(|tls| tls.acceptor().clone());
        let mesh = acceptor("mesh", mesh, &mesh_limits).inside(tls);
        connections.spawn_named("acceptor", mesh.run(self.mesh));
        if let (Some(listener), Some(web)) = (self.gateway, services.gateway) {
            let tls = self.gateway_tls.map(|tls| tls.acceptor().clone());
            let gateway = acceptor("gateway", Answers::Web(web), &self.limits);
            let gateway = gateway.limiting(self.arrivals).inside(tls);
            connections.spawn_named("acceptor", gateway.run(listener));
        }
        let ops = TaskTracker::new();
        let ops_end = CancellationToken::new();
        let serving = serve_ops(self.ops, services.health.clone(), ops_end.clone());
        ops.spawn_named("ops", serving);
        tokio::select! {
            () = lifecycle.draining() => {}
            () = services.health.follow_readiness() => {}
        }
        services.health.set_not_ready().await;
        connections.close();
        connections.wait().await;
        // Operators got to see the drain; now nothing is left to see.
        ops_end.cancel();
        ops.close();
        ops.wait().await;
    }
}

/// Spawns through the kit and counts the task.
trait SpawnNamed {
    fn spawn_named(&self, name: &'static str, future: impl Future<Output = ()> + Send + 'static);
}

impl SpawnNamed for TaskTracker {
    fn spawn_named(&self, name: &'static str, future: impl Future<Output = ()> + Send + 'static) {
        task::spawn(name, self.track_future(future));
    }
}

fn listen(key: &'static str, address: SocketAddr) -> Result<(TcpListener, SocketAddr), BindError> {
    let failed = |source| BindError { key, address, source };
    let listener = open_listener(address).map_err(failed)?;
    let bound = listener.local_addr().map_err(failed)?;
    Ok((listener, bound))
}

fn open_listener(address: SocketAddr) -> std::io::Result<TcpListener> {
    let socket = match address {
        SocketAddr::V4(_) => TcpSocket::new_v4()?,
        SocketAddr::V6(_) => TcpSocket::new_v6()?,
    };
    // A restart finds connections of the last run that the kernel still closes.
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    socket.listen(BACKLOG)
}

/// Raises the soft limit of open files to the hard one, and says how many
/// connections of one port fit into it.
fn connections_that_fit() -> usize {
    use rustix::process::{Resource, getrlimit, setrlimit};
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    if setrlimit(Resource::Nofile, limit).is_err() {
        limit = getrlimit(Resource::Nofile);
    }
    let files = limit.current.unwrap_or(u64::MAX);
    let fit = files.saturating_sub(RESERVED_FILES).max(64);
    usize::try_from(fit).unwrap_or(usize::MAX)
}

async fn accept(listener: &TcpListener) -> (TcpStream, SocketAddr) {
    loop {
        match listener.accept().await {
            Ok((stream, peer)) => {
                // Without it small frames wait for each other.
                if let Err(error) = stream.set_nodelay(true) {
                    tracing::debug!(%error, "connection without nodelay");
                }
                return (stream, peer);
            }
            Err(error) => {
                tracing::warn!(%error, "accept failed");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

/// Serves operators to the end of the drain.
async fn serve_ops(listener: TcpListener, health: Health, end: CancellationToken) {
    loop {
        let (stream, _) = tokio::select! {
            accepted = accept(&listener) => accepted,
            () = end.cancelled() => return,
        };
        let serving = serve_operator(stream, health.clone());
        task::spawn("ops connection", end.clone().run_until_cancelled_owned(serving).map(drop));
    }
}

async fn serve_operator(stream: TcpStream, health: Health) {
    let local_only = stream.local_addr().is_ok_and(|address| address.ip().is_loopback());
    let service = hyper::service::service_fn(move |request: Request<Incoming>| {
        let health = health.clone();
        async move {
            if local_only && !health::means_this_machine(&request) {
                return Ok::<_, Infallible>(health::not_for_you());
            }
            Ok(health::answer(&health, &request).await)
        }
    });
    let served = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(OPERATOR_PATIENCE)
        .serve_connection(TokioIo::new(stream), service)
        .await;
    if let Err(error) = served {
        tracing::debug!(%error, "operations connection broke");
    }
}

/// Shared by an acceptor and its connections.
type SharedRegistry = Arc<Registry>;

#[cfg(test)]
mod tests;
