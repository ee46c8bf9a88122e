//! `compose.yaml` against the program: Docker is not needed to see that it takes every
//! configuration there, and that these fit together.

use std::{collections::BTreeMap, process::Command};

use confab_kit::role::Role;
use serde::Deserialize;

/// The program under test.
const CONFAB: &str = env!("CARGO_BIN_EXE_confab-under-test");

#[derive(Deserialize)]
struct Compose {
    services: BTreeMap<String, Service>,
}

#[derive(Deserialize)]
struct Service {
    #[serde(default)]
    environment: BTreeMap<String, String>,
}

impl Service {
    /// A list, as the program reads it.
    fn list(&self, name: &str) -> Vec<String> {
        let text = self.environment.get(name).map_or("[]", String::as_str);
        serde_json::from_str(text).unwrap_or_else(|error| panic!("{name}: {text}: {error}"))
    }
}

fn processes() -> BTreeMap<String, Service> {
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/../compose.yaml");
    let text = std::fs::read_to_string(file).expect("compose.yaml");
    let mut compose: Compose = serde_saphyr::from_str(&text).expect("YAML");
    compose.services.retain(|_, service| service.environment.contains_key("CONFAB_ROLES"));
    compose.services
}

#[test]
fn every_configuration_of_the_composition_is_taken() {
    let folder = tempfile::tempdir().expect("a folder");
    for (name, service) in processes() {
        let mut command = Command::new(CONFAB);
        command.arg("config").current_dir(folder.path()).envs(&service.environment);
        let output = command.output().expect("the program runs");
        assert!(output.status.success(), "{name}: {}", String::from_utf8_lossy(&output.stderr));
        let printed = String::from_utf8_lossy(&output.stdout);
        assert!(printed.contains(&service.environment["CONFAB_MESH_LISTEN"]), "{name}: {printed}");
    }
}

#[test]
fn the_processes_of_the_composition_are_told_of_each_other() {
    let processes = processes();
    assert!(processes.len() > Role::ALL.len(), "some role has two");
    for role in Role::ALL {
        let serve = processes.values().filter(|s| s.list("CONFAB_ROLES") == [role.name()]);
        let serve = serve.map(|s| format!("http://{}", s.environment["CONFAB_MESH_LISTEN"]));
        let serve: Vec<_> = serve.collect();
        let name = format!("CONFAB_MESH__PEERS__{}", role.name().to_uppercase());
        for (asking, service) in &processes {
            let mut told = service.list(&name);
            told.sort();
            assert_eq!(told, serve, "{asking} is told of {role}");
        }
    }
}
