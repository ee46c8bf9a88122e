//! Page tokens: opaque to clients, made for one caller, RPC and set of
//! filters, and authenticated with a key that all nodes share. Not encrypted:
//! put nothing into one that its caller may not see.

use std::fmt;

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};

use crate::error::{Error, Reason};

const MAC_BYTES: usize = 32;
/// Longer tokens are none of ours.
const MAX_TOKEN_BYTES: usize = 4096;

/// Makes and opens page tokens.
#[derive(Clone)]
pub struct Sealer {
    key: [u8; 32],
    /// Opens, and seals nothing.
    second: Option<[u8; 32]>,
}

impl Sealer {
    /// With the key that all nodes share.
    pub fn new(key: [u8; 32]) -> Self {
        Self { key, second: None }
    }

    /// Opens the tokens of a second key, too: of the one that was used before, or
    /// that will be next.
    #[must_use]
    pub fn and_opens(mut self, second: Option<[u8; 32]>) -> Self {
        self.second = second;
        self
    }

    /// A token that only the same context opens: the method, tenant, user and
    /// filters of the call.
    pub fn seal(&self, context: &[&str], payload: &[u8]) -> String {
        let mut bytes = mac_of(&self.key, context, payload).as_bytes().to_vec();
        bytes.extend_from_slice(payload);
        URL_SAFE_NO_PAD.encode(bytes)
    }

    /// The payload, or `INVALID_PAGE_TOKEN` for a token that is forged or
    /// made for another context.
    pub fn open(&self, context: &[&str], token: &str) -> Result<Vec<u8>, Error> {
        let refused = || {
            Error::new(
                Reason::InvalidPageToken,
                "the page token was not made for this call; start from the first page",
            )
        };
        if token.len() > MAX_TOKEN_BYTES {
            return Err(refused());
        }
        let bytes = URL_SAFE_NO_PAD.decode(token).map_err(|_| refused())?;
        let (mac, payload) = bytes.split_first_chunk::<MAC_BYTES>().ok_or_else(refused)?;
        let mac = blake3::Hash::from_bytes(*mac);
        // blake3::Hash compares in constant time.
        let ours = |key: &[u8; 32]| mac_of(key, context, payload) == mac;
        if !ours(&self.key) && !self.second.as_ref().is_some_and(ours) {
            return Err(refused());
        }
        Ok(payload.to_vec())
    }
}

fn mac_of(key: &[u8; 32], context: &[&str], payload: &[u8]) -> blake3::Hash {
    let mut hasher = blake3::Hasher::new_keyed(key);
    hasher.update(&(context.len() as u64).to_be_bytes());
    for part in context.iter().map(|part| part.as_bytes()).chain([payload]) {
        // The length keeps ("ab", "c") and ("a", "bc") apart.
        hasher.update(&(part.len() as u64).to_be_bytes());
        hasher.update(part);
    }
    hasher.finalize()
}

impl fmt::Debug for Sealer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Sealer(***)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CONTEXT: &[&str] = &["/confab.messages.v1.MessagesService/ListMessages", "t", "alice"];

    #[test]
    fn a_token_opens_in_its_context_only() {
        let sealer = Sealer::new([7; 32]);
        let token = sealer.seal(CONTEXT, b"cursor 17");
        assert_eq!(sealer.open(CONTEXT, &token).expect("opens"), b"cursor 17");
        assert_eq!(Sealer::new([7; 32]).open(CONTEXT, &token).expect("other node"), b"cursor 17");
        let other_user = [CONTEXT[0], "t", "bob"];
        let shifted = [CONTEXT[0], "ta", "lice"];
        let longer = [CONTEXT[0], "t", "alice", ""];
        for context in [&other_user[..], &shifted, &longer, &[]] {
            let error = sealer.open(context, &token).expect_err("foreign");
            assert_eq!(error.reason(), Reason::InvalidPageToken);
        }
    }

    #[test]
    fn a_forged_token_is_refused() {
        let sealer = Sealer::new([7; 32]);
        let token = sealer.seal(CONTEXT, b"cursor 17");
        assert!(Sealer::new([8; 32]).open(CONTEXT, &token).is_err());
        let mut bytes = URL_SAFE_NO_PAD.decode(&token).expect("base64");
        for index in 0..bytes.len() {
            bytes[index] ^= 1;
            assert!(sealer.open(CONTEXT, &URL_SAFE_NO_PAD.encode(&bytes)).is_err());
            bytes[index] ^= 1;
        }
        for nonsense in ["", "x", "not base64!", &"A".repeat(10_000)] {
            assert!(sealer.open(CONTEXT, nonsense).is_err());
        }
    }

    #[test]
    fn a_key_is_changed_without_voiding_tokens() {
        let (old, new) = (Sealer::new([7; 32]), Sealer::new([8; 32]));
        let token = old.seal(CONTEXT, b"cursor 17");
        assert!(new.open(CONTEXT, &token).is_err());
        let both = new.and_opens(Some([7; 32]));
        assert_eq!(both.open(CONTEXT, &token).expect("opens"), b"cursor 17");
        // What it makes is of the first key.
        assert!(old.open(CONTEXT, &both.seal(CONTEXT, b"x")).is_err());
        assert!(both.open(&["elsewhere"], &token).is_err());
    }

    #[test]
    fn debug_does_not_show_the_key() {
        assert_eq!(format!("{:?}", Sealer::new([7; 32])), "Sealer(***)");
    }
}
