//! Redis: the one of the path, or the Debian packages, unpacked where cargo builds.

use std::{
    ffi::OsString,
    net::{Ipv4Addr, SocketAddr},
};

use super::{
    Unavailable, fetch,
    server::{Server, free_port, new_folder},
};

/// A Redis of its own: nothing in it is kept over a restart.
#[derive(Debug)]
pub struct Redis(Server);

impl Redis {
    /// Starts one and waits until it answers.
    ///
    /// # Errors
    /// Why it cannot be had.
    pub fn start() -> Result<Self, Unavailable> {
        let mut command = fetch::redis_server()?;
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, free_port(Ipv4Addr::LOCALHOST)?));
        let folder = new_folder("redis")?;
        let (ip, port) = (address.ip().to_string(), address.port().to_string());
        let arguments = ["--bind", &ip, "--port", &port, "--save", "", "--appendonly", "no"];
        command.extend(arguments.iter().map(OsString::from));
        command.extend([OsString::from("--dir"), folder.clone().into()]);
        let mut server = Server::new(folder, command, address);
        server.start()?;
        Ok(Self(server))
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.0.address()
    }

    /// The process, to kill, pause and start again.
    pub fn server(&mut self) -> &mut Server {
        &mut self.0
    }
}
