//! Asks a node's operations port.

use std::net::SocketAddr;

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};

use super::{Checked, Violation};

/// The answer to a GET, status line and headers included.
///
/// # Errors
/// [`Violation::Unable`] when nobody answers.
pub async fn get(ops: SocketAddr, path: &str) -> Checked<String> {
    let mut stream = TcpStream::connect(ops).await.map_err(Violation::unable)?;
    let request = format!("GET {path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await.map_err(Violation::unable)?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.map_err(Violation::unable)?;
    Ok(answer)
}
