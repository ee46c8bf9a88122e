//! The gateway's port on real sockets: HTTP/1.1 beside HTTP/2, inside TLS or not, and
//! its calls end as those of the other ports do.

#![expect(clippy::disallowed_methods, reason = "connections are driven beside the test")]

use std::{net::SocketAddr, time::Duration};

use bytes::Bytes;
use futures_util::stream;
use http::Version;
use http_body::Frame;
use http_body_util::{Empty, StreamBody};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::{
    io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _},
    net::TcpStream,
    task::JoinHandle,
};
use tokio_rustls::{
    TlsConnector,
    rustls::{
        ClientConfig, RootCertStore,
        crypto::ring,
        pki_types::{CertificateDer, ServerName, pem::PemObject as _},
    },
};
use tonic::Status;

use super::*;
use crate::{
    config::{Config, Gateway},
    health::Health,
    identity::Claims,
    layers::Port,
    lifecycle::Lifecycle,
    mesh_tls::{TlsFiles, tests::Authority},
    server::{Server, Services, StreamReset},
    server_tls::ServerTls,
    task,
    testing::World,
};

const PATIENCE: Duration = Duration::from_secs(20);
const GET: &str = "/confab.conversations.v1.ConversationsService/GetConversation";

struct Running {
    at: SocketAddr,
    lifecycle: Lifecycle,
    serving: JoinHandle<()>,
}

impl Running {
    async fn start(world: &World, web: Web, tls: Option<ServerTls>) -> Self {
        let free = SocketAddr::from(([127, 0, 0, 1], 0));
        let gateway = Gateway { listen: free, ..Gateway::default() };
        let config = Config {
            listen: free,
            mesh_listen: free,
            ops_listen: free,
            gateway,
            ..Config::default()
        };
        let server = Server::bind(&config).expect("listens").with_gateway_tls(tls);
        let at = server.addresses().gateway.expect("a gateway");
        let lifecycle = world.lifecycle.clone();
        let services = Services {
            public: world.layered(Port::Public, world.routes()),
            mesh: world.layered(Port::Mesh, world.routes()),
            health: Health::new(lifecycle.clone()).await,
            gateway: Some(web),
        };
        let serving = task::spawn("server", server.serve(services, lifecycle.clone()));
        Self { at, lifecycle, serving }
    }

    async fn connect(&self) -> TcpStream {
        TcpStream::connect(self.at).await.expect("connects")
    }

    async fn ended(self) {
        soon("the server ends", self.serving).await.expect("no panic");
    }
}

async fn soon<T>(what: &str, future: impl Future<Output = T>) -> T {
    tokio::time::timeout(PATIENCE, future).await.unwrap_or_else(|_| panic!("not in time: {what}"))
}

/// Says by its status that it was reached, and by a header over what; `/endless` has a
/// body that never ends, and `/reset` is reset after its first bytes.
fn page() -> Web {
    Web::new(tower::service_fn(|request: Request<Body>| async move {
        let version = format!("{:?}", request.version());
        let body = match request.uri().path() {
            "/endless" | "/reset" => {
                let first = stream::iter([Ok::<_, Status>(Frame::data(Bytes::from("first")))]);
                let rest = stream::pending();
                Body::new(StreamBody::new(futures_util::StreamExt::chain(first, rest)))
            }
            _ => Body::empty(),
        };
        if request.uri().path() == "/reset" {
            let reset = request.extensions().get::<StreamReset>().expect("the stream's").clone();
            tokio::spawn(async move {
                // Whoever asks sends a second request when it has read the first bytes.
                AGAIN.notified().await;
                reset.reset();
            });
        }
        let answer = Response::builder().header("over", version).body(body);
        Ok::<_, Infallible>(answer.expect("an answer"))
    }))
}

static AGAIN: tokio::sync::Notify = tokio::sync::Notify::const_new();

/// What is answered over HTTP/1.1, from the status line to the connection's end.
async fn over_http1(mut stream: impl AsyncRead + AsyncWrite + Unpin) -> String {
    let request = b"GET / HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n";
    stream.write_all(request).await.expect("written");
    let mut answer = String::new();
    soon("an answer", stream.read_to_string(&mut answer)).await.expect("read");
    answer
}

async fn over_http2(stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static) -> String {
    let (executor, stream) = (TokioExecutor::new(), TokioIo::new(stream));
    let handshake = hyper::client::conn::http2::handshake(executor, stream).await;
    let (mut sender, connection) = handshake.expect("HTTP/2");
    tokio::spawn(connection);
    let request = Request::get("http://localhost/").body(Empty::<Bytes>::new()).expect("good");
    let answer = soon("an answer", sender.send_request(request)).await.expect("an answer");
    assert_eq!(answer.version(), Version::HTTP_2);
    answer.headers()["over"].to_str().expect("text").to_owned()
}

#[tokio::test]
async fn browsers_speak_both_protocols() {
    let world = World::new();
    let running = Running::start(&world, page(), None).await;
    let answer = over_http1(running.connect().await).await;
    assert!(answer.starts_with("HTTP/1.1 200") && answer.contains("over: HTTP/1.1"), "{answer}");
    assert_eq!(over_http2(running.connect().await).await, "HTTP/2.0");
    running.lifecycle.stop();
    running.ended().await;
}

fn connector(files: &TlsFiles, protocol: &[u8]) -> TlsConnector {
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_file_iter(&files.authority).expect("a file") {
        roots.add(certificate.expect("a certificate")).expect("an authority");
    }
    let mut config = ClientConfig::builder_with_provider(ring::default_provider().into())
        .with_safe_default_protocol_versions()
        .expect("versions")
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = vec![protocol.to_vec()];
    TlsConnector::from(std::sync::Arc::new(config))
}

#[tokio::test]
async fn inside_tls_the_handshake_tells_the_protocol() {
    let world = World::new();
    let files = Authority::new();
    let files = files.files("gateway", "localhost");
    let tls = ServerTls::load(&files.certificate, &files.key).expect("loads");
    let running = Running::start(&world, page(), Some(tls)).await;
    let shake = async |protocol: &[u8]| {
        let name = ServerName::try_from("localhost").expect("a name");
        let stream = running.connect().await;
        let stream = connector(&files, protocol).connect(name, stream).await.expect("TLS");
        assert_eq!(stream.get_ref().1.alpn_protocol(), Some(protocol));
        stream
    };
    assert_eq!(over_http2(shake(b"h2").await).await, "HTTP/2.0");
    let answer = over_http1(shake(b"http/1.1").await).await;
    assert!(answer.contains("over: HTTP/1.1"), "{answer}");
    // Who does not speak TLS is not answered.
    let mut plain = running.connect().await;
    let _broken = plain.write_all(b"GET / HTTP/1.1\r\nhost: localhost\r\n\r\n").await;
    let mut answer = Vec::new();
    let _broken = soon("the end", plain.read_to_end(&mut answer)).await;
    assert!(!answer.starts_with(b"HTTP/"), "{answer:?}");
    running.lifecycle.stop();
    running.ended().await;
}

/// Reads until the text has come.
async fn read_up_to(stream: &mut TcpStream, text: &str) {
    let (mut came, mut buffer) = (String::new(), [0; 1024]);
    while !came.contains(text) {
        let read = soon("more", stream.read(&mut buffer)).await.expect("read");
        assert!(read > 0, "ended after {came}");
        came.push_str(&String::from_utf8_lossy(&buffer[..read]));
    }
}

#[tokio::test]
async fn over_http1_a_reset_ends_its_own_connection() {
    let world = World::new();
    let running = Running::start(&world, page(), None).await;
    let open = async |path: &str| {
        let mut stream = running.connect().await;
        let request = format!("GET {path} HTTP/1.1\r\nhost: localhost\r\n\r\n");
        stream.write_all(request.as_bytes()).await.expect("written");
        read_up_to(&mut stream, "first").await;
        stream
    };
    let (mut other, mut doomed) = (open("/endless").await, open("/reset").await);
    AGAIN.notify_one();
    let mut rest = Vec::new();
    let ended = soon("the reset", doomed.read_to_end(&mut rest)).await;
    // Not the end of a body that is whole.
    assert!(ended.is_err() || rest.is_empty(), "{rest:?}");
    let mut byte = [0; 1];
    let others = tokio::time::timeout(Duration::from_millis(50), other.read(&mut byte)).await;
    assert!(others.is_err(), "the other connection goes on");
    running.lifecycle.stop();
    running.ended().await;
}

#[tokio::test]
async fn a_drain_waits_for_calls_over_http1() {
    let world = World::new();
    let layered = world.layered(Port::Public, world.routes());
    let running = Running::start(&world, Web::new(layered), None).await;
    let mut stream = running.connect().await;
    let token = world.token(Claims::user("acme", "alice"));
    // `conversation_id` of the request is "slow".
    let message = b"\0\0\0\0\x06\x0a\x04slow";
    let head = format!(
        "POST {GET} HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/grpc\r\n\
         authorization: Bearer {token}\r\ncontent-length: {}\r\n\r\n",
        message.len()
    );
    stream.write_all(&[head.as_bytes(), message].concat()).await.expect("written");
    soon("the call is open", world.tiny.entered.notified()).await;
    running.lifecycle.drain();
    soon("the listener is closed", async {
        while TcpStream::connect(running.at).await.is_ok() {
            tokio::task::yield_now().await;
        }
    })
    .await;
    assert!(!running.serving.is_finished());
    world.tiny.gate.notify_one();
    let mut answer = Vec::new();
    soon("the answer", stream.read_to_end(&mut answer)).await.expect("read");
    let answer = String::from_utf8_lossy(&answer);
    assert!(answer.starts_with("HTTP/1.1 200") && answer.contains("acme/alice"), "{answer}");
    running.ended().await;
}
