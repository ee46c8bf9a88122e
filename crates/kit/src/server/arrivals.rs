//! How many connections one address may open and have open, before anything is
//! known of who is behind it.

use std::{
    collections::HashMap,
    net::IpAddr,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use crate::{
    address::{AddressRules, ClientAddress},
    config::Config,
    rates::{BudgetKey, MemoryBudgets, gcra::Quota},
};

/// New connections of one address in a minute, unless configured.
const DEFAULT_PER_MINUTE: u32 = 600;
/// Open connections of one address, unless configured.
const DEFAULT_OPEN: u32 = 2000;
const MINUTE: Duration = Duration::from_mins(1);

/// See the module.
#[derive(Debug)]
pub(super) struct Arrivals {
    rules: AddressRules,
    per_minute: Option<u32>,
    most_open: Option<u32>,
    budgets: MemoryBudgets,
    open: Arc<Mutex<HashMap<ClientAddress, u32>>>,
}

/// An open connection of an address; counted until it is dropped.
#[derive(Debug)]
pub(super) struct Arrival {
    address: ClientAddress,
    open: Arc<Mutex<HashMap<ClientAddress, u32>>>,
}

impl Arrivals {
    pub(super) fn new(config: &Config) -> Self {
        Self {
            rules: AddressRules::of(config),
            per_minute: config.limits.connections_per_address_per_minute,
            most_open: config.limits.connections_per_address,
            budgets: MemoryBudgets::default(),
            open: Arc::default(),
        }
    }

    /// Lets a connection in, or says why not. One that is refused is charged
    /// to neither limit.
    pub(super) fn admit(&self, peer: IpAddr) -> Result<Arrival, &'static str> {
        let address = ClientAddress::of(peer);
        let most = self.rules.limit(self.most_open, DEFAULT_OPEN, peer);
        let per_minute = self.rules.limit(self.per_minute, DEFAULT_PER_MINUTE, peer);
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        let count = open.get(&address).copied().unwrap_or_default();
        if most > 0 && count >= most {
            return Err("too many from its address");
        }
        let key = BudgetKey(address.number().to_be_bytes());
        if self.budgets.take_now(key, [Quota::new(per_minute, MINUTE), None]).is_err() {
            return Err("too fast from its address");
        }
        open.insert(address, count + 1);
        Ok(Arrival { address, open: Arc::clone(&self.open) })
    }
}

impl Drop for Arrival {
    fn drop(&mut self) {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = open.get_mut(&self.address) {
            *count -= 1;
            if *count == 0 {
                open.remove(&self.address);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn arrivals(open: u32, per_minute: u32) -> Arrivals {
        let mut config = Config::default();
        config.limits.connections_per_address = Some(open);
        config.limits.connections_per_address_per_minute = Some(per_minute);
        Arrivals::new(&config)
    }

    fn address(text: &str) -> IpAddr {
        text.parse().expect("an address")
    }

    #[tokio::test(start_paused = true)]
    async fn an_address_has_so_many_connections_open_and_no_more() {
        let arrivals = arrivals(2, 0);
        let first = arrivals.admit(address("2001:db8::1")).expect("room");
        let _second = arrivals.admit(address("2001:db8::2")).expect("room");
        let third = arrivals.admit(address("2001:db8::3"));
        assert_eq!(third.expect_err("the same /64"), "too many from its address");
        assert!(arrivals.admit(address("192.0.2.1")).is_ok());
        drop(first);
        assert!(arrivals.admit(address("2001:db8::3")).is_ok());
    }

    #[tokio::test(start_paused = true)]
    async fn an_address_opens_so_many_in_a_minute_and_no_more() {
        let arrivals = arrivals(0, 3);
        for _ in 0..3 {
            drop(arrivals.admit(address("192.0.2.1")).expect("in time"));
        }
        let fourth = arrivals.admit(address("192.0.2.1"));
        assert_eq!(fourth.expect_err("too fast"), "too fast from its address");
        assert!(arrivals.admit(address("192.0.2.2")).is_ok());
        tokio::time::advance(Duration::from_secs(20)).await;
        assert!(arrivals.admit(address("192.0.2.1")).is_ok());
        assert!(arrivals.admit(address("192.0.2.1")).is_err());
    }
}
