//! Confab's processes on one new keyspace: one with all roles, or two, the second
//! of which has the streams.

use std::{
    fmt::Write as _,
    fs,
    net::{SocketAddr, TcpListener},
};

use confab_kit::{random, role::Role};

use super::CqlArguments;
use crate::{
    Failure,
    bench::{
        arguments::Common,
        server::{Folder, Program, Server},
    },
};

/// What the server may take for an answer, in milliseconds, of both sides: a shorter
/// time would turn a busy server's answers into unknown outcomes.
pub(super) const PATIENCE_MS: u64 = 20_000;

/// Processes on one keyspace.
pub(super) struct Cluster {
    /// Whom senders talk to; it has the log.
    pub(super) first: Server,
    /// The one with the streams, if there are two.
    pub(super) second: Option<Server>,
    pub(super) keyspace: String,
    /// Their keys and configuration.
    _folder: Folder,
}

impl Cluster {
    /// One process with all roles.
    pub(super) async fn one(arguments: &CqlArguments) -> Result<Self, Failure> {
        let (folder, keyspace) = (new_folder(arguments)?, keyspace());
        let common = configured(arguments, &folder, "all", &keyspace, "", "")?;
        let first = Server::spawn(&common, Program::Confab).await?;
        first.ready().await?;
        Ok(Self { first, second: None, keyspace, _folder: folder })
    }

    /// One process with the streams, one with all else.
    pub(super) async fn two(arguments: &CqlArguments) -> Result<Self, Failure> {
        let (folder, keyspace) = (new_folder(arguments)?, keyspace());
        let (log, streams) = (free_port()?, free_port()?);
        let mut peers = "\n[mesh.peers]\n".to_owned();
        for role in Role::ALL {
            let address = if role == Role::Realtime { streams } else { log };
            writeln!(peers, "{role} = [\"http://{address}\"]")?;
        }
        let roles = |of_streams: bool| {
            let roles = Role::ALL.iter().filter(|role| (**role == Role::Realtime) == of_streams);
            let names: Vec<_> = roles.map(|role| format!("\"{role}\"")).collect();
            format!("roles = [{}]\n", names.join(", "))
        };
        let common = configured(arguments, &folder, "log", &keyspace, &roles(false), &peers)?;
        let first = Server::spawn_at(&common, Program::Confab, log).await?;
        let common = configured(arguments, &folder, "streams", &keyspace, &roles(true), &peers)?;
        let second = Server::spawn_at(&common, Program::Confab, streams).await?.beside(&first);
        first.ready().await?;
        second.ready().await?;
        Ok(Self { first, second: Some(second), keyspace, _folder: folder })
    }

    pub(super) async fn close(self) {
        self.first.close().await;
        if let Some(second) = self.second {
            second.close().await;
        }
    }
}

/// What every run of the bench is asked for.
pub(super) fn common(arguments: &CqlArguments) -> Common {
    Common {
        spawn: true,
        folder: arguments.folder.clone(),
        seconds: arguments.seconds,
        warmup: (arguments.seconds / 5.0).min(1.0),
        seed: 1,
        ..Common::default()
    }
}

fn new_folder(arguments: &CqlArguments) -> Result<Folder, Failure> {
    let folder = Folder::new(arguments.folder.as_deref())?;
    fs::create_dir_all(folder.data())?;
    Ok(folder)
}

fn keyspace() -> String {
    format!("confab_bench_{}", &random::uuid()[..8])
}

/// Writes a process's configuration.
fn configured(
    arguments: &CqlArguments,
    folder: &Folder,
    name: &str,
    keyspace: &str,
    roles: &str,
    peers: &str,
) -> Result<Common, Failure> {
    let keys = folder.data().join("keys");
    let file = folder.data().join(format!("{name}.toml"));
    let (cql, keys) = (&arguments.cql, keys.display());
    let text = format!(
        "{roles}keys_dir = \"{keys}\"\n{peers}\n[store]\nkind = \"cql\"\n\n[store.cql]\n\
         contact_points = [\"{cql}\"]\nkeyspace = \"{keyspace}\"\n\
         request_timeout_ms = {PATIENCE_MS}\n"
    );
    fs::write(&file, text)?;
    Ok(Common { config: Some(file), ..common(arguments) })
}

/// A port that nobody listens on right now: the other process must know it first.
fn free_port() -> Result<SocketAddr, Failure> {
    Ok(TcpListener::bind(("127.0.0.1", 0))?.local_addr()?)
}
