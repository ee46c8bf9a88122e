//! The command line towards whoever types it: what it prints, what it refuses,
//! and what it never touches.

use std::{
    collections::BTreeMap,
    fs,
    net::TcpListener,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use confab_client::SendOptions;
use confab_kit::error::Reason;
use confab_tests::harness::{Checked, Node, Tokens, Violation, eventually, skipped};

use super::{
    PATIENCE, equal,
    operations::{CONFAB, holds, run},
    refused,
};
use crate::promises::program;

/// Every file below a folder, with its content.
fn contents(folder: &Path) -> Checked<BTreeMap<PathBuf, Vec<u8>>> {
    let mut found = BTreeMap::new();
    for entry in fs::read_dir(folder).map_err(Violation::unable)? {
        let path = entry.map_err(Violation::unable)?.path();
        if path.is_dir() {
            found.extend(contents(&path)?);
            found.insert(path, Vec::new());
        } else {
            let content = fs::read(&path).map_err(Violation::unable)?;
            found.insert(path, content);
        }
    }
    Ok(found)
}

/// The command must fail, and say this.
fn fails(arguments: &[&str], data_dir: &Path, said: &str) -> Checked {
    let (_, complaint, well) = run(arguments, data_dir)?;
    Violation::unless(!well, || format!("{arguments:?} ended well: {complaint}"))?;
    holds(&complaint, said)
}

/// Starts as far as to its first listener, which finds its port taken; what it
/// complained of.
fn start_up(data_dir: &Path, flags: &[&str], environment: &[(&str, &str)]) -> Checked<String> {
    let taken = TcpListener::bind("127.0.0.1:0").map_err(Violation::unable)?;
    let address = taken.local_addr().map_err(Violation::unable)?.to_string();
    let output = Command::new(CONFAB)
        .args(["serve", "--listen", &address, "--data-dir"])
        .arg(data_dir)
        .args(flags)
        .envs(environment.iter().copied())
        .output()
        .map_err(Violation::unable)?;
    Violation::unless(!output.status.success(), || "it serves on a port that is taken")?;
    Ok(String::from_utf8_lossy(&output.stderr).into_owned())
}

#[test]
fn a_strangers_folder_is_refused_and_left_alone() -> Checked {
    let folder = tempfile::tempdir().map_err(Violation::unable)?;
    fs::create_dir(folder.path().join("db")).map_err(Violation::unable)?;
    fs::write(folder.path().join("db/schema.rb"), "precious").map_err(Violation::unable)?;
    let before = contents(folder.path())?;
    fails(&["verify"], folder.path(), "is not a data folder of confab")?;
    holds(&start_up(folder.path(), &[], &[])?, "is not empty and is not a data folder of confab")?;
    equal(contents(folder.path())?, before)
}

#[test]
fn verify_and_token_make_nothing() -> Checked {
    let folder = tempfile::tempdir().map_err(Violation::unable)?;
    for place in [folder.path().join("missing"), folder.path().to_owned()] {
        fails(&["verify"], &place, "is not a data folder of confab")?;
        fails(&["token", "--user", "alice"], &place, "start `confab serve` with this data folder")?;
        let chat = ["chat", "--user", "alice", "--with", "bob"];
        fails(&chat, &place, "start `confab serve` with this data folder")?;
    }
    equal(contents(folder.path())?, BTreeMap::new())
}

#[tokio::test(flavor = "multi_thread")]
async fn verify_changes_no_row_and_no_key() -> Checked {
    let mut node = Node::start(program(None)).await?;
    let alice = node.client("dev", "alice").await?;
    let id = alice.create_group("group", &["bob"]).await?.conversation_id;
    alice.send(&id, "hello").await?;
    node.kill9();
    let keys = |folder: &Path| -> Checked<BTreeMap<PathBuf, Vec<u8>>> {
        let mut files = contents(folder)?;
        files.retain(|path, _| path.parent() == Some(folder) && !path.ends_with("LOCK"));
        Ok(files)
    };
    let before = keys(&node.data_dir())?;
    let (report, complaint, well) = run(&["verify"], &node.data_dir())?;
    Violation::unless(well, || format!("{report} {complaint}"))?;
    holds(&report, "1 conversations, 2 events, 1 messages")?;
    equal(keys(&node.data_dir())?, before)?;
    let (again, _, _) = run(&["verify"], &node.data_dir())?;
    equal(again, report)?;
    node.restart().await?;
    equal(node.client("dev", "alice").await?.events_after(&id, 0, 10).await?.1, 2)?;
    node.finish()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lost_key_stops_the_start_and_is_not_made_anew() -> Checked {
    let mut node = Node::start(program(None)).await?;
    let alice = node.client("dev", "alice").await?;
    let id = alice.create_group("group", &["bob"]).await?.conversation_id;
    let once = || SendOptions { request_id: Some("once".to_owned()), ..SendOptions::default() };
    let seq = alice.send_with(&id, "hello", once()).await?.seq;
    node.kill9();
    let folder = node.data_dir();
    for (file, key) in [("digest-key", "digest_key"), ("page-token-key", "page_token_key")] {
        let (file, lost) = (folder.join(file), format!("{key} is lost"));
        let kept = fs::read_to_string(&file).map_err(Violation::unable)?;
        fs::remove_file(&file).map_err(Violation::unable)?;
        holds(&start_up(&folder, &[], &[])?, &lost)?;
        let (report, _, well) = run(&["verify"], &folder)?;
        equal(well, false)?;
        holds(&report, &lost)?;
        Violation::unless(!file.exists(), || format!("{key} was made anew"))?;
        fs::write(&file, "ab".repeat(32)).map_err(Violation::unable)?;
        let other = format!("{key} is not the key that this store was used with");
        holds(&start_up(&folder, &[], &[])?, &other)?;
        fs::write(&file, kept).map_err(Violation::unable)?;
    }
    node.restart().await?;
    let alice = node.client("dev", "alice").await?;
    equal(alice.send_with(&id, "hello", once()).await?.seq, seq)?;

    // Whoever has lost it for good can go on, and is told what that breaks.
    node.kill9();
    fs::remove_file(folder.join("digest-key")).map_err(Violation::unable)?;
    holds(&start_up(&folder, &["--replace-lost-keys"], &[])?, "cannot listen on")?;
    node.restart().await?;
    let alice = node.client("dev", "alice").await?;
    refused(alice.send_with(&id, "hello", once()).await, Reason::RequestIdReused)?;
    node.finish()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_folder_that_lost_its_database_is_not_begun_anew() -> Checked {
    let mut node = Node::start(program(None)).await?;
    let alice = node.client("dev", "alice").await?;
    alice.create_group("group", &["bob"]).await?;
    node.kill9();
    let folder = node.data_dir();
    // Not yet in any other file than the journal.
    let journal = folder.join("db").join("0.jnl");
    fs::write(&journal, []).map_err(Violation::unable)?;
    for flags in [&[][..], &["--replace-lost-keys"]] {
        holds(&start_up(&folder, flags, &[])?, "says that it was in use")?;
    }
    let (report, _, well) = run(&["verify"], &folder)?;
    equal(well, false)?;
    holds(&report, "says that it was in use")?;
    fs::remove_dir_all(folder.join("db")).map_err(Violation::unable)?;
    holds(&start_up(&folder, &[], &[])?, "is missing")?;
    node.finish()
}

#[test]
fn another_page_token_key_may_be_configured_and_another_digest_key_may_not() -> Checked {
    let folder = tempfile::tempdir().map_err(Violation::unable)?;
    let place = folder.path().join("data");
    holds(&start_up(&place, &[], &[])?, "cannot listen on")?;
    let other = "cd".repeat(32);
    holds(&start_up(&place, &[], &[("CONFAB_PAGE_TOKEN_KEY", &other)])?, "cannot listen on")?;
    let complaint = start_up(&place, &[], &[("CONFAB_DIGEST_KEY", &other)])?;
    holds(&complaint, "digest_key is not the key that this store was used with")
}

#[test]
fn whoever_does_not_listen_gets_no_panic() -> Checked {
    let folder = tempfile::tempdir().map_err(Violation::unable)?;
    for command in ["policies", "config"] {
        let (reader, writer) = std::io::pipe().map_err(Violation::unable)?;
        drop(reader);
        let output = Command::new(CONFAB).arg(command).stdout(writer).output();
        let output = output.map_err(Violation::unable)?;
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        Violation::unless(output.status.success() && said.is_empty(), || said)?;
        let full = fs::File::options().write(true).open("/dev/full");
        let Ok(full) = full else {
            let test = "features::command_line::whoever_does_not_listen_gets_no_panic";
            skipped(test, "there is no /dev/full");
            continue;
        };
        let output = Command::new(CONFAB).arg(command).stdout(full).output();
        let output = output.map_err(Violation::unable)?;
        equal(output.status.code(), Some(1))?;
        holds(&String::from_utf8_lossy(&output.stderr), "cannot write to standard output")?;
    }
    // Nobody hears complaints either.
    let (reader, writer) = std::io::pipe().map_err(Violation::unable)?;
    drop(reader);
    let mut verify = Command::new(CONFAB);
    verify.arg("verify").arg("--data-dir").arg(folder.path()).stderr(writer);
    equal(verify.status().map_err(Violation::unable)?.code(), Some(1))
}

#[test]
fn what_stops_a_start_is_said_once_and_named() -> Checked {
    let folder = tempfile::tempdir().map_err(Violation::unable)?;
    let place = folder.path().join("data");
    let once = |text: &str, part: &str| {
        let times = text.matches(part).count();
        Violation::unless(times == 1, || format!("{part:?} is there {times} times: {text}"))
    };
    let complaint = start_up(&place, &[], &[])?;
    once(&complaint, "Address already in use")?;
    holds(&complaint, "(listen)")?;
    let file = folder.path().join("confab.toml");
    fs::write(&file, "listen = '").map_err(Violation::unable)?;
    let file = file.to_string_lossy();
    let (_, complaint, _) = run(&["config", "--config", &file], folder.path())?;
    once(&complaint, "TOML parse error")?;
    once(&complaint, &file)?;

    let any = "127.0.0.1:0";
    let addresses = folder.path().join("nowhere/addresses");
    let addresses = addresses.to_string_lossy();
    let clients = ["serve", "--listen", any, "--gateway-listen", any];
    let serve = [&clients[..], &["--mesh-listen", any, "--ops-listen", any]].concat();
    let (banner, complaint, well) =
        run(&[&serve[..], &["--addresses", &addresses]].concat(), &place)?;
    equal((banner.as_str(), well), ("", false))?;
    once(&complaint, &addresses)?;

    // A variable that is set to nothing is as good as none.
    let config = Command::new(CONFAB).arg("config").env("CONFAB_CONFIG", "").output();
    equal(config.map_err(Violation::unable)?.status.success(), true)
}

#[tokio::test(flavor = "multi_thread")]
async fn chat_says_at_once_what_is_wrong() -> Checked {
    let node = Node::start(program(None)).await?;
    let (folder, uri) = (node.data_dir(), node.uri());
    let chat = ["chat", "--user", "alice", "--with", "bob", "--server"];
    let nobody = TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr());
    let nowhere = format!("http://{}", nobody.map_err(Violation::unable)?);
    let with = |rest: &[&'static str], uri: &str| {
        let mut all: Vec<String> = chat.iter().map(|&part| part.to_owned()).collect();
        all.push(uri.to_owned());
        all.extend(rest.iter().map(|&part| part.to_owned()));
        all
    };
    let fails = |arguments: Vec<String>, folder: &Path, said: &str| {
        fails(&arguments.iter().map(String::as_str).collect::<Vec<_>>(), folder, said)
    };
    let reach = format!("cannot reach {nowhere}: tcp connect error: Connection refused");
    fails(with(&[], &nowhere), &folder, &reach)?;
    fails(with(&[], &nowhere), &folder, "is `confab serve` running there?")?;

    let other = tempfile::tempdir().map_err(Violation::unable)?;
    // Makes a key that no server knows.
    Tokens::of(other.path())?;
    fails(with(&[], &uri), other.path(), "name it with --data-dir")?;

    let token = node.tokens()?.user("dev", "carl");
    let mut arguments = with(&["--token"], &uri);
    arguments.push(token);
    fails(arguments, &folder, "--user is alice, but the token is for carl")?;
    node.finish()
}

#[tokio::test(flavor = "multi_thread")]
async fn files_hold_no_colours_and_the_last_line_says_that_it_has_stopped() -> Checked {
    let folder = tempfile::tempdir().map_err(Violation::unable)?;
    let any = "127.0.0.1:0";
    let addresses = folder.path().join("addresses");
    let serve = Command::new(CONFAB)
        .args(["serve", "--listen", any, "--mesh-listen", any, "--ops-listen", any])
        .args(["--gateway-listen", any])
        .arg("--data-dir")
        .arg(folder.path().join("data"))
        .arg("--addresses")
        .arg(&addresses)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(Violation::unable)?;
    let ready = || async { Ok(addresses.exists().then_some(())) };
    let ready = eventually(PATIENCE, "a node that is ready", ready).await;
    let pid = i32::try_from(serve.id()).ok().and_then(rustix::process::Pid::from_raw);
    let pid = pid.ok_or_else(|| Violation::unable("no process id"))?;
    rustix::process::kill_process(pid, rustix::process::Signal::INT).map_err(Violation::unable)?;
    let output = serve.wait_with_output().map_err(Violation::unable)?;
    ready?;
    equal(output.status.success(), true)?;
    let (out, log) =
        (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    holds(&out, "confab 0.")?;
    equal(out.lines().last(), Some("stopped"))?;
    holds(&log, "draining")?;
    Violation::unless(!log.contains('\u{1b}'), || log.into_owned())
}

#[test]
fn commands_offer_only_the_flags_that_mean_something() -> Checked {
    for command in ["chat", "token", "verify", "config", "serve"] {
        let help = Command::new(CONFAB).args([command, "--help"]).output();
        let help = help.map_err(Violation::unable)?.stdout;
        let listens = String::from_utf8_lossy(&help).contains("--listen");
        equal((command, listens), (command, matches!(command, "config" | "serve")))?;
    }
    Ok(())
}
