//! What jemalloc holds, for operators: what the program uses (`allocated`)
//! and what it costs the machine (`resident`). The allocator itself is chosen
//! by each `main.rs`.

use tikv_jemalloc_ctl::{epoch, stats};

/// Sets the gauges. Where another allocator is in use they say next to nothing.
pub(crate) fn set_gauges() {
    // The numbers are those of the last epoch.
    if epoch::advance().is_err() {
        return;
    }
    let read = [
        ("confab_allocator_allocated_bytes", stats::allocated::read()),
        ("confab_allocator_resident_bytes", stats::resident::read()),
    ];
    for (name, bytes) in read {
        if let Ok(bytes) = bytes {
            metrics::gauge!(name).set(gauge_value(bytes));
        }
    }
}

#[expect(clippy::cast_precision_loss, reason = "exact up to 2^53 bytes")]
fn gauge_value(bytes: usize) -> f64 {
    bytes as f64
}
