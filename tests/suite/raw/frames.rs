//! Frames of a stream, however their bytes are cut.

use confab_proto::realtime::v1::{ConnectResponse, connect_response::Frame};
use confab_tests::harness::{Checked, Violation};
use prost::{
    Message as _,
    bytes::{Buf as _, BytesMut},
};

/// What has arrived and was not looked at yet.
#[derive(Debug, Default)]
pub(crate) struct Frames(BytesMut);

impl Frames {
    /// These bytes have arrived.
    pub(crate) fn add(&mut self, data: &[u8]) {
        self.0.extend_from_slice(data);
    }

    /// The next frame that is there as a whole; those of an unknown kind are left out.
    pub(crate) fn next(&mut self) -> Checked<Option<Frame>> {
        while let Some(header) = self.0.get(1..5) {
            let length = u32::from_be_bytes([header[0], header[1], header[2], header[3]]) as usize;
            if self.0.len() < 5 + length {
                break;
            }
            self.0.advance(5);
            let message = ConnectResponse::decode(self.0.split_to(length).freeze());
            let message = message.map_err(|error| Violation::broken(error.to_string()))?;
            if message.frame.is_some() {
                return Ok(message.frame);
            }
        }
        Ok(None)
    }
}
