//! An issuer for the tests: a real HTTP server, with or without TLS, that is
//! slow, endless, wrong or gone as told, and the keys that it publishes.

use std::{
    io,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
};

use http::{Response, StatusCode, header::LOCATION};
use http_body_util::{BodyExt as _, Full, StreamBody, combinators::UnsyncBoxBody};
use hyper::{body::Frame, server::conn::http1, service::service_fn};
use hyper_util::rt::TokioIo;
use jsonwebtoken::{EncodingKey, Header, jwk::Jwk};
use serde_json::{Value, json};
use tokio::{net::TcpListener, sync::Notify};
use tokio_rustls::{
    TlsAcceptor,
    rustls::{
        self,
        pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject as _},
    },
};

use crate::{identity::Claims, random, task};

const RSA_PRIVATE: &str = include_str!("../testdata/rsa-private.pem");
const EC_PRIVATE: &str = include_str!("../testdata/ec-private.pem");
const SERVER_CERTIFICATE: &[u8] = include_bytes!("../testdata/tls-server.pem");
const SERVER_KEY: &[u8] = include_bytes!("../testdata/tls-server-key.pem");

type Body = UnsyncBoxBody<bytes::Bytes, io::Error>;

/// What the issuer's server answers with.
#[derive(Clone)]
pub(super) enum Answer {
    Keys(Vec<Value>),
    Text(String),
    Status(StatusCode),
    /// To where the same server answers with these keys.
    Redirect(Vec<Value>),
    /// Bytes without an end.
    Endless,
    /// Nothing, for ever.
    Silent,
    /// Half of what it announces.
    CutOff,
    /// These keys, once it is told to go on.
    Held(Arc<Notify>, Vec<Value>),
}

#[derive(Clone)]
pub(super) struct Issuer {
    answer: Arc<Mutex<Answer>>,
    asked: Arc<AtomicUsize>,
}

impl Issuer {
    pub(super) fn new(answer: Answer) -> Self {
        Self { answer: Arc::new(Mutex::new(answer)), asked: Arc::default() }
    }

    /// Serves on a free port; its URL.
    pub(super) async fn start(&self) -> String {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let url = format!("http://{}/keys", listener.local_addr().expect("an address"));
        self.serve(listener, None);
        url
    }

    pub(super) async fn start_with_tls(&self) -> String {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let url = format!("https://{}/keys", listener.local_addr().expect("an address"));
        let chain = CertificateDer::pem_slice_iter(SERVER_CERTIFICATE).map(Result::unwrap);
        let config = rustls::ServerConfig::builder_with_provider(Arc::new(
            rustls::crypto::ring::default_provider(),
        ))
        .with_safe_default_protocol_versions()
        .expect("versions")
        .with_no_client_auth()
        .with_single_cert(
            chain.collect(),
            PrivateKeyDer::from_pem_slice(SERVER_KEY).expect("a key"),
        )
        .expect("a certificate");
        self.serve(listener, Some(TlsAcceptor::from(Arc::new(config))));
        url
    }

    pub(super) fn serve(&self, listener: TcpListener, tls: Option<TlsAcceptor>) {
        let issuer = self.clone();
        task::spawn("test issuer", async move {
            while let Ok((tcp, _)) = listener.accept().await {
                let (issuer, tls) = (issuer.clone(), tls.clone());
                task::spawn("test connection", async move {
                    match tls {
                        None => issuer.serve_connection(tcp).await,
                        Some(tls) => {
                            if let Ok(stream) = tls.accept(tcp).await {
                                issuer.serve_connection(stream).await;
                            }
                        }
                    }
                });
            }
        });
    }

    async fn serve_connection<IO>(self, io: IO)
    where
        IO: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin + 'static,
    {
        let service = service_fn(|request: http::Request<_>| self.answer(request));
        // A client that has read enough hangs up.
        let _hung_up = http1::Builder::new().serve_connection(TokioIo::new(io), service).await;
    }

    async fn answer(
        &self,
        request: http::Request<hyper::body::Incoming>,
    ) -> io::Result<Response<Body>> {
        let elsewhere = request.uri().path() == "/elsewhere";
        self.asked.fetch_add(1, Ordering::SeqCst);
        let answer = self.answer.lock().expect("a lock").clone();
        match answer {
            Answer::Redirect(keys) if elsewhere => Ok(full(set(&keys))),
            Answer::Redirect(_) => {
                let mut response = full(String::new());
                *response.status_mut() = StatusCode::TEMPORARY_REDIRECT;
                let location = http::HeaderValue::from_static("/elsewhere");
                response.headers_mut().insert(LOCATION, location);
                Ok(response)
            }
            Answer::Keys(keys) => Ok(full(set(&keys))),
            Answer::Text(text) => Ok(full(text)),
            Answer::Status(status) => {
                let mut response = full(set(&[ed("a").1]));
                *response.status_mut() = status;
                Ok(response)
            }
            Answer::Endless => {
                let spaces = bytes::Bytes::from_static(&[b' '; 8192]);
                let frames = std::iter::repeat_with(move || Ok(Frame::data(spaces.clone())));
                let body = StreamBody::new(futures_util::stream::iter(frames));
                Ok(Response::new(body.boxed_unsync()))
            }
            Answer::Silent => std::future::pending().await,
            Answer::CutOff => {
                let frames = [Ok(Frame::data("{\"keys\": [".into())), Err(io::Error::other("cut"))];
                let body = StreamBody::new(futures_util::stream::iter(frames));
                Ok(Response::new(body.boxed_unsync()))
            }
            Answer::Held(gate, keys) => {
                gate.notified().await;
                Ok(full(set(&keys)))
            }
        }
    }

    pub(super) fn now_answers(&self, answer: Answer) {
        *self.answer.lock().expect("a lock") = answer;
    }

    pub(super) fn asked(&self) -> usize {
        self.asked.load(Ordering::SeqCst)
    }
}

fn full(text: String) -> Response<Body> {
    Response::new(Full::from(text).map_err(|never| match never {}).boxed_unsync())
}

pub(super) fn set(keys: &[Value]) -> String {
    json!({ "keys": keys }).to_string()
}

/// A key of the issuer's: what signs, and what is published.
pub(super) struct Signer {
    pub(super) kid: &'static str,
    pub(super) algorithm: jsonwebtoken::Algorithm,
    pub(super) key: EncodingKey,
}

impl Signer {
    pub(super) fn token(&self) -> String {
        let mut header = Header::new(self.algorithm);
        header.kid = Some(self.kid.to_owned());
        // Each has another session, so none is remembered from before.
        let claims = Claims::user("acme", "alice");
        jsonwebtoken::encode(&header, &claims, &self.key).expect("signs")
    }

    fn published(&self) -> Value {
        let jwk = Jwk::from_encoding_key(&self.key, self.algorithm).expect("a key");
        let mut jwk = serde_json::to_value(jwk).expect("json");
        jwk["kid"] = self.kid.into();
        jwk["use"] = "sig".into();
        jwk
    }
}

pub(super) fn ed(kid: &'static str) -> (Signer, Value) {
    const PREFIX: [u8; 16] = [
        0x30, 0x2e, 0x02, 0x01, 0x00, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x04, 0x22, 0x04,
        0x20,
    ];
    let der = [&PREFIX[..], &random::bytes::<32>()].concat();
    let key = EncodingKey::from_ed_der(&der);
    published(Signer { kid, algorithm: jsonwebtoken::Algorithm::EdDSA, key })
}

pub(super) fn rsa(kid: &'static str) -> (Signer, Value) {
    let key = EncodingKey::from_rsa_pem(RSA_PRIVATE.as_bytes()).expect("a key");
    published(Signer { kid, algorithm: jsonwebtoken::Algorithm::RS256, key })
}

pub(super) fn ec(kid: &'static str) -> (Signer, Value) {
    let key = EncodingKey::from_ec_pem(EC_PRIVATE.as_bytes()).expect("a key");
    published(Signer { kid, algorithm: jsonwebtoken::Algorithm::ES256, key })
}

fn published(signer: Signer) -> (Signer, Value) {
    let jwk = signer.published();
    (signer, jwk)
}
