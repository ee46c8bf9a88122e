//! The command line: names, defaults and help, no behaviour.

use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
};

use clap::{
    ArgGroup, Args, Parser, Subcommand,
    builder::{OsStringValueParser, TypedValueParser as _},
};
use confab_kit::config::{Config, ConfigError, Role};
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
    /// Run Confab: all services, or some, in this process, the embedded store in a folder.
    Serve(ServeArguments),
    /// Chat in this terminal with somebody in another one.
    Chat(ChatArguments),
    /// Print a token, signed with the dev key of a data folder.
    Token(TokenArguments),
    /// Print the effective configuration.
    Config(NodeArguments),
    /// Measure a server, and check while measuring that it keeps its promises.
    Bench(BenchArguments),
    /// Prove that a data folder is sound: every log dense, every row its fold.
    ///
    /// The folder must not be served meanwhile. No row and no key is changed;
    /// as every opening does, this one takes the journal in, drops the torn end
    /// that a crash left, and tidies the database's files. To look at a folder
    /// without touching it, verify a copy.
    Verify(ConfigArguments),
    /// Make what is missing in the keyspace of the CQL store, and say what was.
    ///
    /// Before the first start of a new version. Several at a time take turns, and
    /// one that was killed is finished by the next.
    Migrate(ConfigArguments),
    /// Write a backup of a data folder, while it is served or not.
    ///
    /// A node that serves the folder writes it, where it runs, and goes on
    /// serving; everything acknowledged before is in it. The backup is a folder
    /// with the database, the keys, and a list of all files with their hashes:
    /// keep it as secret as the data folder.
    Backup(BackupArguments),
    /// Make a data folder of a backup, comparing every byte with its list.
    ///
    /// `confab verify --data-dir BACKUP` compares without restoring.
    Restore(RestoreArguments),
    /// Change which log lines a running node writes, until it ends.
    LogLevel(LogLevelArguments),
    /// Switch the participant cache of a running node on or off, or let it forget.
    ///
    /// To find out whether it is to blame for what somebody sees. It is as the
    /// configuration says again when the node starts.
    ParticipantCache(CacheArguments),
    /// Print every RPC with its policy: who may call it, and what it costs.
    ///
    /// CALLERS: any one is enough. SCOPE: what the token's `scope` claim must
    /// name. RATE CLASS: the budget that a call is charged to. THE CALLER MUST
    /// BE: what they are to the conversation that the field names. For commands
    /// that is decided when the log decides, at the position where the command
    /// lands; for reads at the call, before anything is read.
    Policies,
}

/// Where the configuration comes from, and the folder that it is about.
#[derive(Clone, Debug, Default, Args, Serialize)]
pub(crate) struct ConfigArguments {
    /// TOML file with the configuration.
    #[arg(
        long, env = "CONFAB_CONFIG", global = true,
        value_parser = OsStringValueParser::new().map(PathBuf::from)
    )]
    #[serde(skip)]
    pub(crate) config: Option<PathBuf>,
    /// Folder of the embedded store and the generated keys.
    #[arg(long, global = true)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) data_dir: Option<PathBuf>,
    /// Folder of the generated keys, where several processes share them.
    #[arg(long, global = true)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) keys_dir: Option<PathBuf>,
}

impl ConfigArguments {
    pub(crate) fn load(&self) -> Result<Config, ConfigError> {
        Config::load(self.file(), self)
    }

    /// A variable that is set to nothing is as good as none.
    fn file(&self) -> Option<&Path> {
        self.config.as_deref().filter(|file| !file.as_os_str().is_empty())
    }
}

/// What a node's configuration comes from.
#[derive(Clone, Debug, Default, Args, Serialize)]
pub(crate) struct NodeArguments {
    #[command(flatten)]
    #[serde(flatten)]
    source: ConfigArguments,
    /// Serve these roles only, of messages, conversations, participants, realtime
    /// and gateway; mesh.peers says where the others are.
    #[arg(long, value_delimiter = ',')]
    #[serde(rename = "roles", skip_serializing_if = "Option::is_none")]
    only: Option<Vec<Role>>,
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
    #[command(flatten)]
    #[serde(skip_serializing_if = "GatewayArguments::is_empty")]
    gateway: GatewayArguments,
}

#[derive(Clone, Debug, Default, Args, Serialize)]
struct GatewayArguments {
    /// Address for browsers.
    #[arg(long)]
    #[serde(rename = "listen", skip_serializing_if = "Option::is_none")]
    gateway_listen: Option<SocketAddr>,
}

impl GatewayArguments {
    fn is_empty(&self) -> bool {
        self.gateway_listen.is_none()
    }
}

impl NodeArguments {
    pub(crate) fn load(&self) -> Result<Config, ConfigError> {
        Config::load(self.source.file(), self)
    }
}

#[derive(Debug, Args)]
pub(crate) struct BackupArguments {
    /// The folder to make; nothing may be there.
    #[arg(long)]
    pub(crate) to: PathBuf,
    #[command(flatten)]
    pub(crate) config: ConfigArguments,
}

#[derive(Debug, Args)]
pub(crate) struct RestoreArguments {
    /// The backup; it is only read.
    #[arg(long)]
    pub(crate) from: PathBuf,
    /// The data folder to make; at most an empty folder may be there.
    #[arg(long)]
    pub(crate) data_dir: PathBuf,
}

#[derive(Debug, Args)]
pub(crate) struct LogLevelArguments {
    /// Levels, over all or of modules: `debug`, `info,confab_messages=debug`.
    pub(crate) filter: String,
    #[command(flatten)]
    pub(crate) config: ConfigArguments,
}

#[derive(Debug, Args)]
pub(crate) struct CacheArguments {
    #[command(subcommand)]
    pub(crate) command: CacheCommand,
    /// The mesh port of the node; without it, it is the one that serves the data
    /// folder.
    #[arg(long, global = true)]
    pub(crate) at: Option<SocketAddr>,
    #[command(flatten)]
    pub(crate) config: ConfigArguments,
}

#[derive(Debug, Subcommand)]
pub(crate) enum CacheCommand {
    /// Remember lists of participants.
    On,
    /// Remember none, and read each from the store.
    Off,
    /// Forget lists, here and in Redis, and tell the other processes to.
    Forget(ForgetArguments),
}

#[derive(Debug, Args)]
#[command(group = ArgGroup::new("what").required(true))]
pub(crate) struct ForgetArguments {
    /// The tenant.
    #[arg(long, default_value = "dev")]
    pub(crate) tenant: String,
    /// One conversation, by its id.
    #[arg(long, group = "what")]
    pub(crate) conversation: Option<String>,
    /// Every conversation that this user is or was in.
    #[arg(long, group = "what")]
    pub(crate) user: Option<String>,
    /// Every conversation of every tenant.
    #[arg(long, group = "what")]
    pub(crate) all: bool,
}

#[derive(Debug, Args)]
pub(crate) struct ServeArguments {
    #[command(flatten)]
    pub(crate) config: NodeArguments,
    /// Write the bound addresses to this file, as JSON, once ready.
    #[arg(long)]
    pub(crate) addresses: Option<PathBuf>,
    /// Go on although a key that the data folder was used with is lost or
    /// another one. Retries of older requests are then refused, and page tokens
    /// that clients hold are void.
    #[arg(long)]
    pub(crate) replace_lost_keys: bool,
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
    /// Who you are; with a token, it says so.
    #[arg(long, required_unless_present = "token")]
    pub(crate) user: Option<String>,
    /// Whom to talk with, in the direct conversation of you two.
    #[arg(long, required_unless_present = "conversation", conflicts_with = "conversation")]
    pub(crate) with: Option<String>,
    /// Or the id of any conversation that you are in.
    #[arg(long)]
    pub(crate) conversation: Option<String>,
    /// Where Confab is.
    #[arg(long, env = "CONFAB_SERVER", default_value = "http://127.0.0.1:7400")]
    pub(crate) server: String,
    /// A token; without one, it is signed with the dev key of the server's data
    /// folder.
    #[arg(long, env = "CONFAB_TOKEN", hide_env_values = true)]
    pub(crate) token: Option<String>,
    /// The tenant, when the token is made here.
    #[arg(long, default_value = "dev")]
    pub(crate) tenant: String,
    #[command(flatten)]
    pub(crate) config: ConfigArguments,
}
