//! The keys that what is stored depends on. The store remembers by fingerprints
//! which keys it was filled with, so that one that got lost, or was replaced, is
//! noticed at the next start, and not by the clients whose retries then fail.
//! It never holds a key.

use std::{
    fs::{self, File},
    path::PathBuf,
};

use confab_kit::config::{Config, ConfigError, fingerprint};
use confab_store::StoreError;

use crate::store::Backend;

/// The names of all keys, as they are written in TOML.
const NAMES: [&str; 2] = ["digest_key", "page_token_key"];
/// In the data folder, empty: the store remembers its keys, and so is not empty.
const USED_FILE: &str = "USED";

/// The keys of a node.
pub(crate) struct Keys {
    /// Of the digests of commands.
    pub(crate) digest: [u8; 32],
    /// Of page tokens.
    pub(crate) page_token: [u8; 32],
}

/// Why the keys cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum KeysError {
    /// The store was used with a key that is not there any more.
    #[error(
        "{key} is lost: {} is missing, and this store was used with it. Put the file back; \
         if that cannot be, `confab serve --replace-lost-keys` goes on with a new key \
         (docs/operations.md says what that breaks)",
        path.display()
    )]
    Lost {
        /// Which, as it is written in TOML.
        key: &'static str,
        /// Where it was.
        path: PathBuf,
    },
    /// The store was used with another key.
    #[error(
        "{key} is not the key that this store was used with. Put the old one back; if that \
         cannot be, `confab serve --replace-lost-keys` goes on with this one (docs/operations.md \
         says what that breaks)"
    )]
    Replaced {
        /// Which, as it is written in TOML.
        key: &'static str,
    },
    /// The data folder was in use, and its store remembers nothing of it.
    #[error(
        "the store in this data folder is empty, but {} says that it was in use: a journal or \
         `db/keyspaces` is lost. Put it back, or restore a backup; to begin anew, take another \
         folder",
        path.display()
    )]
    Emptied {
        /// What says so.
        path: PathBuf,
    },
    /// What says that the data folder is in use cannot be written.
    #[error("{}: {source}", path.display())]
    Mark {
        /// Where.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// A key cannot be read or made.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The store does not answer.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// One of the keys, before it is known whether it can be used.
struct Slot {
    key: &'static str,
    /// Where it is kept when the configuration does not name it.
    own_file: Option<PathBuf>,
    /// Whether naming another one in the configuration is a change that harms
    /// nothing for long.
    may_change: bool,
    load: fn(&Config) -> Result<[u8; 32], ConfigError>,
}

fn digest(config: &Config) -> Slot {
    Slot {
        key: "digest_key",
        own_file: config.own_digest_key_file(),
        may_change: false,
        load: Config::digest_key,
    }
}

fn page_token(config: &Config) -> Slot {
    Slot {
        key: "page_token_key",
        own_file: config.own_page_token_key_file(),
        may_change: true,
        load: Config::page_token_key,
    }
}

/// The keys of a node. One that nobody configured is made where the store was never
/// used with one.
pub(crate) async fn load(config: &Config, store: &impl Backend) -> Result<Keys, KeysError> {
    not_emptied(config, store).await?;
    let keys = Keys {
        digest: use_one(config, store, digest(config)).await?,
        page_token: use_one(config, store, page_token(config)).await?,
    };
    // Not before the store remembers the keys durably: from here on it is never empty.
    if is_folder(store) {
        mark_used(config)?;
    }
    Ok(keys)
}

/// A keyspace is nobody's folder: that it is empty says nothing.
fn is_folder(store: &impl Backend) -> bool {
    store.engine().is_some()
}

fn mark(config: &Config) -> PathBuf {
    config.data_dir.join(USED_FILE)
}

fn mark_used(config: &Config) -> Result<(), KeysError> {
    let path = mark(config);
    if path.exists() {
        return Ok(());
    }
    let made = File::create(&path).and_then(|file| file.sync_all());
    let made = made.and_then(|()| File::open(&config.data_dir)?.sync_all());
    made.map_err(|source| KeysError::Mark { path, source })
}

/// A database that has lost all it was opens like a new one.
async fn not_emptied(config: &Config, store: &impl Backend) -> Result<(), KeysError> {
    let path = mark(config);
    let is_empty = store.known_key(digest(config).key).await?.is_none();
    let lost = is_folder(store) && is_empty && path.exists();
    if lost { Err(KeysError::Emptied { path }) } else { Ok(()) }
}

/// What is wrong with the keys of a store. Makes none.
pub(crate) async fn check(
    config: &Config,
    store: &impl Backend,
) -> Result<Vec<KeysError>, KeysError> {
    let mut wrong: Vec<_> = not_emptied(config, store).await.err().into_iter().collect();
    for slot in [digest(config), page_token(config)] {
        let Some(fingerprint) = store.known_key(slot.key).await? else { continue };
        if let Err(error) = slot.known_as(config, fingerprint) {
            wrong.push(error);
        }
    }
    Ok(wrong)
}

/// Forgets with which keys the store was used; the next [`load`] takes what is
/// there, or makes new ones.
pub(crate) async fn forget(config: &Config, store: &impl Backend) -> Result<(), KeysError> {
    not_emptied(config, store).await?;
    let path = mark(config);
    if is_folder(store) && path.exists() {
        fs::remove_file(&path).map_err(|source| KeysError::Mark { path, source })?;
    }
    for key in NAMES {
        store.forget_key(key).await?;
    }
    Ok(())
}

async fn use_one(config: &Config, store: &impl Backend, slot: Slot) -> Result<[u8; 32], KeysError> {
    loop {
        let before = store.known_key(slot.key).await?;
        let key = match before {
            Some(before) => slot.known_as(config, before)?,
            None => (slot.load)(config)?,
        };
        let now = fingerprint(&key);
        // Not noted: another node was faster, perhaps with another key.
        if before != Some(now) && !store.note_key(slot.key, before, now).await? {
            continue;
        }
        if before.is_some_and(|before| before != now) {
            tracing::info!(key = slot.key, "another key is configured: it is used from now on");
        }
        return Ok(key);
    }
}

impl Slot {
    /// The key, if the data folder may be used with it.
    fn known_as(&self, config: &Config, before: [u8; 16]) -> Result<[u8; 32], KeysError> {
        let key = self.key;
        if let Some(path) = &self.own_file
            && matches!(path.try_exists(), Ok(false))
        {
            return Err(KeysError::Lost { key, path: path.clone() });
        }
        let found = (self.load)(config)?;
        let changed_on_purpose = self.may_change && self.own_file.is_none();
        if fingerprint(&found) == before || changed_on_purpose {
            return Ok(found);
        }
        Err(KeysError::Replaced { key })
    }
}
