//! Confab as a whole, in one process or in one for each role: what a test does with
//! it is the same. Between any two processes of a mesh stands a proxy of their own.

use std::{
    collections::BTreeMap,
    path::Path,
    sync::atomic::{AtomicUsize, Ordering},
    time::Duration,
};

use confab_client::{Client, ClientOptions};
use confab_kit::role::Role;
use futures_util::future::try_join_all;
use tempfile::TempDir;
use tokio::task::JoinSet;

use super::{
    Checked, Fault, Node, NodeOptions, Proxy, Tokens, Violation,
    backends::{self, CqlAddresses},
    eventually,
    node::Place,
    ops,
    process::migrate,
};

/// How long the processes of a mesh may take to find each other.
const MEETING: Duration = Duration::from_secs(30);

/// In how many processes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shape {
    /// All roles in one.
    Single,
    /// One for each role, each on a data folder of its own.
    Mesh,
    /// On one keyspace of the run's CQL server, and telling each other over the run's
    /// Redis: one for each role, and a second one for those that a team runs many of.
    /// Whoever asks for it looks first whether there are servers.
    Cluster,
    /// As [`Shape::Cluster`], but without Redis, with a second process of participants
    /// too, and parted: what comes in at one of [`Deployment::entries`] is decided by
    /// another process than what comes in at the other, and they meet nowhere but in the
    /// store.
    Halves,
}

const CLUSTER: [Role; 6] = [
    Role::Messages,
    Role::Messages,
    Role::Conversations,
    Role::Participants,
    Role::Realtime,
    Role::Realtime,
];

const HALVES: [Role; 7] = [
    Role::Messages,
    Role::Messages,
    Role::Conversations,
    Role::Participants,
    Role::Participants,
    Role::Realtime,
    Role::Realtime,
];
/// On the way in, each of which has two processes.
const ON_THE_WAY: [(Role, Role); 3] = [
    (Role::Realtime, Role::Participants),
    (Role::Realtime, Role::Messages),
    (Role::Participants, Role::Messages),
];

/// A deployment that runs. Clients go to its processes by turns: each is an entry to
/// all of it.
pub struct Deployment {
    nodes: Vec<(Role, Node)>,
    /// By the places of both in `nodes`.
    links: BTreeMap<(usize, usize), Proxy>,
    /// In front of the nodes' public ports: addresses that outlive restarts.
    doors: Vec<Proxy>,
    keys: TempDir,
    turn: AtomicUsize,
}

impl Deployment {
    /// Starts it and waits until everything is ready.
    ///
    /// # Errors
    /// [`Violation::Unable`] when it does not start.
    pub async fn start(shape: Shape, options: NodeOptions) -> Checked<Self> {
        match shape {
            Shape::Single => Self::single(options).await,
            Shape::Mesh => Self::mesh(options, &Role::ALL).await,
            Shape::Cluster => {
                let options = on_the_runs_redis(on_the_runs_server(options).await?).await?;
                Self::mesh(options, &CLUSTER).await
            }
            Shape::Halves => {
                let halves = Self::mesh(on_the_runs_server(options).await?, &HALVES).await?;
                halves.part();
                Ok(halves)
            }
        }
    }

    /// A [`Shape::Cluster`] on CQL servers of the test's own, to do to them as it likes:
    /// its tables are made first, once, as operators do it.
    ///
    /// # Errors
    /// [`Violation::Unable`] when it does not start.
    pub async fn cluster_on(server: &CqlAddresses, options: NodeOptions) -> Checked<Self> {
        let options = on_the_runs_redis(on_cql(server, options)).await?;
        migrate(&options).await?;
        Self::mesh(options.env("CONFAB_STORE__CQL__MIGRATE", "false"), &CLUSTER).await
    }

    async fn single(options: NodeOptions) -> Checked<Self> {
        let keys = tempfile::tempdir().map_err(Violation::unable)?;
        let node = Node::start(options.keys_dir(keys.path())).await?;
        Self::of_nodes(vec![(Role::Messages, node)], BTreeMap::new(), keys).await
    }

    async fn of_nodes(
        nodes: Vec<(Role, Node)>,
        links: BTreeMap<(usize, usize), Proxy>,
        keys: TempDir,
    ) -> Checked<Self> {
        let mut doors = Vec::new();
        for (_, node) in &nodes {
            doors.push(node.proxy().await?);
        }
        Ok(Self { nodes, links, doors, keys, turn: AtomicUsize::new(0) })
    }

    async fn mesh(options: NodeOptions, roles: &[Role]) -> Checked<Self> {
        let keys = tempfile::tempdir().map_err(Violation::unable)?;
        let places: Vec<Place> = roles.iter().map(|_| Place::default()).collect();
        let mut links = BTreeMap::new();
        let mut starting: JoinSet<Checked<(usize, Node)>> = JoinSet::new();
        for (own, role) in roles.iter().enumerate() {
            // Of processes that start together, some miss the others for a moment.
            let mut options = options.clone().keys_dir(keys.path()).allow("dependency is lost");
            options = options.env("CONFAB_ROLES", &format!("[{role}]"));
            for asked in Role::ALL {
                let mut uris = Vec::new();
                for other in peers(roles, own, asked) {
                    let link = Proxy::start(places[other].clone()).await?;
                    uris.push(format!("\"{}\"", link.uri()));
                    links.insert((own, other), link);
                }
                let name = format!("CONFAB_MESH__PEERS__{}", asked.name().to_uppercase());
                options = options.env(&name, &format!("[{}]", uris.join(",")));
            }
            let place = places[own].clone();
            starting.spawn(async move {
                Ok((own, Node::start_at(options, place, async |_| Ok(())).await?))
            });
        }
        let mut nodes = BTreeMap::new();
        while let Some(started) = starting.join_next().await {
            nodes.extend([started.map_err(Violation::unable)??]);
        }
        let nodes = nodes.into_iter().map(|(own, node)| (roles[own], node)).collect();
        let mesh = Self::of_nodes(nodes, links, keys).await?;
        mesh.meet().await?;
        Ok(mesh)
    }

    /// Waits until every process has found the others.
    ///
    /// # Errors
    /// [`Violation::Broken`] when they do not.
    pub async fn meet(&self) -> Checked {
        for (role, node) in &self.nodes {
            let what = format!("{role} finds the others");
            eventually(MEETING, &what, || async move {
                // Not there yet, after a restart.
                let report = ops::get(node.ops(), "/readyz").await.unwrap_or_default();
                Ok(report.contains("\"status\":\"healthy\",\"checks\"").then_some(()))
            })
            .await?;
        }
        Ok(())
    }

    /// The process of a role.
    ///
    /// # Panics
    /// Never: every role is somewhere.
    pub fn of(&self, role: Role) -> &Node {
        let own = self.nodes.iter().find(|(served, _)| *served == role);
        &own.or(self.nodes.first()).expect("a deployment has a process").1
    }

    /// As [`Deployment::of`].
    ///
    /// # Panics
    /// Never: every role is somewhere.
    pub fn of_mut(&mut self, role: Role) -> &mut Node {
        let place = self.nodes.iter().position(|(served, _)| *served == role).unwrap_or(0);
        &mut self.nodes.get_mut(place).expect("a deployment has a process").1
    }

    /// All processes of a role.
    pub fn all_of(&self, role: Role) -> impl Iterator<Item = &Node> {
        self.nodes.iter().filter(move |(served, _)| *served == role).map(|(_, node)| node)
    }

    /// As [`Deployment::all_of`].
    pub fn all_of_mut(&mut self, role: Role) -> impl Iterator<Item = &mut Node> {
        self.nodes.iter_mut().filter(move |(served, _)| *served == role).map(|(_, node)| node)
    }

    /// All processes.
    pub fn nodes(&self) -> impl Iterator<Item = &Node> {
        self.nodes.iter().map(|(_, node)| node)
    }

    /// All processes.
    pub fn nodes_mut(&mut self) -> impl Iterator<Item = &mut Node> {
        self.nodes.iter_mut().map(|(_, node)| node)
    }

    /// The folder of the keys that all processes share.
    pub fn keys(&self) -> &Path {
        self.keys.path()
    }

    /// How many processes there are.
    pub fn size(&self) -> usize {
        self.nodes.len()
    }

    /// The proxy between two processes, on the way from the first to the second.
    pub fn link(&self, from: Role, to: Role) -> Option<&Proxy> {
        let mut links = self.links.iter();
        let roles = |(a, b): &(usize, usize)| (self.nodes[*a].0, self.nodes[*b].0);
        links.find(|(places, _)| roles(places) == (from, to)).map(|(_, link)| link)
    }

    /// The proxies on the ways to the processes of a role; to all, without one.
    pub fn links(&self, to: Option<Role>) -> impl Iterator<Item = &Proxy> {
        let role = |place: &(usize, usize)| self.nodes[place.1].0;
        let links = self.links.iter();
        links.filter(move |(place, _)| to.is_none_or(|to| role(place) == to)).map(|(_, link)| link)
    }

    /// Cuts the ways from each half to the other one.
    fn part(&self) {
        for (from, to) in ON_THE_WAY {
            for (number, own) in self.places(from).enumerate() {
                for (_, other) in self.places(to).enumerate().filter(|(half, _)| *half != number) {
                    if let Some(link) = self.links.get(&(own, other)) {
                        link.plan(|_| Fault { up: Some(0), down: Some(0), stall: false });
                        link.cut_all();
                    }
                }
            }
        }
    }

    fn places(&self, role: Role) -> impl Iterator<Item = usize> {
        let nodes = self.nodes.iter().enumerate();
        nodes.filter(move |(_, (served, _))| *served == role).map(|(place, _)| place)
    }

    /// The processes of realtime: the ways into both [`Shape::Halves`].
    pub fn entries(&self) -> Vec<&Node> {
        self.all_of(Role::Realtime).collect()
    }

    /// Kills a process and starts it again; which, is up to the number.
    ///
    /// # Errors
    /// [`Violation::Unable`] when it does not start.
    pub async fn kill_one(&mut self, number: usize) -> Checked {
        let place = number % self.nodes.len();
        let (_, node) = &mut self.nodes[place];
        node.kill9();
        node.restart().await
    }

    /// Kills every process, and then starts them all again.
    ///
    /// # Errors
    /// [`Violation::Unable`] when one does not start.
    pub async fn kill_all(&mut self) -> Checked {
        self.nodes_mut().for_each(Node::kill9);
        try_join_all(self.nodes_mut().map(Node::restart)).await?;
        self.meet().await
    }

    /// Breaks a promise on purpose from the next start on, and starts everything again.
    ///
    /// # Errors
    /// [`Violation::Unable`] when it does not start.
    pub async fn mutate(&mut self, mutant: Option<&str>) -> Checked {
        self.nodes_mut().for_each(|node| node.mutate(mutant));
        self.kill_all().await
    }

    /// An address that leads to one of [`Deployment::entries`] after the other: whoever
    /// comes back comes to another process than the one it left.
    ///
    /// # Errors
    /// [`Violation::Unable`] when none is to be had.
    pub async fn balancer(&self) -> Checked<Proxy> {
        Proxy::balance(self.entries().into_iter().map(Node::place).collect()).await
    }

    /// The next entry.
    pub fn entry(&self) -> &Node {
        let turn = self.turn.fetch_add(1, Ordering::Relaxed);
        &self.nodes[turn % self.nodes.len()].1
    }

    /// Signs tokens that it accepts, and others.
    ///
    /// # Errors
    /// [`Violation::Unable`] when its key cannot be read.
    pub fn tokens(&self) -> Checked<Tokens> {
        self.of(Role::Messages).tokens()
    }

    /// A client of a user, at the next entry.
    ///
    /// # Errors
    /// When the client cannot be made.
    pub async fn client(&self, tenant: &str, user: &str) -> Checked<Client> {
        self.entry().client(tenant, user).await
    }

    /// As [`Deployment::client`], over a connection that comes back after a restart.
    ///
    /// # Errors
    /// When the client cannot be made.
    pub async fn lasting_client(&self, tenant: &str, user: &str) -> Checked<Client> {
        let turn = self.turn.fetch_add(1, Ordering::Relaxed);
        let door = &self.doors[turn % self.doors.len()];
        let token = self.tokens()?.user(tenant, user);
        Ok(Client::connect(ClientOptions::new(door.uri()).token(token)).await?)
    }

    /// Finds out whether anything has logged so far what the test did not expect: before
    /// it is mutated, for nobody looks afterwards.
    ///
    /// # Errors
    /// [`Violation::Broken`] with the lines.
    pub fn is_quiet(&self) -> Checked {
        self.nodes().try_for_each(Node::is_quiet)
    }

    /// Ends it, and finds out whether anything logged what the test did not expect.
    ///
    /// # Errors
    /// [`Violation::Broken`] with the lines.
    pub fn finish(self) -> Checked {
        // Together, lest one complains that another has gone.
        let mut nodes = self.nodes;
        for (_, node) in &mut nodes {
            node.kill9();
        }
        nodes.into_iter().try_for_each(|(_, node)| node.finish())
    }
}

/// The processes of a role that one at this place is told of: all, itself among them
/// where there are several, for all of them to agree on whose a conversation is.
fn peers(roles: &[Role], own: usize, asked: Role) -> impl Iterator<Item = usize> {
    let several = roles.iter().filter(|role| **role == asked).count() > 1;
    let serve = roles.iter().enumerate().filter(move |(_, role)| **role == asked);
    serve.map(|(place, _)| place).filter(move |place| several || *place != own)
}

async fn on_the_runs_server(options: NodeOptions) -> Checked<NodeOptions> {
    let server = backends::cql().await.map_err(Violation::unable)?;
    // The whole suite runs beside it.
    Ok(on_cql(&server, options).env("CONFAB_STORE__CQL__REQUEST_TIMEOUT_MS", "20000"))
}

/// The same, telling each other over the run's Redis, below a prefix of its own.
async fn on_the_runs_redis(options: NodeOptions) -> Checked<NodeOptions> {
    let address = backends::redis().await.map_err(Violation::unable)?;
    let prefix = format!("confab_cluster_{:016x}", rand::random::<u64>());
    // A process that gets no time for seconds loses it: the whole suite runs beside it.
    let complaints = ["redis is lost", "budgets are not shared", "rooms are not shared"];
    let options = complaints.into_iter().fold(options, NodeOptions::allow);
    Ok(options
        .env("CONFAB_REDIS__URL", &format!("redis://{address}"))
        .env("CONFAB_REDIS__PREFIX", &prefix))
}

/// The same, with a keyspace of its own as the store.
fn on_cql(server: &CqlAddresses, options: NodeOptions) -> NodeOptions {
    let keyspace = format!("confab_cluster_{:016x}", rand::random::<u64>());
    options
        // The driver, where others make tables while it asks for them.
        .allow("Initial metadata read failed")
        // All of them note the same keys at once, in a server that has just made tables.
        .allow("whether a key was noted is not known")
        .env("CONFAB_STORE__KIND", "cql")
        .env("CONFAB_STORE__CQL__CONTACT_POINTS", &format!("[{}]", server.0.join(",")))
        .env("CONFAB_STORE__CQL__KEYSPACE", &keyspace)
        // Small, for many of them to fill up.
        .env("CONFAB_STORE__CQL__PARTITION_ROWS", "32")
}
