//! The web client's session library (`gateway-grpc-web/web/src/session`): its own
//! tests, in node, among them some against a real server that is killed. Here they
//! are built and run, on the program as it is and on mutants of it.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use confab_tests::harness::{Checked, Violation, files_below, must_be_caught, skipped};

use super::clients::install::{npm_packages, output, prepared};

const WEB: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../gateway-grpc-web/web");
const VECTORS: &str =
    concat!(env!("CARGO_MANIFEST_DIR"), "/../crates/client/tests/vectors/fold.txt");
const PROGRAM: &str = env!("CARGO_BIN_EXE_confab-under-test");

/// The tests as node runs them.
struct Tests {
    folder: PathBuf,
}

impl Tests {
    /// Builds them in a folder of their own. `Err`: why this machine cannot.
    fn build() -> Result<Self, String> {
        let version = output(Command::new("node").arg("--version"))?;
        let source = Path::new(WEB);
        let wanted = fs::read_to_string(source.join("package-lock.json"));
        let wanted = wanted.map_err(|error| error.to_string())?;
        let packages = prepared("web", (version, wanted), |to| npm_packages(source, to))?;
        let folder = packages.join("work");
        copy(source, &folder).map_err(|error| error.to_string())?;
        let vite = packages.join("node_modules/.bin/vite");
        let options = ["build", "--config", "vite.tests.config.ts", "--logLevel", "error"];
        output(Command::new(vite).args(options).current_dir(&folder))?;
        Ok(Self { folder: folder.join("target/tests") })
    }

    /// Runs one file of them, or all.
    fn run(&self, file: Option<&str>, mutant: Option<&str>) -> Checked {
        let mut node = Command::new("node");
        node.arg("--test").arg("--test-concurrency=2").env("CONFAB_TEST_PROGRAM", PROGRAM);
        node.env("WEB_TEST_VECTORS", VECTORS).env_remove("CONFAB_MUTANT");
        if let Some(mutant) = mutant {
            // What is broken is noticed within seconds, or never.
            node.env("CONFAB_MUTANT", mutant).env("WEB_TEST_LIMIT", "10000");
        }
        match file {
            Some(file) => node.arg(self.folder.join(file)),
            None => node.arg(&self.folder),
        };
        let output = node.output().map_err(Violation::unable)?;
        if output.status.success() {
            return Ok(());
        }
        let told = String::from_utf8_lossy(&output.stdout);
        Err(Violation::broken(told.trim()))
    }
}

/// Sources beside the packages, as these are looked for from there upwards.
fn copy(source: &Path, to: &Path) -> std::io::Result<()> {
    if to.exists() {
        fs::remove_dir_all(to)?;
    }
    fs::create_dir_all(to)?;
    for folder in ["src", "tests"] {
        let from = source.join(folder);
        for path in files_below(&from).map_err(std::io::Error::other)? {
            let copied = to.join(folder).join(&path);
            fs::create_dir_all(copied.parent().unwrap_or(to))?;
            fs::copy(from.join(&path), copied)?;
        }
    }
    for file in ["package.json", "tsconfig.json", "vite.tests.config.ts"] {
        fs::copy(source.join(file), to.join(file))?;
    }
    Ok(())
}

/// One test, so that they are built once.
#[test]
fn the_session_library_loses_and_doubles_nothing() {
    let test = "web::the_session_library_loses_and_doubles_nothing";
    let tests = match Tests::build() {
        Ok(tests) => tests,
        Err(why) => return skipped(test, &why),
    };
    tests.run(None, None).unwrap_or_else(|violation| panic!("{violation}"));
    for mutant in ["no-id-lookup", "realtime-drop-event"] {
        must_be_caught(mutant, tests.run(Some("server.test.js"), Some(mutant)));
    }
}
