//! Stored values: one byte of format version, and minicbor. Fields have numbers,
//! so a newer version adds without breaking. The same bytes on every engine.

use bytes::Bytes;
use confab_store::StoreError;
use minicbor::{Decode, Encode};

const FORMAT: u8 = 1;

/// Encodes a value.
pub(super) fn encode<T: Encode<()>>(value: &T) -> Bytes {
    // Room for most rows: it is written in many small pieces.
    let mut bytes = Vec::with_capacity(256);
    bytes.push(FORMAT);
    // Writing to a Vec cannot fail.
    let _infallible = minicbor::encode(value, &mut bytes);
    bytes.into()
}

/// Decodes a value; an unknown format is corruption, not a guess.
pub(super) fn decode<T: for<'b> Decode<'b, ()>>(bytes: &[u8]) -> Result<T, StoreError> {
    match bytes.split_first() {
        Some((&FORMAT, rest)) => {
            minicbor::decode(rest).map_err(|error| StoreError::corrupt(format!("value: {error}")))
        }
        _ => Err(StoreError::corrupt("value: unknown format version")),
    }
}
