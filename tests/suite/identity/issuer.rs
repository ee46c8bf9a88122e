//! An issuer as companies run it: signs tokens, publishes its keys over HTTP,
//! rotates them, and is away now and then.

use std::sync::{Arc, Mutex, PoisonError};

use confab_kit::identity::Claims;
use confab_tests::harness::{Checked, Violation};
use jsonwebtoken::{Algorithm, EncodingKey, Header, jwk::Jwk};
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
    task::JoinHandle,
};

/// PKCS #8 v1 of an Ed25519 key up to its 32 bytes (RFC 8410).
const PREFIX: [u8; 16] = [
    0x30, 0x2e, 0x02, 0x01, 0x00, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x04, 0x22, 0x04, 0x20,
];

/// What its server answers with.
type Answer = Arc<Mutex<String>>;

pub(crate) struct Issuer {
    answer: Answer,
    url: String,
    serving: JoinHandle<()>,
}

/// A key of the issuer's.
pub(crate) struct Key {
    kid: &'static str,
    key: EncodingKey,
}

impl Issuer {
    /// Listens, and has nothing to say yet.
    pub(crate) async fn start() -> Checked<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await.map_err(Violation::unable)?;
        let address = listener.local_addr().map_err(Violation::unable)?;
        let answer = Answer::default();
        let serving = tokio::spawn(serve(listener, Arc::clone(&answer)));
        let issuer = Self { answer, url: format!("http://{address}/keys"), serving };
        issuer.is_away();
        Ok(issuer)
    }

    pub(crate) fn url(&self) -> &str {
        &self.url
    }

    /// From now on these keys are published.
    pub(crate) fn publishes(&self, keys: &[&Key]) -> Checked {
        let keys = keys.iter().map(|key| key.published()).collect::<Checked<Vec<_>>>()?;
        self.answers("200 OK", &json!({ "keys": keys }).to_string());
        Ok(())
    }

    /// From now on it does not work.
    pub(crate) fn is_away(&self) {
        self.answers("503 Service Unavailable", "");
    }

    fn answers(&self, status: &str, body: &str) {
        let length = body.len();
        let text = format!("HTTP/1.1 {status}\r\ncontent-length: {length}\r\n\r\n{body}");
        *self.answer.lock().unwrap_or_else(PoisonError::into_inner) = text;
    }
}

impl Drop for Issuer {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

async fn serve(listener: TcpListener, answer: Answer) {
    while let Ok((mut stream, _)) = listener.accept().await {
        let answer = Arc::clone(&answer);
        tokio::spawn(async move {
            let text = {
                // The request's head; what it says does not matter.
                let mut head = [0; 4096];
                let _length = stream.read(&mut head).await;
                answer.lock().unwrap_or_else(PoisonError::into_inner).clone()
            };
            say(&mut stream, &text).await;
        });
    }
}

async fn say(stream: &mut TcpStream, text: &str) {
    // Whoever asked may be gone.
    let _said = stream.write_all(text.as_bytes()).await;
    let _ended = stream.shutdown().await;
}

impl Key {
    pub(crate) fn new(kid: &'static str) -> Self {
        let seed: [u8; 32] = rand::random();
        Self { kid, key: EncodingKey::from_ed_der(&[&PREFIX[..], &seed].concat()) }
    }

    /// A user's token.
    pub(crate) fn token(&self, tenant: &str, user: &str) -> Checked<String> {
        let mut header = Header::new(Algorithm::EdDSA);
        header.kid = Some(self.kid.to_owned());
        jsonwebtoken::encode(&header, &Claims::user(tenant, user), &self.key)
            .map_err(Violation::unable)
    }

    fn published(&self) -> Checked<Value> {
        let jwk = Jwk::from_encoding_key(&self.key, Algorithm::EdDSA).map_err(Violation::unable)?;
        let mut jwk = serde_json::to_value(jwk).map_err(Violation::unable)?;
        jwk["kid"] = self.kid.into();
        Ok(jwk)
    }
}
