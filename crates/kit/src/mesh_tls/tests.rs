//! Certificates made on the spot, good ones and others.

use std::{fs, path::Path};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use tempfile::TempDir;

use super::*;

/// Signs certificates, and keeps the files in a folder of its own.
pub(crate) struct Authority {
    issuer: CertifiedIssuer<'static, KeyPair>,
    folder: TempDir,
}

impl Authority {
    pub(crate) fn new() -> Self {
        let mut params = CertificateParams::new(Vec::new()).expect("parameters");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().expect("a key");
        let issuer = CertifiedIssuer::self_signed(params, key).expect("a certificate");
        let folder = tempfile::tempdir().expect("a folder");
        Self { issuer, folder }
    }

    /// The files of a process with a certificate for this name.
    pub(crate) fn files(&self, process: &str, name: &str) -> TlsFiles {
        let params = CertificateParams::new(vec![name.to_owned()]).expect("parameters");
        let key = KeyPair::generate().expect("a key");
        let certificate = params.signed_by(&key, &self.issuer).expect("signed");
        let file = |suffix: &str| self.folder.path().join(format!("{process}-{suffix}"));
        let files = TlsFiles {
            certificate: file("cert.pem"),
            key: file("key.pem"),
            authority: file("ca.pem"),
            name: None,
        };
        write(&files.certificate, "CERTIFICATE", certificate.der());
        write(&files.key, "PRIVATE KEY", key.serialized_der());
        write(&files.authority, "CERTIFICATE", self.issuer.der());
        files
    }

    pub(crate) fn tls(&self, process: &str, name: &str) -> MeshTls {
        MeshTls::load(&self.files(process, name)).expect("loads")
    }
}

fn write(path: &Path, label: &str, der: &[u8]) {
    let body = STANDARD.encode(der);
    let text = format!("-----BEGIN {label}-----\n{body}\n-----END {label}-----\n");
    fs::write(path, text).expect("written");
}

#[test]
fn files_that_do_not_belong_together_are_refused() {
    let authority = Authority::new();
    let (one, two) = (authority.files("one", "localhost"), authority.files("two", "localhost"));
    assert!(MeshTls::load(&one).is_ok());
    let other_key = TlsFiles { key: two.key, ..one.clone() };
    assert!(MeshTls::load(&other_key).is_err());
    let missing = TlsFiles { authority: "/nonexistent.pem".into(), ..one.clone() };
    let said = MeshTls::load(&missing).expect_err("missing").to_string();
    assert!(said.contains("/nonexistent.pem"), "{said}");
    let no_certificate = TlsFiles { certificate: one.key.clone(), ..one };
    assert!(MeshTls::load(&no_certificate).is_err());
}
