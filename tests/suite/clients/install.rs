//! What the example clients need: packages, at the versions that stand beside
//! them, and the contract as their language reads it. All of it below `target`.

use std::{
    fs::{self, File},
    hash::{DefaultHasher, Hash, Hasher as _},
    io,
    path::{Path, PathBuf},
    process::Command,
};

use confab_tests::harness::{Checked, Violation, files_below};

const CLIENTS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/clients");
const PROTO: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../proto");
const CACHE: &str = concat!(env!("CARGO_TARGET_TMPDIR"), "/clients");
/// Made last, in a folder that is complete.
const COMPLETE: &str = "complete";

/// What an older contract has not: a kind of event and a kind of frame.
const NEWER: [&str; 2] = ["ReactionAdded reaction_added = 23;", "ReceiptMoved receipt = 8;"];

#[derive(Clone, Copy, Debug)]
pub(super) enum Language {
    Python,
    JavaScript,
}

/// What a client is generated from.
#[derive(Clone, Copy, Debug)]
pub(super) enum Contract {
    Todays,
    /// Without [`NEWER`]: the server speaks of what the client does not know.
    Older,
}

/// The packages of one language.
pub(super) struct Packages {
    language: Language,
    folder: PathBuf,
}

impl Packages {
    /// Installs them, once for each version of what is asked for. `Err`: why this
    /// machine cannot.
    pub(super) fn install(language: Language) -> Result<Self, String> {
        let (program, lock_file) = match language {
            Language::Python => ("python3", "requirements.txt"),
            Language::JavaScript => ("node", "package-lock.json"),
        };
        let version = output(Command::new(program).arg("--version"))?;
        let source = Path::new(CLIENTS).join(language.name());
        let wanted = fs::read_to_string(source.join(lock_file)).map_err(|e| e.to_string())?;
        let folder = prepared(language.name(), (version, wanted), |folder| match language {
            Language::Python => {
                let mut venv = Command::new("python3");
                output(venv.args(["-m", "venv", "--clear"]).arg(folder))?;
                let mut pip = Command::new(python(folder));
                let options = ["-m", "pip", "install", "--quiet", "--requirement"];
                output(pip.args(options).arg(source.join("requirements.txt"))).map(drop)
            }
            Language::JavaScript => npm_packages(&source, folder),
        })?;
        Ok(Self { language, folder })
    }

    fn python(&self) -> PathBuf {
        python(&self.folder)
    }

    /// The scenario, ready to be given its arguments. `place` is an empty folder.
    pub(super) fn scenario(&self, contract: Contract, place: &Path) -> Checked<Command> {
        let proto = place.join("proto");
        let files = copy_contract(contract, &proto)?;
        let source = Path::new(CLIENTS).join(self.language.name());
        match self.language {
            Language::Python => {
                let mut compiler = Command::new(self.python());
                compiler.args(["-m", "grpc_tools.protoc"]).arg("-I").arg(&proto);
                for option in ["--python_out", "--grpc_python_out"] {
                    compiler.arg(format!("{option}={}", place.display()));
                }
                output(compiler.args(files)).map_err(Violation::unable)?;
                let mut scenario = Command::new(self.python());
                scenario.arg("-B").arg(source.join("scenario.py")).env("PYTHONPATH", place);
                Ok(scenario)
            }
            Language::JavaScript => {
                // Packages are looked for beside the script.
                let packages = self.folder.join("node_modules");
                std::os::unix::fs::symlink(packages, place.join("node_modules"))
                    .map_err(Violation::unable)?;
                for file in ["package.json", "confab-client.js", "confab-stream.js", "scenario.js"]
                {
                    fs::copy(source.join(file), place.join(file)).map_err(Violation::unable)?;
                }
                let mut scenario = Command::new("node");
                scenario.arg(place.join("scenario.js")).env("PROTO", proto);
                Ok(scenario)
            }
        }
    }
}

impl Language {
    /// As its folder is called.
    fn name(self) -> &'static str {
        match self {
            Self::Python => "python",
            Self::JavaScript => "javascript",
        }
    }
}

/// Copies the contract's files and names the copies.
fn copy_contract(contract: Contract, to: &Path) -> Checked<Vec<PathBuf>> {
    let mut copies = Vec::new();
    let mut left_out = 0;
    for path in files_below(Path::new(PROTO))? {
        if path.extension().is_none_or(|ending| ending != "proto") {
            continue;
        }
        let mut text =
            fs::read_to_string(Path::new(PROTO).join(&path)).map_err(Violation::unable)?;
        if matches!(contract, Contract::Older) {
            left_out += NEWER.iter().map(|line| text.matches(line).count()).sum::<usize>();
            text = NEWER.iter().fold(text, |text, line| text.replace(line, ""));
        }
        let copy = to.join(path);
        fs::create_dir_all(copy.parent().unwrap_or(to)).map_err(Violation::unable)?;
        fs::write(&copy, text).map_err(Violation::unable)?;
        copies.push(copy);
    }
    // The frame stands in `ConnectResponse` and in `SubscribeResponse`.
    let expected = if matches!(contract, Contract::Older) { NEWER.len() + 1 } else { 0 };
    assert_eq!(left_out, expected, "the contract no longer says {NEWER:?}");
    Ok(copies)
}

fn python(folder: &Path) -> PathBuf {
    folder.join("bin/python")
}

/// A folder that is filled once for each version of what is asked for.
pub(crate) fn prepared(
    name: &str,
    wanted: impl Hash,
    fill: impl FnOnce(&Path) -> Result<(), String>,
) -> Result<PathBuf, String> {
    let told = |error: io::Error| error.to_string();
    let mut key = DefaultHasher::new();
    wanted.hash(&mut key);
    let folder = Path::new(CACHE).join(format!("{name}-{:016x}", key.finish()));
    fs::create_dir_all(&folder).map_err(told)?;
    // Tests run beside each other, and so do test runs.
    let lock = File::create(folder.with_extension("lock")).map_err(told)?;
    lock.lock().map_err(told)?;
    if !folder.join(COMPLETE).exists() {
        fill(&folder)?;
        File::create(folder.join(COMPLETE)).map_err(told)?;
    }
    Ok(folder)
}

/// Installs what the lock file in `source` names, below `folder`.
pub(crate) fn npm_packages(source: &Path, folder: &Path) -> Result<(), String> {
    for file in ["package.json", "package-lock.json"] {
        fs::copy(source.join(file), folder.join(file)).map_err(|error| error.to_string())?;
    }
    let mut npm = Command::new("npm");
    let options = ["ci", "--ignore-scripts", "--no-audit", "--no-fund"];
    output(npm.args(options).current_dir(folder)).map(drop)
}

/// What a program prints, or why it did not end well.
pub(crate) fn output(command: &mut Command) -> Result<String, String> {
    let program = command.get_program().to_string_lossy().into_owned();
    let output = command.output().map_err(|error| format!("{program}: {error}"))?;
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    let complaint = String::from_utf8_lossy(&output.stderr);
    let last = complaint.trim().lines().last().unwrap_or_default();
    Err(format!("{program} ends with {}: {last}", output.status))
}
