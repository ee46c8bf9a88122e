//! What a run found, for people as a table and for programs as JSON.

use std::{collections::BTreeMap, fmt, fs, path::Path, time::Duration};

use serde::Serialize;

use super::{check::Findings, latency::Summary, process::Usage};
use crate::Failure;

/// The report of one scenario. Field names are an interface: scripts read them.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Report {
    /// Which scenario.
    pub(super) scenario: &'static str,
    /// What it was asked to do.
    pub(super) parameters: serde_json::Value,
    /// Where.
    pub(super) machine: Machine,
    /// What `operations` counts: `sends`, `deliveries` …
    pub(super) unit: &'static str,
    /// How many were measured.
    pub(super) operations: u64,
    /// In how many seconds.
    pub(super) seconds: f64,
    /// Operations a second.
    pub(super) rate: f64,
    /// How long each took.
    pub(super) latency_us: Summary,
    /// What they cost the server.
    pub(super) server: Cost,
    /// Figures that only this scenario has.
    pub(super) figures: BTreeMap<&'static str, f64>,
    /// Whether the promises held.
    pub(super) check: Check,
}

/// The machine that everything ran on.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Machine {
    /// CPUs that this process may use.
    cpus: usize,
    /// The load of the last minute, when the run ended; it holds the run's own.
    load: Option<f64>,
}

impl Machine {
    pub(super) fn now() -> Self {
        let load = fs::read_to_string("/proc/loadavg").ok();
        let load = load.and_then(|text| text.split(' ').next()?.parse().ok());
        Self { cpus: std::thread::available_parallelism().map_or(1, usize::from), load }
    }
}

impl fmt::Display for Machine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} CPUs", self.cpus)?;
        self.load.map_or(Ok(()), |load| write!(f, ", load {load:.1}"))
    }
}

/// What the server used while it was measured; `None` is unknown.
#[derive(Clone, Copy, Debug, Default, Serialize)]
pub(crate) struct Cost {
    /// CPU time of the server's process.
    pub(super) cpu_seconds: Option<f64>,
    /// CPU time of one operation.
    pub(super) cpu_us_per_operation: Option<f64>,
    /// Operations in a second of CPU time.
    pub(super) operations_per_cpu_second: Option<f64>,
    /// Memory (PSS; of a server that is not our child, resident) before.
    pub(super) memory_bytes_before: Option<u64>,
    /// Memory after.
    pub(super) memory_bytes_after: Option<u64>,
}

impl Cost {
    pub(super) fn between(before: Usage, after: Usage, operations: u64) -> Self {
        let cpu = before.cpu_seconds.zip(after.cpu_seconds).map(|(before, after)| after - before);
        let count = count(operations);
        // A clock tick is the least that the kernel counts.
        let told = cpu.filter(|seconds| *seconds > 0.0 && operations > 0);
        Self {
            cpu_seconds: cpu,
            cpu_us_per_operation: told.map(|seconds| seconds * 1e6 / count),
            operations_per_cpu_second: told.map(|seconds| count / seconds),
            memory_bytes_before: before.memory_bytes,
            memory_bytes_after: after.memory_bytes,
        }
    }
}

/// Whether the promises held while it was measured.
#[derive(Clone, Debug, Default, Serialize)]
pub(crate) struct Check {
    /// Events that were looked at.
    pub(super) events: u64,
    /// Broken promises.
    pub(super) violations: u64,
    /// The first of them.
    pub(super) told: Vec<String>,
}

impl Check {
    pub(super) fn of(events: u64, findings: Findings) -> Self {
        Self { events, violations: findings.count, told: findings.told }
    }
}

/// What was counted in a window of time.
#[derive(Clone, Copy, Debug)]
pub(super) struct Window {
    pub(super) operations: u64,
    pub(super) elapsed: Duration,
    pub(super) before: Usage,
    pub(super) after: Usage,
}

impl Report {
    pub(super) fn new(
        scenario: &'static str,
        parameters: &impl Serialize,
        unit: &'static str,
        window: Window,
    ) -> Self {
        let seconds = window.elapsed.as_secs_f64();
        Self {
            scenario,
            parameters: serde_json::to_value(parameters).unwrap_or_default(),
            machine: Machine::now(),
            unit,
            operations: window.operations,
            seconds,
            rate: count(window.operations) / seconds.max(1e-9),
            latency_us: Summary::default(),
            server: Cost::between(window.before, window.after, window.operations),
            figures: BTreeMap::new(),
            check: Check::default(),
        }
    }

    /// A figure that only this scenario has, if it is known.
    pub(super) fn figure(&mut self, name: &'static str, value: impl Into<Option<f64>>) {
        if let Some(value) = value.into() {
            self.figures.insert(name, value);
        }
    }

    /// How many promises were broken.
    pub(super) fn violations(&self) -> u64 {
        self.check.violations
    }

    /// Writes it as JSON.
    pub(super) fn write(&self, file: &Path) -> Result<(), Failure> {
        let text = serde_json::to_string_pretty(self)?;
        fs::write(file, text + "\n").map_err(|error| format!("{}: {error}", file.display()))?;
        Ok(())
    }
}

/// A count as a number to divide by.
#[expect(clippy::cast_precision_loss, reason = "counts are far below 2^52")]
pub(super) fn count(count: u64) -> f64 {
    count as f64
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { scenario, unit, operations, seconds, rate, latency_us: took, .. } = self;
        writeln!(f, "{scenario} {}", flat(&self.parameters))?;
        writeln!(f, "  {operations} {unit} in {seconds:.1} s: {rate:.0} a second")?;
        if took.count > 0 {
            let Summary { p50, p90, p99, p999, max, .. } = took;
            writeln!(
                f,
                "  latency, µs   p50 {p50}  p90 {p90}  p99 {p99}  p99.9 {p999}  max {max}"
            )?;
        }
        let Cost { cpu_us_per_operation, operations_per_cpu_second, .. } = self.server;
        if let Some((each, many)) = cpu_us_per_operation.zip(operations_per_cpu_second) {
            writeln!(f, "  server CPU    {each:.2} µs each: {many:.0} {unit} a CPU second")?;
        } else {
            writeln!(f, "  server CPU    unknown")?;
        }
        for (name, value) in &self.figures {
            writeln!(f, "  {name:<38} {value:.2}")?;
        }
        writeln!(f, "  machine       {}", self.machine)?;
        let Check { events, violations, told } = &self.check;
        if *violations == 0 {
            return writeln!(f, "  check         {events} events, no promise broken");
        }
        writeln!(f, "  check         {violations} BROKEN PROMISES in {events} events")?;
        told.iter().try_for_each(|finding| writeln!(f, "    {finding}"))
    }
}

/// `{"a": 1}` as `a=1`.
fn flat(parameters: &serde_json::Value) -> String {
    let fields = parameters.as_object().into_iter().flatten();
    let told = fields.filter(|(_, value)| !value.is_null());
    told.map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn window(cpu: Option<f64>) -> Window {
        let usage = |cpu_seconds| Usage { cpu_seconds, memory_bytes: Some(1 << 20) };
        Window {
            operations: 1000,
            elapsed: Duration::from_secs(2),
            before: usage(cpu.map(|_| 1.0)),
            after: usage(cpu.map(|cpu| 1.0 + cpu)),
        }
    }

    #[test]
    fn rates_and_costs_are_divided_right() {
        let report =
            Report::new("send", &serde_json::json!({"size": 9}), "sends", window(Some(0.5)));
        assert!((report.rate - 500.0).abs() < 1e-9);
        assert_eq!(report.server.cpu_us_per_operation, Some(500.0));
        assert_eq!(report.server.operations_per_cpu_second, Some(2000.0));
        let text = report.to_string();
        assert!(text.contains("send size=9\n  1000 sends in 2.0 s: 500 a second"), "{text}");
        assert!(text.contains("no promise broken"), "{text}");
    }

    #[test]
    fn what_is_unknown_is_not_zero() {
        for cpu in [None, Some(0.0)] {
            let report = Report::new("send", &(), "sends", window(cpu));
            assert_eq!(report.server.cpu_us_per_operation, None);
            assert!(report.to_string().contains("server CPU    unknown"));
        }
    }

    #[test]
    fn broken_promises_are_told() {
        let mut findings = Findings::default();
        findings.find("event 7 came where 6 was due");
        let mut report = Report::new("send", &(), "sends", window(None));
        report.check = Check::of(9, findings);
        let text = report.to_string();
        assert!(text.contains("1 BROKEN PROMISES in 9 events\n    event 7 came"), "{text}");
    }
}
