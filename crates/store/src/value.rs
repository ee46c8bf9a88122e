//! Stored values as bytes: the version of their format, then CBOR (minicbor), whose
//! fields have numbers, so that a newer version adds without breaking. The same bytes on
//! every engine. What is in a value, and which version it is, belongs to the service.

use bytes::Bytes;
use minicbor::{Decode, Encode};

use crate::StoreError;

/// The version of a service's values.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Format(pub u8);

impl Format {
    /// Encodes a value.
    pub fn encode<T: Encode<()>>(self, value: &T) -> Bytes {
        // Room for most rows: it is written in many small pieces.
        let mut bytes = Vec::with_capacity(256);
        bytes.push(self.0);
        // Writing to a Vec cannot fail.
        let _infallible = minicbor::encode(value, &mut bytes);
        bytes.into()
    }

    /// Decodes a value.
    ///
    /// # Errors
    /// [`StoreError::Corrupt`] for anything else; an unknown version is not guessed at.
    pub fn decode<'b, T: Decode<'b, ()>>(self, bytes: &'b [u8]) -> Result<T, StoreError> {
        let corrupt = |problem: String| StoreError::corrupt(format!("a stored value {problem}"));
        match bytes.split_first() {
            Some((version, value)) if *version == self.0 => minicbor::decode(value)
                .map_err(|error| corrupt(format!("does not decode: {error}"))),
            Some((version, _)) => Err(corrupt(format!("has the unknown format {version}"))),
            None => Err(corrupt("is empty".to_owned())),
        }
    }
}
