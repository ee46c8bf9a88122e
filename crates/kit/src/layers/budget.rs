//! Charges each call to the budget that its RPC's policy names, and holds a
//! place among open streams as long as the stream lives. How much there
//! is, is for [`crate::rates`].

use std::{
    pin::Pin,
    task::{Context, Poll},
};

use bytes::Bytes;
use http::{Request, Response};
use http_body::{Frame, SizeHint};
use tokio::sync::OwnedSemaphorePermit;
use tonic::{Status, body::Body};

use super::{
    LayerOptions, Port,
    auth::{self, ConnectionProof},
    policy::Rpc,
};
use crate::{error::Error, identity::Caller, rates::StreamSlot};

/// The class of RPCs that open the streams which are counted.
const CONNECT: &str = "connect";

/// A place among open streams, held as long as the stream lives.
pub(super) enum Slot {
    /// Among those of a user.
    User { _held: StreamSlot },
    /// Among those of a connection that need no proof.
    Anyone { _held: OwnedSemaphorePermit },
}

/// Charges the call; the slot is that of a stream. What other processes do on
/// a user's behalf is not the user's call: whoever shows the mesh credential
/// is not charged.
pub(super) async fn charge(
    rpc: Rpc,
    port: Port,
    options: &LayerOptions,
    request: &mut Request<Body>,
) -> Result<Option<Slot>, Error> {
    let Rpc::Contract(method) = rpc else {
        let proof = request.extensions().get::<ConnectionProof>().filter(|_| rpc.is_streaming());
        let held = proof.map(ConnectionProof::open_to_anyone).transpose()?;
        return Ok(held.map(|held| Slot::Anyone { _held: held }));
    };
    let (Some(policy), Some(caller)) = (&method.policy, request.extensions().get::<Caller>())
    else {
        return Ok(None);
    };
    if port == Port::Mesh || auth::shows_mesh(request.headers(), &options.credential) {
        return Ok(None);
    }
    // The place first: it is given back by itself when there is no budget.
    let counted = policy.rate_class == CONNECT && rpc.is_streaming();
    let slot = counted.then(|| options.budgets.open_stream(caller)).transpose()?;
    options.budgets.charge(caller, policy.rate_class).await?;
    Ok(slot.map(|held| Slot::User { _held: held }))
}

/// The answer with the slot in its body.
pub(super) fn holding(slot: Option<Slot>, response: Response<Body>) -> Response<Body> {
    match slot {
        None => response,
        Some(slot) => response.map(|inner| Body::new(HoldingBody { inner, _slot: slot })),
    }
}

pin_project_lite::pin_project! {
    struct HoldingBody {
        #[pin]
        inner: Body,
        _slot: Slot,
    }
}

impl http_body::Body for HoldingBody {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        self.project().inner.poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}
