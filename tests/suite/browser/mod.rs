//! What a browser gets: the scripts in `tests/browser`, which steer Debian's Chromium,
//! against a node with a gateway in dev mode. A script checks what it sees, and asks
//! for what it cannot do itself: to kill the node, and to start it again.

mod chat;
mod protocol;

use std::{collections::BTreeMap, fs, path::Path, process::Stdio, time::Duration};

use confab_tests::harness::{
    Checked, Node, NodeOptions, Violation, backends::Chromium, lasting_port, skipped, within,
};
use tokio::{
    io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader},
    process::{Child, ChildStdin, Command},
};

use super::{
    clients::install::{npm_packages, output, prepared},
    promises::{WHOLE, program},
};

const SCRIPTS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/browser");
const GENERATED: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../gateway-grpc-web/web/src/gen");
/// SIGTERM may take as long.
const DRAIN: Duration = Duration::from_secs(20);

/// What scripts need.
#[derive(Clone, Debug)]
pub(crate) struct Tools {
    chromium: Chromium,
    packages: std::path::PathBuf,
}

/// What scripts need, or `None` after saying why the test is skipped.
pub(crate) async fn tools_or_skip(test: &str) -> Option<Tools> {
    let found = tokio::task::spawn_blocking(find).await.expect("the search does not panic");
    found.inspect_err(|why| skipped(test, why)).ok()
}

fn find() -> Result<Tools, String> {
    let chromium = Chromium::find()?;
    let version = output(std::process::Command::new("node").arg("--version"))?;
    let source = Path::new(SCRIPTS);
    let lock = source.join("package-lock.json");
    let wanted = fs::read_to_string(lock).map_err(|error| error.to_string())?;
    let packages = prepared("browser", (version, wanted), |to| npm_packages(source, to))?;
    Ok(Tools { chromium, packages })
}

/// A script on a node of its own.
pub(crate) struct Script<'a> {
    /// A file in `tests/browser`, and its arguments.
    pub(crate) line: &'a [&'a str],
    /// What it is told besides where things are.
    pub(crate) environment: BTreeMap<&'a str, String>,
}

impl Script<'_> {
    /// Runs it against a node with these options, whose gateway stays where it is.
    /// What it reports is the answer.
    pub(crate) async fn run(&self, tools: &Tools, options: NodeOptions) -> Checked<String> {
        let mut node = Node::start(options.gateway(lasting_port()?.port())).await?;
        let place = node.folder().join("browser");
        prepare(tools, &place)?;
        let mut script = self.start(tools, &node, &place)?;
        let mut orders = script.stdin.take().ok_or_else(|| Violation::unable("no input"))?;
        let stdout = script.stdout.take().ok_or_else(|| Violation::unable("no output"))?;
        let mut lines = BufReader::new(stdout).lines();
        let mut report = String::new();
        loop {
            let line = within(WHOLE, "the script's next line", lines.next_line()).await?;
            let Some(line) = line.map_err(Violation::unable)? else { break };
            if obey(&mut node, &line).await? {
                done(&mut orders).await?;
            } else {
                report = line;
            }
        }
        ended(script).await?;
        node.finish()?;
        Ok(report)
    }

    fn start(&self, tools: &Tools, node: &Node, place: &Path) -> Checked<Child> {
        let browser = serde_json::to_string(&tools.chromium.environment);
        let (file, arguments) = self.line.split_first().unwrap_or((&"", &[]));
        Command::new("node")
            .arg(place.join(file))
            .args(arguments)
            .env("GATEWAY", format!("http://{}", node.gateway()))
            .env("OPS", format!("http://{}", node.ops()))
            .env("CHROMIUM", &tools.chromium.program)
            .env("BROWSER_ENV", browser.map_err(Violation::unable)?)
            .env("GEN", GENERATED)
            .envs(&self.environment)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .map_err(Violation::unable)
    }
}

/// Packages are looked for beside the scripts, so these are copied to the packages.
fn prepare(tools: &Tools, place: &Path) -> Checked {
    let copy = |folder: &str| -> std::io::Result<()> {
        fs::create_dir_all(place.join(folder))?;
        for entry in fs::read_dir(Path::new(SCRIPTS).join(folder))? {
            let path = entry?.path();
            if path.extension().is_some_and(|ending| ending == "mjs") {
                fs::copy(&path, place.join(folder).join(path.file_name().unwrap_or_default()))?;
            }
        }
        Ok(())
    };
    copy("").and_then(|()| copy("page")).map_err(Violation::unable)?;
    let packages = tools.packages.join("node_modules");
    std::os::unix::fs::symlink(packages, place.join("node_modules")).map_err(Violation::unable)
}

/// Whether the line is an order; then it is obeyed.
async fn obey(node: &mut Node, line: &str) -> Checked<bool> {
    match line {
        "kill" => {
            node.kill9();
            node.restart().await?;
        }
        "stop" => {
            node.terminate(DRAIN).await?;
            node.restart().await?;
        }
        "down" => node.kill9(),
        "up" => node.restart().await?,
        _ => return Ok(false),
    }
    Ok(true)
}

async fn done(orders: &mut ChildStdin) -> Checked {
    orders.write_all(b"done\n").await.map_err(Violation::unable)
}

/// What the script found.
async fn ended(mut script: Child) -> Checked {
    let mut complaint = String::new();
    if let Some(mut stderr) = script.stderr.take() {
        let read = stderr.read_to_string(&mut complaint);
        within(WHOLE, "the script's complaint", read).await?.map_err(Violation::unable)?;
    }
    let status = within(WHOLE, "the script's end", script.wait()).await?;
    if status.map_err(Violation::unable)?.success() {
        return Ok(());
    }
    match complaint.split_once("VIOLATION: ") {
        Some((_, what)) => Err(Violation::broken(what.trim())),
        None => Err(Violation::unable(format!("the script failed: {complaint}"))),
    }
}
