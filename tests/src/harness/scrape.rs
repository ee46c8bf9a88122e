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
        Ok(Scrape(self.get("/metrics").await?.1))
    }

    /// One request of an operator: the status line's number, and the body.
    ///
    /// # Errors
    /// [`Violation::Unable`] when it is not answered.
    pub async fn get(&self, path: &str) -> Checked<(u16, String)> {
        let mut stream = TcpStream::connect(self.ops()).await.map_err(Violation::unable)?;
        let request =
            format!("GET {path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).await.map_err(Violation::unable)?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.map_err(Violation::unable)?;
        let status = answer.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap_or(0);
        let body = answer.split_once("\r\n\r\n").map_or("", |(_, body)| body);
        Ok((status, body.to_owned()))
    }
}

impl Scrape {
    /// One series by its full name, labels as they stand; 0 while there is none.
    pub fn value(&self, series: &str) -> f64 {
        self.read(series).unwrap_or(0.0)
    }

    /// The same of a counter.
    pub fn count(&self, series: &str) -> u64 {
        self.read(series).unwrap_or(0)
    }

    fn read<T: std::str::FromStr>(&self, series: &str) -> Option<T> {
        self.0.lines().find_map(|line| line.strip_prefix(series)?.strip_prefix(' '))?.parse().ok()
    }
}
