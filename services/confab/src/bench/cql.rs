//! `confab bench cql`: Confab on a CQL server, beside the same work done by the
//! driver alone, in turns (A B A B …). It starts the processes of Confab itself, on
//! a keyspace of its own that stays on the server: [`cluster`]. What the driver does
//! is in [`bound`], what is compared in [`parts`].

mod bound;
mod cluster;
mod parts;

use std::{fs, path::PathBuf};

use clap::Args;

use super::{
    report::Machine,
    screen::Screen,
    targets::{Row, Target, markdown},
};
use crate::Failure;

/// What is measured.
const PARTS: [&str; 4] = ["hot", "spread", "page", "stream"];

#[derive(Clone, Debug, Args)]
pub(crate) struct CqlArguments {
    /// Where the CQL server is, HOST:PORT. A keyspace `confab_bench_…` is made there, and stays.
    #[arg(long, value_name = "HOST:PORT")]
    cql: String,
    /// Only these.
    #[arg(long, value_delimiter = ',', value_parser = PARTS)]
    only: Vec<String>,
    /// Times that each pair is measured; the median of the ratios counts.
    #[arg(long, default_value_t = 5)]
    rounds: usize,
    /// How long each side is measured, in seconds.
    #[arg(long, default_value_t = 5.0)]
    seconds: f64,
    /// Conversations of `spread`, each with one sender.
    #[arg(long, default_value_t = 1000)]
    conversations: usize,
    /// Messages of the conversation that `page` reads.
    #[arg(long, default_value_t = 10_000)]
    messages: u64,
    /// Where data folders are made and removed again: they hold keys only.
    #[arg(long)]
    folder: Option<PathBuf>,
    /// Write the table to this file, as JSON.
    #[arg(long)]
    json: Option<PathBuf>,
}

impl CqlArguments {
    fn wants(&self, part: &str) -> bool {
        self.only.is_empty() || self.only.iter().any(|only| only == part)
    }

    /// What one part measured in each round, as a row of the table.
    fn row(
        &self,
        part: &str,
        what: &str,
        target: Target,
        unit: &'static str,
        values: Vec<f64>,
    ) -> Row {
        let command = format!("confab bench cql --cql {} --only {part}", self.cql);
        Row::new(what.to_owned(), target, unit, values, command)
    }
}

/// See the module.
pub(super) async fn run(arguments: &CqlArguments) -> Result<(), Failure> {
    let screen = Screen::new();
    let rows = Box::pin(parts::play(arguments, &screen)).await;
    screen.clear();
    let rows = rows?;
    println!("{}\n{}", Machine::now(), markdown(&rows));
    if let Some(file) = &arguments.json {
        fs::write(file, serde_json::to_string_pretty(&rows)? + "\n")?;
    }
    Ok(())
}
