//! Shuffle sharding: each flow is dealt a few of the queues, so that one that floods fills few queues of others.

/// Deals hands of queues.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Dealer {
    queues: u32,
    hand: u32,
}

/// The most queues of a hand: more would take more bits than a hash has.
const MAX_HAND: usize = 15;
/// How many bits of a hash are used, as in Kubernetes.
const ENTROPY: f64 = 60.0;

// === impl Dealer ===

impl Dealer {
    /// Deals hands of so many out of so many; none if a hash has not bits enough for that.
    pub(super) fn new(queues: u32, hand: u32) -> Option<Self> {
        let fits = hand > 0 && hand <= queues && f64::from(queues).log2() * f64::from(hand) <= ENTROPY;
        (fits && (hand as usize <= MAX_HAND || queues == 1)).then_some(Self { queues, hand })
    }

    /// The hand of a flow, by its hash: different numbers below the number of queues.
    pub(super) fn deal(&self, mut hash: u64) -> impl Iterator<Item = u32> {
        let mut hand = [0_u32; MAX_HAND];
        let size = self.hand as usize;
        for index in 0..size {
            let left = u64::from(self.queues) - index as u64;
            // Which of the cards that are left; told by its place among all, once those dealt before are put back.
            let mut card = (hash % left) as u32;
            hash /= left;
            let mut dealt = hand;
            let dealt = &mut dealt[..index];
            dealt.sort_unstable();
            for earlier in dealt.iter() {
                if card >= *earlier {
                    card += 1;
                }
            }
            hand[index] = card;
        }
        hand.into_iter().take(size)
    }
}

/// The hash of a flow: of the name of its schema and what tells it from others.
pub(super) fn hash(schema: &str, flow: &str) -> u64 {
    use sha2::{Digest, Sha256};
    let digest = Sha256::new().chain_update(schema).chain_update([0]).chain_update(flow).finalize();
    digest.iter().take(8).rev().fold(0, |hash, byte| (hash << 8) | u64::from(*byte))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn a_hand_has_different_cards_and_all_are_dealt() {
        let dealer = Dealer::new(16, 4).expect("a dealer");
        let mut seen = BTreeSet::new();
        for flow in 0..200 {
            let hand: BTreeSet<u32> = dealer.deal(hash("schema", &flow.to_string())).collect();
            assert_eq!(hand.len(), 4);
            assert!(hand.iter().all(|card| *card < 16));
            seen.extend(hand);
        }
        assert_eq!(seen.len(), 16);
    }

    #[test]
    fn a_hand_of_all_queues_is_all_of_them() {
        let hand: BTreeSet<u32> = Dealer::new(8, 8).expect("a dealer").deal(u64::MAX).collect();
        assert_eq!(hand, (0..8).collect());
    }

    #[test]
    fn hands_that_no_hash_could_tell_apart_are_not_dealt() {
        assert_eq!(Dealer::new(4, 5), None);
        assert_eq!(Dealer::new(0, 0), None);
        assert_eq!(Dealer::new(1 << 26, 3), None);
        assert!(Dealer::new(1 << 20, 3).is_some());
    }
}
