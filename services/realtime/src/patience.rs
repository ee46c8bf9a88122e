//! How often reads in a row were in vain, and so whether the next one waits.

/// Reads in a row that may be in vain.
const MAX_VAIN_READS: u32 = 10;

/// See the module.
#[derive(Debug, Default)]
pub(crate) struct Patience {
    vain: u32,
    waits: bool,
}

impl Patience {
    /// A read brought something, or nothing was missing.
    pub(crate) fn restore(&mut self) {
        *self = Self::default();
    }

    /// A read failed, or lacked what was heard of. Returns how many did in a row.
    pub(crate) fn lose(&mut self) -> u32 {
        self.vain += 1;
        self.waits = true;
        self.vain
    }

    /// The pause is over.
    pub(crate) fn resume(&mut self) {
        self.waits = false;
    }

    /// How long to wait before the next read, counted in reads in vain; 0 is at
    /// once.
    pub(crate) fn pause(&self) -> u32 {
        if self.waits { self.vain } else { 0 }
    }

    /// Whether it is time to stop.
    pub(crate) fn is_over(&self) -> bool {
        self.vain >= MAX_VAIN_READS
    }
}
