//! Walks at random through scenarios made at random, larger than what can be
//! explored to the end. A seed is a scenario and a walk: the same on every machine.

use std::collections::BTreeSet;

use confab_log::{
    Command,
    appender::Options,
    event::{Kind, Role},
};
use rand::{Rng, SeedableRng, rngs::StdRng, seq::IndexedRandom};

use super::{
    checks::{Law, Violation},
    explore::{Failure, retell},
    scenario::{Ask, Scenario, What},
    script::{
        add, ask, create, edit, group, read, remove, rename, request, send, send_in_thread,
        sentence, user,
    },
    world::{Step, World},
};

/// Steps after which a world must have come to rest.
const PATIENCE: usize = 20_000;

/// Takes the walk of a seed; how many steps it had.
///
/// # Errors
/// The broken promise and the way to it.
pub fn walk(seed: u64, mutant: Option<&'static str>) -> Result<usize, Box<Failure>> {
    let mut random = StdRng::seed_from_u64(seed);
    let mut scenario = scenario(&mut random);
    scenario.name = format!("seed {seed}");
    let law = Law::new(&scenario, mutant);
    let mut steps = Vec::new();
    match run(&law, &mut random, &mut steps) {
        Ok(()) => Ok(steps.len()),
        Err(violation) => Err(Box::new(Failure {
            scenario: scenario.name.clone(),
            states: steps.len(),
            violation,
            trace: retell(&scenario, mutant, &steps),
        })),
    }
}

fn run(law: &Law<'_>, random: &mut StdRng, steps: &mut Vec<Step>) -> Result<(), Violation> {
    let mut world = World::new(law.scenario);
    // Some walks are calm for long, others meet trouble at every turn.
    let trouble_share = *[0.02, 0.1, 0.3].choose(random).unwrap_or(&0.1);
    while steps.len() < PATIENCE {
        let (progress, trouble) = (world.progress(law.scenario), world.trouble(law.scenario));
        if progress.is_empty() {
            law.quiescent(&world)?;
        }
        let troubled = progress.is_empty() || random.random_bool(trouble_share);
        let from = if troubled && !trouble.is_empty() { &trouble } else { &progress };
        let Some(step) = from.choose(random) else {
            return Ok(());
        };
        steps.push(*step);
        world.take(*step, law)?;
    }
    Err(Violation("it does not come to an end".to_owned()))
}

fn scenario(random: &mut StdRng) -> Scenario {
    let direct = random.random_bool(0.15);
    let setup = if direct {
        vec![request("a", "create", create(Kind::Direct, &["a", "b"]))]
    } else {
        group(&["a", "b"])
    };
    let nodes = random.random_range(1..=3);
    let knows = random.random_bool(0.8);
    let count = random.random_range(2..=8);
    let asks = (0..count).map(|number| {
        let asked = random_ask(random, direct, number);
        place(asked, random, nodes, knows, number)
    });
    let mut asks: Vec<_> = asks.collect();
    tell_apart(&mut asks);
    Scenario {
        nodes,
        options: Options {
            // Without `after_seq` a retry is safe within the tail only.
            tail: if knows { random.random_range(1..=4) } else { 100 },
            group: random.random_range(1..=3),
            page: random.random_range(1..=4),
            raise_every: random.random_range(1..=4),
            tries: random.random_range(1..=3),
            ..Options::default()
        },
        faults: random.random_range(0..=6),
        read_faults: random.random_bool(0.5),
        crashes: random.random_range(0..=3),
        jumps: random.random_range(0..=2),
        gathers: random.random_bool(0.5),
        split: random.random_bool(0.5),
        stepwise: random.random_bool(0.5),
        ..Scenario::new("random", setup, asks)
    }
}

/// Asks may share a request id, but not all of a request: then they would be tries
/// of one.
fn tell_apart(asks: &mut [Ask]) {
    let mut seen = BTreeSet::new();
    for (number, ask) in asks.iter_mut().enumerate() {
        let What::Command(asked) = &mut ask.what else { continue };
        let same = (asked.actor.clone(), asked.request_id.clone(), asked.digest);
        if !seen.insert(same) {
            let actor = asked.actor.clone();
            **asked = request(actor.as_str(), &format!("again{number}"), asked.command.clone());
        }
    }
}

fn place(mut ask: Ask, random: &mut StdRng, nodes: usize, knows: bool, number: usize) -> Ask {
    ask.knows = knows;
    ask.first = (0..nodes).collect();
    ask.retry = (0..nodes).collect();
    ask.tries = random.random_range(1..=4);
    let What::Command(request) = &ask.what else {
        return ask;
    };
    // That a direct conversation exists already is no event, and is not remembered.
    if !matches!(request.command, Command::Create(_)) {
        ask.racing = random.random_bool(0.3);
        ask.again = random.random_bool(0.3);
    }
    // Who shares a name shares the moment of its first try.
    if request.request_id.as_str() != "r0" && random.random_bool(0.4) {
        ask.after.push(random.random_range(0..number));
    }
    ask
}

fn random_ask(random: &mut StdRng, direct: bool, number: usize) -> Ask {
    let users = if direct { &["a", "b"][..] } else { &["o", "o", "o", "a", "b", "c"][..] };
    let actor = users.choose(random).unwrap_or(&"a");
    if random.random_bool(0.15) {
        return read(actor);
    }
    // Now and then two asks share a name: one of them must be refused.
    let number = if random.random_bool(0.1) { 0 } else { number };
    let command = if random.random_bool(0.5) {
        on_messages(random)
    } else if direct {
        on_direct(random)
    } else {
        on_participants(random)
    };
    ask(actor, &format!("r{number}"), command)
}

fn on_messages(random: &mut StdRng) -> Command {
    let target = random.random_range(2..=5);
    let emoji = "+".to_owned();
    match random.random_range(0..11) {
        0..=3 => send("hello"),
        8 => send_in_thread("yes", target, "a"),
        9 => Command::Pin { target },
        10 => Command::Unpin { target },
        4 => edit(target, "better"),
        5 => Command::DeleteMessage { target },
        6 => Command::AddReaction { target, emoji },
        _ => Command::RemoveReaction { target, emoji },
    }
}

fn on_direct(random: &mut StdRng) -> Command {
    match random.random_range(0..3) {
        0 => Command::Delete { version: None },
        1 => Command::Restore,
        _ => create(Kind::Direct, &["a", "b"]),
    }
}

fn on_participants(random: &mut StdRng) -> Command {
    let name = *["a", "b", "c"].choose(random).unwrap_or(&"a");
    let until = *[None, Some(150)].choose(random).unwrap_or(&None);
    match random.random_range(0..13) {
        0..=2 => add(&[name]),
        3..=5 => remove(name),
        6 => Command::Mute(sentence(name, until)),
        7 => Command::Unmute { user: user(name) },
        8 => Command::Ban(sentence(name, until)),
        9 => Command::Unban { user: user(name) },
        10 => Command::UpdateRole { user: user(name), role: Role::Admin },
        11 => Command::TransferOwnership { user: user(name) },
        _ => rename("title", *[None, Some(1)].choose(random).unwrap_or(&None)),
    }
}
