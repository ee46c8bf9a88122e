//! `confab verify`: proves P2 and P5 over a data folder that nobody serves. It
//! reads every log from its first event, folds it from nothing, and compares
//! the rows and inboxes that the services keep with what the fold says. It
//! changes no row and no key, and never makes a data folder of one that is none;
//! what opening a folder does to its files says `Engine::open_existing`.

mod inboxes;
mod log;

use confab_conversations::EmbeddedStore as Conversations;
use confab_kit::{config::StoreKind, role::Role};
use confab_messages::store::{LogKey, embedded::EmbeddedLogStore};
use confab_participants::EmbeddedStore as Members;
use confab_store::{
    backup,
    embedded::{Engine, Options},
};

use crate::{Failure, cli::ConfigArguments, folder, keys, output, store::Embedded};
use inboxes::Inboxes;

/// Findings that are printed; the rest is counted.
const SHOWN: usize = 100;

/// The roles whose rows are compared.
const COMPARED: [Role; 3] = [Role::Messages, Role::Conversations, Role::Participants];

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

impl std::fmt::Display for Report {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for finding in self.findings.iter().take(SHOWN) {
            writeln!(f, "WRONG {finding}")?;
        }
        writeln!(
            f,
            "{} conversations, {} events, {} messages; {} events with effects that the next start \
             finishes; {} findings",
            self.logs,
            self.events,
            self.messages,
            self.open,
            self.findings.len()
        )
    }
}

pub(crate) async fn run(arguments: ConfigArguments) -> Result<(), Failure> {
    let config = arguments.load()?;
    if config.store.kind != StoreKind::Embedded {
        return Err("store.kind is not embedded: only data folders can be verified".into());
    }
    if backup::is_backup(&config.data_dir) {
        let manifest = backup::check(&config.data_dir)?;
        return output::print(&format!(
            "a backup by confab {}: {} rows, {} files, {} bytes, all as they were written; its \
             logs can be verified once it is restored\n",
            manifest.confab,
            manifest.rows,
            manifest.files(),
            manifest.bytes()
        ));
    }
    let engine = Engine::open_existing(&config.data_dir, Options::default())?;
    let held = folder::roles(&engine)?;
    if let Some(lost) = COMPARED.into_iter().find(|role| !held.contains(role)) {
        return Err(format!(
            "this data folder is the store of {} only; logs are compared with rows of {lost}, too, \
             and those are elsewhere",
            folder::listed(&held)
        )
        .into());
    }
    let stores = Stores {
        logs: EmbeddedLogStore::open(&engine)?,
        conversations: Conversations::open(&engine)?,
        members: Members::open(&engine)?,
    };
    let mut report = verify(&stores).await?;
    let keys = keys::check(&config, &Embedded(engine)).await?;
    report.findings.extend(keys.iter().map(ToString::to_string));
    output::print(&report.to_string())?;
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
