//! Apache Cassandra from its Maven artifacts, with a configuration that keeps what
//! it acknowledged. One node or several, each on a loopback address of its own.

use std::{
    ffi::OsString,
    fs,
    net::{Ipv4Addr, SocketAddr},
    path::Path,
};

use super::{
    CqlAddresses, Unavailable, fetch,
    server::{Server, free_port, new_folder, sources},
};

/// A cluster of its own.
#[derive(Debug)]
pub struct Cassandra {
    nodes: Vec<Server>,
}

/// What the nodes of one cluster share: ports, the address of the first, and whether
/// what was changed in tables' definitions is still there after a kill.
#[derive(Clone, Copy)]
struct Shared {
    native: u16,
    storage: u16,
    first: Ipv4Addr,
    outlives_kills: bool,
    /// How long a node waits for the others before it starts, or gives up, in ms.
    ring_delay: u32,
}

impl Cassandra {
    /// Starts so many nodes, one after the other, and waits until they can be used:
    /// about 20 s each. Two clusters of two machines' tests never meet.
    ///
    /// # Errors
    /// Why it cannot be had.
    pub fn start(nodes: u8) -> Result<Self, Unavailable> {
        Self::start_with(nodes, false)
    }

    /// The same for tests that kill nodes: tables outlive it, and take longer to make.
    ///
    /// # Errors
    /// Why it cannot be had.
    pub fn start_to_be_killed(nodes: u8) -> Result<Self, Unavailable> {
        Self::start_with(nodes, true)
    }

    fn start_with(nodes: u8, outlives_kills: bool) -> Result<Self, Unavailable> {
        let libraries = fetch::cassandra()?;
        let java = fetch::java_17()?;
        // All of 127.0.0.0/8 is loopback: a random network of it for each cluster.
        let [a, b]: [u8; 2] = rand::random();
        let address = |node: u8| Ipv4Addr::new(127, a, b, node);
        let first = address(1);
        let (native, storage) = (free_port(first)?, free_port(first)?);
        let ring_delay = if nodes == 1 { 1 } else { 20_000 };
        let shared = Shared { native, storage, first, outlives_kills, ring_delay };
        let mut cluster = Self { nodes: Vec::new() };
        for node in 1..=nodes {
            let mut server = prepare(&java, &libraries, address(node), shared)?;
            server.start()?;
            cluster.nodes.push(server);
        }
        Ok(cluster)
    }

    /// Where its nodes listen.
    pub fn addresses(&self) -> CqlAddresses {
        CqlAddresses(self.nodes.iter().map(|node| node.address().to_string()).collect())
    }

    /// A node's process, counted from 0, to kill, pause and start again.
    pub fn node(&mut self, index: usize) -> &mut Server {
        &mut self.nodes[index]
    }
}

/// A node's folder, configuration and command.
fn prepare(
    java: &Path,
    libraries: &Path,
    address: Ipv4Addr,
    shared: Shared,
) -> Result<Server, Unavailable> {
    let folder = new_folder("cassandra")?;
    let source = sources().join("cassandra");
    let written = (|| {
        let yaml = fs::read_to_string(source.join("cassandra.yaml"))?
            .replace("{folder}", &folder.display().to_string())
            .replace("{address}", &address.to_string())
            .replace("{port}", &shared.native.to_string())
            .replace("{storage_port}", &shared.storage.to_string())
            .replace("{seed}", &shared.first.to_string());
        fs::write(folder.join("cassandra.yaml"), yaml)?;
        fs::copy(source.join("logback.xml"), folder.join("logback.xml"))
    })();
    written.map_err(|error| format!("Cassandra's configuration: {error}"))?;
    let argument = |name: &str, value: &Path| {
        let mut argument = OsString::from(name);
        argument.push(value);
        argument
    };
    let mut class_path = OsString::from(&folder);
    class_path.push(":");
    class_path.push(libraries.join("*"));
    let command = vec![
        java.into(),
        argument("@", &source.join("java.options")),
        // The later one counts.
        format!("-Dcassandra.ring_delay_ms={}", shared.ring_delay).into(),
        format!("-Dcassandra.test.flush_local_schema_changes={}", shared.outlives_kills).into(),
        argument("-javaagent:", &libraries.join("jamm-0.4.0.jar")),
        argument("-Dcassandra.config=file://", &folder.join("cassandra.yaml")),
        argument("-Dcassandra.storagedir=", &folder),
        argument("-XX:ErrorFile=", &folder.join("hs_err")),
        "-cp".into(),
        class_path,
        "org.apache.cassandra.service.CassandraDaemon".into(),
    ];
    Ok(Server::new(folder, command, SocketAddr::from((address, shared.native))))
}
