//! What a checker finds: a broken promise, or a test that could not be run.

use std::fmt;

/// What a check of a promise ends with.
pub type Checked<T = ()> = Result<T, Violation>;

/// Why a check did not pass.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Violation {
    /// The promise is broken.
    Broken(String),
    /// The test itself could not go on; nothing is known about the promise.
    Unable(String),
}

impl Violation {
    /// The promise is broken, in this way.
    pub fn broken(what: impl Into<String>) -> Self {
        Self::Broken(what.into())
    }

    /// The test could not go on.
    pub fn unable(why: impl fmt::Display) -> Self {
        Self::Unable(why.to_string())
    }

    /// Broken unless the condition holds.
    ///
    /// # Errors
    /// [`Violation::Broken`] with the text.
    pub fn unless<T: Into<String>>(condition: bool, what: impl FnOnce() -> T) -> Checked {
        if condition { Ok(()) } else { Err(Self::broken(what())) }
    }
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Broken(what) => write!(f, "the promise is broken: {what}"),
            Self::Unable(why) => write!(f, "the test could not go on: {why}"),
        }
    }
}

impl std::error::Error for Violation {}

/// A call that must succeed did not. Whoever expects refusals looks at them
/// before this conversion.
impl From<confab_client::Error> for Violation {
    fn from(error: confab_client::Error) -> Self {
        Self::broken(format!("a call failed that had to succeed: {error}"))
    }
}

impl From<tonic::Status> for Violation {
    fn from(status: tonic::Status) -> Self {
        confab_client::Error::from(status).into()
    }
}

/// The same check, run on a mutant, must find that the promise is broken.
///
/// # Panics
/// When the mutant passed, or the check could not be run.
pub fn must_be_caught(mutant: &str, checked: Checked) {
    match checked {
        Err(Violation::Broken(what)) => println!("mutant {mutant} is caught: {what}"),
        Err(Violation::Unable(why)) => panic!("mutant {mutant}: the test could not go on: {why}"),
        Ok(()) => panic!("mutant {mutant} passed"),
    }
}
