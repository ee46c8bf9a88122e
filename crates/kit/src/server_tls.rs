//! TLS towards clients: this side shows a certificate, the other shows none. Read
//! once, at the start.

use std::{fmt, path::PathBuf, sync::Arc};

use tokio_rustls::{
    TlsAcceptor,
    rustls::{
        ServerConfig,
        crypto::ring,
        pki_types::{PrivateKeyDer, pem::PemObject as _},
    },
};

use crate::mesh_tls::{TlsError, bad, certificates};

/// What is spoken inside, the preferred one first.
const ALPN: [&[u8]; 2] = [b"h2", b"http/1.1"];

/// One side of it; cheap to clone.
#[derive(Clone)]
pub struct ServerTls(TlsAcceptor);

impl ServerTls {
    /// Reads the certificate, with those between it and the authority's, and its
    /// private key, in PEM.
    pub fn load(certificate: &PathBuf, key: &PathBuf) -> Result<Self, TlsError> {
        let chain = certificates(certificate)?;
        let private = PrivateKeyDer::from_pem_file(key).map_err(|error| bad(key, &error))?;
        let unusable = |error: &dyn fmt::Display| TlsError::Unusable(error.to_string());
        let mut server = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .map_err(|error| unusable(&error))?
            .with_no_client_auth()
            .with_single_cert(chain, private)
            .map_err(|error| unusable(&error))?;
        server.alpn_protocols = ALPN.iter().map(|name| name.to_vec()).collect();
        Ok(Self(TlsAcceptor::from(Arc::new(server))))
    }

    pub(crate) fn acceptor(&self) -> &TlsAcceptor {
        &self.0
    }
}

impl fmt::Debug for ServerTls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ServerTls")
    }
}
