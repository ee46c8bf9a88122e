//! What the kernel says of a process: CPU time and memory. Linux only; where
//! there is no `/proc` nothing is known, which is not zero.

use std::fs;

/// What a process has used.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Usage {
    /// CPU seconds of all its threads so far, ended ones too.
    pub(super) cpu_seconds: Option<f64>,
    /// Memory now, in bytes: its own pages, and its part of shared ones (PSS).
    pub(super) memory_bytes: Option<u64>,
}

/// Of a process of this machine.
pub(super) fn usage(pid: u32) -> Usage {
    let read = |file: &str| fs::read_to_string(format!("/proc/{pid}/{file}")).ok();
    Usage {
        cpu_seconds: read("stat").as_deref().and_then(cpu_seconds),
        memory_bytes: read("smaps_rollup").as_deref().and_then(proportional_bytes),
    }
}

/// Fields 14 and 15 of `/proc/PID/stat`, proc(5), in clock ticks. The name
/// before them, field 2, may hold spaces and brackets.
fn cpu_seconds(stat: &str) -> Option<f64> {
    let (_, after_name) = stat.rsplit_once(')')?;
    let mut fields = after_name.split_ascii_whitespace().skip(11);
    let user: u32 = fields.next()?.parse().ok()?;
    let system: u32 = fields.next()?.parse().ok()?;
    let ticks = u32::try_from(rustix::param::clock_ticks_per_second()).ok()?;
    Some((f64::from(user) + f64::from(system)) / f64::from(ticks))
}

fn proportional_bytes(rollup: &str) -> Option<u64> {
    let line = rollup.lines().find_map(|line| line.strip_prefix("Pss:"))?;
    let kib: u64 = line.trim().strip_suffix(" kB")?.trim().parse().ok()?;
    Some(kib * 1024)
}

/// Raises the soft limit of open files to the hard one, and says whether so
/// many connections fit into it.
pub(super) fn connections_fit(wanted: usize) -> bool {
    use rustix::process::{Resource, getrlimit, setrlimit};
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    if setrlimit(Resource::Nofile, limit).is_err() {
        limit = getrlimit(Resource::Nofile);
    }
    limit.current.is_none_or(|files| files >= wanted as u64 + 100)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cpu_time_is_found_behind_any_name() {
        let rest = "S 1 2 3 4 5 6 7 8 9 10 150 50 0 0 20 0 9 0";
        for name in ["confab", "a) b (c"] {
            assert_eq!(cpu_seconds(&format!("7 ({name}) {rest}")), Some(2.0), "{name}");
        }
        assert_eq!(cpu_seconds("7 (confab) S 1"), None);
    }

    #[test]
    fn memory_is_the_proportional_set() {
        let rollup = "00400000-7ffe Rss:\nRss:   900 kB\nPss:    120 kB\nPss_Dirty: 5 kB\n";
        assert_eq!(proportional_bytes(rollup), Some(120 * 1024));
        assert_eq!(proportional_bytes("Rss: 1 kB\n"), None);
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn this_process_uses_something() {
        let usage = usage(std::process::id());
        assert!(usage.cpu_seconds.is_some_and(|seconds| seconds < 1e6));
        assert!(usage.memory_bytes.is_some_and(|bytes| bytes > 100_000));
    }
}
