//! The secrets that a process works with: from the configuration, from the
//! files it names, or made on the first start and kept in the data folder.

use std::{fs, path::Path, path::PathBuf, time::Duration};

use super::{Config, ConfigError, Secret, invalid};
use crate::{
    identity::{
        Credential, DEV_ISSUER, DEV_KEY_ID, DevKey, Jwks, JwksOptions, PublicKey, Revocations,
        Verifier, VerifierOptions,
    },
    random, secret_file,
};

/// The longest that one fetch of the issuer's keys may take.
const JWKS_TIMEOUT: Duration = Duration::from_secs(5);

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
    /// The file in the data folder that the key of page tokens is kept in;
    /// `None` where the configuration names a key.
    pub fn own_page_token_key_file(&self) -> Option<PathBuf> {
        let given = self.page_token_key.is_some() || self.page_token_key_file.is_some();
        (!given).then(|| self.own_file("page_token_key"))
    }

    /// The file in the data folder that the key of digests is kept in; `None`
    /// where the configuration names a key.
    pub fn own_digest_key_file(&self) -> Option<PathBuf> {
        let given = self.digest_key.is_some() || self.digest_key_file.is_some();
        (!given).then(|| self.own_file("digest_key"))
    }

    /// The key that authenticates page tokens; made if it is nowhere.
    pub fn page_token_key(&self) -> Result<[u8; 32], ConfigError> {
        self.key("page_token_key", self.page_token_key.as_ref(), self.page_token_key_file.as_ref())
    }

    /// The second key whose page tokens are opened, if one is named.
    pub fn page_token_second_key(&self) -> Result<Option<[u8; 32]>, ConfigError> {
        let (given, file) = (&self.page_token_second_key, &self.page_token_second_key_file);
        if given.is_none() && file.is_none() {
            return Ok(None);
        }
        self.key("page_token_second_key", given.as_ref(), file.as_ref()).map(Some)
    }

    /// The key of the digests of commands; made if it is nowhere.
    pub fn digest_key(&self) -> Result<[u8; 32], ConfigError> {
        self.key("digest_key", self.digest_key.as_ref(), self.digest_key_file.as_ref())
    }

    /// User and password of the CQL server, where they are configured.
    pub fn cql_credentials(&self) -> Result<Option<(String, String)>, ConfigError> {
        let cql = &self.store.cql;
        let Some(user) = cql.user.clone() else { return Ok(None) };
        let file = cql.password_file.as_ref();
        let password = named("store.cql.password_file", cql.password.as_ref(), file)?;
        let unset = || invalid("store.cql.password", "is not set");
        Ok(Some((user, password.ok_or_else(unset)?)))
    }

    /// Where the Redis is, with the password, where one is configured.
    pub fn redis_url(&self) -> Result<Option<String>, ConfigError> {
        named("redis.url_file", self.redis.url.as_ref(), self.redis.url_file.as_ref())
    }

    /// What this process shows others of the mesh.
    pub fn mesh_credential(&self) -> Result<Credential, ConfigError> {
        let key = "mesh.credential";
        let given = self.mesh.credential.as_ref();
        let own_file = self.own_file("mesh_credential");
        let text = secret(key, given, self.mesh.credential_file.as_ref(), own_file)?;
        // Shorter ones can be guessed.
        if text.len() < 16 || !text.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(invalid(key, "must be at least 16 visible ASCII characters"));
        }
        Ok(Credential::new(&text))
    }

    /// Whose tokens are believed: the configured and the fetched keys', or in
    /// dev mode those of a key that is made in the data folder. Fetches nothing.
    pub fn identity(&self) -> Result<Identity, ConfigError> {
        let dev_key =
            self.is_dev_mode().then(|| DevKey::load_or_create(self.keys_dir())).transpose()?;
        let keys = match &dev_key {
            Some(dev_key) => vec![dev_key.public_key()],
            None => self.public_keys()?,
        };
        let verifier = Verifier::new(VerifierOptions {
            issuer: self.issuer().to_owned(),
            audience: self.auth.audience.clone(),
            leeway_seconds: self.auth.leeway_seconds,
            algorithms: self.auth.algorithms.clone(),
            keys,
            jwks: self.jwks()?,
        })?;
        let revocations = Revocations::new(self.auth.max_token_seconds, self.auth.leeway_seconds);
        Ok(Identity { verifier, revocations, dev_key })
    }

    fn jwks(&self) -> Result<Option<Jwks>, ConfigError> {
        let Some(url) = self.auth.jwks_url.clone() else {
            return Ok(None);
        };
        let options = JwksOptions {
            url,
            ca_file: self.auth.jwks_ca_file.clone(),
            refresh: Duration::from_secs(self.auth.jwks_refresh_seconds),
            min_interval: Duration::from_secs(self.auth.jwks_min_interval_seconds),
            timeout: JWKS_TIMEOUT,
        };
        Ok(Some(Jwks::new(options)?))
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
        let text = secret(key, given, file, self.own_file(key))?;
        let mut bytes = [0; 32];
        hex::decode_to_slice(text, &mut bytes)
            .map_err(|_| invalid(key, "must be 64 hexadecimal digits"))?;
        Ok(bytes)
    }

    fn own_file(&self, key: &str) -> PathBuf {
        self.keys_dir().join(key.replace('_', "-"))
    }
}

fn secret(
    key: &'static str,
    given: Option<&Secret>,
    file: Option<&PathBuf>,
    own_file: PathBuf,
) -> Result<String, ConfigError> {
    if let Some(secret) = named(key, given, file)? {
        return Ok(secret);
    }
    let make = || hex::encode(random::bytes::<32>());
    let text = secret_file::load_or_create(&own_file, make)
        .map_err(|source| ConfigError::File { key, path: own_file, source })?;
    Ok(text.trim().to_owned())
}

/// What the configuration says, or the file that it names.
fn named(
    key: &'static str,
    given: Option<&Secret>,
    file: Option<&PathBuf>,
) -> Result<Option<String>, ConfigError> {
    match (given, file) {
        (Some(secret), _) => Ok(Some(secret.expose().to_owned())),
        (None, Some(path)) => Ok(Some(read(key, path)?.trim().to_owned())),
        (None, None) => Ok(None),
    }
}

/// Tells one key from another and tells nothing else about it, so that it may be
/// stored beside what the key was used for.
pub fn fingerprint(key: &[u8; 32]) -> [u8; 16] {
    let hash = blake3::derive_key("confab 2026 fingerprint of a key", key);
    let mut half = [0; 16];
    half.copy_from_slice(&hash[..16]);
    half
}

fn read(key: &'static str, path: &Path) -> Result<String, ConfigError> {
    fs::read_to_string(path).map_err(|source| ConfigError::File {
        key,
        path: path.to_owned(),
        source,
    })
}
