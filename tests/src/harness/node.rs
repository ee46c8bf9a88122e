//! A node with a data folder that survives it: started, killed, started again.

use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use confab_client::{Client, ClientOptions};
use rustix::process::Signal;
use tempfile::TempDir;

use super::{
    Checked, Log, Proxy, Tokens, Violation, eventually,
    process::{Addresses, Process},
};

/// How a node is run.
#[derive(Clone, Debug)]
pub struct NodeOptions {
    pub(super) program: PathBuf,
    pub(super) mutant: Option<String>,
    pub(super) environment: Vec<(String, String)>,
    pub(super) listen: SocketAddr,
    /// A port on loopback.
    pub(super) gateway: u16,
    allowed: Vec<String>,
    keys_dir: Option<PathBuf>,
}

impl NodeOptions {
    /// The program, with the configuration that everybody gets.
    pub fn new(program: impl Into<PathBuf>) -> Self {
        Self {
            program: program.into(),
            mutant: None,
            environment: Vec::new(),
            listen: SocketAddr::from(([127, 0, 0, 1], 0)),
            gateway: 0,
            allowed: Vec::new(),
            keys_dir: None,
        }
    }

    /// Breaks a promise on purpose. The log of such a node is not looked at.
    #[must_use]
    pub fn mutant(mut self, mutant: Option<&str>) -> Self {
        self.mutant = mutant.map(str::to_owned);
        self
    }

    /// Sets configuration by its environment variable: `CONFAB_LIMITS__TEXT_BYTES`.
    #[must_use]
    pub fn env(mut self, name: &str, value: &str) -> Self {
        self.environment.push((name.to_owned(), value.to_string()));
        self
    }

    /// Keeps the generated keys in a folder that other nodes share.
    #[must_use]
    pub fn keys_dir(mut self, folder: &Path) -> Self {
        self.keys_dir = Some(folder.to_owned());
        self.env("CONFAB_KEYS_DIR", &folder.display().to_string())
    }

    /// Listens for clients at this address, after each start again, instead of at
    /// another one each time.
    #[must_use]
    pub fn listen(mut self, address: SocketAddr) -> Self {
        self.listen = address;
        self
    }

    /// The same for browsers, at this port on loopback.
    #[must_use]
    pub fn gateway(mut self, port: u16) -> Self {
        self.gateway = port;
        self
    }

    /// Expects warnings or errors in the log that hold this text.
    #[must_use]
    pub fn allow(mut self, text: &str) -> Self {
        self.allowed.push(text.to_owned());
        self
    }
}

/// Where a node is reached now; `None` while it is down.
pub(super) type Place = Arc<Mutex<Option<SocketAddr>>>;

/// A node in a process of its own, on a folder of its own.
pub struct Node {
    options: NodeOptions,
    folder: TempDir,
    process: Option<Process>,
    addresses: Option<Addresses>,
    place: Place,
    mesh_place: Place,
    log: Log,
    checked: bool,
}

impl Node {
    /// Starts it on a new data folder and waits until it is ready.
    ///
    /// # Errors
    /// [`Violation::Unable`] when it does not start.
    pub async fn start(options: NodeOptions) -> Checked<Self> {
        Self::start_with(options, async |_| Ok(())).await
    }

    /// The same, after something has made its data folder.
    ///
    /// # Errors
    /// [`Violation::Unable`] when it does not start.
    pub async fn start_with(
        options: NodeOptions,
        make: impl AsyncFnOnce(&Path) -> Checked,
    ) -> Checked<Self> {
        Self::start_at(options, Place::default(), make).await
    }

    /// The same, with a mesh port that others look for in this place.
    pub(super) async fn start_at(
        options: NodeOptions,
        mesh_place: Place,
        make: impl AsyncFnOnce(&Path) -> Checked,
    ) -> Checked<Self> {
        let folder = tempfile::tempdir().map_err(Violation::unable)?;
        let mut node = Self {
            options,
            folder,
            process: None,
            addresses: None,
            place: Place::default(),
            mesh_place,
            log: Log::default(),
            checked: false,
        };
        make(&node.data_dir()).await?;
        node.restart().await?;
        Ok(node)
    }

    /// Kills it if it runs, and starts it on the same folder.
    ///
    /// # Errors
    /// [`Violation::Unable`] when it does not start.
    pub async fn restart(&mut self) -> Checked {
        self.kill9();
        let data_dir = self.data_dir();
        let (process, addresses) = Process::start(&self.options, &data_dir, &self.log).await?;
        self.process = Some(process);
        self.addresses = Some(addresses);
        self.move_to(Some(addresses));
        Ok(())
    }

    /// Breaks a promise on purpose from the next start on.
    pub fn mutate(&mut self, mutant: Option<&str>) {
        self.options.mutant = mutant.map(str::to_owned);
    }

    /// SIGKILL. Nothing of it is left when this returns.
    pub fn kill9(&mut self) {
        self.move_to(None);
        if let Some(mut process) = self.process.take() {
            process.kill9();
        }
    }

    /// SIGTERM, and waits for its end.
    ///
    /// # Errors
    /// [`Violation::Broken`] when it does not end by itself, or not well.
    pub async fn terminate(&mut self, limit: Duration) -> Checked {
        self.sigterm()?;
        self.ended(limit).await
    }

    /// SIGTERM, and no more.
    ///
    /// # Errors
    /// [`Violation::Unable`] when it cannot be sent.
    pub fn sigterm(&self) -> Checked {
        self.signal(Signal::TERM)
    }

    /// SIGHUP.
    ///
    /// # Errors
    /// [`Violation::Unable`] when it cannot be sent.
    pub fn sighup(&self) -> Checked {
        self.signal(Signal::HUP)
    }

    fn signal(&self, signal: Signal) -> Checked {
        self.process.as_ref().map_or(Ok(()), |process| process.signal(signal))
    }

    /// Waits for its end.
    ///
    /// # Errors
    /// [`Violation::Broken`] when it does not end by itself, or not well.
    pub async fn ended(&mut self, limit: Duration) -> Checked {
        let Some(mut process) = self.process.take() else { return Ok(()) };
        let status = eventually(limit, "the end after SIGTERM", || {
            let status = process.try_wait();
            async move { status }
        });
        let status = status.await?;
        self.move_to(None);
        Violation::unless(status.success(), || format!("after SIGTERM it ended with {status}"))
    }

    fn move_to(&self, addresses: Option<Addresses>) {
        let set = |place: &Place, address| {
            *place.lock().unwrap_or_else(PoisonError::into_inner) = address;
        };
        set(&self.place, addresses.map(|addresses| addresses.public));
        set(&self.mesh_place, addresses.map(|addresses| addresses.mesh));
    }

    /// SIGSTOP: it keeps its connections and answers nothing until [`Node::thaw`].
    ///
    /// # Errors
    /// [`Violation::Unable`] when it does not run.
    pub fn freeze(&self) -> Checked {
        self.signal(Signal::STOP)
    }

    /// SIGCONT.
    ///
    /// # Errors
    /// [`Violation::Unable`] when it does not run.
    pub fn thaw(&self) -> Checked {
        self.signal(Signal::CONT)
    }

    /// Its data folder.
    pub fn data_dir(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    /// A folder beside it, for whatever the test needs.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// The public port's URI, as long as it runs: another after a restart, unless
    /// the options name an address.
    pub fn uri(&self) -> String {
        format!("http://{}", self.public())
    }

    /// The public port.
    ///
    /// # Panics
    /// Before the first start, which nobody can see.
    pub fn public(&self) -> SocketAddr {
        self.addresses.expect("it was started").public
    }

    /// The mesh's port.
    ///
    /// # Panics
    /// Before the first start, which nobody can see.
    pub fn mesh(&self) -> SocketAddr {
        self.addresses.expect("it was started").mesh
    }

    /// The operations port.
    ///
    /// # Panics
    /// Before the first start, which nobody can see.
    pub fn ops(&self) -> SocketAddr {
        self.addresses.expect("it was started").ops
    }

    /// The gateway's port.
    ///
    /// # Panics
    /// Where the node has none, and before the first start, which nobody can see.
    pub fn gateway(&self) -> SocketAddr {
        let port = self.addresses.and_then(|addresses| addresses.gateway);
        SocketAddr::from(([127, 0, 0, 1], port.expect("it has a gateway")))
    }

    /// An address that stays the same over restarts.
    ///
    /// # Errors
    /// [`Violation::Unable`] when none is to be had.
    pub async fn proxy(&self) -> Checked<Proxy> {
        Proxy::start(self.place.clone()).await
    }

    /// Where clients reach it now.
    pub(super) fn place(&self) -> Place {
        self.place.clone()
    }

    /// Signs tokens that it accepts, and others.
    ///
    /// # Errors
    /// [`Violation::Unable`] when its key cannot be read.
    pub fn tokens(&self) -> Checked<Tokens> {
        Tokens::of(self.options.keys_dir.as_ref().unwrap_or(&self.data_dir()))
    }

    /// A client of a user, straight to where it is now.
    ///
    /// # Errors
    /// When the client cannot be made.
    pub async fn client(&self, tenant: &str, user: &str) -> Checked<Client> {
        let token = self.tokens()?.user(tenant, user);
        Ok(Client::connect(ClientOptions::new(self.uri()).token(token)).await?)
    }

    /// What it logged.
    pub fn log(&self) -> &Log {
        &self.log
    }

    /// Ends it, and finds out whether it logged what the test did not expect.
    ///
    /// # Errors
    /// [`Violation::Broken`] with the lines.
    pub fn finish(mut self) -> Checked {
        self.check_log()
    }

    fn check_log(&mut self) -> Checked {
        self.kill9();
        self.checked = true;
        if self.options.mutant.is_some() { Ok(()) } else { self.is_quiet() }
    }

    /// Finds out whether it has logged so far what the test did not expect.
    ///
    /// # Errors
    /// [`Violation::Broken`] with the lines.
    pub fn is_quiet(&self) -> Checked {
        let lines = self.log.unexpected(&self.options.allowed);
        Violation::unless(lines.is_empty(), || {
            format!("{} unexpected lines in the log:\n{}", lines.len(), lines.join("\n"))
        })
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        if self.checked || std::thread::panicking() {
            return;
        }
        if let Err(violation) = self.check_log() {
            panic!("{violation}");
        }
    }
}
