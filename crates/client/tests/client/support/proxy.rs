//! A TCP proxy that cuts each connection after so many bytes.

use std::net::SocketAddr;

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
};

/// Passes bytes on until a connection's budget is spent, then closes both sides.
pub(crate) struct Proxy {
    pub(crate) address: SocketAddr,
}

impl Proxy {
    /// `budgets`: bytes from the server, connection by connection; the connections
    /// after the last budget are left alone.
    pub(crate) async fn start(server: SocketAddr, budgets: Vec<usize>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a loopback port");
        let address = listener.local_addr().expect("an address");
        tokio::spawn(async move {
            let mut budgets = budgets.into_iter();
            while let Ok((client, _)) = listener.accept().await {
                let budget = budgets.next().unwrap_or(usize::MAX);
                tokio::spawn(pass_on(client, server, budget));
            }
        });
        Self { address }
    }
}

async fn pass_on(client: TcpStream, server: SocketAddr, mut budget: usize) {
    let Ok(server) = TcpStream::connect(server).await else { return };
    let (mut from_client, mut to_client) = client.into_split();
    let (mut from_server, mut to_server) = server.into_split();
    let upstream = async { tokio::io::copy(&mut from_client, &mut to_server).await.map(drop) };
    let downstream = async {
        let mut buffer = [0; 1024];
        while budget > 0 {
            let read = from_server.read(&mut buffer).await?;
            if read == 0 {
                break;
            }
            let passed = read.min(budget);
            budget -= passed;
            to_client.write_all(&buffer[..passed]).await?;
        }
        std::io::Result::Ok(())
    };
    tokio::select! {
        _ = upstream => {}
        _ = downstream => {}
    }
}
