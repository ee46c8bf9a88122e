//! The gateway's protocol with the clients that are made for browsers, inside one.

use confab_tests::harness::{Checked, Node, lasting_port, must_be_caught};

use super::{Script, Tools, program, tools_or_skip};
use confab_kit::role::Role;

/// One run of `protocol.mjs`: all of it, or one part.
async fn run(tools: &Tools, part: Option<&str>, mutant: Option<&str>) -> Checked {
    let allowed = format!("http://localhost:{}", lasting_port()?.port());
    let options =
        program(mutant).env("CONFAB_GATEWAY__ALLOWED_ORIGINS", &format!("[\"{allowed}\"]"));
    let line: Vec<&str> = ["protocol.mjs"].into_iter().chain(part).collect();
    let mut script = Script { line: &line, environment: [("ALLOWED_ORIGIN", allowed)].into() };
    // Only a gateway, and nobody behind it.
    let alone = if mutant.is_none() { Some(alone().await?) } else { None };
    if let Some(alone) = &alone {
        script.environment.insert("DOWN", format!("http://{}", alone.gateway()));
    }
    script.run(tools, options).await?;
    alone.map_or(Ok(()), Node::finish)
}

async fn alone() -> Checked<Node> {
    let nowhere = format!("[\"http://{}\"]", lasting_port()?);
    let mut options = program(None).env("CONFAB_ROLES", "[gateway]").allow("dependency is lost");
    for role in Role::ALL {
        let name = format!("CONFAB_MESH__PEERS__{}", role.name().to_uppercase());
        options = options.env(&name, &nowhere);
    }
    Node::start(options).await
}

#[tokio::test(flavor = "multi_thread")]
async fn three_clients_are_served_and_other_sites_are_not() {
    let test = "browser::protocol::three_clients_are_served_and_other_sites_are_not";
    let Some(tools) = tools_or_skip(test).await else { return };
    run(&tools, None, None).await.unwrap_or_else(|violation| panic!("{violation}"));
}

#[tokio::test(flavor = "multi_thread")]
async fn gateways_that_trust_other_sites_are_caught() {
    let test = "browser::protocol::gateways_that_trust_other_sites_are_caught";
    let Some(tools) = tools_or_skip(test).await else { return };
    for (mutant, part) in
        [("gateway-any-origin", "sites"), ("gateway-dev-token-any-host", "rebinding")]
    {
        must_be_caught(mutant, run(&tools, Some(part), Some(mutant)).await);
    }
}
