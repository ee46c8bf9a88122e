//! `confab`, built with the switches that break promises on purpose. Tests run
//! this program; nobody else does.

fn main() -> std::process::ExitCode {
    confab::main()
}
