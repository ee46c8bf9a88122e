//! Lists the files of `web/dist` for `src/assets.rs`, each with its compressed form.
//! The files themselves are made by `npm run build` in `web` and committed, so that
//! nobody needs Node to build Confab.

use std::{
    env,
    fmt::Write as _,
    fs, io,
    io::Write as _,
    path::{Path, PathBuf},
};

use flate2::{Compression, write::GzEncoder};

fn main() -> io::Result<()> {
    let missing = || io::Error::other("cargo says not where");
    let root = PathBuf::from(env::var_os("CARGO_MANIFEST_DIR").ok_or_else(missing)?);
    let out = PathBuf::from(env::var_os("OUT_DIR").ok_or_else(missing)?);
    let dist = root.join("web/dist");
    println!("cargo:rerun-if-changed={}", dist.display());
    let mut files = Vec::new();
    collect(&dist, &mut files)?;
    files.sort();
    let mut list = String::from("[\n");
    for (number, file) in files.iter().enumerate() {
        println!("cargo:rerun-if-changed={}", file.display());
        let path = file.strip_prefix(&dist).map_err(io::Error::other)?;
        let gzip = out.join(format!("{number}.gz"));
        fs::write(&gzip, compressed(&fs::read(file)?)?)?;
        let [path, file, gzip] = [path, file, &gzip].map(|path| path.to_string_lossy());
        let (plain, gzip) =
            (format!("include_bytes!({file:?})"), format!("include_bytes!({gzip:?})"));
        writeln!(list, "File {{ path: \"/{path}\", plain: {plain}, gzip: {gzip} }},")
            .map_err(io::Error::other)?;
    }
    list.push(']');
    fs::write(out.join("files.rs"), list)
}

fn collect(folder: &Path, files: &mut Vec<PathBuf>) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            collect(&path, files)?;
        } else {
            files.push(path);
        }
    }
    Ok(())
}

fn compressed(plain: &[u8]) -> io::Result<Vec<u8>> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(plain)?;
    encoder.finish()
}
