//! What the documentation says, held against the code: every reason is
//! explained, and every test that is named exists.

use std::{collections::BTreeMap, fs, path::PathBuf};

use confab_kit::error::{Error, Reason};

/// Numbers of reasons are below this.
const REASONS: i32 = 1000;

fn read(path: &str) -> String {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("..").join(path);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// The texts between backticks.
fn quoted(text: &str) -> impl Iterator<Item = &str> {
    text.split('`').skip(1).step_by(2)
}

/// `UNAVAILABLE` for `Unavailable`.
fn upper_snake(name: &str) -> String {
    let mut upper = String::new();
    for letter in name.chars() {
        if letter.is_ascii_uppercase() && !upper.is_empty() {
            upper.push('_');
        }
        upper.push(letter.to_ascii_uppercase());
    }
    upper
}

#[test]
fn every_reason_is_explained_with_its_code() {
    let known: BTreeMap<String, String> = (0..REASONS)
        .filter_map(|number| Reason::try_from(number).ok())
        .map(|reason| {
            let error = Error::new(reason, "");
            (error.reason_name().to_owned(), upper_snake(&format!("{:?}", error.code())))
        })
        .collect();
    let page = read("docs/errors.md");
    let explained: BTreeMap<String, String> = page
        .lines()
        .filter(|line| line.starts_with("| `"))
        .map(|line| {
            let mut cells = quoted(line).map(str::to_owned);
            (cells.next().unwrap_or_default(), cells.next().unwrap_or_default())
        })
        .collect();
    assert_eq!(explained, known);
}

/// Tests are named as `path/of/file.rs::name_of_the_test`.
fn assert_tests_exist(page: &str) -> usize {
    let text = read(page);
    let mut named = 0;
    for (file, test) in quoted(&text).filter_map(|text| text.split_once(".rs::")) {
        let source = read(&format!("{file}.rs"));
        assert!(
            source.contains(&format!("fn {test}(")),
            "{page} names {test}, which is not in {file}.rs"
        );
        named += 1;
    }
    named
}

#[test]
fn every_test_that_the_documentation_names_exists() {
    assert!(assert_tests_exist("docs/features.md") > 20);
    assert!(assert_tests_exist("README.md") >= 8);
}

#[test]
fn every_feature_is_shown_by_a_test_or_not_yet_there() {
    for line in read("docs/features.md").lines().filter(|line| line.starts_with("| ")) {
        let told = line.contains(".rs::") || line.contains("not yet") || line.contains("---");
        assert!(told || line.starts_with("| Promised |"), "no test beside: {line}");
    }
}
