//! Who is believed, and how much each may ask for, on real nodes: keys that the
//! issuer rotates, budgets of users, limits of addresses. Each check is run on
//! mutants, too, and must fail there.

mod addresses;
mod budgets;
pub(crate) mod issuer;
mod keys;
mod shared_budgets;

use std::future::Future;

use confab_client::Error;
use confab_kit::error::Reason;
use confab_tests::harness::{Checked, Violation, within};

use crate::promises::{WHOLE, caught};

/// Runs a check on the program.
async fn passes(check: impl Future<Output = Checked>) {
    let checked = within(WHOLE, "the whole test", check).await;
    checked.and_then(|checked| checked).unwrap_or_else(|violation| panic!("{violation}"));
}

/// The answer must be a refusal for this reason.
fn refused<T: std::fmt::Debug>(answer: Result<T, Error>, reason: Reason) -> Checked<Error> {
    match answer {
        Err(error) if error.reason() == Some(reason) => Ok(error),
        other => Err(Violation::broken(format!("{reason:?} was due, and this came: {other:?}"))),
    }
}
