//! Stored values as bytes. The same on every engine.

use bytes::Bytes;
use confab_store::{StoreError, value::Format};
use minicbor::{Decode, Encode};

/// What this version writes, and the only one so far.
const FORMAT: Format = Format(1);

pub(super) fn encode<T: Encode<()>>(value: &T) -> Bytes {
    FORMAT.encode(value)
}

pub(super) fn decode<T: for<'b> Decode<'b, ()>>(bytes: &[u8]) -> Result<T, StoreError> {
    FORMAT.decode(bytes)
}
