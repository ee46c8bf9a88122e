//! What Confab's numbers are compared with, doing the same work on the same
//! machine in the same run: the engine alone, writing the very rows that a
//! server wrote ([`engine`]), and a server that does nothing but write the same
//! bytes to as many streams ([`streams`]). [`ratios`] plays each pair in turns
//! and holds what comes out against the targets.
//!
//! Nothing here is ever part of serving: only the feature `bench-baselines` has
//! it, so that nobody runs a server without authentication by accident.

mod engine;
mod ratios;
mod rows;
mod stream_server;
mod streams;

use std::path::PathBuf;

use clap::{Args, Subcommand};
use serde::Serialize;

use super::{arguments::Common, screen::Screen};
use crate::Failure;

/// What `ratios` measures, each with its baseline or a target of its own.
const PARTS: [&str; 7] = ["send", "fanout", "burst", "idle", "read", "connect", "resume"];

#[derive(Debug, Subcommand)]
pub(crate) enum Baseline {
    /// The engine alone: the rows of a log, written again with so many in flight.
    Engine(EngineArguments),
    /// A server that only writes the same bytes to as many streams.
    Streams(StreamsArguments),
    /// Every figure with a target, against its baseline, in one run; prints a table.
    Ratios(RatiosArguments),
    /// The server that `streams` measures.
    #[command(hide = true)]
    StreamServer(StreamServerArguments),
}

#[derive(Clone, Debug, Args, Serialize)]
pub(crate) struct EngineArguments {
    #[command(flatten)]
    #[serde(skip)]
    pub(crate) common: Common,
    /// A data folder that nobody serves; its log's rows are written. Without it a server of its
    /// own is started and made to write some.
    #[arg(long)]
    pub(crate) rows_from: Option<PathBuf>,
    /// Rows under way at a time.
    #[arg(long, default_value_t = 64)]
    pub(crate) in_flight: usize,
    /// Rows that fjall writes with one fsync at most; without it, all that wait.
    #[arg(long)]
    pub(crate) group_rows: Option<usize>,
}

#[derive(Clone, Debug, Args, Serialize)]
pub(crate) struct StreamsArguments {
    #[command(flatten)]
    #[serde(skip)]
    pub(crate) common: Common,
    /// Streams.
    #[arg(long, default_value_t = 1000)]
    pub(crate) streams: usize,
    /// Streams on one connection.
    #[arg(long, default_value_t = 1)]
    pub(crate) streams_per_connection: usize,
    /// Events at a time.
    #[arg(long, default_value_t = 1)]
    pub(crate) burst: usize,
    /// A message's text, in bytes.
    #[arg(long, default_value_t = 100)]
    pub(crate) size: usize,
}

#[derive(Clone, Debug, Args)]
pub(crate) struct StreamServerArguments {
    /// Write the bound address to this file, as JSON, once ready.
    #[arg(long)]
    pub(crate) addresses: PathBuf,
}

#[derive(Clone, Debug, Args)]
pub(crate) struct RatiosArguments {
    /// Where data folders are made and removed again. Take the disk that matters.
    #[arg(long)]
    pub(crate) folder: Option<PathBuf>,
    /// Times that each pair is measured; the median of the ratios counts.
    #[arg(long, default_value_t = 5)]
    pub(crate) rounds: usize,
    /// How long each side is measured, in seconds.
    #[arg(long, default_value_t = 5.0)]
    pub(crate) seconds: f64,
    /// Only these.
    #[arg(long, value_delimiter = ',', value_parser = PARTS)]
    pub(crate) only: Vec<String>,
    /// Part of the full sizes, for a quick look: 0.01 reads from 10,000 messages, not a million.
    #[arg(long, default_value_t = 1.0)]
    pub(crate) scale: f64,
    /// Write the table to this file, as JSON.
    #[arg(long)]
    pub(crate) json: Option<PathBuf>,
}

/// See the module.
pub(super) async fn run(baseline: &Baseline) -> Result<(), Failure> {
    let screen = Screen::new();
    match baseline {
        Baseline::Engine(arguments) => engine::run(arguments, &screen).await,
        Baseline::Streams(arguments) => {
            let report = streams::run(arguments, &screen).await;
            screen.clear();
            super::tell(&arguments.common, &report?)
        }
        Baseline::Ratios(arguments) => ratios::run(arguments, &screen).await,
        Baseline::StreamServer(arguments) => stream_server::run(&arguments.addresses).await,
    }
}
