//! What fails again and again is told once when that begins, and once when it
//! is over: a log full of one sentence hides the others. Logs nothing itself.

use std::sync::atomic::{AtomicBool, Ordering};

/// Whether something fails at the moment.
#[derive(Debug, Default)]
pub struct Trouble(AtomicBool);

impl Trouble {
    /// It failed. `true` when it had worked before.
    pub fn begins(&self) -> bool {
        !self.0.swap(true, Ordering::Relaxed)
    }

    /// It worked. `true` when it had failed before.
    pub fn ends(&self) -> bool {
        self.0.load(Ordering::Relaxed) && self.0.swap(false, Ordering::Relaxed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_changes_are_told() {
        let trouble = Trouble::default();
        let told = [
            trouble.ends(),
            trouble.begins(),
            trouble.begins(),
            trouble.ends(),
            trouble.ends(),
            trouble.begins(),
        ];
        assert_eq!(told, [false, true, false, true, false, true]);
    }
}
