//! How long what a log asks of the store takes, by what it asks.

use confab_log::appender::Io;
use metrics::Histogram;

/// Looked up once, as [`Stages`](crate::stage::Stages) are.
pub(super) struct IoTimes {
    look: Histogram,
    read: Histogram,
    load: Histogram,
    append: Histogram,
    apply: Histogram,
    raise: Histogram,
}

impl Default for IoTimes {
    fn default() -> Self {
        let of = |io: &'static str| metrics::histogram!("confab_log_io_seconds", "io" => io);
        Self {
            look: of("look"),
            read: of("read"),
            load: of("load"),
            append: of("append"),
            apply: of("apply"),
            raise: of("raise"),
        }
    }
}

impl IoTimes {
    /// The name of what is asked, and where its time goes.
    pub(super) fn of(&self, io: &Io) -> (&'static str, &Histogram) {
        match io {
            Io::Look => ("look", &self.look),
            Io::Read { .. } => ("read", &self.read),
            Io::Load(_) => ("load", &self.load),
            Io::Append(_) => ("append", &self.append),
            Io::Apply(..) => ("apply", &self.apply),
            Io::Raise(_) => ("raise", &self.raise),
        }
    }
}
