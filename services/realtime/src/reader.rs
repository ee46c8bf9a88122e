//! Reads frames off a request body, as bytes.
//!
//! It keeps no buffer while nothing is half read, so that an idle stream
//! costs nothing here, and never holds more than one frame over the limit.

use std::convert::Infallible;

use bytes::{Buf as _, Bytes, BytesMut};
use confab_kit::error::{Error as Coding, Reason};
use http_body_util::BodyExt as _;
use tonic::{Status, body::Body};

use crate::{error::Error, frame::HEADER};

/// What came next.
#[derive(Debug)]
pub(crate) enum Part {
    /// A frame's message.
    Frame(Bytes),
    /// The body has ended; the client may go on listening.
    Ended,
    /// The client, or the way to it, is gone.
    Gone,
}

/// The client's half of a stream.
#[derive(Debug)]
pub(crate) struct FrameReader {
    body: Body,
    buffer: BytesMut,
    limit: usize,
    ended: bool,
}

impl FrameReader {
    pub(crate) fn new(body: Body, limit: usize) -> Self {
        Self { body, buffer: BytesMut::new(), limit, ended: false }
    }

    /// The next frame. A call that is dropped loses nothing.
    pub(crate) async fn next(&mut self) -> Result<Part, Error> {
        loop {
            if let Some(bytes) = self.take()? {
                return Ok(Part::Frame(bytes));
            }
            if self.ended {
                return Ok(Part::Ended);
            }
            match self.body.frame().await {
                Some(Ok(part)) => {
                    if let Ok(data) = part.into_data() {
                        self.buffer.extend_from_slice(&data);
                    }
                }
                Some(Err(status)) => {
                    self.ended = true;
                    return broken(&status);
                }
                None => {
                    self.ended = true;
                    if self.buffer.is_empty() {
                        return Ok(Part::Ended);
                    }
                    return Err(Error::BrokenFrame("the stream ended inside a frame"));
                }
            }
        }
    }

    /// Takes and forgets whatever comes, for as long as it is awaited: unread
    /// frames would pile up against the whole connection.
    pub(crate) async fn drain(&mut self) -> Infallible {
        self.buffer = BytesMut::new();
        while !self.ended {
            self.ended = !matches!(self.body.frame().await, Some(Ok(_)));
        }
        std::future::pending().await
    }

    /// A whole frame's message, if it has arrived.
    fn take(&mut self) -> Result<Option<Bytes>, Error> {
        let Some(header) = self.buffer.get(..HEADER) else {
            return Ok(None);
        };
        if header[0] != 0 {
            return Err(Error::BrokenFrame("compressed frames are not supported"));
        }
        let length = u32::from_be_bytes([header[1], header[2], header[3], header[4]]);
        let length = usize::try_from(length).unwrap_or(usize::MAX);
        if length > self.limit {
            return Err(Error::FrameTooLarge { length, limit: self.limit });
        }
        if self.buffer.len() < HEADER + length {
            return Ok(None);
        }
        self.buffer.advance(HEADER);
        let message = self.buffer.split_to(length).freeze();
        if self.buffer.is_empty() {
            self.buffer = BytesMut::new();
        }
        Ok(Some(message))
    }
}

/// A layer in front may refuse a frame; everything else is a broken transport.
fn broken(status: &Status) -> Result<Part, Error> {
    let error = Coding::from_status(status);
    match error.reason() {
        Reason::RequestTooLarge | Reason::MalformedRequest => Err(error.into()),
        _ => Ok(Part::Gone),
    }
}

#[cfg(test)]
mod tests {
    use bytes::BufMut as _;
    use http_body_util::StreamBody;

    use super::*;

    fn body(chunks: Vec<Bytes>) -> Body {
        let frames =
            chunks.into_iter().map(|chunk| Ok::<_, tonic::Status>(http_body::Frame::data(chunk)));
        Body::new(StreamBody::new(futures_util::stream::iter(frames)))
    }

    fn framed(message: &[u8]) -> Bytes {
        let mut buffer = BytesMut::new();
        buffer.put_u8(0);
        buffer.put_u32(u32::try_from(message.len()).unwrap_or_default());
        buffer.extend_from_slice(message);
        buffer.freeze()
    }

    #[tokio::test]
    async fn frames_are_found_however_the_bytes_are_cut() {
        let bytes: Vec<u8> = [framed(b"one"), framed(b"")].concat();
        for size in 1..=bytes.len() {
            let chunks = bytes.chunks(size).map(Bytes::copy_from_slice).collect();
            let mut reader = FrameReader::new(body(chunks), 100);
            assert!(matches!(reader.next().await, Ok(Part::Frame(frame)) if &*frame == b"one"));
            assert!(matches!(reader.next().await, Ok(Part::Frame(frame)) if frame.is_empty()));
            assert!(matches!(reader.next().await, Ok(Part::Ended)));
        }
    }

    #[tokio::test]
    async fn a_frame_over_the_limit_is_refused_by_its_header() {
        let header = Bytes::from_static(&[0, 0, 160, 0, 0]);
        let error = FrameReader::new(body(vec![header]), 65_536).next().await.err();
        assert!(matches!(error, Some(Error::FrameTooLarge { length: 10_485_760, .. })));
    }

    #[tokio::test]
    async fn a_refusal_of_a_layer_in_front_is_told_apart_from_a_broken_transport() {
        let of = |status: Status| {
            Body::new(StreamBody::new(futures_util::stream::iter([Err::<
                http_body::Frame<Bytes>,
                _,
            >(status)])))
        };
        let refusal = Coding::new(Reason::RequestTooLarge, "too large");
        let error = FrameReader::new(of(refusal.into()), 100).next().await.err();
        assert!(matches!(error, Some(Error::Coded(e)) if e.reason() == Reason::RequestTooLarge));
        let cut = FrameReader::new(of(Status::unknown("h2 protocol error")), 100).next().await;
        assert!(matches!(cut, Ok(Part::Gone)));
    }

    #[tokio::test]
    async fn bytes_that_are_no_frame_are_malformed() {
        let compressed = Bytes::from_static(&[1, 0, 0, 0, 0]);
        let error = FrameReader::new(body(vec![compressed]), 100).next().await.err();
        assert!(matches!(error, Some(Error::BrokenFrame(_))));
        let torn = Bytes::from_static(&[0, 0, 0]);
        let error = FrameReader::new(body(vec![torn]), 100).next().await.err();
        assert!(matches!(error, Some(Error::BrokenFrame(_))));
    }
}
