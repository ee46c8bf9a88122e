//! The command line of `confab bench`: scenarios, their sizes and defaults.

use std::{net::SocketAddr, path::PathBuf, time::Duration};

use clap::{Args, Subcommand};
use serde::Serialize;

use crate::cli::ConfigArguments;

#[derive(Debug, Args)]
pub(crate) struct BenchArguments {
    #[command(subcommand)]
    pub(crate) scenario: Scenario,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Scenario {
    /// Durable sends: how many a second, how long each takes, what one costs the server.
    Send(SendArguments),
    /// One conversation, many streams: deliveries, their delay, what one costs the server.
    Fanout(FanoutArguments),
    /// Pages of a long conversation, at random places or all of the newest.
    Read(ReadArguments),
    /// Devices that come back at once, after a restart if the server is its own.
    Resume(ResumeArguments),
    /// Streams on which nothing happens: memory and CPU of each.
    Idle(IdleArguments),
    /// A user of many conversations connects.
    Connect(ConnectArguments),
    #[cfg(feature = "bench-baselines")]
    #[command(flatten)]
    Baseline(super::baseline::Baseline),
    /// On a CQL server, against what its driver does by itself; prints a table.
    #[cfg(feature = "cql")]
    Cql(super::cql::CqlArguments),
}

/// Which server, how long, and where the report goes.
#[derive(Clone, Debug, Default, Args)]
pub(crate) struct Common {
    /// Start a server of its own, in a process of its own, on a new data folder.
    #[arg(long)]
    pub(crate) spawn: bool,
    /// With --spawn: where the data folder is made and removed again. Take the disk that matters.
    #[arg(long)]
    pub(crate) folder: Option<PathBuf>,
    /// Without --spawn: where Confab is. Its dev key is read from its data folder.
    #[arg(long, env = "CONFAB_SERVER", default_value = "http://127.0.0.1:7400")]
    pub(crate) server: String,
    /// Without --spawn: its operations port, for its CPU time.
    #[arg(long, default_value = "127.0.0.1:7402")]
    pub(crate) ops: Option<SocketAddr>,
    /// Without --spawn: its data folder.
    #[arg(long)]
    pub(crate) data_dir: Option<PathBuf>,
    /// Its configuration file; with --spawn, the one to start it with.
    #[arg(long, env = "CONFAB_CONFIG")]
    pub(crate) config: Option<PathBuf>,
    /// How long is measured, in seconds.
    #[arg(long, default_value_t = 10.0)]
    pub(crate) seconds: f64,
    /// How long it runs before that, in seconds.
    #[arg(long, default_value_t = 1.0)]
    pub(crate) warmup: f64,
    /// Write the report to this file, as JSON.
    #[arg(long)]
    pub(crate) json: Option<PathBuf>,
    /// Chooses texts and places; the same seed chooses the same.
    #[arg(long, default_value_t = 1)]
    pub(crate) seed: u64,
}

impl Common {
    /// What the server's configuration is read from.
    pub(super) fn config(&self) -> ConfigArguments {
        ConfigArguments {
            config: self.config.clone(),
            data_dir: self.data_dir.clone(),
            keys_dir: None,
        }
    }

    pub(super) fn measured(&self) -> Duration {
        Duration::from_secs_f64(self.seconds.max(0.01))
    }

    pub(super) fn warmup(&self) -> Duration {
        Duration::from_secs_f64(self.warmup.max(0.0))
    }
}

#[derive(Clone, Debug, Args, Serialize)]
pub(crate) struct SendArguments {
    #[command(flatten)]
    #[serde(skip)]
    pub(crate) common: Common,
    /// Messages under way at a time: so many senders, each of whom waits for its answer.
    #[arg(long, default_value_t = 64)]
    pub(crate) in_flight: usize,
    /// Messages a second, by a schedule that waits for nobody; without it each sender sends
    /// again as soon as it has its answer.
    #[arg(long)]
    pub(crate) rate: Option<f64>,
    /// Conversations that the senders are spread over.
    #[arg(long, default_value_t = 64)]
    pub(crate) conversations: usize,
    /// Connections that the senders are spread over.
    #[arg(long, default_value_t = 64)]
    pub(crate) connections: usize,
    /// Streams that watch, spread over the conversations, and check what they get.
    #[arg(long, default_value_t = 0)]
    pub(crate) subscribers: usize,
    /// A message's text, in bytes.
    #[arg(long, default_value_t = 100)]
    pub(crate) size: usize,
}

#[derive(Clone, Debug, Args, Serialize)]
pub(crate) struct FanoutArguments {
    #[command(flatten)]
    #[serde(skip)]
    pub(crate) common: Common,
    /// Streams, each of which watches one conversation.
    #[arg(long, default_value_t = 1000)]
    pub(crate) streams: usize,
    /// Streams on one connection. A device has a connection of its own.
    #[arg(long, default_value_t = 1)]
    pub(crate) streams_per_connection: usize,
    /// Conversations that the streams are spread over.
    #[arg(long, default_value_t = 1)]
    pub(crate) conversations: usize,
    /// Messages sent to each conversation at a time, by as many senders.
    #[arg(long, default_value_t = 1)]
    pub(crate) burst: usize,
    /// Bursts a second, by a schedule that waits for nobody; without it the next burst is sent
    /// when every stream has the last one.
    #[arg(long)]
    pub(crate) rate: Option<f64>,
    /// A message's text, in bytes.
    #[arg(long, default_value_t = 100)]
    pub(crate) size: usize,
    /// Streams acknowledge twice a second what they have got, as the reference client does.
    #[arg(long)]
    pub(crate) acks: bool,
}

#[derive(Clone, Debug, Args, Serialize)]
pub(crate) struct ReadArguments {
    #[command(flatten)]
    #[serde(skip)]
    pub(crate) common: Common,
    /// Messages that the conversation is filled with first.
    #[arg(long, default_value_t = 10_000)]
    pub(crate) messages: u64,
    /// Messages on a page.
    #[arg(long, default_value_t = 50)]
    pub(crate) page: i32,
    /// Readers, each of whom waits for its page.
    #[arg(long, default_value_t = 1)]
    pub(crate) in_flight: usize,
    /// All read the newest page instead of random ones.
    #[arg(long)]
    pub(crate) newest: bool,
    /// A message's text, in bytes.
    #[arg(long, default_value_t = 100)]
    pub(crate) size: usize,
}

#[derive(Clone, Debug, Args, Serialize)]
pub(crate) struct ResumeArguments {
    #[command(flatten)]
    #[serde(skip)]
    pub(crate) common: Common,
    /// Devices that come back.
    #[arg(long, default_value_t = 1000)]
    pub(crate) streams: usize,
    /// Conversations that the devices are spread over.
    #[arg(long, default_value_t = 1)]
    pub(crate) conversations: usize,
    /// Messages of each conversation that its devices have missed; at most 1,000, because more
    /// are a gap and not a replay.
    #[arg(long, default_value_t = 200)]
    pub(crate) missed: u64,
    /// A message's text, in bytes.
    #[arg(long, default_value_t = 100)]
    pub(crate) size: usize,
}

#[derive(Clone, Debug, Args, Serialize)]
pub(crate) struct IdleArguments {
    #[command(flatten)]
    #[serde(skip)]
    pub(crate) common: Common,
    /// Streams, each with a user of its own who watches one conversation.
    #[arg(long, default_value_t = 5000)]
    pub(crate) streams: usize,
    /// Streams on one connection.
    #[arg(long, default_value_t = 1)]
    pub(crate) streams_per_connection: usize,
    /// Participants of each of the conversations.
    #[arg(long, default_value_t = 50)]
    pub(crate) group: usize,
    /// Memory has settled when it does not change in so many seconds.
    #[arg(long, default_value_t = 3.0)]
    pub(crate) settle: f64,
}

#[derive(Clone, Debug, Args, Serialize)]
pub(crate) struct ConnectArguments {
    #[command(flatten)]
    #[serde(skip)]
    pub(crate) common: Common,
    /// Conversations of the user who connects.
    #[arg(long, default_value_t = 5000)]
    pub(crate) conversations: usize,
    /// How many times, one after the other, each on a new connection.
    #[arg(long, default_value_t = 20)]
    pub(crate) times: usize,
}
