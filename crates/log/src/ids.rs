//! Names: of tenants, users, conversations and requests. A value of one of
//! these types is well-formed; text from outside goes through `parse`.

use std::{fmt, sync::Arc};

use minicbor::{Decode, Decoder, Encode, Encoder};

/// The text is not a well-formed name of its kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("must be {0}")]
pub struct InvalidId(pub &'static str);

macro_rules! text_id {
    ($(#[$doc:meta])* $name:ident, $valid:expr, $rule:literal) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(Arc<str>);

        impl $name {
            /// What is well-formed, for people.
            pub const RULE: &'static str = $rule;

            /// Checks text from outside.
            pub fn parse(text: &str) -> Result<Self, InvalidId> {
                let valid: fn(&str) -> bool = $valid;
                if valid(text) { Ok(Self(text.into())) } else { Err(InvalidId($rule)) }
            }

            /// The text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Debug::fmt(&self.0, f)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl<C> Encode<C> for $name {
            fn encode<W: minicbor::encode::Write>(
                &self,
                e: &mut Encoder<W>,
                _: &mut C,
            ) -> Result<(), minicbor::encode::Error<W::Error>> {
                e.str(&self.0)?.ok()
            }
        }

        impl<'b, C> Decode<'b, C> for $name {
            fn decode(d: &mut Decoder<'b>, _: &mut C) -> Result<Self, minicbor::decode::Error> {
                Self::parse(d.str()?).map_err(|error| minicbor::decode::Error::message(error.0))
            }
        }
    };
}

text_id!(
    /// A tenant: an application team's own world. Comes from verified tokens only.
    TenantId,
    |text| (1..=64).contains(&text.len()) && text.bytes().all(is_name_byte),
    "1 to 64 characters of A-Z a-z 0-9 and -_.:"
);

text_id!(
    /// A user of one tenant, as the team's tokens name them.
    UserId,
    |text| (1..=128).contains(&text.len())
        && text.bytes().all(|b| is_name_byte(b) || b"@+|=".contains(&b)),
    "1 to 128 characters of A-Z a-z 0-9 and -_.:@+|="
);

text_id!(
    /// A conversation: 128 bits of a hash, see [`ConversationId::direct`] and
    /// [`ConversationId::group`].
    ConversationId,
    |text| text.len() == 32 && text.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b)),
    "32 lower-case hexadecimal digits"
);

text_id!(
    /// A client's name for one command; unique per sender.
    RequestId,
    |text| (1..=64).contains(&text.len()) && text.bytes().all(is_name_byte),
    "1 to 64 characters of A-Z a-z 0-9 and -_.:"
);

fn is_name_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"-_.:".contains(&byte)
}

impl ConversationId {
    /// The direct conversation of two users, the same whoever asks.
    pub fn direct(tenant: &TenantId, one: &UserId, other: &UserId) -> Self {
        let (first, second) = if one <= other { (one, other) } else { (other, one) };
        Self::hash("direct", tenant.as_str(), first.as_str(), second.as_str())
    }

    /// The group that this creator's request makes, the same at every try.
    pub fn group(tenant: &TenantId, creator: &UserId, request: &RequestId) -> Self {
        Self::hash("group", tenant.as_str(), creator.as_str(), request.as_str())
    }

    fn hash(kind: &str, tenant: &str, first: &str, second: &str) -> Self {
        let mut hasher = blake3::Hasher::new_derive_key("confab 2026 conversation id");
        for part in [kind, tenant, first, second] {
            // The length keeps ("ab", "c") and ("a", "bc") apart.
            hasher.update(&(part.len() as u64).to_be_bytes());
            hasher.update(part.as_bytes());
        }
        let hex = hasher.finalize().to_hex();
        Self(hex[..32].into())
    }

    /// The 16 bytes that the digits stand for: the compact form for keys.
    pub fn to_bytes(&self) -> [u8; 16] {
        u128::from_str_radix(&self.0, 16).unwrap_or_default().to_be_bytes()
    }

    /// The conversation of a compact form.
    pub fn from_bytes(bytes: [u8; 16]) -> Self {
        Self(format!("{:032x}", u128::from_be_bytes(bytes)).into())
    }
}

/// Tells two bodies of one request id apart: keyed BLAKE3, cut to 128 bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Encode, Decode)]
pub struct Digest(#[cbor(n(0), with = "minicbor::bytes")] pub [u8; 16]);
