//! The command line: names, defaults and help, no behaviour.

use std::{net::SocketAddr, path::PathBuf};

use clap::{Args, Parser, Subcommand};
use confab_kit::config::{Config, ConfigError};
use serde::Serialize;

use crate::bench::arguments::BenchArguments;

/// Confab: conversations, participants and messages over gRPC.
#[derive(Debug, Parser)]
#[command(name = "confab", version)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Run Confab: all services in this process, the embedded store in a folder.
    Serve(ServeArguments),
    /// Chat in this terminal with somebody in another one.
    Chat(ChatArguments),
    /// Print a token, signed with the dev key of a data folder.
    Token(TokenArguments),
    /// Print the effective configuration.
    Config(ConfigArguments),
    /// Measure a server, and check while measuring that it keeps its promises.
    Bench(BenchArguments),
    /// Prove that a data folder is sound: every log dense, every row its fold.
    Verify(ConfigArguments),
    /// Print every RPC with its policy.
    Policies,
}

/// Where the configuration comes from, and the flags that override it.
#[derive(Clone, Debug, Default, Args, Serialize)]
pub(crate) struct ConfigArguments {
    /// TOML file with the configuration.
    #[arg(long, env = "CONFAB_CONFIG")]
    #[serde(skip)]
    pub(crate) config: Option<PathBuf>,
    /// Folder of the embedded store and the generated keys.
    #[arg(long)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) data_dir: Option<PathBuf>,
    /// Address for clients; port 0 takes a free one.
    #[arg(long)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) listen: Option<SocketAddr>,
    /// Address for other Confab processes.
    #[arg(long)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) mesh_listen: Option<SocketAddr>,
    /// Address for operators: /healthz, /readyz, /metrics.
    #[arg(long)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) ops_listen: Option<SocketAddr>,
}

impl ConfigArguments {
    pub(crate) fn load(&self) -> Result<Config, ConfigError> {
        Config::load(self.config.as_deref(), self)
    }
}

#[derive(Debug, Args)]
pub(crate) struct ServeArguments {
    #[command(flatten)]
    pub(crate) config: ConfigArguments,
    /// Write the bound addresses to this file, as JSON, once ready.
    #[arg(long)]
    pub(crate) addresses: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub(crate) struct TokenArguments {
    /// The user whom the token is for.
    #[arg(long)]
    pub(crate) user: String,
    /// The tenant.
    #[arg(long, default_value = "dev")]
    pub(crate) tenant: String,
    /// The device.
    #[arg(long, default_value = "cli")]
    pub(crate) device: String,
    /// Whose token: of a user, an application or a tenant's administrator.
    #[arg(long, default_value = "user", value_parser = ["user", "application", "tenant_admin"])]
    pub(crate) kind: String,
    /// How long it is good, in seconds.
    #[arg(long, default_value_t = 86_400)]
    pub(crate) lifetime: i64,
    #[command(flatten)]
    pub(crate) config: ConfigArguments,
}

#[derive(Debug, Args)]
pub(crate) struct ChatArguments {
    /// Who you are.
    #[arg(long)]
    pub(crate) user: String,
    /// Whom to talk with, in the direct conversation of you two.
    #[arg(long, required_unless_present = "conversation", conflicts_with = "conversation")]
    pub(crate) with: Option<String>,
    /// Or the id of any conversation that you are in.
    #[arg(long)]
    pub(crate) conversation: Option<String>,
    /// Where Confab is.
    #[arg(long, env = "CONFAB_SERVER", default_value = "http://127.0.0.1:7400")]
    pub(crate) server: String,
    /// A token; without one it is signed with the dev key of the data folder.
    #[arg(long, env = "CONFAB_TOKEN", hide_env_values = true)]
    pub(crate) token: Option<String>,
    /// The tenant, when the token is made here.
    #[arg(long, default_value = "dev")]
    pub(crate) tenant: String,
    #[command(flatten)]
    pub(crate) config: ConfigArguments,
}
