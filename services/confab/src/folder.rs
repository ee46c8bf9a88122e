//! What a data folder is: its id, and which roles it is the store of. A folder may
//! be served for fewer roles than before, by a process that leaves the others to
//! other processes; never for more, because their rows in it are old by then.

use std::collections::BTreeSet;

use confab_kit::{random, role::Role};
use confab_store::{
    StoreError,
    embedded::{Engine, Keyspace},
};

/// The keyspace, for ever. Keys: `id` (16 bytes) and `roles` (names, with commas
/// between them); values begin with a format byte.
const KEYSPACE: &str = "node";
const FORMAT: u8 = 1;

/// Why a data folder is not for this process.
#[derive(Debug, thiserror::Error)]
pub enum FolderError {
    /// It was not kept up to date for this role.
    #[error(
        "this data folder was last used for {before} only: what it has of {role} is old. Serve \
         the same roles as before, or name another folder with --data-dir"
    )]
    OtherRoles {
        /// The roles of before.
        before: String,
        /// The role that is asked for now.
        role: Role,
    },
    /// The store does not answer.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Takes the folder for these roles; its id. A folder that is given fewer roles is
/// another one from then on: the others may be in copies of it.
pub(crate) async fn take(engine: &Engine, roles: &BTreeSet<Role>) -> Result<String, FolderError> {
    let known = engine.keyspace(KEYSPACE)?;
    let before = remembered(&known)?;
    if let Some(role) = roles.iter().find(|role| !before.contains(role)) {
        return Err(FolderError::OtherRoles { before: listed(&before), role: *role });
    }
    let id = value(&known, "id")?.filter(|_| before == *roles);
    let new = id.is_none();
    let id = id.unwrap_or_else(|| random::bytes::<16>().to_vec());
    if new {
        let (kept, text) = (id.clone(), listed(roles));
        let write = engine.transact(move |txn| {
            txn.put(&known, "id", [&[FORMAT][..], &kept].concat());
            txn.put(&known, "roles", [&[FORMAT][..], text.as_bytes()].concat());
        });
        write.await?;
    }
    Ok(hex::encode(&id))
}

/// The roles that the folder is the store of.
pub(crate) fn roles(engine: &Engine) -> Result<BTreeSet<Role>, StoreError> {
    remembered(&engine.keyspace(KEYSPACE)?)
}

/// A folder that does not say is a new one, or of a time when there were no roles.
fn remembered(known: &Keyspace) -> Result<BTreeSet<Role>, StoreError> {
    let Some(names) = value(known, "roles")? else { return Ok(Role::ALL.into()) };
    let unknown = || StoreError::corrupt("the roles of the folder have an unknown form");
    let names = String::from_utf8(names).map_err(|_| unknown())?;
    let names = names.split(',').filter(|name| !name.is_empty());
    names.map(|name| name.parse().map_err(|_| unknown())).collect()
}

fn value(known: &Keyspace, key: &str) -> Result<Option<Vec<u8>>, StoreError> {
    let Some(value) = known.get(key)? else { return Ok(None) };
    let unknown = || StoreError::corrupt(format!("{key} of the folder has an unknown form"));
    value.strip_prefix(&[FORMAT]).map(<[u8]>::to_vec).map(Some).ok_or_else(unknown)
}

pub(crate) fn listed(roles: &BTreeSet<Role>) -> String {
    roles.iter().map(|role| role.name()).collect::<Vec<_>>().join(",")
}

#[cfg(test)]
mod tests {
    use confab_store::embedded::Options;

    use super::*;

    fn set(roles: &[Role]) -> BTreeSet<Role> {
        roles.iter().copied().collect()
    }

    #[tokio::test]
    async fn a_folder_is_given_fewer_roles_and_never_more() {
        let folder = tempfile::tempdir().expect("a folder");
        let engine = Engine::open(&folder.path().join("data"), Options::default()).expect("opens");
        let all = take(&engine, &Role::ALL.into()).await.expect("a new folder is for all");
        assert_eq!(take(&engine, &Role::ALL.into()).await.expect("the same"), all);
        let two = set(&[Role::Messages, Role::Realtime]);
        let fewer = take(&engine, &two).await.expect("fewer");
        assert_ne!(fewer, all, "the others may be in a copy of it");
        assert_eq!(take(&engine, &two).await.expect("the same"), fewer);
        assert_eq!(roles(&engine).expect("read"), two);
        for more in [Role::ALL.into(), set(&[Role::Participants])] {
            let refused = take(&engine, &more).await.expect_err("more").to_string();
            assert!(refused.contains("messages,realtime only"), "{refused}");
        }
    }
}
