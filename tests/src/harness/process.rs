//! One `confab serve` from its start to its end.

use std::{
    net::SocketAddr,
    path::Path,
    process::{Child, Command, ExitStatus, Stdio},
    thread,
    time::{Duration, Instant},
};

use super::{Checked, Log, NodeOptions, Violation};

/// A start in debug, on a busy machine, of a big folder.
const START: Duration = Duration::from_mins(1);
const POLL: Duration = Duration::from_millis(5);

#[derive(Clone, Copy, Debug)]
pub(super) struct Addresses {
    pub(super) public: SocketAddr,
    pub(super) mesh: SocketAddr,
    pub(super) ops: SocketAddr,
    /// The gateway's port, on loopback.
    pub(super) gateway: Option<u16>,
}

pub(super) struct Process {
    child: Child,
    collector: Option<thread::JoinHandle<()>>,
}

impl Process {
    pub(super) async fn start(
        options: &NodeOptions,
        data_dir: &Path,
        log: &Log,
    ) -> Checked<(Self, Addresses)> {
        let file = data_dir.with_extension("addresses");
        // Of an earlier start.
        let _absent = std::fs::remove_file(&file);
        let mut child = command(options, data_dir, &file).spawn().map_err(Violation::unable)?;
        let collector = child.stderr.take().map(|stderr| log.collect(stderr));
        let mut process = Self { child, collector };
        let begun = Instant::now();
        loop {
            if let Ok(text) = std::fs::read_to_string(&file) {
                return Ok((process, parse(&text)?));
            }
            if let Ok(Some(status)) = process.child.try_wait() {
                process.end();
                let why = format!("the node ended with {status}: {:?}", log.lines());
                return Err(Violation::unable(why));
            }
            if begun.elapsed() > START {
                return Err(Violation::unable(format!("no start: {:?}", log.lines())));
            }
            tokio::time::sleep(POLL).await;
        }
    }

    /// SIGKILL, and nothing of the process is left when this returns.
    pub(super) fn kill9(&mut self) {
        // Fails only where the process has ended already.
        let _ended = self.child.kill();
        self.end();
    }

    /// Sends a signal.
    pub(super) fn signal(&self, signal: rustix::process::Signal) -> Checked {
        let pid = i32::try_from(self.child.id()).ok().and_then(rustix::process::Pid::from_raw);
        let pid = pid.ok_or_else(|| Violation::unable("no process id"))?;
        rustix::process::kill_process(pid, signal).map_err(Violation::unable)
    }

    pub(super) fn try_wait(&mut self) -> Checked<Option<ExitStatus>> {
        let status = self.child.try_wait().map_err(Violation::unable)?;
        if status.is_some() {
            self.end();
        }
        Ok(status)
    }

    fn end(&mut self) {
        let _status = self.child.wait();
        if let Some(collector) = self.collector.take() {
            let _panicked = collector.join();
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill9();
    }
}

/// How long servers that answer may take to find each other.
const FOUND: Duration = Duration::from_mins(1);

/// Makes the tables that nodes with these options share, once the servers have found each
/// other.
pub(super) async fn migrate(options: &NodeOptions) -> Checked {
    let begun = Instant::now();
    loop {
        match migrate_once(options).await {
            Err(why) if begun.elapsed() > FOUND || !why.to_string().contains("nodes are alive") => {
                return Err(why);
            }
            Err(_) => tokio::time::sleep(Duration::from_secs(1)).await,
            Ok(()) => return Ok(()),
        }
    }
}

/// `confab migrate`.
async fn migrate_once(options: &NodeOptions) -> Checked {
    let mut command = program(options);
    command.arg("migrate").stdin(Stdio::null());
    let ended = tokio::task::spawn_blocking(move || command.output()).await;
    let output = ended.map_err(Violation::unable)?.map_err(Violation::unable)?;
    if output.status.success() {
        return Ok(());
    }
    Err(Violation::unable(format!("no tables: {}", String::from_utf8_lossy(&output.stderr))))
}

fn program(options: &NodeOptions) -> Command {
    let mut command = Command::new(&options.program);
    // Whatever the tests' own environment sets is not for the node.
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("CONFAB_") {
            command.env_remove(name);
        }
    }
    command.envs(options.environment.iter().map(|(name, value)| (name, value)));
    command
}

fn command(options: &NodeOptions, data_dir: &Path, addresses: &Path) -> Command {
    let mut command = program(options);
    command
        .arg("serve")
        .args(["--listen", &options.listen.to_string()])
        .args(["--mesh-listen", "127.0.0.1:0", "--ops-listen", "127.0.0.1:0"])
        .args(["--gateway-listen", &format!("127.0.0.1:{}", options.gateway)])
        .arg("--data-dir")
        .arg(data_dir)
        .arg("--addresses")
        .arg(addresses)
        .env("CONFAB_LOG__FORMAT", "json")
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped());
    if let Some(mutant) = &options.mutant {
        command.env("CONFAB_MUTANT", mutant);
    }
    command
}

fn parse(text: &str) -> Checked<Addresses> {
    let json: serde_json::Value = serde_json::from_str(text).map_err(Violation::unable)?;
    let address = |name: &str| {
        let address = json[name].as_str().and_then(|text| text.parse().ok());
        address.ok_or_else(|| Violation::unable(format!("no address `{name}` in {text}")))
    };
    Ok(Addresses {
        public: address("public")?,
        mesh: address("mesh")?,
        ops: address("ops")?,
        gateway: address("gateway").ok().map(|address: SocketAddr| address.port()),
    })
}
