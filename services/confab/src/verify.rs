//! `confab verify`: proves P2 and P5 over a data folder that nobody serves. It
//! reads every log from its first event, folds it from nothing, and compares
//! the rows and inboxes that the services keep with what the fold says. It
//! changes nothing.

mod inboxes;
mod log;

use std::path::PathBuf;

use confab_conversations::EmbeddedStore as Conversations;
use confab_messages::store::{LogKey, embedded::EmbeddedLogStore};
use confab_participants::EmbeddedStore as Members;
use confab_store::embedded::{Engine, Options};

use crate::{Failure, cli::ConfigArguments};
use inboxes::Inboxes;

/// Findings that are printed; the rest is counted.
const SHOWN: usize = 100;

/// The stores of a data folder.
struct Stores {
    logs: EmbeddedLogStore,
    conversations: Conversations,
    members: Members,
}

/// What was looked at, and what is wrong.
#[derive(Default)]
struct Report {
    logs: u64,
    events: u64,
    messages: u64,
    open: u64,
    findings: Vec<String>,
}

impl Report {
    fn find(&mut self, key: &LogKey, what: impl std::fmt::Display) {
        self.findings.push(format!("{}/{}: {what}", key.tenant, key.conversation));
    }
}

pub(crate) async fn run(arguments: ConfigArguments) -> Result<(), Failure> {
    let folder: PathBuf = arguments.load()?.data_dir;
    if !folder.is_dir() {
        return Err(format!("{} is not a folder", folder.display()).into());
    }
    let engine = Engine::open(&folder, Options::default())?;
    let stores = Stores {
        logs: EmbeddedLogStore::open(&engine)?,
        conversations: Conversations::open(&engine)?,
        members: Members::open(&engine)?,
    };
    let report = verify(&stores).await?;
    for finding in report.findings.iter().take(SHOWN) {
        println!("WRONG {finding}");
    }
    println!(
        "{} conversations, {} events, {} messages; {} events with effects that the next start \
         finishes; {} findings",
        report.logs,
        report.events,
        report.messages,
        report.open,
        report.findings.len()
    );
    if report.findings.is_empty() { Ok(()) } else { Err("the data folder is not sound".into()) }
}

async fn verify(stores: &Stores) -> Result<Report, Failure> {
    let mut report = Report::default();
    let mut inboxes = Inboxes::default();
    let mut after = None;
    while let Some(key) = stores.logs.next_log(after.as_ref())? {
        log::verify(stores, &key, &mut report, &mut inboxes).await?;
        after = Some(key);
    }
    inboxes.verify(stores, &mut report).await?;
    Ok(report)
}
