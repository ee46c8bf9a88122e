//! A server's metrics, read as Prometheus reads them.

use std::{collections::BTreeMap, net::SocketAddr};

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};

use super::process::Usage;
use crate::Failure;

/// Values by name and labels, as they are written: `a_total{b="c"}`.
#[derive(Clone, Debug, Default)]
pub(super) struct Metrics(BTreeMap<String, f64>);

/// Asks the operations port.
pub(super) async fn scrape(ops: SocketAddr) -> Result<Metrics, Failure> {
    Ok(Metrics::parse(&get(ops, "/metrics").await?))
}

/// Whether it says that it can serve.
#[cfg(feature = "cql")]
pub(super) async fn is_ready(ops: SocketAddr) -> bool {
    get(ops, "/readyz").await.is_ok()
}

async fn get(ops: SocketAddr, path: &str) -> Result<String, Failure> {
    let mut stream = TcpStream::connect(ops).await?;
    let request = format!("GET {path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await?;
    if !answer.starts_with("HTTP/1.1 200 ") {
        return Err(format!("{ops} does not give {path}").into());
    }
    Ok(answer)
}

impl Metrics {
    fn parse(text: &str) -> Self {
        let values = text.lines().filter(|line| !line.starts_with('#')).filter_map(|line| {
            // Labels may hold spaces; the value does not.
            let (name, value) = line.rsplit_once(' ')?;
            Some((name.to_owned(), value.parse().ok()?))
        });
        Self(values.collect())
    }

    /// The sum over all labels; `None` when there is no metric of this name.
    pub(super) fn sum(&self, name: &str) -> Option<f64> {
        let mut values =
            self.0.iter().filter(|(key, _)| key.split('{').next() == Some(name)).peekable();
        values.peek()?;
        Some(values.map(|(_, value)| value).sum())
    }

    /// How much a counter has grown since an earlier look; it is made when it
    /// is first counted.
    pub(super) fn grown(&self, since: &Self, name: &str) -> Option<f64> {
        Some(self.sum(name)? - since.sum(name).unwrap_or(0.0))
    }

    /// What the process says of itself, by the names that Prometheus gives.
    pub(super) fn usage(&self) -> Usage {
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "bytes of memory fit"
        )]
        let bytes = self.sum("process_resident_memory_bytes").map(|bytes| bytes.max(0.0) as u64);
        Usage { cpu_seconds: self.sum("process_cpu_seconds_total"), memory_bytes: bytes }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_summed_over_labels_and_absent_is_not_zero() {
        let metrics = Metrics::parse(
            "HTTP/1.1 200 OK\r\n\r\n# TYPE a_total counter\na_total{b=\"x y\"} 2\n\
             a_total{b=\"z\"} 3\na_total_more 7\nprocess_cpu_seconds_total 1.25\n",
        );
        assert_eq!(metrics.sum("a_total"), Some(5.0));
        assert_eq!(metrics.sum("missing"), None);
        assert_eq!(metrics.grown(&Metrics::default(), "a_total"), Some(5.0));
        assert_eq!(metrics.usage().cpu_seconds, Some(1.25));
        assert_eq!(metrics.usage().memory_bytes, None);
    }
}
