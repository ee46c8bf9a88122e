//! `confab migrate`: makes what is missing in the keyspace, and says what was.

use std::fmt::Write as _;

use confab_kit::config::StoreKind;

use crate::{Failure, cli::ConfigArguments, output, store};

pub(crate) async fn run(arguments: ConfigArguments) -> Result<(), Failure> {
    let config = arguments.load()?;
    if config.store.kind != StoreKind::Cql {
        return Err("store.kind is not cql: an embedded store needs no migrations".into());
    }
    let made = store::migrate(&config).await?;
    let mut text = String::new();
    for (service, made) in made {
        let _infallible = writeln!(text, "{service}: {made} migrations made");
    }
    output::print(&text)
}
