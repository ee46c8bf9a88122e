//! Chromium: the one of the path, or Debian's packages, unpacked where cargo builds.

use std::{collections::BTreeMap, path::PathBuf};

use super::{Unavailable, fetch, given};

/// As distributions call it.
const NAMES: [&str; 3] = ["chromium", "chromium-browser", "google-chrome"];

/// A browser to be started, for as many scripts as there are.
#[derive(Clone, Debug)]
pub struct Chromium {
    /// The program.
    pub program: PathBuf,
    /// What it needs in its environment.
    pub environment: BTreeMap<String, String>,
}

impl Chromium {
    /// The one that `CONFAB_TEST_CHROMIUM` names, one of the path, or one that is
    /// fetched.
    ///
    /// # Errors
    /// Why there is none.
    pub fn find() -> Result<Self, Unavailable> {
        let path = std::env::var_os("PATH").unwrap_or_default();
        let folders: Vec<PathBuf> = std::env::split_paths(&path).collect();
        let of_the_path = NAMES.iter().flat_map(|name| folders.iter().map(move |at| at.join(name)));
        let named = given("CONFAB_TEST_CHROMIUM").map(PathBuf::from);
        if let Some(program) = named.into_iter().chain(of_the_path).find(|at| at.is_file()) {
            return Ok(Self { program, environment: BTreeMap::new() });
        }
        let unpacked = fetch::chromium()?;
        let at = |place: &str| unpacked.join(place).display().to_string();
        let libraries = format!("usr/lib/{}-linux-gnu", std::env::consts::ARCH);
        let environment = [
            ("LD_LIBRARY_PATH", format!("{}:{}", at(&libraries), at("usr/lib/chromium"))),
            // Where fonts are, and how they are chosen.
            ("FONTCONFIG_SYSROOT", unpacked.display().to_string()),
            ("XDG_DATA_DIRS", at("usr/share")),
        ];
        let environment = environment.map(|(name, value)| (name.to_owned(), value)).into();
        Ok(Self { program: unpacked.join("usr/lib/chromium/chromium"), environment })
    }
}
