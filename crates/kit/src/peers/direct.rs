//! A channel to one process at a known address, over one connection that is made when
//! it is needed: for commands that ask a node that runs. It chooses and repeats nothing.

use std::net::SocketAddr;

use http::{Request, uri::Authority};
use tonic::body::Body;
use tower::BoxError;

use super::connection::{Connection, Failed, Target};
use crate::{channel::Channel, identity::Credential, mesh_tls::MeshTls};

/// The channel to the process whose mesh port this is.
pub fn direct(address: SocketAddr, credential: &Credential, tls: Option<MeshTls>) -> Channel {
    let ask = tower::service_fn(move |request: Request<Body>| {
        let tls = tls.clone();
        async move {
            let authority = Authority::try_from(address.to_string())?;
            let (connection, _ended) =
                Connection::open(&Target { address, authority, tls }).await?;
            let failed = |failed| match failed {
                Failed::NeverSent(_) => "the connection broke before the call was sent",
                Failed::Unanswered => "the process did not answer",
            };
            connection.send(request).await.map_err(|why| BoxError::from(failed(why)))
        }
    });
    Channel::over(ask).with_mesh_credential(credential)
}
