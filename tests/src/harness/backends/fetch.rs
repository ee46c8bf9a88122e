//! Gets the servers' programs, and a browser, with ordinary package managers, once, into
//! `backends` below cargo's target folder. Nothing is installed, and no root needed.

use std::{
    ffi::OsString,
    fs::{self, File},
    io,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use super::{Unavailable, server::sources};

/// `redis-server` and what `redis-server` of Debian 12 needs that few systems have.
const DEBIAN_PACKAGES: [&str; 4] = ["redis-server", "redis-tools", "liblzf1", "libjemalloc2"];

/// The command that runs Redis.
pub(super) fn redis_server() -> Result<Vec<OsString>, Unavailable> {
    if run(Command::new("redis-server").arg("--version")).is_ok() {
        return Ok(vec!["redis-server".into()]);
    }
    let unpacked = once("redis", |folder| unpack(&DEBIAN_PACKAGES, folder)).map_err(|why| {
        format!("redis-server is not installed, and apt-get does not bring it: {why}")
    })?;
    let libraries = format!("usr/lib/{}-linux-gnu", std::env::consts::ARCH);
    let mut path = OsString::from("LD_LIBRARY_PATH=");
    path.push(unpacked.join(libraries));
    Ok(vec!["env".into(), path, unpacked.join("usr/bin/redis-server").into()])
}

/// A folder with Chromium, and with what it needs that this system has not.
pub(super) fn chromium() -> Result<PathBuf, Unavailable> {
    once("chromium", |folder| {
        // Asked for nothing but the list: no root is needed, and nothing is installed.
        let list = run(Command::new("apt-get").args([
            "-qq",
            "--print-uris",
            "--no-install-recommends",
            "-o",
            "Debug::NoLocking=1",
            "install",
            "chromium",
        ]))?;
        // 'https://…/chromium_1.2-3_amd64.deb' chromium_1.2-3_amd64.deb 123 SHA256:…
        let files = list.lines().filter_map(|line| line.split_whitespace().nth(1));
        let names: Vec<&str> = files.filter_map(|file| file.split('_').next()).collect();
        unpack(&names, folder)
    })
    .map_err(|why| format!("no Chromium is installed, and apt-get does not bring it: {why}"))
}

/// Fetches Debian packages and unpacks them into the folder.
fn unpack(names: &[&str], folder: &Path) -> Result<(), Unavailable> {
    let packages = folder.join("packages");
    fs::create_dir(&packages).map_err(|error| error.to_string())?;
    run(Command::new("apt-get").args(["-q", "download"]).args(names).current_dir(&packages))?;
    for package in fs::read_dir(&packages).map_err(|error| error.to_string())? {
        let package = package.map_err(|error| error.to_string())?.path();
        run(Command::new("dpkg").arg("-x").arg(package).arg(folder))?;
    }
    fs::remove_dir_all(&packages).map_err(|error| error.to_string())
}

/// The folder of Cassandra's libraries.
pub(super) fn cassandra() -> Result<PathBuf, Unavailable> {
    once("cassandra-5.0.5", |folder| {
        let mut output = OsString::from("-DoutputDirectory=");
        output.push(folder);
        run(Command::new("mvn")
            .args(["-q", "-B", "-f"])
            .arg(sources().join("cassandra/pom.xml"))
            .arg("dependency:copy-dependencies")
            .arg(output))
        .map(drop)
    })
    .map_err(|why| format!("Cassandra's artifacts cannot be fetched: {why}"))
}

/// A `java` that Cassandra 5.0 runs on.
pub(super) fn java_17() -> Result<PathBuf, Unavailable> {
    let homes = ["CONFAB_TEST_JAVA_HOME", "JAVA_HOME"].iter().filter_map(std::env::var_os);
    let mut candidates: Vec<_> =
        homes.map(|home| PathBuf::from(home).join("bin").join("java")).collect();
    candidates.push("java".into());
    let is_17 = |java: &PathBuf| {
        let version = Command::new(java).arg("-version").stdin(Stdio::null()).output();
        version.is_ok_and(|out| String::from_utf8_lossy(&out.stderr).contains("version \"17."))
    };
    candidates.into_iter().find(is_17).ok_or_else(|| "no java 17".to_owned())
}

/// A folder that is filled once, for all test runs: aside first, so that it is
/// whole or not there. Two at a time take turns.
fn once(
    name: &str,
    fill: impl FnOnce(&Path) -> Result<(), Unavailable>,
) -> Result<PathBuf, Unavailable> {
    let (parent, _lock) = locked().map_err(|error| format!("no folder to keep it: {error}"))?;
    let folder = parent.join(name);
    if folder.is_dir() {
        return Ok(folder);
    }
    let aside = parent.join(format!("{name}.part"));
    let emptied = match fs::remove_dir_all(&aside) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => fs::create_dir(&aside),
    };
    emptied.map_err(|error| error.to_string())?;
    fill(&aside)?;
    fs::rename(&aside, &folder).map_err(|error| error.to_string())?;
    Ok(folder)
}

fn locked() -> io::Result<(PathBuf, File)> {
    // target/<profile>/deps/<this program>
    let program = std::env::current_exe()?;
    let target = program.ancestors().nth(3).ok_or(io::ErrorKind::NotFound)?;
    let parent = target.join("backends");
    fs::create_dir_all(&parent)?;
    let lock = File::create(parent.join("lock"))?;
    lock.lock()?;
    Ok((parent, lock))
}

/// Runs a command to its end; what it said is the answer, or why it failed.
fn run(command: &mut Command) -> Result<String, Unavailable> {
    let name = command.get_program().to_string_lossy().into_owned();
    let output = command.stdin(Stdio::null()).output();
    let output = output.map_err(|error| format!("{name}: {error}"))?;
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    let said = [output.stdout, output.stderr].concat();
    let said = String::from_utf8_lossy(&said);
    let line = said.lines().rev().find(|line| !line.trim().is_empty()).unwrap_or("nothing");
    Err(format!("{name} ended with {}: {line}", output.status))
}
