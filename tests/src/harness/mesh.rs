//! A node inside the tests' own process: fast to start, but it cannot be killed
//! and knows no mutant.

use std::{net::SocketAddr, path::Path};

use confab::node::Node;
use confab_client::{Client, ClientOptions};
use confab_kit::config::{Config, Gateway};
use tempfile::TempDir;

use super::{Checked, Tokens, Violation};

/// A node in this process, on a folder of its own. It ends when it is dropped.
pub struct Mesh {
    node: Node,
    folder: TempDir,
}

impl Mesh {
    /// Starts one node.
    ///
    /// # Errors
    /// [`Violation::Unable`] when it does not start.
    pub async fn in_process() -> Checked<Self> {
        Self::in_process_with(|_| {}).await
    }

    /// Starts one node after a change of its configuration.
    ///
    /// # Errors
    /// [`Violation::Unable`] when it does not start.
    pub async fn in_process_with(change: impl FnOnce(&mut Config)) -> Checked<Self> {
        let folder = tempfile::tempdir().map_err(Violation::unable)?;
        let any = SocketAddr::from(([127, 0, 0, 1], 0));
        let mut config = Config {
            data_dir: folder.path().join("data"),
            listen: any,
            mesh_listen: any,
            ops_listen: any,
            gateway: Gateway { listen: any, ..Gateway::default() },
            ..Config::default()
        };
        change(&mut config);
        let node = Node::start(config).await.map_err(Violation::unable)?;
        Ok(Self { node, folder })
    }

    /// The public port's URI.
    pub fn uri(&self) -> String {
        format!("http://{}", self.node.addresses().public)
    }

    /// The node.
    pub fn node(&self) -> &Node {
        &self.node
    }

    /// Its folder.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Signs tokens that it accepts, and others.
    ///
    /// # Errors
    /// [`Violation::Unable`] when its key cannot be read.
    pub fn tokens(&self) -> Checked<Tokens> {
        Tokens::of(&self.folder.path().join("data"))
    }

    /// A client of a user.
    ///
    /// # Errors
    /// When the client cannot be made.
    pub async fn client(&self, tenant: &str, user: &str) -> Checked<Client> {
        let token = self.tokens()?.user(tenant, user);
        Ok(Client::connect(ClientOptions::new(self.uri()).token(token)).await?)
    }
}

impl Drop for Mesh {
    fn drop(&mut self) {
        self.node.lifecycle().stop();
    }
}
