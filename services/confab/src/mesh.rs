//! Where each role is: in this process, in others, or both. Whoever calls a role
//! asks here for the way, and does not learn which it is.

use std::{
    collections::{BTreeMap, BTreeSet},
    future::ready,
    time::Duration,
};

use confab_kit::{
    channel::Channel,
    config::{Config, fingerprint},
    health::{Health, Importance},
    identity::Credential,
    layers::Elsewhere,
    mesh_tls::MeshTls,
    peers::{Ear, Greeting, Peers, PeersOptions},
    role::Role,
};

use crate::keys::Keys;

/// See the module.
pub(crate) struct Mesh {
    greeting: Greeting,
    served: BTreeSet<Role>,
    /// This process's mesh port, in process.
    own: Channel,
    peers: BTreeMap<Role, Peers>,
}

/// What it is made of.
pub(crate) struct MeshOptions<'a> {
    pub(crate) config: &'a Config,
    pub(crate) keys: &'a Keys,
    pub(crate) second_page_key: Option<[u8; 32]>,
    pub(crate) store_id: String,
    pub(crate) credential: &'a Credential,
    /// What connections between processes are inside of.
    pub(crate) tls: Option<MeshTls>,
    /// This process's mesh port, in process, with the credential.
    pub(crate) own: Channel,
    /// Hears what happens in other processes.
    pub(crate) ear: Ear,
}

impl Mesh {
    /// Begins to connect to the configured peers.
    pub(crate) fn new(options: MeshOptions<'_>) -> Self {
        let MeshOptions { config, keys, second_page_key, store_id, credential, tls, own, ear } =
            options;
        let served = config.roles();
        let page_token_keys = [Some(keys.page_token), second_page_key];
        let greeting = Greeting::new(
            served.clone(),
            fingerprint(&keys.digest),
            page_token_keys.iter().flatten().map(fingerprint).collect(),
            store_id,
        );
        let mesh = &config.mesh;
        let listed = mesh.peers.iter().filter(|(_, uris)| !uris.is_empty());
        let peers = listed.map(|(role, uris)| {
            let options = PeersOptions {
                role: *role,
                uris: uris.clone(),
                credential: credential.clone(),
                tls: tls.clone(),
                greeting: greeting.clone(),
                own: served.contains(role).then(|| own.clone()),
                ear: Some(ear.clone()),
                resolve_every: Duration::from_secs(mesh.resolve_seconds),
                breaker_failures: mesh.breaker_failures,
                breaker_open: Duration::from_secs(mesh.breaker_open_seconds),
            };
            (*role, Peers::new(options))
        });
        let peers = peers.collect();
        Self { greeting, served, own, peers }
    }

    /// The way to a role, with the mesh credential.
    pub(crate) fn to(&self, role: Role) -> Channel {
        self.asked(role).map_or_else(|| self.own.clone(), Peers::channel)
    }

    /// The peers that a role's calls go to; `None` where this process answers them.
    /// A role that is here needs no peers, but for the one whose calls are better off
    /// at the peer that is warm for their conversation.
    fn asked(&self, role: Role) -> Option<&Peers> {
        self.peers.get(&role).filter(|_| !self.serves(role) || role == Role::Messages)
    }

    /// Whether this process serves the role.
    pub(crate) fn serves(&self, role: Role) -> bool {
        self.served.contains(&role)
    }

    /// What this process says of itself.
    pub(crate) fn greeting(&self) -> &Greeting {
        &self.greeting
    }

    /// What the public port passes on.
    pub(crate) fn elsewhere(&self) -> Elsewhere {
        let ways = Role::ALL
            .into_iter()
            .filter_map(|role| self.asked(role).map(|peers| (role, peers.channel())));
        Elsewhere::new(ways.collect())
    }

    /// Resolves when every role can be asked, for the first time after the start.
    pub(crate) fn met(&self) -> impl Future<Output = ()> + Send + use<> {
        let asked = Role::ALL.into_iter().filter_map(|role| self.asked(role));
        let peers: Vec<Peers> = asked.cloned().collect();
        async move {
            for peers in peers {
                peers.met().await;
            }
        }
    }

    /// A process whose peers are away is degraded; one that does not fit to them
    /// must not serve.
    pub(crate) fn add_probes(&self, health: &Health) {
        for (role, peers) in &self.peers {
            let (reachable, fitting) = (peers.clone(), peers.clone());
            let (name, keys_name) = match role {
                Role::Messages => ("messages", "messages_fits"),
                Role::Conversations => ("conversations", "conversations_fits"),
                Role::Participants => ("participants", "participants_fits"),
                Role::Realtime => ("realtime", "realtime_fits"),
                // The configuration refuses it.
                Role::Gateway => continue,
            };
            health.add_probe(name, Importance::Optional, move || ready(reachable.reachable()));
            health.add_probe(keys_name, Importance::Required, move || ready(fitting.fitting()));
        }
    }
}
