//! What commands say: answers on standard output, complaints on standard error.
//! Neither panics when nobody listens.

use std::io::{self, ErrorKind, Write as _};

use crate::Failure;

/// Prints an answer. That the reader has gone (`… | head -1`) is no failure.
pub(crate) fn print(text: &str) -> Result<(), Failure> {
    let mut out = io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => {
            Err(format!("cannot write to standard output: {error}").into())
        }
        _ => Ok(()),
    }
}

/// Says why a command did not work. Many errors tell their cause themselves; it
/// is not told twice.
pub(crate) fn complain(failure: &Failure) {
    let mut said = format!("confab: {failure}");
    let mut source = failure.source();
    while let Some(cause) = source {
        let text = cause.to_string();
        if !said.contains(&text) {
            said.push_str("\n  because ");
            said.push_str(&text);
        }
        source = cause.source();
    }
    // Nobody may be listening.
    let _unheard = writeln!(io::stderr(), "{said}");
}
