//! Clients that vanish in the middle of a request: a phone that loses its
//! network is no fault of ours, and no alarm.

use confab_proto::{conversations::v1::CreateConversationRequest, method::RpcRequest as _};
use confab_tests::harness::{Checked, Violation, eventually};
use http_body_util::StreamBody;
use prost::bytes::Bytes;
use tokio_stream::StreamExt as _;
use tonic::{Status, body::Body};

use super::{Place, passes};
use crate::{
    disk::get,
    raw::{CONNECT, PATIENCE, Raw},
};

const HEALTH: &str = "/grpc.health.v1.Health/Check";
const REFLECTION: &str = "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo";

/// A frame of 32 bytes of which three come, and nothing after them.
fn half_a_frame() -> Body {
    let begun = Bytes::from_static(b"\0\0\0\0\x20abc");
    let frames = tokio_stream::once(Ok::<_, Status>(http_body::Frame::data(begun)));
    Body::new(StreamBody::new(frames.chain(tokio_stream::pending())))
}

async fn metric(place: &Place, series: &str) -> Checked<u64> {
    let (_, metrics) = get(place.node.ops(), "/metrics").await?;
    let line = metrics.lines().find_map(|line| line.strip_prefix(series)?.strip_prefix(' '));
    Ok(line.and_then(|value| value.parse().ok()).unwrap_or(0))
}

/// The connection is cut while the node waits for the rest.
async fn vanishes(place: &Place, path: &'static str, token: &str) -> Checked {
    let proxy = place.node.proxy().await?;
    let raw = Raw::connect(proxy.uri()).await?;
    let raw = if token.is_empty() { raw } else { raw.token(token) };
    let open = format!("confab_rpc_in_flight{{method=\"{path}\"}}");
    // The neighbours have streams.
    let others = metric(place, &open).await?;
    let call = tokio::spawn(async move { raw.exchange(path, half_a_frame()).await.map(drop) });
    let is_open = |due: bool| {
        let open = &open;
        async move { Ok(((metric(place, open).await? > others) == due).then_some(())) }
    };
    eventually(PATIENCE, "an open call", || is_open(true)).await?;
    proxy.cut_all();
    eventually(PATIENCE, "the end of the call", || is_open(false)).await?;
    // It may have had the head of an answer already.
    let _lost = call.await;
    let counted = "confab_rpc_requests_total";
    let gone = format!("{counted}{{method=\"{path}\",code=\"CANCELLED\",reason=\"CANCELLED\"}}");
    let gone = metric(place, &gone).await?;
    Violation::unless(gone == 1, || format!("{path}: {gone} calls were cancelled"))
}

async fn check() -> Checked {
    let place = Place::new().await?;
    let token = place.tokens.user(super::TENANT, "mallory");
    vanishes(&place, CreateConversationRequest::METHOD.path, &token).await?;
    vanishes(&place, HEALTH, "").await?;
    vanishes(&place, REFLECTION, "").await?;
    vanishes(&place, CONNECT, &token).await?;
    let (_, metrics) = get(place.node.ops(), "/metrics").await?;
    Violation::unless(!metrics.contains("code=\"INTERNAL\""), || metrics.clone())?;
    place.unharmed().await
}

#[tokio::test(flavor = "multi_thread")]
async fn clients_that_vanish_are_no_fault_of_ours() {
    passes(check().await);
}
