//! Which of several peers a call goes to. Pure: it knows numbers and no peers.
//!
//! With an affinity it is the highest random weight (rendezvous hashing; Thaler and
//! Ravishankar, 1998): every process chooses the same peer without talking to any
//! other, and when a peer goes only its own share moves. Without one it is the less
//! busy of two that are drawn at random (Mitzenmacher, 2001), which keeps many
//! callers from running to the same idle peer.

/// A number for a name, the same in every process and version.
pub(super) fn hash(name: &[u8]) -> u64 {
    let hash = blake3::hash(name);
    let mut bytes = [0; 8];
    bytes.copy_from_slice(&hash.as_bytes()[..8]);
    u64::from_le_bytes(bytes)
}

/// Where the peer with the highest weight for the key stands.
pub(super) fn by_weight(key: u64, peers: impl Iterator<Item = u64>) -> Option<usize> {
    let weighed = peers.map(|peer| mixed(key ^ peer)).enumerate();
    weighed.max_by_key(|(_, weight)| *weight).map(|(place, _)| place)
}

/// Where the less busy of two peers stands, drawn by a random number.
pub(super) fn by_load(random: u64, loads: &[usize]) -> Option<usize> {
    let count = u64::try_from(loads.len()).ok().filter(|count| *count > 0)?;
    // The second is drawn from the others.
    let first = random % count;
    let step = if count > 1 { 1 + (random >> 32) % (count - 1) } else { 0 };
    let second = (first + step) % count;
    let place = |drawn: u64| usize::try_from(drawn).unwrap_or(0);
    let (first, second) = (place(first), place(second));
    Some(if loads[second] < loads[first] { second } else { first })
}

/// The finalizer of `SplitMix64` (Steele, Lea and Flood, 2014).
fn mixed(mut value: u64) -> u64 {
    value = (value ^ (value >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    value = (value ^ (value >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    value ^ (value >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEYS: u64 = 10_000;

    fn key(number: u64) -> u64 {
        hash(format!("conversation {number}").as_bytes())
    }

    #[test]
    fn each_peer_has_its_share_and_keeps_it_when_another_goes() {
        let peers: Vec<u64> = (0..4).map(|n| hash(format!("peer {n}").as_bytes())).collect();
        let mut shares = [0; 4];
        for number in 0..KEYS {
            let place = by_weight(key(number), peers.iter().copied()).expect("peers");
            shares[place] += 1;
            let others = peers.iter().copied().filter(|peer| *peer != peers[3]);
            let without = by_weight(key(number), others).expect("peers");
            assert!(place == 3 || place == without, "{number} moved without need");
            let turned = by_weight(key(number), peers.iter().rev().copied()).expect("peers");
            assert_eq!(turned, 3 - place, "the order of the peers does not matter");
        }
        for share in shares {
            assert!((2300..2700).contains(&share), "{shares:?}");
        }
        assert_eq!(by_weight(1, std::iter::empty()), None);
    }

    #[test]
    fn the_hash_is_for_ever() {
        assert_eq!(hash(b"conversation"), 4_596_093_179_911_667_057);
    }

    #[test]
    fn of_two_the_less_busy_and_every_peer_gets_something() {
        assert_eq!(by_load(7, &[]), None);
        assert_eq!(by_load(7, &[100]), Some(0));
        let random = |number: u64| mixed(number.wrapping_mul(0x9e37_79b9_7f4a_7c15));
        let mut chosen = [0; 3];
        for number in 0..KEYS {
            assert_eq!(by_load(random(number), &[3, 2]), Some(1));
            chosen[by_load(random(number), &[5, 5, 9]).expect("peers")] += 1;
        }
        assert_eq!(chosen[2], 0, "the busiest is never the less busy of two");
        assert!(chosen[0] > 3000 && chosen[1] > 3000, "{chosen:?}");
    }
}
