//! The server that is measured: one that runs already, or one of its own in a
//! process of its own, so that CPU time and memory are the server's alone.

use std::{
    env, fs,
    net::{IpAddr, Ipv4Addr, SocketAddr},
    path::{Path, PathBuf},
    process::Stdio,
    time::Duration,
};

use confab_kit::{config::Config, identity::Claims, random};
use http::{HeaderValue, Uri};
use tokio::process::{Child, Command};

use super::{
    arguments::Common,
    process::{self, Usage},
    scrape::{self, Metrics},
};
use crate::{Failure, cli::ConfigArguments, token};

/// Longest that a start may take; a large folder is replayed.
const START: Duration = Duration::from_mins(2);
const POLL: Duration = Duration::from_millis(5);
/// Lines of a server's log that are told when a run fails.
const LAST_WORDS: usize = 20;
/// A free port.
const ANY: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 0);
/// A token outlives every run.
const TOKEN_SECONDS: i64 = 86_400;

/// See the module.
pub(super) struct Server {
    /// `host:port` of the public port.
    authority: String,
    ops: SocketAddr,
    config: Config,
    /// Nobody else's, so that runs on one server do not meet.
    tenant: String,
    spawned: Option<Spawned>,
}

/// What a child runs.
#[derive(Clone, Copy, Debug)]
pub(super) enum Program {
    /// `confab serve`.
    Confab,
    /// The stream server that is the baseline.
    #[cfg(feature = "bench-baselines")]
    StreamServer,
}

struct Spawned {
    what: Program,
    program: PathBuf,
    config_file: Option<PathBuf>,
    /// Where other processes find it.
    mesh: SocketAddr,
    // Dropped in this order: nobody writes into the folder while it is removed.
    child: Option<Child>,
    folder: Folder,
}

impl Server {
    /// Starts one, or finds the one that runs.
    pub(super) async fn open(common: &Common) -> Result<Self, Failure> {
        if common.spawn {
            return Self::spawn(common, Program::Confab).await;
        }
        Ok(Self {
            authority: authority(&common.server)?,
            ops: common.ops.ok_or("--ops is not an address")?,
            config: common.config().load()?,
            tenant: tenant(),
            spawned: None,
        })
    }

    /// Starts a child on a new folder.
    pub(super) async fn spawn(common: &Common, what: Program) -> Result<Self, Failure> {
        Self::spawn_at(common, what, ANY).await
    }

    /// The same, with this mesh port.
    pub(super) async fn spawn_at(
        common: &Common,
        what: Program,
        mesh: SocketAddr,
    ) -> Result<Self, Failure> {
        let folder = Folder::new(common.folder.as_deref())?;
        let config = ConfigArguments {
            config: common.config.clone(),
            data_dir: Some(folder.data()),
            keys_dir: None,
        };
        let spawned = Spawned {
            what,
            program: env::current_exe()?,
            config_file: common.config.clone(),
            mesh,
            child: None,
            folder,
        };
        let mut server = Self {
            authority: String::new(),
            ops: ANY,
            config: config.load()?,
            tenant: tenant(),
            spawned: Some(spawned),
        };
        server.start().await?;
        Ok(server)
    }

    async fn start(&mut self) -> Result<(), Failure> {
        let Some(spawned) = &mut self.spawned else { return Ok(()) };
        let addresses = spawned.start().await?;
        let address = |name: &str| {
            let text = addresses[name].as_str();
            text.map(str::to_owned).ok_or_else(|| format!("the server names no port `{name}`"))
        };
        self.authority = address("public")?;
        self.ops = address("ops")?.parse()?;
        Ok(())
    }

    /// Whether it is a child that can be stopped.
    pub(super) fn is_spawned(&self) -> bool {
        self.spawned.is_some()
    }

    /// Kills it, as a crash would.
    pub(super) async fn kill(&mut self) -> Result<(), Failure> {
        let spawned = self.spawned.as_mut().ok_or("only a server of its own can be stopped")?;
        if let Some(mut child) = spawned.child.take() {
            child.kill().await?;
        }
        Ok(())
    }

    /// The last lines that a server of its own has logged, for a run that failed.
    pub(super) fn last_words(&self) -> String {
        let Some(spawned) = &self.spawned else { return String::new() };
        let log = fs::read_to_string(spawned.folder.log()).unwrap_or_default();
        let lines: Vec<&str> = log.lines().collect();
        lines[lines.len().saturating_sub(LAST_WORDS)..].join("\n")
    }

    /// Ends a server of its own; any other one goes on.
    pub(super) async fn close(mut self) {
        if let Err(error) = self.kill().await {
            tracing::debug!(%error, "no server was stopped");
        }
    }

    /// Starts it again on the same data; it has other addresses then.
    pub(super) async fn restart(&mut self) -> Result<(), Failure> {
        self.kill().await?;
        self.start().await
    }

    /// The data folder of a server of its own.
    #[cfg(feature = "bench-baselines")]
    pub(super) fn data(&self) -> Option<PathBuf> {
        self.spawned.as_ref().map(|spawned| spawned.folder.data())
    }

    /// `host:port` of the public port.
    pub(super) fn authority(&self) -> &str {
        &self.authority
    }

    /// Whose the conversations of this run are.
    #[cfg(feature = "cql")]
    pub(super) fn tenant(&self) -> &str {
        &self.tenant
    }

    /// Another process of the same Confab: a token of one is good at the other.
    #[cfg(feature = "cql")]
    pub(super) fn beside(self, other: &Self) -> Self {
        Self { tenant: other.tenant.clone(), ..self }
    }

    /// Waits until it can serve.
    #[cfg(feature = "cql")]
    pub(super) async fn ready(&self) -> Result<(), Failure> {
        let waiting = async {
            while !scrape::is_ready(self.ops).await {
                tokio::time::sleep(POLL).await;
            }
        };
        let waited = tokio::time::timeout(START, waiting).await;
        waited.map_err(|_| "the server is not ready".into())
    }

    /// What it has used so far. Exact for a child; a server elsewhere says it
    /// by its metrics, if it does.
    pub(super) async fn usage(&self) -> Usage {
        let child = self.spawned.as_ref().and_then(|spawned| spawned.child.as_ref());
        if let Some(pid) = child.and_then(Child::id) {
            return process::usage(pid);
        }
        self.metrics().await.usage()
    }

    /// Its metrics; none when its operations port does not answer.
    pub(super) async fn metrics(&self) -> Metrics {
        scrape::scrape(self.ops).await.unwrap_or_default()
    }

    /// A user's token, as the header that carries it.
    pub(super) fn token(&self, user: &str, device: &str) -> Result<HeaderValue, Failure> {
        let mut claims =
            Claims { device_id: Some(device.to_owned()), ..Claims::user(&self.tenant, user) };
        claims.exp = claims.iat + TOKEN_SECONDS;
        let mut header =
            HeaderValue::try_from(format!("Bearer {}", token::sign(&self.config, claims)?))?;
        // As the reference client has it: never in an index that others can probe.
        header.set_sensitive(true);
        Ok(header)
    }
}

impl Spawned {
    /// Starts the program on its folder and waits for where it listens.
    async fn start(&mut self) -> Result<serde_json::Value, Failure> {
        let file = self.folder.path.join("addresses");
        // Of an earlier start.
        let _absent = fs::remove_file(&file);
        let mut command = Command::new(&self.program);
        match self.what {
            Program::Confab => self.serve(&mut command),
            #[cfg(feature = "bench-baselines")]
            Program::StreamServer => {
                command.args(["bench", "stream-server"]);
            }
        }
        command.arg("--addresses").arg(&file);
        let log = fs::File::options().create(true).append(true).open(self.folder.log())?;
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log).kill_on_drop(true);
        let child = self.child.insert(command.spawn()?);
        let started = async {
            loop {
                if let Ok(text) = fs::read_to_string(&file) {
                    return Ok(serde_json::from_str(&text)?);
                }
                if let Some(status) = child.try_wait()? {
                    let log = fs::read_to_string(self.folder.log()).unwrap_or_default();
                    return Err(format!("the server ended with {status}: {log}").into());
                }
                tokio::time::sleep(POLL).await;
            }
        };
        tokio::time::timeout(START, started).await.map_err(|_| "the server did not start")?
    }

    fn serve(&self, command: &mut Command) {
        command
            .arg("serve")
            .args(["--listen", "127.0.0.1:0", "--ops-listen", "127.0.0.1:0"])
            .args(["--gateway-listen", "127.0.0.1:0"])
            .args(["--mesh-listen", &self.mesh.to_string()])
            .arg("--data-dir")
            .arg(self.folder.data());
        if let Some(config) = &self.config_file {
            command.arg("--config").arg(config);
        }
    }
}

/// Nobody else's.
fn tenant() -> String {
    format!("bench-{}", &random::uuid()[..8])
}

/// `host:port` of a URI.
fn authority(server: &str) -> Result<String, Failure> {
    let uri: Uri = server.parse().map_err(|error| format!("--server {server}: {error}"))?;
    let host = uri.host().ok_or_else(|| format!("--server {server}: no host"))?;
    Ok(format!("{host}:{}", uri.port_u16().unwrap_or(80)))
}

/// A new folder, removed with all that is in it.
pub(super) struct Folder {
    path: PathBuf,
}

impl Folder {
    pub(super) fn new(parent: Option<&Path>) -> Result<Self, Failure> {
        let parent = parent.map_or_else(env::temp_dir, Path::to_owned);
        let path = parent.join(format!("confab-bench-{}", random::uuid()));
        fs::create_dir(&path).map_err(|error| format!("{}: {error}", path.display()))?;
        let folder = Self { path };
        if folder.is_in_memory() {
            let path = parent.display();
            eprintln!(
                "note: {path} is in memory, where an fsync costs nothing; take another --folder"
            );
        }
        Ok(folder)
    }

    /// What the server says.
    fn log(&self) -> PathBuf {
        self.path.join("log")
    }

    /// Where a data folder goes.
    pub(super) fn data(&self) -> PathBuf {
        self.path.join("data")
    }

    #[cfg(target_os = "linux")]
    fn is_in_memory(&self) -> bool {
        /// `TMPFS_MAGIC`, statfs(2).
        const TMPFS: i64 = 0x0102_1994;
        rustix::fs::statfs(&self.path).is_ok_and(|found| found.f_type == TMPFS)
    }

    #[cfg(not(target_os = "linux"))]
    fn is_in_memory(&self) -> bool {
        false
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        // The child may still write into it; what is left is in a temporary folder.
        if let Err(error) = fs::remove_dir_all(&self.path) {
            eprintln!("note: {} was not removed: {error}", self.path.display());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_is_named_by_its_uri() {
        assert_eq!(authority("http://localhost:7400").ok().as_deref(), Some("localhost:7400"));
        assert_eq!(authority("http://confab.example/").ok().as_deref(), Some("confab.example:80"));
        assert!(authority("/nowhere").is_err());
    }

    #[test]
    fn a_folder_goes_with_its_owner() {
        let folder = Folder::new(None).expect("made");
        let path = folder.path.clone();
        fs::create_dir_all(folder.data().join("deep")).expect("made");
        drop(folder);
        assert!(!path.exists());
    }
}
