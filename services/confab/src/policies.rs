//! `confab policies`: the table that the contract carries, one line an RPC below
//! a head line.

use confab_proto::method::{METHODS, Method, Relation, Target};

use crate::{Failure, output};

const HEAD: [&str; 5] = ["RPC", "CALLERS", "SCOPE", "RATE CLASS", "THE CALLER MUST BE"];

pub(crate) fn print() -> Result<(), Failure> {
    let mut rows = vec![HEAD.map(str::to_owned)];
    rows.extend(METHODS.iter().map(row));
    let width = |column: usize| rows.iter().map(|row| row[column].len()).max().unwrap_or(0);
    let widths: Vec<usize> = (0..HEAD.len()).map(width).collect();
    let mut table = String::new();
    for row in &rows {
        let cells = row.iter().zip(&widths).map(|(cell, width)| format!("{cell:<width$}"));
        table.push_str(cells.collect::<Vec<_>>().join("  ").trim_end());
        table.push('\n');
    }
    output::print(&table)
}

fn row(method: &Method) -> [String; 5] {
    let path = method.path.trim_start_matches('/').to_owned();
    let Some(policy) = &method.policy else {
        return [path, "NO POLICY".to_owned(), String::new(), String::new(), String::new()];
    };
    let callers: Vec<String> = policy.callers.iter().map(words).collect();
    let scope = if policy.scope.is_empty() { "none" } else { policy.scope };
    let target = target(policy.target);
    [path, callers.join(", "), scope.to_owned(), policy.rate_class.to_owned(), target]
}

fn target(target: Target) -> String {
    match target {
        Target::Conversation { field, minimum, decided_by_log } => {
            let when = if decided_by_log { "when the log decides" } else { "at the call" };
            match minimum {
                Relation::Stranger => format!("anyone of the tenant, for {field}, {when}"),
                least => format!("at least {} of {field}, {when}", words(least)),
            }
        }
        Target::Owned => "the owner of what is named, proven by the handler".to_owned(),
        Target::Own => "nothing else: it is about the caller".to_owned(),
        Target::Mesh => "another confab process, by mesh.credential".to_owned(),
        Target::Missing => "nothing".to_owned(),
    }
}

/// `former member` for `FormerMember`.
fn words(name: impl std::fmt::Debug) -> String {
    let mut words = String::new();
    for letter in format!("{name:?}").chars() {
        if letter.is_ascii_uppercase() && !words.is_empty() {
            words.push(' ');
        }
        words.push(letter.to_ascii_lowercase());
    }
    words
}
