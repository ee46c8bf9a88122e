//! `confab serve`: starts a node, says where it is and what to try, and waits.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

use confab_kit::{config::Config, role::Role, server::Addresses, telemetry};

use crate::{
    Failure, allocator,
    cli::{NodeArguments, ServeArguments},
    folder,
    node::Node,
    output, store,
};

pub(crate) async fn run(arguments: ServeArguments) -> Result<(), Failure> {
    let config = arguments.config.load()?;
    telemetry::init(config.log.format, &config.log.filter)?;
    telemetry::before_render("allocator", allocator::set_gauges);
    if arguments.replace_lost_keys {
        // Opened here and closed again: the node finds a store without a past.
        store::forget_keys(&config).await?;
    }
    let banner = Banner::of(&config);
    let node = Node::start(config).await?;
    node.lifecycle().listen_to_signals()?;
    let source = arguments.config.clone();
    node.lifecycle().at_hangup(move || filter_again(&source))?;
    let addresses = node.addresses();
    if let Some(file) = &arguments.addresses {
        write_addresses(file, addresses)
            .map_err(|error| format!("cannot write --addresses {}: {error}", file.display()))?;
    }
    // Nobody may be reading; the node serves all the same.
    let _unread = output::print(&banner.text(addresses));
    node.ended().await;
    let _unread = output::print("stopped\n");
    Ok(())
}

/// At SIGHUP: reads the configuration again, and takes nothing of it but
/// `log.filter`.
fn filter_again(source: &NodeArguments) {
    let filter = source.load().map_err(Failure::from).and_then(|config| {
        let before = telemetry::set_filter(&config.log.filter)?;
        Ok((before, config.log.filter))
    });
    match filter {
        Ok((before, filter)) => tracing::info!(filter, before, "log filter read again"),
        Err(error) => tracing::warn!(%error, "log filter not read again"),
    }
}

/// Written aside and renamed: whoever sees the file sees all of it.
fn write_addresses(file: &Path, addresses: Addresses) -> std::io::Result<()> {
    let aside = file.with_extension("tmp");
    fs::write(&aside, serde_json::to_string(&addresses)?)?;
    fs::rename(&aside, file)
}

struct Banner {
    data: PathBuf,
    keys: Option<PathBuf>,
    roles: BTreeSet<Role>,
    dev_mode: bool,
    tls: bool,
}

impl Banner {
    fn of(config: &Config) -> Self {
        Self {
            data: config.data_dir.clone(),
            keys: config.keys_dir.clone(),
            roles: config.roles(),
            dev_mode: config.is_dev_mode(),
            tls: config.gateway.tls_cert_file.is_some(),
        }
    }

    fn text(&self, at: Addresses) -> String {
        let chat = at.gateway.map_or(String::new(), |gateway| {
            let scheme = if self.tls { "https" } else { "http" };
            format!("  chat        {scheme}://{gateway}\n")
        });
        let mut text = format!(
            "confab {}\n{chat}  clients     http://{}\n  mesh        http://{}\n  \
             operations  http://{}/readyz, /healthz, /metrics\n  data        {}\n",
            env!("CARGO_PKG_VERSION"),
            at.public,
            at.mesh,
            at.ops,
            self.data.display()
        );
        if self.roles.len() < Role::ALL.len() {
            text.push_str("  serves      ");
            text.push_str(&folder::listed(&self.roles));
            text.push('\n');
        }
        if self.dev_mode {
            text.push_str(
                "  dev mode: loopback only, anyone with the data folder can sign tokens\n",
            );
            text.push_str(&self.commands(at));
        }
        text
    }

    /// What to try, with all that differs from what the commands take by themselves.
    fn commands(&self, at: Addresses) -> String {
        let usual = Config::default();
        // What they need of the folder is the key.
        let folder = match &self.keys {
            Some(keys) => format!(" --keys-dir {}", keys.display()),
            None if self.data == usual.data_dir => String::new(),
            None => format!(" --data-dir {}", self.data.display()),
        };
        let server = if at.public == usual.listen {
            String::new()
        } else {
            format!(" --server http://{}", at.public)
        };
        let program = program();
        format!(
            "try, in other terminals:\n  \
             {program} chat --user alice --with bob{server}{folder}\n  \
             {program} chat --user bob --with alice{server}{folder}\n  \
             {program} token --user alice{folder}\n"
        )
    }
}

/// How this program was called, so that the lines can be copied.
fn program() -> String {
    std::env::args().next().unwrap_or_else(|| "confab".to_owned())
}
