//! What is promised of Confab's speed and memory, and how a figure is held
//! against it.

use std::fmt::Write as _;

use serde::Serialize;

/// Which way a figure has to be.
#[derive(Clone, Copy, Debug, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Target {
    AtLeast(f64),
    AtMost(f64),
    /// Told for orientation.
    None,
}

/// A figure with a target.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Row {
    /// What it is.
    what: String,
    target: Target,
    /// The unit of both.
    unit: &'static str,
    /// Of each round.
    measured: Vec<f64>,
    /// The median of them; `None` when nothing could be measured.
    median: Option<f64>,
    /// Whether the target is met; `None` where there is none, or no figure.
    met: Option<bool>,
    /// How to measure it alone.
    command: String,
}

impl Row {
    pub(super) fn new(
        what: String,
        target: Target,
        unit: &'static str,
        measured: Vec<f64>,
        command: impl Into<String>,
    ) -> Self {
        let median = median(&measured);
        let met = median.and_then(|median| match target {
            Target::AtLeast(least) => Some(median >= least),
            Target::AtMost(most) => Some(median <= most),
            Target::None => None,
        });
        Self { what, target, unit, measured, median, met, command: command.into() }
    }
}

/// The middle one, or the mean of the two in the middle.
fn median(values: &[f64]) -> Option<f64> {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let half = sorted.len() / 2;
    let upper = *sorted.get(half)?;
    Some(if sorted.len() % 2 == 1 { upper } else { f64::midpoint(sorted[half - 1], upper) })
}

/// The table, as `docs/benchmarks.md` has it.
pub(super) fn markdown(rows: &[Row]) -> String {
    let mut text = "| Figure | Target | Median | Least to most | Met | Alone |\n\
                    |---|---|---|---|---|---|\n"
        .to_owned();
    for row in rows {
        let target = match row.target {
            Target::AtLeast(least) => format!("≥ {}{}", short(least), row.unit),
            Target::AtMost(most) => format!("≤ {}{}", short(most), row.unit),
            Target::None => "–".to_owned(),
        };
        let median = row.median.map_or("unknown".to_owned(), short);
        let least = row.measured.iter().copied().reduce(f64::min).map_or("–".to_owned(), short);
        let most = row.measured.iter().copied().reduce(f64::max).map_or("–".to_owned(), short);
        let met = row.met.map_or("–", |met| if met { "yes" } else { "**no**" });
        // Writing to a String cannot fail.
        let _infallible = writeln!(
            text,
            "| {} | {target} | {median}{} | {} to {} | {met} | `{}` |",
            row.what, row.unit, least, most, row.command
        );
    }
    text
}

/// Three digits that matter.
fn short(value: f64) -> String {
    let places = match value.abs() {
        large if large >= 100.0 => 0,
        middle if middle >= 10.0 => 1,
        _ => 2,
    };
    format!("{value:.places$}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(target: Target, measured: &[f64]) -> Row {
        Row::new("sends".to_owned(), target, " x", measured.to_vec(), "bench send")
    }

    #[test]
    fn the_median_decides() {
        assert_eq!(median(&[]), None);
        assert_eq!(median(&[3.0, 1.0, 2.0]), Some(2.0));
        assert_eq!(median(&[4.0, 1.0, 2.0, 3.0]), Some(2.5));
        assert_eq!(row(Target::AtLeast(0.7), &[0.9, 0.6, 0.8]).met, Some(true));
        assert_eq!(row(Target::AtLeast(0.7), &[0.9, 0.6, 0.5]).met, Some(false));
        assert_eq!(row(Target::AtMost(2.0), &[2.5]).met, Some(false));
        assert_eq!(row(Target::AtMost(2.0), &[]).met, None, "nothing measured is not met");
        assert_eq!(row(Target::None, &[1.0]).met, None);
    }

    #[test]
    fn the_table_says_what_is_not_met() {
        let rows = [row(Target::AtLeast(0.7), &[0.5, 0.25, 1.0]), row(Target::None, &[123_456.0])];
        assert_eq!(
            markdown(&rows).lines().skip(2).collect::<Vec<_>>(),
            [
                "| sends | ≥ 0.70 x | 0.50 x | 0.25 to 1.00 | **no** | `bench send` |",
                "| sends | – | 123456 x | 123456 to 123456 | – | `bench send` |",
            ]
        );
    }
}
