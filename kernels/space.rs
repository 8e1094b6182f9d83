//! Which bytes of a stretch of addresses are taken, which are free, and behind which of them there is memory. Pure numbers:
//! maps nothing itself. What is asked for comes from the shortest free piece that holds it.

use std::collections::{BTreeMap, BTreeSet, HashMap};

/// Taken and free bytes, by offset.
#[derive(Debug, Default)]
pub(crate) struct Space {
    /// Pieces of memory as they were added, by start; the value is a length.
    blocks: BTreeMap<usize, usize>,
    /// Joined across blocks that touch.
    free: BTreeMap<usize, usize>,
    /// The same, shortest first.
    by_length: BTreeSet<(usize, usize)>,
    taken: HashMap<usize, usize>,
}

/// A piece of memory to be added or removed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Block {
    pub(crate) start: usize,
    pub(crate) bytes: usize,
}

/// A stretch grows by at least this part of what it has, so that it need not grow often.
const GROWTH_SHARE: usize = 16;
/// The most that it grows by for that reason alone.
const LARGEST_STEP: usize = 64 << 20;

impl Space {
    /// Where `bytes` are from now on; `None` if no free piece holds them.
    pub(crate) fn take(&mut self, bytes: usize) -> Option<usize> {
        let &(length, start) = self.by_length.range((bytes, 0)..).next()?;
        self.forget(start);
        if length > bytes {
            self.note(start + bytes, length - bytes);
        }
        self.taken.insert(start, bytes);
        Some(start)
    }

    /// Frees what [`Self::take`] gave; its length.
    pub(crate) fn give(&mut self, start: usize) -> Option<usize> {
        let bytes = self.taken.remove(&start)?;
        self.join(start, bytes);
        Some(bytes)
    }

    /// The block to add before `bytes` can be taken, in whole pages. It continues what is free at the end of the memory
    /// there is, or fills a gap that a removed block left.
    pub(crate) fn growth(&self, bytes: usize, page: usize) -> Block {
        let step = (self.memory() / GROWTH_SHARE).min(LARGEST_STEP);
        let mut start = 0;
        for (&next, &length) in &self.blocks {
            if let Some(block) = self.growth_at(start, next - start, bytes, page) {
                return block;
            }
            start = next + length;
        }
        let missing = bytes - self.free_before(start).min(bytes);
        Block { start, bytes: missing.max(step).max(1).next_multiple_of(page) }
    }

    /// The same in a gap of `room` bytes.
    fn growth_at(&self, start: usize, room: usize, bytes: usize, page: usize) -> Option<Block> {
        let missing = (bytes - self.free_before(start).min(bytes)).max(1).next_multiple_of(page);
        (missing <= room).then_some(Block { start, bytes: missing })
    }

    pub(crate) fn add(&mut self, block: Block) {
        self.blocks.insert(block.start, block.bytes);
        self.join(block.start, block.bytes);
    }

    /// Blocks of which nothing is taken.
    pub(crate) fn idle(&self) -> Vec<Block> {
        let is_idle = |block: &Block| {
            let before = self.free.range(..=block.start).next_back();
            before.is_some_and(|(start, length)| start + length >= block.start + block.bytes)
        };
        self.blocks().filter(is_idle).collect()
    }

    /// Takes an idle block out.
    pub(crate) fn remove(&mut self, block: Block) {
        let Some((&start, &length)) = self.free.range(..=block.start).next_back() else { return };
        self.forget(start);
        self.blocks.remove(&block.start);
        let end = block.start + block.bytes;
        if start < block.start {
            self.note(start, block.start - start);
        }
        if end < start + length {
            self.note(end, start + length - end);
        }
    }

    /// Every block, in order.
    pub(crate) fn blocks(&self) -> impl Iterator<Item = Block> {
        self.blocks.iter().map(|(&start, &bytes)| Block { start, bytes })
    }

    /// Bytes of all blocks.
    pub(crate) fn memory(&self) -> usize {
        self.blocks.values().sum()
    }

    /// Bytes that are free right before `end`.
    fn free_before(&self, end: usize) -> usize {
        let before = self.free.range(..end).next_back();
        before.filter(|(start, length)| *start + *length == end).map_or(0, |(_, length)| *length)
    }

    fn join(&mut self, mut start: usize, mut bytes: usize) {
        let before = self.free_before(start);
        if before > 0 {
            start -= before;
            bytes += before;
            self.forget(start);
        }
        if let Some(after) = self.free.get(&(start + bytes)).copied() {
            self.forget(start + bytes);
            bytes += after;
        }
        self.note(start, bytes);
    }

    fn note(&mut self, start: usize, bytes: usize) {
        self.free.insert(start, bytes);
        self.by_length.insert((bytes, start));
    }

    fn forget(&mut self, start: usize) {
        if let Some(bytes) = self.free.remove(&start) {
            self.by_length.remove(&(bytes, start));
        }
    }
}

#[cfg(test)]
mod tests {
    use rand::{Rng, SeedableRng, rngs::StdRng};

    use super::*;

    const PAGE: usize = 64;

    fn take(space: &mut Space, bytes: usize) -> usize {
        space.take(bytes).unwrap_or_else(|| {
            let block = space.growth(bytes, PAGE);
            space.add(block);
            space.take(bytes).expect("the block was made for it")
        })
    }

    #[test]
    fn what_is_given_back_joins_and_the_shortest_piece_is_taken() {
        let mut space = Space::default();
        let [a, b, c] = [48, 64, 16].map(|bytes| take(&mut space, bytes));
        assert_eq!(space.memory(), 128);
        space.give(a);
        space.give(c);
        assert_eq!(take(&mut space, 16), c, "a hole of 48 stays for what needs it");
        space.give(b);
        assert_eq!(take(&mut space, 112), a);
        assert_eq!((space.memory(), space.give(7)), (128, None));
    }

    #[test]
    fn growth_continues_what_is_free_and_gaps_are_filled() {
        let mut space = Space::default();
        let a = take(&mut space, 40);
        assert_eq!(space.growth(88, PAGE), Block { start: 64, bytes: 64 });
        let b = take(&mut space, 88);
        let last = take(&mut space, PAGE);
        space.give(a);
        space.give(b);
        assert_eq!(space.idle(), [Block { start: 0, bytes: 64 }, Block { start: 64, bytes: 64 }]);
        space.remove(Block { start: 64, bytes: 64 });
        assert_eq!((space.memory(), last), (128, 128));
        assert_eq!(space.growth(100, PAGE), Block { start: 64, bytes: 64 });
    }

    #[test]
    fn nothing_overlaps_and_all_comes_back() {
        let mut random = StdRng::seed_from_u64(7);
        let mut space = Space::default();
        let mut held: Vec<(usize, usize)> = Vec::new();
        for _ in 0..4000 {
            if held.is_empty() || random.random_bool(0.5) {
                let bytes = random.random_range(1..500);
                let start = take(&mut space, bytes);
                let end = start + bytes;
                assert!(held.iter().all(|&(other, length)| end <= other || other + length <= start));
                let behind = |at| space.blocks().any(|it| it.start <= at && at < it.start + it.bytes);
                assert!(behind(start) && behind(end - 1));
                held.push((start, bytes));
            } else {
                let (start, bytes) = held.swap_remove(random.random_range(0..held.len()));
                assert_eq!(space.give(start), Some(bytes));
            }
            if random.random_bool(0.02) {
                space.idle().into_iter().for_each(|block| space.remove(block));
            }
        }
        for (start, bytes) in held {
            assert_eq!(space.give(start), Some(bytes));
        }
        space.idle().into_iter().for_each(|block| space.remove(block));
        assert_eq!((space.memory(), space.free.len(), space.by_length.len()), (0, 0, 0));
    }
}
