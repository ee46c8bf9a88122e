//! The secrets that a process works with: from the configuration, from the
//! files it names, or made on the first start and kept in the data folder.

use std::{fs, path::Path, path::PathBuf};

use super::{Config, ConfigError, Secret, invalid};
use crate::{
    identity::{
        Credential, DEV_ISSUER, DEV_KEY_ID, DevKey, PublicKey, Revocations, Verifier,
        VerifierOptions,
    },
    random, secret_file,
};

/// Who is believed.
#[derive(Debug)]
pub struct Identity {
    /// Verifies tokens.
    pub verifier: Verifier,
    /// Knows which of them must not pass all the same; nothing at first.
    pub revocations: Revocations,
    /// Signs tokens, in dev mode only.
    pub dev_key: Option<DevKey>,
}

impl Config {
    /// The key that authenticates page tokens.
    pub fn page_token_key(&self) -> Result<[u8; 32], ConfigError> {
        self.key("page_token_key", self.page_token_key.as_ref(), self.page_token_key_file.as_ref())
    }

    /// The key of the digests of commands.
    pub fn digest_key(&self) -> Result<[u8; 32], ConfigError> {
        self.key("digest_key", self.digest_key.as_ref(), self.digest_key_file.as_ref())
    }

    /// What this process shows others of the mesh.
    pub fn mesh_credential(&self) -> Result<Credential, ConfigError> {
        let key = "mesh.credential";
        let given = self.mesh.credential.as_ref();
        let text =
            self.secret(key, given, self.mesh.credential_file.as_ref(), "mesh-credential")?;
        // Shorter ones can be guessed.
        if text.len() < 16 || !text.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(invalid(key, "must be at least 16 visible ASCII characters"));
        }
        Ok(Credential::new(&text))
    }

    /// Whose tokens are believed: the configured keys', or in dev mode those
    /// of a key that is made in the data folder.
    pub fn identity(&self) -> Result<Identity, ConfigError> {
        let dev_key =
            self.is_dev_mode().then(|| DevKey::load_or_create(&self.data_dir)).transpose()?;
        let keys = match &dev_key {
            Some(dev_key) => vec![dev_key.public_key()],
            None => self.public_keys()?,
        };
        let verifier = Verifier::new(VerifierOptions {
            issuer: self.issuer().to_owned(),
            audience: self.auth.audience.clone(),
            leeway_seconds: self.auth.leeway_seconds,
            keys,
        })?;
        let revocations = Revocations::new(self.auth.max_token_seconds, self.auth.leeway_seconds);
        Ok(Identity { verifier, revocations, dev_key })
    }

    /// The `iss` of every token.
    pub fn issuer(&self) -> &str {
        self.auth.issuer.as_deref().unwrap_or(DEV_ISSUER)
    }

    fn public_keys(&self) -> Result<Vec<PublicKey>, ConfigError> {
        let mut keys: Vec<PublicKey> = Vec::new();
        for key in &self.auth.keys {
            if keys.iter().any(|other| other.kid == key.kid) || key.kid == DEV_KEY_ID {
                return Err(invalid("auth.keys.kid", format!("{:?} is taken", key.kid)));
            }
            let pem = match (&key.pem, &key.pem_file) {
                (Some(pem), _) => pem.clone(),
                (None, Some(path)) => read("auth.keys.pem_file", path)?,
                (None, None) => return Err(invalid("auth.keys", "need pem or pem_file")),
            };
            keys.push(PublicKey { kid: key.kid.clone(), algorithm: key.algorithm, pem });
        }
        Ok(keys)
    }

    fn key(
        &self,
        key: &'static str,
        given: Option<&Secret>,
        file: Option<&PathBuf>,
    ) -> Result<[u8; 32], ConfigError> {
        let text = self.secret(key, given, file, &key.replace('_', "-"))?;
        let mut bytes = [0; 32];
        hex::decode_to_slice(text, &mut bytes)
            .map_err(|_| invalid(key, "must be 64 hexadecimal digits"))?;
        Ok(bytes)
    }

    fn secret(
        &self,
        key: &'static str,
        given: Option<&Secret>,
        file: Option<&PathBuf>,
        own_file: &str,
    ) -> Result<String, ConfigError> {
        if let Some(secret) = given {
            return Ok(secret.expose().to_owned());
        }
        if let Some(path) = file {
            return Ok(read(key, path)?.trim().to_owned());
        }
        let path = self.data_dir.join(own_file);
        let make = || hex::encode(random::bytes::<32>());
        let text = secret_file::load_or_create(&path, make)
            .map_err(|source| ConfigError::File { key, path, source })?;
        Ok(text.trim().to_owned())
    }
}

fn read(key: &'static str, path: &Path) -> Result<String, ConfigError> {
    fs::read_to_string(path).map_err(|source| ConfigError::File {
        key,
        path: path.to_owned(),
        source,
    })
}
