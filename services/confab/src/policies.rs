//! `confab policies`: the table that the contract carries, one line an RPC.

use confab_proto::method::{METHODS, Target};

pub(crate) fn print() {
    for method in METHODS {
        let Some(policy) = &method.policy else {
            println!("{} NO POLICY", method.path);
            continue;
        };
        let target = match policy.target {
            Target::Conversation { field, minimum, decided_by_log } => {
                let place = if decided_by_log { "in the log" } else { "before" };
                format!("{field} {minimum:?} {place}")
            }
            other => format!("{other:?}"),
        };
        let scope = if policy.scope.is_empty() { "-" } else { policy.scope };
        println!("{} {:?} {scope} {} {target}", method.path, policy.callers, policy.rate_class);
    }
}
