//! One server process below its watchdog (`tests/backends/watch.sh`), which ends
//! it and removes its folder when this process is gone, however it ended.

use std::{
    ffi::OsString,
    fs,
    io::Write as _,
    net::{SocketAddr, TcpStream},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use rustix::process::{Pid, Signal, kill_process};

use super::Unavailable;

const POLL: Duration = Duration::from_millis(20);
/// Boots take 20 s on two idle cores; these are not idle.
const START: Duration = Duration::from_mins(3);
/// What is shown of its log when it does not start.
const LOG_END: usize = 2000;

/// A server that can be killed, stopped in its tracks and started again, always
/// on the same folder and address.
#[derive(Debug)]
pub struct Server {
    folder: PathBuf,
    command: Vec<OsString>,
    address: SocketAddr,
    watchdog: Option<Child>,
}

impl Server {
    /// A server that is not started yet. It must listen on this address once it
    /// can be used; what it writes goes to `log` in the folder.
    pub(super) fn new(folder: PathBuf, command: Vec<OsString>, address: SocketAddr) -> Self {
        Self { folder, command, address, watchdog: None }
    }

    /// Starts it, and waits until it listens. A running one stays as it is.
    ///
    /// # Errors
    /// Why it did not start, with the end of its log.
    pub fn start(&mut self) -> Result<(), Unavailable> {
        if self.watchdog.is_some() {
            return Ok(());
        }
        let script = sources().join("watch.sh");
        let watchdog = Command::new("sh")
            .arg(script)
            .arg(&self.folder)
            .args(&self.command)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn();
        self.watchdog = Some(watchdog.map_err(|error| format!("sh: {error}"))?);
        let begun = Instant::now();
        while TcpStream::connect_timeout(&self.address, POLL).is_err() {
            if begun.elapsed() > START || self.has_ended() {
                let name = self.command[0].display();
                return Err(format!("{name} did not start: {}", self.log_end()));
            }
            thread::sleep(POLL);
        }
        Ok(())
    }

    /// SIGKILL. It is gone when this returns; its files stay.
    pub fn kill9(&mut self) {
        let Some(mut watchdog) = self.watchdog.take() else { return };
        if let Some(mut pipe) = watchdog.stdin.take() {
            // A watchdog that is gone has killed it.
            let _gone = pipe.write_all(b"keep\n");
        }
        let _status = watchdog.wait();
    }

    /// SIGSTOP: it holds its connections and answers nothing.
    pub fn pause(&self) {
        self.signal(Signal::STOP);
    }

    /// SIGCONT.
    pub fn resume(&self) {
        self.signal(Signal::CONT);
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// What it has written to its output.
    pub fn log(&self) -> String {
        fs::read(self.folder.join("log"))
            .map(|bytes| String::from_utf8_lossy(&bytes).into_owned())
            .unwrap_or_default()
    }

    fn log_end(&self) -> String {
        let log = self.log();
        let begin = log.char_indices().rev().nth(LOG_END).map_or(0, |(at, _)| at);
        log[begin..].to_owned()
    }

    fn signal(&self, signal: Signal) {
        if let Some(pid) = self.pid() {
            // Fails only where it has ended already.
            let _ended = kill_process(pid, signal);
        }
    }

    fn pid(&self) -> Option<Pid> {
        let text = fs::read_to_string(self.folder.join("pid")).ok()?;
        Pid::from_raw(text.trim().parse().ok()?)
    }

    /// Whether the process came and went. Its watchdog does not wait for it before
    /// it is told to, so what is left of it is a zombie.
    fn has_ended(&self) -> bool {
        let Some(pid) = self.pid() else { return false };
        let stat = fs::read_to_string(format!("/proc/{}/stat", pid.as_raw_nonzero()));
        stat.is_ok_and(|stat| stat.rsplit(") ").next().is_some_and(|rest| rest.starts_with('Z')))
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.resume();
        self.kill9();
        let _left = fs::remove_dir_all(&self.folder);
    }
}

/// `tests/backends`, where the servers' configuration is.
pub(super) fn sources() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("backends")
}

/// An empty folder, removed by the watchdog of the server in it.
pub(super) fn new_folder(name: &str) -> Result<PathBuf, Unavailable> {
    let folder = tempfile::Builder::new().prefix(&format!("confab-{name}-")).tempdir();
    folder.map(tempfile::TempDir::keep).map_err(|error| format!("no folder: {error}"))
}

/// A port that nobody listens on at this address right now.
pub(super) fn free_port(address: std::net::Ipv4Addr) -> Result<u16, Unavailable> {
    let listener = std::net::TcpListener::bind((address, 0));
    let port = listener.and_then(|listener| listener.local_addr()).map(|address| address.port());
    port.map_err(|error| format!("no free port on {address}: {error}"))
}
