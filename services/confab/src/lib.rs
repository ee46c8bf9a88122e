//! The one binary: it links the services together and gives them a command line.
//!
//! [`node`] puts a node together; each other module is a command. Nothing here
//! decides anything about conversations.

mod allocator;
mod backup;
mod bench;
mod chat;
mod cli;
mod folder;
mod keys;
mod log_level;
mod mesh;
mod migrate;
mod neighbour;
pub mod node;
mod output;
mod participant_cache;
mod policies;
mod serve;
mod store;
mod token;
mod verify;

use std::process::ExitCode;

use clap::Parser as _;

use cli::{Cli, Command};

/// What a command ends with when it does not work.
type Failure = Box<dyn std::error::Error + Send + Sync>;

/// Runs the command that the arguments name.
pub fn main() -> ExitCode {
    match run(Cli::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            output::complain(&failure);
            ExitCode::FAILURE
        }
    }
}

fn run(cli: Cli) -> Result<(), Failure> {
    match cli.command {
        Command::Serve(arguments) => block_on(serve::run(arguments)),
        Command::Chat(arguments) => block_on(chat::run(arguments)),
        Command::Bench(arguments) => block_on(bench::run(arguments)),
        Command::Verify(arguments) => block_on(verify::run(arguments)),
        Command::Migrate(arguments) => block_on(migrate::run(arguments)),
        Command::Backup(arguments) => block_on(backup::run(arguments)),
        Command::Restore(arguments) => backup::restore(&arguments),
        Command::LogLevel(arguments) => block_on(log_level::run(arguments)),
        Command::ParticipantCache(arguments) => block_on(participant_cache::run(arguments)),
        Command::Token(arguments) => token::run(&arguments),
        Command::Config(arguments) => output::print(&arguments.load()?.to_toml()?),
        Command::Policies => policies::print(),
    }
}

fn block_on(future: impl Future<Output = Result<(), Failure>>) -> Result<(), Failure> {
    tokio::runtime::Builder::new_multi_thread().enable_all().build()?.block_on(future)
}
