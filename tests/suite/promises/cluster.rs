//! The promises that ask for nothing special of what they run on, on one cluster: the
//! very checks that the single process passes, one after the other, and on mutants.

use std::time::Duration;

use confab_tests::harness::{Checked, Deployment, Shape, must_be_caught, within};

use super::{WHOLE, can_be_clustered, p2_order, p13_history, p13_membership, p13_reads, program};

/// A send takes as long as a quorum needs, so that a storm has to go on for longer until
/// its end comes in the middle of it.
const STORM: Duration = Duration::from_millis(250);
const READS: u64 = 3;

async fn storms(confab: &Deployment) -> Checked {
    let storms = p13_membership::on(confab, p13_membership::FEW_ROUNDS, STORM);
    within(WHOLE, "P13, the storms", Box::pin(storms)).await?
}

async fn run() -> Checked {
    let mut confab = Deployment::start(Shape::Cluster, program(None)).await?;
    within(WHOLE, "P2", Box::pin(p2_order::on(&confab))).await??;
    within(WHOLE, "P13, history", Box::pin(p13_history::on(&confab))).await??;
    within(WHOLE, "P13, reads", Box::pin(p13_reads::on(&confab, READS))).await??;
    storms(&confab).await?;
    confab.is_quiet()?;

    let mutant = "publish-drops,realtime-skip-hole-check";
    confab.mutate(Some(mutant)).await?;
    let order = within(WHOLE, mutant, Box::pin(p2_order::on(&confab))).await;
    must_be_caught(mutant, order.flatten());
    let mutant = "no-membership-check";
    confab.mutate(Some(mutant)).await?;
    must_be_caught(mutant, storms(&confab).await);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn order_and_membership_hold_in_a_cluster() -> Checked {
    if can_be_clustered("promises::cluster::order_and_membership_hold_in_a_cluster").await {
        run().await?;
    }
    Ok(())
}
