//! A node's metrics, as its operator scrapes them.

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};

use super::{Checked, Node, Violation};

/// All metrics of one moment.
#[derive(Clone, Debug)]
pub struct Scrape(String);

impl Node {
    /// Asks the operations port for its metrics.
    ///
    /// # Errors
    /// [`Violation::Unable`] when it does not answer.
    pub async fn scrape(&self) -> Checked<Scrape> {
        let mut stream = TcpStream::connect(self.ops()).await.map_err(Violation::unable)?;
        let request = "GET /metrics HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n";
        stream.write_all(request.as_bytes()).await.map_err(Violation::unable)?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.map_err(Violation::unable)?;
        Ok(Scrape(answer))
    }
}

impl Scrape {
    /// One series by its full name, labels as they stand; 0 while there is none.
    pub fn value(&self, series: &str) -> f64 {
        let line = self.0.lines().find_map(|line| line.strip_prefix(series)?.strip_prefix(' '));
        line.and_then(|value| value.parse().ok()).unwrap_or(0.0)
    }
}
