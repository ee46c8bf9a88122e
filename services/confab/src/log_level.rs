//! `confab log-level`: asks the node that serves a data folder to write more, or
//! less, into its log.

use confab_proto::operations::v1::SetLogFilterRequest;

use crate::{Failure, backup::told, cli::LogLevelArguments, neighbour, output};

pub(crate) async fn run(arguments: LogLevelArguments) -> Result<(), Failure> {
    let config = arguments.config.load()?;
    let filter = arguments.filter;
    let mut node = neighbour::operations(&config)?;
    let changed = node.set_log_filter(SetLogFilterRequest { filter: filter.clone() }).await;
    let before = changed.map_err(told)?.into_inner().previous_filter;
    output::print(&format!("{filter} (was {before})\n"))
}
