//! What the process itself takes from the machine, under the names that
//! Prometheus' client libraries use. Read when somebody scrapes, kept nowhere.
//! What this system does not tell is left out, never shown as 0.

use std::{fmt::Write as _, fs, sync::OnceLock};

use rustix::{
    param::page_size,
    process::{Resource, getrlimit},
    time::{ClockId, clock_gettime},
};

use crate::clock;

/// Microseconds since 1970, of the first call.
static STARTED: OnceLock<i64> = OnceLock::new();

/// Notes when the process began.
pub(super) fn note_start() {
    STARTED.get_or_init(clock::now_micros);
}

/// The process's metrics in Prometheus' text format.
pub(super) fn render() -> String {
    let mut text = String::new();
    let mut show = |name: &str, kind: &str, help: &str, value: Option<f64>| {
        if let Some(value) = value {
            let _infallible =
                write!(text, "# HELP {name} {help}\n# TYPE {name} {kind}\n{name} {value}\n\n");
        }
    };
    show("process_cpu_seconds_total", "counter", "user and system time", Some(cpu_seconds()));
    let started = STARTED.get().map(|micros| seconds(*micros));
    show("process_start_time_seconds", "gauge", "since 1970", started);
    let resident = "memory that the system has given, in bytes";
    show("process_resident_memory_bytes", "gauge", resident, resident_bytes());
    show("process_open_fds", "gauge", "open file descriptors", open_files());
    let files = getrlimit(Resource::Nofile).current;
    show("process_max_fds", "gauge", "most file descriptors that may be open", files.map(number));
    text
}

/// Of all threads, to the nanosecond, where `/proc` counts in hundredths.
fn cpu_seconds() -> f64 {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    number(u64::try_from(time.tv_sec).unwrap_or_default())
        + f64::from(u32::try_from(time.tv_nsec).unwrap_or_default()) / 1e9
}

fn resident_bytes() -> Option<f64> {
    let statm = fs::read_to_string("/proc/self/statm").ok()?;
    let pages: u64 = statm.split(' ').nth(1)?.parse().ok()?;
    Some(number(pages.saturating_mul(u64::try_from(page_size()).ok()?)))
}

fn open_files() -> Option<f64> {
    let listed = fs::read_dir("/proc/self/fd").ok()?.count();
    // The listing itself holds one open.
    Some(number(u64::try_from(listed.saturating_sub(1)).ok()?))
}

#[expect(clippy::cast_precision_loss, reason = "exact up to 2^53, far above what is counted")]
fn number(count: u64) -> f64 {
    count as f64
}

fn seconds(micros: i64) -> f64 {
    number(u64::try_from(micros).unwrap_or_default()) / 1e6
}

#[cfg(test)]
mod tests {
    use super::*;

    fn value(text: &str, name: &str) -> f64 {
        let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
        line.and_then(|number| number.parse().ok()).unwrap_or_else(|| panic!("no {name} in {text}"))
    }

    #[test]
    fn the_process_is_measured() {
        note_start();
        let before = render();
        let begun = value(&before, "process_cpu_seconds_total");
        let files = value(&before, "process_open_fds");
        let _open: Vec<fs::File> =
            (0..100).map(|_| fs::File::open("/dev/null").expect("opens")).collect();
        let mut work = 0_u64;
        while value(&render(), "process_cpu_seconds_total") < begun + 0.01 {
            work = work.wrapping_add(1);
        }
        let after = render();
        assert!(value(&after, "process_open_fds") >= files + 50.0, "{before}{after}");
        assert!(value(&after, "process_resident_memory_bytes") > 1e6, "{after}");
        assert!(value(&after, "process_max_fds") >= 64.0, "{after}");
        let started = value(&after, "process_start_time_seconds");
        let now = seconds(clock::now_micros());
        assert!(started > 1.7e9 && started <= now, "{after}");
    }
}
