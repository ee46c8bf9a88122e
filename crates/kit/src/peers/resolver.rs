//! Addresses of the configured peers: names are looked up again and again, and
//! each stands for all its addresses. What cannot be looked up stays as it was.

use std::{collections::HashMap, net::SocketAddr, sync::Arc, time::Duration};

use http::{Uri, uri::Authority};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use super::{Shared, connection::Target, endpoint::Endpoint};
use crate::{random, task};

/// How long a name may take.
const LOOKUP_TIMEOUT: Duration = Duration::from_secs(5);
/// Before a name that could not be looked up at the start is tried again.
const RETRY: Duration = Duration::from_secs(1);

/// Looks up, to the end; then the endpoints are let go of, which know the peers and
/// are known by them.
pub(super) async fn keep_resolved(
    shared: Arc<Shared>,
    authorities: Vec<Authority>,
    stopped: CancellationToken,
) {
    resolve(&shared, authorities, stopped).await;
    shared.set(Arc::from([]));
}

async fn resolve(shared: &Arc<Shared>, authorities: Vec<Authority>, stopped: CancellationToken) {
    let mut known: HashMap<Authority, Vec<SocketAddr>> = HashMap::new();
    let mut kept: HashMap<SocketAddr, (Arc<Endpoint>, CancellationToken)> = HashMap::new();
    loop {
        for authority in &authorities {
            match look_up(authority).await {
                Ok(addresses) => {
                    known.insert(authority.clone(), addresses);
                }
                Err(error) => {
                    let role = shared.options.role.name();
                    tracing::debug!(%authority, %error, role, "a peer's name was not found");
                    let counted =
                        metrics::counter!("confab_peer_lookups_failed_total", "role" => role);
                    counted.increment(1);
                }
            }
        }
        let wanted: HashMap<SocketAddr, &Authority> = known
            .iter()
            .flat_map(|(authority, found)| found.iter().map(move |address| (*address, authority)))
            .collect();
        kept.retain(|address, (_, removed)| {
            let keep = wanted.contains_key(address);
            if !keep {
                removed.cancel();
            }
            keep
        });
        for (address, authority) in wanted {
            kept.entry(address).or_insert_with(|| begin(shared, address, authority, &stopped));
        }
        shared.set(kept.values().map(|(endpoint, _)| Arc::clone(endpoint)).collect());
        let complete = known.len() == authorities.len();
        if complete && authorities.iter().all(|authority| literal(authority).is_some()) {
            return stopped.cancelled().await;
        }
        let pause = if complete { shared.options.resolve_every } else { RETRY };
        if stopped.run_until_cancelled(tokio::time::sleep(random::jitter(pause))).await.is_none() {
            return;
        }
    }
}

fn begin(
    shared: &Arc<Shared>,
    address: SocketAddr,
    authority: &Authority,
    stopped: &CancellationToken,
) -> (Arc<Endpoint>, CancellationToken) {
    let tls = shared.options.tls.clone();
    let target = Target { address, authority: authority.clone(), tls };
    let endpoint = Endpoint::new(target, Arc::clone(shared));
    let removed = stopped.child_token();
    let keeping = Arc::clone(&endpoint).keep();
    let until = removed.clone();
    task::spawn("peer", async move {
        until.run_until_cancelled_owned(keeping).await;
    });
    (endpoint, removed)
}

async fn look_up(authority: &Authority) -> std::io::Result<Vec<SocketAddr>> {
    if let Some(address) = literal(authority) {
        return Ok(vec![address]);
    }
    let port = authority.port_u16().unwrap_or(80);
    let found = timeout(LOOKUP_TIMEOUT, tokio::net::lookup_host((authority.host(), port)));
    let late = |_| std::io::Error::new(std::io::ErrorKind::TimedOut, "the lookup took too long");
    Ok(found.await.map_err(late)??.collect())
}

/// An address that stands in the configuration itself.
fn literal(authority: &Authority) -> Option<SocketAddr> {
    authority.as_str().parse().ok()
}

/// The host and port of a configured URI.
pub(super) fn authority(uri: &str) -> Option<Authority> {
    uri.parse::<Uri>().ok()?.authority().cloned()
}
