//! The node that serves a data folder, as commands about that folder find it:
//! by a file that the node leaves there, and with the folder's mesh credential.

use std::{
    fs,
    io::Write as _,
    net::{Ipv4Addr, Ipv6Addr, SocketAddr},
    os::unix::fs::OpenOptionsExt as _,
    path::Path,
};

use confab_kit::{channel::Channel, config::Config, peers::direct, server::Addresses};
use confab_proto::operations::v1::operations_service_client::OperationsServiceClient;
use confab_store::embedded::{self, ADDRESSES_FILE};
use serde::{Deserialize, Serialize};

use crate::Failure;

/// What a node leaves in its folder. It stays there when the node ends, so it
/// says whose it is.
#[derive(Serialize, Deserialize)]
struct Announced {
    pid: u32,
    addresses: Addresses,
}

/// Says in the data folder where the node listens. Written aside and renamed:
/// whoever sees the file sees all of it.
pub(crate) fn announce(data_dir: &Path, addresses: Addresses) -> std::io::Result<()> {
    let aside = data_dir.join(format!("{ADDRESSES_FILE}.tmp"));
    let announced = Announced { pid: std::process::id(), addresses };
    let mut options = fs::OpenOptions::new();
    let mut file = options.write(true).create(true).truncate(true).mode(0o600).open(&aside)?;
    file.write_all(serde_json::to_string(&announced)?.as_bytes())?;
    fs::rename(aside, data_dir.join(ADDRESSES_FILE))
}

/// Reaches the node that serves the configured folder. The credential goes to
/// nobody else: where a node has ended, another program may listen by now.
pub(crate) fn operations(config: &Config) -> Result<OperationsServiceClient<Channel>, Failure> {
    Ok(OperationsServiceClient::new(of_folder(config)?))
}

/// The same, for any of its services.
pub(crate) fn of_folder(config: &Config) -> Result<Channel, Failure> {
    at(of_this_machine(addresses(&config.data_dir)?.mesh), config)
}

/// Reaches the node whose mesh port this is, with the configured credential.
pub(crate) fn at(address: SocketAddr, config: &Config) -> Result<Channel, Failure> {
    Ok(direct(address, &config.mesh_credential()?, config.mesh.tls()?))
}

fn addresses(data_dir: &Path) -> Result<Addresses, Failure> {
    let Some(holder) = embedded::holder(data_dir)? else {
        return Err(format!("no process serves {}", data_dir.display()).into());
    };
    let path = data_dir.join(ADDRESSES_FILE);
    let text = fs::read_to_string(&path).map_err(|error| {
        format!("cannot find out where the node listens: {}: {error}", path.display())
    })?;
    let announced: Announced = serde_json::from_str(&text)
        .map_err(|error| format!("{} holds no addresses: {error}", path.display()))?;
    if announced.pid.to_string() == holder {
        return Ok(announced.addresses);
    }
    Err(format!("process {holder} has {} open, and does not serve it", data_dir.display()).into())
}

/// Whoever listens everywhere listens here.
fn of_this_machine(mut address: SocketAddr) -> SocketAddr {
    if address.ip().is_unspecified() {
        address.set_ip(match address {
            SocketAddr::V4(_) => Ipv4Addr::LOCALHOST.into(),
            SocketAddr::V6(_) => Ipv6Addr::LOCALHOST.into(),
        });
    }
    address
}
