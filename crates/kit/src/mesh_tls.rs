//! TLS between processes: both sides show a certificate, and believe those of one
//! authority. Read once, at the start.

use std::{fmt, path::PathBuf, sync::Arc};

use tokio_rustls::{
    TlsAcceptor, TlsConnector,
    rustls::{
        self, ClientConfig, RootCertStore, ServerConfig,
        crypto::ring,
        pki_types::{CertificateDer, PrivateKeyDer, ServerName, pem::PemObject as _},
        server::WebPkiClientVerifier,
    },
};

/// The protocol that is spoken inside.
const ALPN: &[u8] = b"h2";

/// Where the certificates are, in PEM.
#[derive(Clone, Debug)]
pub struct TlsFiles {
    /// This process's certificate, with those between it and the authority's.
    pub certificate: PathBuf,
    /// Its private key.
    pub key: PathBuf,
    /// The authority's certificates.
    pub authority: PathBuf,
    /// The name that every process's certificate is for; each peer's own host when
    /// absent.
    pub name: Option<String>,
}

/// Why TLS cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A file holds nothing that can be used.
    #[error("{path}: {problem}")]
    File {
        /// Which file.
        path: String,
        /// Why.
        problem: String,
    },
    /// Certificate, key and authority cannot be used together.
    #[error("{0}")]
    Unusable(String),
}

/// Both sides of it; cheap to clone.
#[derive(Clone)]
pub struct MeshTls {
    connector: TlsConnector,
    acceptor: TlsAcceptor,
    name: Option<ServerName<'static>>,
}

impl MeshTls {
    /// Reads the files.
    pub fn load(files: &TlsFiles) -> Result<Self, TlsError> {
        let unusable = |error: &dyn fmt::Display| TlsError::Unusable(error.to_string());
        let chain = certificates(&files.certificate)?;
        let key =
            PrivateKeyDer::from_pem_file(&files.key).map_err(|error| bad(&files.key, &error))?;
        let mut roots = RootCertStore::empty();
        for certificate in certificates(&files.authority)? {
            roots.add(certificate).map_err(|error| bad(&files.authority, &error))?;
        }
        let (roots, provider) = (Arc::new(roots), Arc::new(ring::default_provider()));
        let mut client = ClientConfig::builder_with_provider(Arc::clone(&provider))
            .with_safe_default_protocol_versions()
            .map_err(|error| unusable(&error))?
            .with_root_certificates(Arc::clone(&roots))
            .with_client_auth_cert(chain.clone(), key.clone_key())
            .map_err(|error| unusable(&error))?;
        let verifier = WebPkiClientVerifier::builder_with_provider(roots, Arc::clone(&provider))
            .build()
            .map_err(|error| unusable(&error))?;
        let mut server = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(|error| unusable(&error))?
            .with_client_cert_verifier(verifier)
            .with_single_cert(chain, key)
            .map_err(|error| unusable(&error))?;
        client.alpn_protocols = vec![ALPN.to_vec()];
        server.alpn_protocols = vec![ALPN.to_vec()];
        let name = files.name.clone().map(ServerName::try_from).transpose();
        Ok(Self {
            connector: TlsConnector::from(Arc::new(client)),
            acceptor: TlsAcceptor::from(Arc::new(server)),
            name: name.map_err(|error| unusable(&error))?,
        })
    }

    /// For the mesh's port.
    pub(crate) fn acceptor(&self) -> &TlsAcceptor {
        &self.acceptor
    }

    /// For a connection to a host: the way to it, and the name that it must prove.
    pub(crate) fn towards(&self, host: &str) -> Option<(TlsConnector, ServerName<'static>)> {
        let host = host.trim_start_matches('[').trim_end_matches(']');
        let name = self.name.clone().or_else(|| ServerName::try_from(host.to_owned()).ok())?;
        Some((self.connector.clone(), name))
    }
}

pub(crate) fn certificates(path: &PathBuf) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let read = CertificateDer::pem_file_iter(path).map_err(|error| bad(path, &error))?;
    let found: Vec<_> = read.collect::<Result<_, _>>().map_err(|error| bad(path, &error))?;
    if found.is_empty() {
        return Err(bad(path, &rustls::Error::NoCertificatesPresented));
    }
    Ok(found)
}

pub(crate) fn bad(path: &std::path::Path, problem: &dyn fmt::Display) -> TlsError {
    TlsError::File { path: path.display().to_string(), problem: problem.to_string() }
}

impl fmt::Debug for MeshTls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MeshTls").field("name", &self.name).finish_non_exhaustive()
    }
}

#[cfg(test)]
pub(crate) mod tests;
