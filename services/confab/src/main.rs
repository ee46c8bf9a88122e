//! The program. Everything is in the library, so that tests run the same code.

/// Idle connections are mostly allocator overhead; jemalloc has the least of it.
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

fn main() -> std::process::ExitCode {
    confab::main()
}
