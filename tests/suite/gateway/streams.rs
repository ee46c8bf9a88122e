//! Streams through the gateway: what they bring, and how they end when the process
//! drains.

use std::time::Duration;

use confab_proto::{
    conversations::v1::ConversationCursor,
    realtime::v1::{Hello, SubscribeRequest, SubscribeResponse, subscribe_response::Frame},
};
use confab_tests::harness::{Checked, Node, Violation, within};
use http::Version;
use http_body_util::BodyExt as _;
use hyper::body::Incoming;
use prost::{
    Message as _,
    bytes::{Bytes, BytesMut},
};

use super::wire::{begin, call, framed, next_frame, whole};
use crate::{promises::program, raw::PATIENCE};

const SUBSCRIBE: &str = "/confab.realtime.v1.RealtimeService/Subscribe";

/// A stream's frames, as they come.
struct Frames {
    body: Incoming,
    came: BytesMut,
}

impl Frames {
    /// The next one: a message of the stream's, or the trailers at its end. `None` when
    /// the connection says no more.
    async fn next(&mut self) -> Checked<Option<(u8, Bytes)>> {
        loop {
            let mut came = self.came.clone().freeze();
            if let Some(frame) = next_frame(&mut came) {
                self.came = BytesMut::from(&came[..]);
                return Ok(Some(frame));
            }
            match within(PATIENCE, "more of the stream", self.body.frame()).await? {
                None => return Ok(None),
                Some(frame) => {
                    let frame = frame.map_err(|error| Violation::broken(error.to_string()))?;
                    self.came.extend(frame.into_data().unwrap_or_default());
                }
            }
        }
    }

    /// The next message's frame.
    async fn message(&mut self) -> Checked<Frame> {
        let (flags, bytes) = self.next().await?.ok_or_else(|| Violation::broken("no more"))?;
        Violation::unless(flags == 0, || "the stream has ended")?;
        let message = SubscribeResponse::decode(bytes);
        let message = message.map_err(|error| Violation::broken(error.to_string()))?;
        message.frame.ok_or_else(|| Violation::broken("an empty frame"))
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn streams_say_goodbye_when_the_process_drains() -> Checked {
    for version in [Version::HTTP_11, Version::HTTP_2] {
        let mut node = Node::start(program(None)).await?;
        let (at, token) = (node.gateway(), node.tokens()?.user("dev", "bob"));
        let alice = node.client("dev", "alice").await?;
        let id = alice.open_direct("bob").await?.conversation_id;
        let watch = vec![ConversationCursor { conversation_id: id.clone(), seq: 0 }];
        let hello = Some(Hello { watch, ..Hello::default() });
        let asked = call(at, SUBSCRIBE, &token).body(whole(framed(&SubscribeRequest { hello })));
        let answer = begin(at, version, asked.map_err(Violation::unable)?).await?;
        let mut stream = Frames { body: answer.into_body(), came: BytesMut::new() };
        while !matches!(stream.message().await?, Frame::Synced(synced) if synced.conversation_id == id)
        {
        }
        let sent = alice.send(&id, "while bob looks").await?;
        let brought = loop {
            if let Frame::Event(event) = stream.message().await? {
                break event.seq;
            }
        };
        Violation::unless(brought == sent.seq, || format!("{brought}, not {}", sent.seq))?;
        node.sigterm()?;
        let goodbye = loop {
            if let Frame::Goodbye(goodbye) = stream.message().await? {
                break goodbye;
            }
        };
        Violation::unless(goodbye.retry_after.is_some(), || "no time to come back")?;
        let (flags, trailers) =
            stream.next().await?.ok_or_else(|| Violation::broken("no trailers"))?;
        let trailers = String::from_utf8_lossy(&trailers).into_owned();
        let is_said = flags == 0x80 && trailers.contains("grpc-status:14");
        Violation::unless(is_said, || format!("{flags}: {trailers}"))?;
        Violation::unless(stream.next().await?.is_none(), || "more after the end")?;
        node.ended(Duration::from_secs(20)).await?;
        node.finish()?;
    }
    Ok(())
}
