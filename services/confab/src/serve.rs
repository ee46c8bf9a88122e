//! `confab serve`: starts a node, says where it is and what to try, and waits.

use std::{
    fs,
    path::{Path, PathBuf},
};

use confab_kit::{config::Config, server::Addresses, telemetry};

use crate::{Failure, allocator, cli::ServeArguments, node::Node};

pub(crate) async fn run(arguments: ServeArguments) -> Result<(), Failure> {
    let config = arguments.config.load()?;
    telemetry::init(config.log.format, &config.log.filter)?;
    telemetry::before_render("allocator", allocator::set_gauges);
    let banner = Banner::of(&config, &arguments);
    let node = Node::start(config).await?;
    node.lifecycle().listen_to_signals()?;
    let addresses = node.addresses();
    banner.print(addresses);
    if let Some(file) = &arguments.addresses {
        write_addresses(file, addresses)?;
    }
    node.ended().await;
    Ok(())
}

/// Written aside and renamed: whoever sees the file sees all of it.
fn write_addresses(file: &Path, addresses: Addresses) -> Result<(), Failure> {
    let aside = file.with_extension("tmp");
    fs::write(&aside, serde_json::to_string(&addresses)?)?;
    fs::rename(&aside, file)?;
    Ok(())
}

struct Banner {
    data: PathBuf,
    dev_mode: bool,
    default_folder: bool,
}

impl Banner {
    fn of(config: &Config, arguments: &ServeArguments) -> Self {
        Self {
            data: config.data_dir.clone(),
            dev_mode: config.is_dev_mode(),
            default_folder: arguments.config.data_dir.is_none(),
        }
    }

    fn print(&self, addresses: Addresses) {
        let mut out = std::io::stdout().lock();
        // Nobody may be reading; the node serves all the same.
        let _unread = self.write(&mut out, addresses);
    }

    fn write(&self, out: &mut impl std::io::Write, at: Addresses) -> std::io::Result<()> {
        writeln!(out, "confab {}", env!("CARGO_PKG_VERSION"))?;
        writeln!(out, "  clients     http://{}", at.public)?;
        writeln!(out, "  mesh        http://{}", at.mesh)?;
        writeln!(out, "  operations  http://{}/readyz, /healthz, /metrics", at.ops)?;
        writeln!(out, "  data        {}", self.data.display())?;
        if self.dev_mode {
            writeln!(
                out,
                "  dev mode: loopback only, anyone with the data folder can sign tokens"
            )?;
            writeln!(out, "try, in other terminals:")?;
            let program = program();
            let folder = if self.default_folder {
                String::new()
            } else {
                format!(" --data-dir {}", self.data.display())
            };
            let server = format!("--server http://{}", at.public);
            writeln!(out, "  {program} chat --user alice --with bob {server}{folder}")?;
            writeln!(out, "  {program} chat --user bob --with alice {server}{folder}")?;
            writeln!(out, "  {program} token --user alice{folder}")?;
        }
        out.flush()
    }
}

/// How this program was called, so that the lines can be copied.
fn program() -> String {
    std::env::args().next().unwrap_or_else(|| "confab".to_owned())
}
