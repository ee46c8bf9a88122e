//! P12: the contract only grows. The two steps of CI (`.ci/contract`) are run in
//! a repository that begins with this contract, as if it were released, and goes
//! on with a changed one.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Output},
};

use confab_tests::harness::{Checked, Violation, files_below, is_installed, skipped};
use tempfile::TempDir;

const CONFAB: &str = env!("CARGO_BIN_EXE_confab-under-test");
const ROOT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/..");
const POLICIES: &str = "proto/policies.txt";
const CHANGELOG: &str = "CHANGELOG.md";
const MESSAGES: &str = "proto/confab/messages/v1/messages.proto";
const SEND: &str = "MessagesService/SendMessage";
const RELEASED: &str = "# Changelog\n\n## [Unreleased]\n\n## v0.1.0\n";

/// What replaces what in a file.
type Change<'a> = (&'a str, &'a str, &'a str);

/// What a check of CI says.
struct Verdict {
    passes: bool,
    text: String,
}

/// A clone, and a branch of it.
struct Repository {
    folder: TempDir,
}

impl Repository {
    /// Of one commit, this contract. `changelog`: what is released with it.
    fn begin(changelog: &str) -> Checked<Self> {
        let folder = tempfile::tempdir().map_err(Violation::unable)?;
        let repository = Self { folder };
        let contract = files_below(&Path::new(ROOT).join("proto"))?;
        let contract = contract.iter().map(|file| Path::new("proto").join(file));
        for file in contract.chain(["buf.yaml", ".ci/contract"].map(PathBuf::from)) {
            copy(&file, repository.folder.path())?;
        }
        fs::write(repository.path(CHANGELOG), changelog).map_err(Violation::unable)?;
        repository.git(&["init", "--quiet"])?;
        repository.commit()?;
        Ok(repository)
    }

    /// As released, with these changes in a second commit.
    fn changed(changes: &[Change<'_>]) -> Checked<Self> {
        let repository = Self::begin(RELEASED)?;
        repository.change(changes)?;
        Ok(repository)
    }

    fn change(&self, changes: &[Change<'_>]) -> Checked {
        for (file, from, to) in changes {
            let before = fs::read_to_string(self.path(file)).map_err(Violation::unable)?;
            let after = before.replacen(from, to, 1);
            if after == before {
                return Err(Violation::unable(format!("{file} does not say {from:?}")));
            }
            fs::write(self.path(file), after).map_err(Violation::unable)?;
        }
        self.commit()
    }

    fn commit(&self) -> Checked {
        self.git(&["add", "--all"])?;
        self.git(&["commit", "--quiet", "--allow-empty", "--message", "a commit"])
    }

    fn git(&self, arguments: &[&str]) -> Checked {
        let mut git = Command::new("git");
        git.args(["-c", "user.name=test", "-c", "user.email=test@localhost"]).args(arguments);
        let output = self.run(&mut git)?;
        if output.status.success() { Ok(()) } else { Err(Violation::unable(told(&output))) }
    }

    fn check(&self, what: &str) -> Checked<Verdict> {
        let output = self.run(Command::new(self.path(".ci/contract")).arg(what))?;
        Ok(Verdict { passes: output.status.success(), text: told(&output) })
    }

    /// Runs it here, whatever repository the tests themselves run in.
    fn run(&self, command: &mut Command) -> Checked<Output> {
        command
            .current_dir(self.folder.path())
            .env("GIT_CONFIG_GLOBAL", "/dev/null")
            .env("GIT_CEILING_DIRECTORIES", std::env::temp_dir())
            .env_remove("GIT_DIR")
            .env_remove("GIT_WORK_TREE")
            .env_remove("GIT_INDEX_FILE")
            .output()
            .map_err(Violation::unable)
    }

    fn path(&self, file: &str) -> PathBuf {
        self.folder.path().join(file)
    }
}

impl Verdict {
    /// It passes and says this.
    fn passes(&self, with: &str) -> Checked {
        let expected = self.passes && self.text.contains(with);
        Violation::unless(expected, || format!("not passed with {with:?}: {}", self.text))
    }

    /// It fails and says this.
    fn fails(&self, with: &str) -> Checked {
        let expected = !self.passes && self.text.contains(with);
        Violation::unless(expected, || format!("not refused with {with:?}: {}", self.text))
    }
}

fn told(output: &Output) -> String {
    let both = [&output.stdout, &output.stderr];
    both.map(|text| String::from_utf8_lossy(text).into_owned()).concat()
}

/// Copies a file of this repository, with the folders that it is in.
fn copy(file: &Path, to: &Path) -> Checked {
    let copy = to.join(file);
    fs::create_dir_all(copy.parent().unwrap_or(to)).map_err(Violation::unable)?;
    fs::copy(Path::new(ROOT).join(file), copy).map_err(Violation::unable).map(drop)
}

/// Whether these programs are here; says so if not.
fn have(programs: &[&str], test: &str) -> bool {
    let missing = programs.iter().find(|program| !is_installed(program));
    if let Some(program) = missing {
        skipped(&format!("p12_contract::{test}"), &format!("{program} is not installed"));
    }
    missing.is_none()
}

/// The golden table's line about an RPC.
fn policy(rpc: &str) -> Checked<String> {
    let table = fs::read_to_string(Path::new(ROOT).join(POLICIES)).map_err(Violation::unable)?;
    let line = table.lines().find(|line| line.contains(&format!("{rpc}  ")));
    line.map(str::to_owned).ok_or_else(|| Violation::unable(format!("no policy of {rpc}")))
}

/// A changed policy, which the changelog announces or not.
fn judge(from: &str, to: &str, announcement: Option<&str>) -> Checked<Verdict> {
    let mut changes = vec![(POLICIES, from, to)];
    let section = announcement.map(|text| format!("## [Unreleased]\n\n{text}\n"));
    if let Some(section) = &section {
        changes.push((CHANGELOG, "## [Unreleased]\n", section));
    }
    Repository::changed(&changes)?.check("policies")
}

#[test]
fn the_table_of_policies_is_the_golden_one() -> Checked {
    let output = Command::new(CONFAB).arg("policies").output().map_err(Violation::unable)?;
    let printed = String::from_utf8_lossy(&output.stdout);
    // A longer line must not move the columns of all others.
    let narrow = |line: &str| {
        let cells = line.split("  ").map(str::trim).filter(|cell| !cell.is_empty());
        cells.collect::<Vec<_>>().join("  ") + "\n"
    };
    let printed: String = printed.lines().map(narrow).collect();
    let golden = fs::read_to_string(Path::new(ROOT).join(POLICIES)).map_err(Violation::unable)?;
    Violation::unless(printed == golden, || {
        format!("{POLICIES} is not what `confab policies | sed -E 's/ {{2,}}/  /g'` prints")
    })
}

#[test]
fn what_is_released_is_neither_removed_nor_changed() -> Checked {
    if !have(&["git", "buf"], "what_is_released_is_neither_removed_nor_changed") {
        return Ok(());
    }
    let field = "  uint64 reply_to_seq = 5;\n";
    let changes = [
        (MESSAGES, field, ""),
        (MESSAGES, "uint64 thread_seq = 6;", "uint64 thread_seq = 60;"),
        (MESSAGES, "uint64 after_seq = 3;", "string after_seq = 3;"),
        (MESSAGES, "string request_id = 2;", "string command_id = 2;"),
        (MESSAGES, "rpc SendMessage(", "rpc Send("),
    ];
    let verdict = Repository::changed(&changes)?.check("breaking")?;
    for found in [
        "field \"5\" with name \"reply_to_seq\"",
        "field \"6\" with name \"thread_seq\"",
        "type from \"uint64\" to \"string\"",
        "name from \"request_id\" to \"command_id\"",
        "RPC \"SendMessage\"",
    ] {
        verdict.fails(found)?;
    }
    let more = format!("{field}  // More.\n  uint64 more = 1000;\n");
    let grown = Repository::changed(&[(MESSAGES, field, &more)])?;
    grown.check("breaking")?.passes("compared with")
}

#[test]
fn no_rpc_and_no_caller_is_given_up() -> Checked {
    if !have(&["git"], "no_rpc_and_no_caller_is_given_up") {
        return Ok(());
    }
    let line = policy(SEND)?;
    let announced = Some("### Policies\n\n- `MessagesService/SendMessage` is not for everyone.");
    judge(&format!("{line}\n"), "", announced)?.fails("SendMessage is gone")?;
    let fewer = line.replace("  user, application  ", "  user  ");
    judge(&line, &fewer, announced)?.fails("refused to callers of the kind application")?;
    let more = format!("{line}\n{}", line.replace(SEND, "MessagesService/SendNothing"));
    judge(&line, &more, None)?.passes("compared with")
}

#[test]
fn a_policy_does_not_change_in_silence() -> Checked {
    if !have(&["git"], "a_policy_does_not_change_in_silence") {
        return Ok(());
    }
    let line = policy(SEND)?;
    let laxer = line.replace("at least member of", "anyone of the tenant, for");
    let stricter = line.replace("at least member of", "at least admin of");
    let costlier = line.replace("  send  ", "  create  ");
    let wider = line.replace("  user, application  ", "  user, application, mesh  ");
    for changed in [&laxer, &stricter, &costlier, &wider] {
        judge(&line, changed, None)?.fails(changed)?;
        let announced = "### Policies\n\n- `MessagesService/SendMessage` is for everyone.";
        judge(&line, changed, Some(announced))?.passes("compared with")?;
    }
    for elsewhere in [
        "### Policies\n\n- `MessagesService/SendMessages` is for everyone.",
        "### Changed\n\n- `MessagesService/SendMessage` is for everyone.",
        "### Policies\n\n### Added\n\n- `MessagesService/SendMessage`",
    ] {
        judge(&line, &laxer, Some(elsewhere))?.fails(&laxer)?;
    }
    // What was announced is one change, not all that come later.
    let announced = "### Policies\n\n- `MessagesService/SendMessage` is for everyone.\n";
    let repository = Repository::begin(&format!("{RELEASED}\n{announced}"))?;
    repository.change(&[(POLICIES, &line, &laxer)])?;
    repository.check("policies")?.fails(&laxer)
}

#[test]
fn a_branch_is_compared_with_where_it_began() -> Checked {
    if !have(&["git", "buf"], "a_branch_is_compared_with_where_it_began") {
        return Ok(());
    }
    let line = policy(SEND)?;
    let repository = Repository::begin(RELEASED)?;
    repository.git(&["update-ref", "refs/remotes/origin/main", "HEAD"])?;
    let renamed = (MESSAGES, "uint64 thread_seq = 6;", "uint64 topic_seq = 6;");
    repository.change(&[renamed, (POLICIES, &format!("{line}\n"), "")])?;
    repository.commit()?;
    repository.check("breaking")?.fails("\"thread_seq\"")?;
    repository.check("policies")?.fails("SendMessage is gone")?;
    // On main itself, with the commit before.
    repository.git(&["update-ref", "refs/remotes/origin/main", "HEAD"])?;
    repository.check("breaking")?.passes("compared with")?;
    repository.check("policies")?.passes("compared with")
}

#[test]
fn what_is_not_released_may_change() -> Checked {
    if !have(&["git"], "what_is_not_released_may_change") {
        return Ok(());
    }
    let line = policy(SEND)?;
    let repository = Repository::begin("# Changelog\n\n## [Unreleased]\n\nUntil `v0.1.0` …\n")?;
    for check in ["breaking", "policies"] {
        repository.check(check)?.passes("the first commit")?;
    }
    let renamed = (MESSAGES, "uint64 thread_seq = 6;", "uint64 topic_seq = 6;");
    let released = (CHANGELOG, "## [Unreleased]\n", "## [Unreleased]\n\n## v0.1.0\n");
    repository.change(&[renamed, (POLICIES, &format!("{line}\n"), ""), released])?;
    for check in ["breaking", "policies"] {
        repository.check(check)?.passes("not yet: v0.1.0")?;
    }
    Ok(())
}
