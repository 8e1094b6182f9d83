//! Which weights are in memory at each stage of a clip, decided before it begins. Pure: knows bytes and names, touches no
//! device. When not everything fits, it goes down a ladder: smaller pieces, then the text encoder leaves, then the part
//! that will be missed least, then the clip is refused.

use crate::domain::memory::{MoveKind, PartKind};

/// Weights that come and go together. Models that share a file share the key.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct PartKey {
    pub kind: PartKind,
    /// Says where its numbers are from and in which format they are held.
    pub source: String,
}

/// A part and the memory it takes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Part {
    pub key: PartKey,
    pub bytes: u64,
}

/// What one stage of a clip needs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StageNeed {
    pub parts: Vec<Part>,
    /// Bytes that it computes in.
    pub work: u64,
    /// The same when the stage takes smaller pieces; equal where there are none.
    pub small_work: u64,
}

/// A part in memory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Held {
    pub part: Part,
    /// When it was last used: a number that rises.
    pub used: u64,
}

/// What to do before one stage.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct StagePlan {
    /// In this order.
    pub evict: Vec<PartKey>,
    /// Whether the stage takes smaller pieces.
    pub small: bool,
    /// Steps down the ladder.
    pub steps: Vec<MoveKind>,
    /// What is on the device while the stage runs: all weights that are there, and what it computes in.
    pub bytes: u64,
}

/// A stage that cannot fit even alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{needed} bytes of device memory are needed at once, {budget} may be used")]
pub struct TooLarge {
    pub needed: u64,
    pub budget: u64,
}

impl StageNeed {
    fn has(&self, key: &PartKey) -> bool {
        self.parts.iter().any(|part| part.key == *key)
    }

    fn weights(&self) -> u64 {
        self.parts.iter().map(|part| part.bytes).sum()
    }
}

/// The most memory that any stage holds at once when nothing else is there: what a clip needs at least.
pub fn least(stages: &[StageNeed]) -> u64 {
    stages.iter().map(|stage| stage.weights() + stage.small_work).max().unwrap_or(0)
}

/// What a clip takes when all its parts stay: the weights of all stages and the largest work of any.
pub fn whole(stages: &[StageNeed]) -> u64 {
    let mut parts: Vec<&Part> = stages.iter().flat_map(|stage| &stage.parts).collect();
    parts.sort_by(|a, b| a.key.cmp(&b.key));
    parts.dedup_by(|a, b| a.key == b.key);
    let work = stages.iter().map(|stage| stage.work).max().unwrap_or(0);
    parts.iter().map(|part| part.bytes).sum::<u64>() + work
}

/// Plans the stages of a clip, in order, within `budget` bytes of which `held` are taken.
pub fn plan(budget: u64, held: &[Held], stages: &[StageNeed]) -> Result<Vec<StagePlan>, TooLarge> {
    let needed = least(stages);
    if needed > budget {
        return Err(TooLarge { needed, budget });
    }
    let mut present = held.to_vec();
    let newest = held.iter().map(|held| held.used).max().unwrap_or(0);
    let mut plans = Vec::with_capacity(stages.len());
    for (index, stage) in stages.iter().enumerate() {
        let plan = plan_stage(budget, &mut present, stage, &stages[index + 1..]);
        present.retain(|held| !stage.has(&held.part.key));
        let used = newest + 1 + index as u64;
        present.extend(stage.parts.iter().map(|part| Held { part: part.clone(), used }));
        plans.push(plan);
    }
    Ok(plans)
}

fn plan_stage(budget: u64, present: &mut Vec<Held>, stage: &StageNeed, later: &[StageNeed]) -> StagePlan {
    let mut plan = StagePlan::default();
    let fits = |present: &[Held], small: bool| {
        let others = present.iter().filter(|held| !stage.has(&held.part.key));
        let work = if small { stage.small_work } else { stage.work };
        others.map(|held| held.part.bytes).sum::<u64>() + stage.weights() + work <= budget
    };
    if !fits(present, false) && stage.small_work < stage.work {
        plan.small = true;
        plan.steps.push(MoveKind::SmallerPieces);
    }
    while !fits(present, plan.small) {
        let Some(victim) = victim(present, stage, later) else { break };
        let held = present.remove(victim);
        let text = held.part.key.kind == PartKind::TextEncoder;
        plan.steps.push(if text { MoveKind::TextEncoderLeaves } else { MoveKind::PartLeaves });
        plan.evict.push(held.part.key);
    }
    let others = present.iter().filter(|held| !stage.has(&held.part.key));
    let work = if plan.small { stage.small_work } else { stage.work };
    plan.bytes = others.map(|held| held.part.bytes).sum::<u64>() + stage.weights() + work;
    plan
}

/// A text encoder that this stage does not use; then what no later stage uses, the least recently used first; then
/// what is used last.
fn victim(present: &[Held], stage: &StageNeed, later: &[StageNeed]) -> Option<usize> {
    let next_use =
        |held: &Held| later.iter().position(|stage| stage.has(&held.part.key)).unwrap_or(usize::MAX);
    let rank = |held: &Held| {
        let text = held.part.key.kind == PartKind::TextEncoder;
        (text, next_use(held), std::cmp::Reverse(held.used))
    };
    let others = present.iter().enumerate().filter(|(_, held)| !stage.has(&held.part.key));
    others.max_by_key(|(_, held)| rank(held)).map(|(index, _)| index)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn part(kind: PartKind, source: &str, bytes: u64) -> Part {
        Part { key: PartKey { kind, source: source.to_owned() }, bytes }
    }

    fn transformer(source: &str, bytes: u64) -> Part {
        part(PartKind::Transformer, source, bytes)
    }

    fn need(parts: &[Part], work: u64, small_work: u64) -> StageNeed {
        StageNeed { parts: parts.to_vec(), work, small_work }
    }

    /// A pair of experts in int8 with what else they need, in GiB.
    fn pair() -> [StageNeed; 5] {
        let text = part(PartKind::TextEncoder, "umt5", 11);
        let [encoder, decoder] = [PartKind::Encoder, PartKind::Decoder].map(|kind| part(kind, "vae", 1));
        [
            need(&[text], 1, 1),
            need(&[encoder], 4, 4),
            need(&[transformer("high", 14)], 6, 6),
            need(&[transformer("low", 14)], 6, 6),
            need(&[decoder], 6, 4),
        ]
    }

    fn evicted(plans: &[StagePlan]) -> Vec<Vec<&str>> {
        plans.iter().map(|plan| plan.evict.iter().map(|key| key.source.as_str()).collect()).collect()
    }

    #[test]
    fn cards_of_every_size_get_what_fits_them() {
        // On the largest all stays; in between the text encoder leaves first; on a small one the experts take turns.
        let cases: [(u64, Vec<Vec<&str>>); 5] = [
            (141, vec![vec![]; 5]),
            (47, vec![vec![]; 5]),
            (40, vec![vec![], vec![], vec![], vec!["umt5"], vec![]]),
            (34, vec![vec![], vec![], vec![], vec!["umt5", "vae"], vec![]]),
            (22, vec![vec![], vec![], vec!["umt5"], vec!["vae", "high"], vec![]]),
        ];
        for (budget, expected) in cases {
            let plans = plan(budget, &[], &pair()).unwrap();
            assert_eq!(evicted(&plans), expected, "{budget} GiB");
        }
        assert_eq!(plan(19, &[], &pair()), Err(TooLarge { needed: 20, budget: 19 }));
        assert_eq!((least(&pair()), whole(&pair())), (20, 47));
    }

    #[test]
    fn smaller_pieces_come_before_anything_leaves() {
        let plans = plan(45, &[], &pair()).unwrap();
        assert!(plans.iter().all(|plan| plan.evict.is_empty() || plan.steps != [MoveKind::SmallerPieces]));
        let held = [Held { part: transformer("other", 39), used: 1 }];
        let last = [need(&[part(PartKind::Decoder, "vae", 1)], 6, 4)];
        let plans = plan(45, &held, &last).unwrap();
        assert_eq!((plans[0].small, plans[0].evict.len()), (true, 0));
        assert_eq!(plans[0].steps, [MoveKind::SmallerPieces]);
    }

    #[test]
    fn another_model_leaves_in_order_of_use() {
        let held = ["a", "b", "c"].map(|name| transformer(name, 10));
        let held: Vec<Held> =
            held.into_iter().zip([5, 3, 4]).map(|(part, used)| Held { part, used }).collect();
        let plans = plan(40, &held, &[need(&[transformer("d", 10)], 10, 10)]).unwrap();
        assert_eq!(evicted(&plans), [["b"]]);
        let plans = plan(30, &held, &[need(&[transformer("a", 10)], 10, 10)]).unwrap();
        assert_eq!(evicted(&plans), [["b"]], "what the stage uses stays, however old");
    }

    fn stages() -> impl Strategy<Value = Vec<StageNeed>> {
        let one = (0..4u8, 0..20u64, 0..20u64);
        proptest::collection::vec(one, 1..6).prop_map(|list| {
            list.into_iter().map(|(name, work, small)| need(&[named(name)], work.max(small), small)).collect()
        })
    }

    /// A part whose size is its name's.
    fn named(name: u8) -> Part {
        let kind = if name == 0 { PartKind::TextEncoder } else { PartKind::Transformer };
        part(kind, &name.to_string(), 5 + 3 * u64::from(name))
    }

    proptest! {
        #[test]
        fn every_stage_fits_and_nothing_leaves_without_need(
            budget in 0..80u64, resident in proptest::collection::btree_map(0..8u8, 0..9u64, 0..6), stages in stages(),
        ) {
            let held: Vec<Held> =
                resident.into_iter().map(|(name, used)| Held { part: named(name), used }).collect();
            match plan(budget, &held, &stages) {
                Err(too_large) => {
                    prop_assert_eq!(too_large.needed, least(&stages));
                    prop_assert!(least(&stages) > budget);
                }
                Ok(plans) => {
                    prop_assert!(least(&stages) <= budget);
                    let mut present: Vec<Part> = held.iter().map(|held| held.part.clone()).collect();
                    for (stage, plan) in stages.iter().zip(&plans) {
                        let sum = |present: &[Part]| present.iter().map(|part| part.bytes).sum::<u64>();
                        let missing: Vec<Part> =
                            stage.parts.iter().filter(|part| !present.contains(part)).cloned().collect();
                        let needless = sum(&present) + sum(&missing) + stage.work <= budget;
                        prop_assert!(!needless || (plan.evict.is_empty() && plan.steps.is_empty() && !plan.small));
                        for key in &plan.evict {
                            prop_assert!(!stage.has(key), "a stage never loses its own part");
                            let before = present.len();
                            present.retain(|part| part.key != *key);
                            prop_assert_eq!(present.len() + 1, before, "only what is there leaves");
                        }
                        present.extend(missing);
                        let work = if plan.small { stage.small_work } else { stage.work };
                        prop_assert_eq!(sum(&present) + work, plan.bytes);
                        prop_assert!(plan.bytes <= budget);
                    }
                }
            }
        }
    }
}
