//! What is known of a call before it is sent: its method, its deadline, and of a
//! unary one the whole body, so that it can be sent again, and the conversation
//! that it is about. Decodes no message.

use std::time::Duration;

use bytes::{Buf as _, Bytes};
use confab_proto::method::Method;
use http::{HeaderMap, Request, Uri, Version, request::Parts};
use http_body_util::{BodyExt as _, Full, LengthLimitError, Limited};
use prost::encoding::decode_varint;
use tokio::time::Instant;
use tonic::{Status, body::Body};

use super::choice;
use crate::{
    deadline,
    error::{Error, Reason},
};

/// Longer requests are not made: tonic's servers take 4 MiB.
const MAX_BYTES: usize = 4 << 20;
/// The deadline of a call whose caller gave none.
const DEFAULT_TIMEOUT: Duration = Duration::from_secs(10);
/// A gRPC frame begins with one byte of flags and four of length.
const PREFIX_BYTES: usize = 5;

/// A unary call that can be sent again.
pub(super) struct Unary {
    pub(super) method: &'static Method,
    pub(super) deadline: Instant,
    /// Hash of the conversation that it is about.
    pub(super) affinity: Option<u64>,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
}

impl Unary {
    /// Takes in the whole request.
    pub(super) async fn of(
        method: &'static Method,
        request: Request<Body>,
    ) -> Result<Self, Status> {
        let (Parts { uri, mut headers, .. }, body) = request.into_parts();
        let timeout = deadline::timeout_of(&headers).unwrap_or(DEFAULT_TIMEOUT);
        let deadline = Instant::now() + timeout;
        let body = tokio::time::timeout_at(deadline, Limited::new(body, MAX_BYTES).collect());
        let body = body.await.map_err(|_| deadline::exceeded())?.map_err(unreadable)?.to_bytes();
        let about = field(&body, method.conversation_tag).map(choice::hash);
        deadline::set(&mut headers, timeout);
        Ok(Self { method, deadline, affinity: about, uri, headers, body })
    }

    /// One more copy to send, with what is left of the deadline.
    pub(super) fn copy(&self) -> Request<Body> {
        let mut request = Request::new(Body::new(Full::new(self.body.clone())));
        *request.method_mut() = http::Method::POST;
        *request.uri_mut() = self.uri.clone();
        *request.version_mut() = Version::HTTP_2;
        *request.headers_mut() = self.headers.clone();
        let left = self.deadline.saturating_duration_since(Instant::now());
        deadline::set(request.headers_mut(), left);
        request
    }
}

/// Why a body could not be taken in: whoever sends it says so, or it is too long.
fn unreadable(error: Box<dyn std::error::Error + Send + Sync>) -> Status {
    match error.downcast::<Status>() {
        Ok(status) => *status,
        Err(error) if error.is::<LengthLimitError>() => {
            Error::new(Reason::RequestTooLarge, "the request is too large")
                .with("limit_bytes", MAX_BYTES)
                .into()
        }
        Err(error) => Status::from_error(error),
    }
}

/// The bytes of a string field of the message in a frame; of several the last, as
/// Protobuf has it. `None` where there is none or the bytes are no message.
fn field(frame: &[u8], tag: u32) -> Option<&[u8]> {
    let (prefix, mut rest) = frame.split_at_checked(PREFIX_BYTES)?;
    if tag == 0 || prefix[0] != 0 {
        return None;
    }
    let mut found = None;
    while rest.has_remaining() {
        let key = decode_varint(&mut rest).ok()?;
        let length = match key & 7 {
            0 => {
                decode_varint(&mut rest).ok()?;
                0
            }
            1 => 8,
            2 => usize::try_from(decode_varint(&mut rest).ok()?).ok()?,
            5 => 4,
            _ => return None,
        };
        let (value, after) = rest.split_at_checked(length)?;
        if key >> 3 == u64::from(tag) && key & 7 == 2 {
            found = Some(value);
        }
        rest = after;
    }
    found
}

#[cfg(test)]
mod tests {
    use confab_proto::{
        messages::v1::{AppendRequest, ObserveRequest, SendMessageRequest},
        method::{METHODS, RpcRequest as _},
    };
    use prost::Message;

    use super::*;

    fn framed(message: &impl Message) -> Vec<u8> {
        let encoded = message.encode_to_vec();
        let length = u32::try_from(encoded.len()).expect("short");
        [&[0][..], &length.to_be_bytes(), &encoded].concat()
    }

    #[test]
    fn the_conversation_is_found_wherever_the_contract_has_it() {
        let send = SendMessageRequest {
            conversation_id: "c".into(),
            request_id: "r".into(),
            after_seq: 300,
            ..Default::default()
        };
        let tag = SendMessageRequest::METHOD.conversation_tag;
        assert_eq!(field(&framed(&send), tag), Some(&b"c"[..]));
        let observe = ObserveRequest {
            tenant_id: "t".into(),
            conversation_id: "c".into(),
            ..Default::default()
        };
        let tag = ObserveRequest::METHOD.conversation_tag;
        assert_eq!(field(&framed(&observe), tag), Some(&b"c"[..]));
        assert_ne!(AppendRequest::METHOD.conversation_tag, 0);
        for method in METHODS {
            let about_one = method.path.starts_with("/confab.messages.v1.MessagesService/");
            assert!(!about_one || method.conversation_tag > 0, "{}", method.path);
        }
    }

    #[test]
    fn the_last_of_several_counts_and_nonsense_is_nothing() {
        let one =
            framed(&SendMessageRequest { conversation_id: "one".into(), ..Default::default() });
        let two = SendMessageRequest { conversation_id: "two".into(), ..Default::default() };
        let both = [&one[..], &two.encode_to_vec()].concat();
        assert_eq!(field(&both, 1), Some(&b"two"[..]));
        assert_eq!(field(&one, 2), None);
        assert_eq!(field(&one, 0), None);
        for cut in 0..one.len() {
            assert_eq!(field(&one[..cut], 1), None, "{cut}");
        }
        let compressed = [&[1][..], &one[1..]].concat();
        assert_eq!(field(&compressed, 1), None);
        let group = [0, 0, 0, 0, 2, 0x0b, 0x0c];
        assert_eq!(field(&group, 1), None);
        let huge = [0, 0, 0, 0, 0, 0x0a, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f];
        assert_eq!(field(&huge, 1), None);
    }
}
