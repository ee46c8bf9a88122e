//! Reflection, so that grpcurl and friends need no files: v1 and v1alpha, of
//! the public contract only. The mesh's services are cut out of the
//! descriptors, byte by byte where they stand, because decoding them would
//! drop the policies.

use confab_proto::DESCRIPTORS;
use prost::{
    DecodeError,
    bytes::{Buf as _, BufMut as _},
    encoding::{WireType, decode_key, decode_varint, encode_key, encode_varint},
};
use tonic::service::Routes;
use tonic_reflection::server::Builder;

use super::public_services;

const FILE: u32 = 1;
const FILE_PACKAGE: u32 = 2;
const FILE_SERVICE: u32 = 6;
const SERVICE_NAME: u32 = 1;

/// The descriptors cannot be served.
#[derive(Debug, thiserror::Error)]
pub enum ReflectionError {
    /// They are not what the build made.
    #[error("descriptors: {0}")]
    Decode(#[from] DecodeError),
    /// tonic refuses them.
    #[error("reflection: {0}")]
    Reflection(#[from] tonic_reflection::server::Error),
}

/// The routes with both versions of reflection beside them.
pub(super) fn add_services(routes: Routes) -> Result<Routes, ReflectionError> {
    let descriptors = public_descriptors(DESCRIPTORS, &public_services())?;
    let builder = || {
        Builder::configure()
            .register_encoded_file_descriptor_set(&descriptors)
            .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET)
            // No service is in it. Tools look up what the details of an error say.
            .register_encoded_file_descriptor_set(tonic_types::pb::FILE_DESCRIPTOR_SET)
    };
    Ok(routes.add_service(builder().build_v1()?).add_service(builder().build_v1alpha()?))
}

/// The set without the services that are not public. Messages stay: they are
/// no secret, and other files refer to them.
fn public_descriptors(set: &[u8], public: &[&str]) -> Result<Vec<u8>, DecodeError> {
    let mut kept = Vec::with_capacity(set.len());
    for (tag, file) in fields(set)? {
        match file {
            Field::Bytes(file) if tag == FILE => {
                put_bytes(&mut kept, FILE, &public_file(file, public)?);
            }
            other => other.put(&mut kept, tag),
        }
    }
    Ok(kept)
}

fn public_file(file: &[u8], public: &[&str]) -> Result<Vec<u8>, DecodeError> {
    let fields = fields(file)?;
    let package = text_of(&fields, FILE_PACKAGE);
    let mut kept = Vec::with_capacity(file.len());
    for (tag, field) in fields {
        if let (FILE_SERVICE, Field::Bytes(service)) = (tag, &field) {
            let name = format!("{package}.{}", text_of(&self::fields(service)?, SERVICE_NAME));
            if !public.contains(&name.as_str()) {
                continue;
            }
        }
        field.put(&mut kept, tag);
    }
    Ok(kept)
}

/// A field as it stands on the wire.
enum Field<'a> {
    Bytes(&'a [u8]),
    Varint(u64),
}

impl Field<'_> {
    fn put(&self, buffer: &mut Vec<u8>, tag: u32) {
        match self {
            Self::Bytes(bytes) => put_bytes(buffer, tag, bytes),
            Self::Varint(value) => {
                encode_key(tag, WireType::Varint, buffer);
                encode_varint(*value, buffer);
            }
        }
    }
}

/// Descriptors hold only varints and lengths at the levels that are cut.
fn fields(mut bytes: &[u8]) -> Result<Vec<(u32, Field<'_>)>, DecodeError> {
    let mut found = Vec::new();
    while bytes.has_remaining() {
        let (tag, wire_type) = decode_key(&mut bytes)?;
        let value = decode_varint(&mut bytes)?;
        let field = match wire_type {
            WireType::LengthDelimited => {
                let length = usize::try_from(value).unwrap_or(usize::MAX);
                let (field, rest) =
                    bytes.split_at_checked(length).ok_or_else(|| broken("a cut field"))?;
                bytes = rest;
                Field::Bytes(field)
            }
            WireType::Varint => Field::Varint(value),
            _ => return Err(broken("a field of an unexpected type")),
        };
        found.push((tag, field));
    }
    Ok(found)
}

fn broken(what: &'static str) -> DecodeError {
    #[expect(deprecated, reason = "prost offers no other constructor")]
    DecodeError::new(what)
}

fn text_of(fields: &[(u32, Field<'_>)], tag: u32) -> String {
    let found = fields.iter().find_map(|(other, field)| match field {
        Field::Bytes(bytes) if *other == tag => Some(String::from_utf8_lossy(bytes).into_owned()),
        _ => None,
    });
    found.unwrap_or_default()
}

fn put_bytes(buffer: &mut Vec<u8>, tag: u32, bytes: &[u8]) {
    encode_key(tag, WireType::LengthDelimited, buffer);
    encode_varint(bytes.len() as u64, buffer);
    buffer.put_slice(bytes);
}

#[cfg(test)]
mod tests {
    use prost::Message as _;
    use prost_types::FileDescriptorSet;

    use super::*;

    #[test]
    fn only_mesh_services_are_cut_out() {
        let all = FileDescriptorSet::decode(DESCRIPTORS).expect("decodes");
        let cut = public_descriptors(DESCRIPTORS, &public_services()).expect("cuts");
        let kept = FileDescriptorSet::decode(&*cut).expect("decodes");
        let services = |set: &FileDescriptorSet| {
            let names = set.file.iter().flat_map(|file| {
                file.service.iter().map(|service| format!("{}.{}", file.package(), service.name()))
            });
            names.collect::<Vec<_>>()
        };
        assert!(services(&all).contains(&"confab.messages.v1.LogService".to_owned()));
        let mut names = services(&kept);
        names.sort();
        assert_eq!(names, public_services());
        let mut without = all;
        for file in &mut without.file {
            let package = file.package().to_owned();
            file.service.retain(|service| {
                public_services().contains(&format!("{package}.{}", service.name()).as_str())
            });
        }
        assert_eq!(kept, without);
    }

    #[test]
    fn broken_descriptors_are_an_error() {
        assert!(public_descriptors(b"\x0a\xff", &[]).is_err());
    }
}
