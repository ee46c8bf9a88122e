//! `confab`, built with the switches that break promises on purpose. Tests run
//! this program; nobody else does.

/// As in the program itself: memory is measured, too.
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

fn main() -> std::process::ExitCode {
    confab::main()
}
