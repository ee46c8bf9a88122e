//! Where a scenario is played: on a node of its own in the test's own process, or on what
//! runs already, which other scenarios share (`cluster` says how). There each has tenants
//! of its own, and each of its clients comes in by the next process.

use std::{
    env,
    path::PathBuf,
    sync::atomic::{AtomicUsize, Ordering},
};

use confab_client::{Client, ClientOptions};
use confab_kit::{config::Config, identity::Claims};
use confab_tests::harness::{Checked, Mesh, Tokens};

/// Addresses of all processes, with commas between them.
pub(super) const ENTRIES: &str = "CONFAB_TEST_ENTRIES";
/// The folder of their keys.
pub(super) const KEYS: &str = "CONFAB_TEST_KEYS";

pub(super) enum Stage {
    /// It ends when this is dropped.
    Own(Mesh),
    Shared {
        entries: Vec<String>,
        turn: AtomicUsize,
        tokens: Tokens,
        scenario: u64,
    },
}

impl Stage {
    /// The one that is given, or one of its own with this change of its configuration.
    pub(super) async fn find(change: impl FnOnce(&mut Config)) -> Checked<Self> {
        let (Ok(entries), Some(keys)) = (env::var(ENTRIES), env::var_os(KEYS)) else {
            return Ok(Self::Own(Mesh::in_process_with(change).await?));
        };
        let entries = entries.split(',').map(str::to_owned).collect();
        let tokens = Tokens::of(&PathBuf::from(keys))?;
        Ok(Self::Shared { entries, turn: AtomicUsize::new(0), tokens, scenario: rand::random() })
    }

    pub(super) async fn client(&self, tenant: &str, user: &str) -> Checked<Client> {
        self.with_claims(&Claims::user(&self.tenant(tenant), user)).await
    }

    pub(super) async fn application(&self, tenant: &str, name: &str) -> Checked<Client> {
        self.with_claims(&Claims::application(&self.tenant(tenant), name)).await
    }

    pub(super) async fn admin(&self, tenant: &str, name: &str) -> Checked<Client> {
        self.with_claims(&Claims::tenant_admin(&self.tenant(tenant), name)).await
    }

    /// What a tenant of the scenario is called here.
    fn tenant(&self, name: &str) -> String {
        match self {
            Self::Own(_) => name.to_owned(),
            Self::Shared { scenario, .. } => format!("{name}-{scenario:016x}"),
        }
    }

    async fn with_claims(&self, claims: &Claims) -> Checked<Client> {
        let (uri, token) = match self {
            Self::Own(mesh) => (mesh.uri(), mesh.tokens()?.sign(claims)),
            Self::Shared { entries, turn, tokens, .. } => {
                let turn = turn.fetch_add(1, Ordering::Relaxed);
                (entries[turn % entries.len()].clone(), tokens.sign(claims))
            }
        };
        Ok(Client::connect(ClientOptions::new(uri).token(token)).await?)
    }
}
