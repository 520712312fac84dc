use std::collections::{BTreeMap, BTreeSet, HashMap};

/// Everybody of one set with everybody of another, for all of some services.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Block {
    pub from: BTreeSet<usize>,
    pub to: BTreeSet<usize>,
    pub services: BTreeSet<usize>,
}

/// Who began what with whom, by numbers.
#[derive(Debug, Default)]
pub(super) struct Relation {
    peers: Vec<usize>,
    /// Whether a block must cover it.
    uses: BTreeMap<Begun, bool>,
    of_pair: HashMap<(usize, usize), BTreeSet<usize>>,
    sources: HashMap<(usize, usize), BTreeSet<usize>>,
    destinations: HashMap<(usize, usize), BTreeSet<usize>>,
}

/// A service, with whom it was begun, and by whom.
type Begun = (usize, usize, usize);

/// What a block grows along.
#[derive(Debug, Clone, Copy)]
enum Along {
    From,
    To,
    Services,
}

const ORDERS: [[Along; 3]; 6] = [
    [Along::From, Along::To, Along::Services],
    [Along::From, Along::Services, Along::To],
    [Along::To, Along::From, Along::Services],
    [Along::To, Along::Services, Along::From],
    [Along::Services, Along::From, Along::To],
    [Along::Services, Along::To, Along::From],
];

impl Relation {
    /// Without elements, of ends that belong to these peers. Nothing passes from a peer to itself, so
    /// that it may be on both sides of a block.
    pub(super) fn new(peers: Vec<usize>) -> Self {
        Self { peers, ..Self::default() }
    }

    /// Adds an element, or says of one that it is needed.
    pub(super) fn add(&mut self, from: usize, to: usize, service: usize, is_needed: bool) {
        *self.uses.entry((service, to, from)).or_default() |= is_needed;
        self.of_pair.entry((from, to)).or_default().insert(service);
        self.sources.entry((to, service)).or_default().insert(from);
        self.destinations.entry((from, service)).or_default().insert(to);
    }

    /// Few blocks that are in the relation, and together cover what is needed of it.
    pub(super) fn blocks(&self) -> Vec<Block> {
        let mut left: BTreeSet<Begun> =
            self.uses.iter().filter(|(_, needed)| **needed).map(|(begun, _)| *begun).collect();
        let mut blocks = Vec::new();
        while let Some(&seed) = left.first() {
            let grown = ORDERS.map(|order| self.grown(seed, order));
            let gain = |block: &Block| begun(block).filter(|one| left.contains(one)).count();
            let best = grown.into_iter().rev().max_by_key(gain);
            let Some(best) = best.map(|block| self.trimmed(&block)) else { break };
            begun(&best).for_each(|one| {
                left.remove(&one);
            });
            blocks.push(best);
        }
        self.without_needless(blocks)
    }

    fn grown(&self, (service, to, from): Begun, order: [Along; 3]) -> Block {
        let mut block = Block { from: [from].into(), to: [to].into(), services: [service].into() };
        for along in order.into_iter().chain(order) {
            let more: Vec<usize> = self
                .candidates(&block, along)
                .into_iter()
                .filter(|&it| self.fits(&block, along, it))
                .collect();
            match along {
                Along::From => block.from.extend(more),
                Along::To => block.to.extend(more),
                Along::Services => block.services.extend(more),
            }
        }
        block
    }

    /// A block without whom and what it has for nothing that is needed.
    fn trimmed(&self, block: &Block) -> Block {
        let mut trimmed = Block::default();
        for (service, to, from) in begun(block).filter(|one| self.uses.get(one) == Some(&true)) {
            trimmed.from.insert(from);
            trimmed.to.insert(to);
            trimmed.services.insert(service);
        }
        trimmed
    }

    fn candidates(&self, block: &Block, along: Along) -> BTreeSet<usize> {
        let [from, to, service] =
            [&block.from, &block.to, &block.services].map(|set| set.first().copied());
        let (Some(from), Some(to), Some(service)) = (from, to, service) else {
            return BTreeSet::new();
        };
        let (known, own, has) = match along {
            Along::From => (self.sources.get(&(to, service)), Some(to), &block.from),
            Along::To => (self.destinations.get(&(from, service)), Some(from), &block.to),
            Along::Services => {
                let mut pairs = pairs(block).filter(|&(from, to)| !self.is_one(from, to));
                let known = pairs.next().and_then(|pair| self.of_pair.get(&pair));
                (known, None, &block.services)
            }
        };
        let known = known.into_iter().flatten().copied();
        known.chain(own).filter(|it| !has.contains(it)).collect()
    }

    /// Whether a block with one more is in the relation, and the one is in it for something.
    fn fits(&self, block: &Block, along: Along, more: usize) -> bool {
        let (from, to, services) = match along {
            Along::From => (&BTreeSet::from([more]), &block.to, &block.services),
            Along::To => (&block.from, &BTreeSet::from([more]), &block.services),
            Along::Services => (&block.from, &block.to, &BTreeSet::from([more])),
        };
        let mut others = from
            .iter()
            .flat_map(|&from| to.iter().map(move |&to| (from, to)))
            .filter(|&(from, to)| !self.is_one(from, to))
            .peekable();
        let has = |pair| self.of_pair.get(&pair).is_some_and(|begun| services.is_subset(begun));
        others.peek().is_some() && others.all(has)
    }

    fn is_one(&self, from: usize, to: usize) -> bool {
        self.peers[from] == self.peers[to]
    }

    /// Leaves out blocks all of which others cover.
    fn without_needless(&self, mut blocks: Vec<Block>) -> Vec<Block> {
        let mut times: HashMap<Begun, usize> = HashMap::new();
        for one in blocks.iter().flat_map(begun) {
            *times.entry(one).or_default() += 1;
        }
        blocks.retain(|block| {
            let needed = |one: &Begun| self.uses.get(one) == Some(&true);
            let is_needless = begun(block).filter(needed).all(|one| times[&one] > 1);
            if is_needless {
                for one in begun(block) {
                    times.entry(one).and_modify(|times| *times -= 1);
                }
            }
            !is_needless
        });
        blocks
    }
}

fn pairs(block: &Block) -> impl Iterator<Item = (usize, usize)> + '_ {
    block.from.iter().flat_map(|&from| block.to.iter().map(move |&to| (from, to)))
}

fn begun(block: &Block) -> impl Iterator<Item = Begun> + '_ {
    block
        .services
        .iter()
        .flat_map(move |&service| pairs(block).map(move |(from, to)| (service, to, from)))
}

#[cfg(test)]
mod tests {
    use proptest::{collection::vec, prelude::*};

    use super::*;

    fn relation(uses: &[(usize, usize, usize, bool)]) -> Relation {
        let mut relation = Relation::new((0..8).collect());
        for &(from, to, service, is_needed) in uses {
            relation.add(from, to, service, is_needed);
        }
        relation
    }

    fn sets(block: &Block) -> [Vec<usize>; 3] {
        [&block.from, &block.to, &block.services].map(|set| set.iter().copied().collect())
    }

    #[test]
    fn a_product_is_one_block() {
        let uses: Vec<_> = (0..3)
            .flat_map(|from| (3..5).flat_map(move |to| (0..2).map(move |it| (from, to, it, true))))
            .collect();
        let blocks = relation(&uses).blocks();
        assert_eq!(
            blocks.iter().map(sets).collect::<Vec<_>>(),
            [[vec![0, 1, 2], vec![3, 4], vec![0, 1]]]
        );
    }

    #[test]
    fn all_among_themselves_are_one_block() {
        let pairs = (0..4).flat_map(|from| (0..4).map(move |to| (from, to)));
        let uses: Vec<_> =
            pairs.filter(|(from, to)| from != to).map(|(from, to)| (from, to, 0, true)).collect();
        let blocks = relation(&uses).blocks();
        assert_eq!(
            blocks.iter().map(sets).collect::<Vec<_>>(),
            [[vec![0, 1, 2, 3], vec![0, 1, 2, 3], vec![0]]]
        );
    }

    #[test]
    fn nobody_is_on_a_side_for_nothing() {
        let blocks = relation(&[(0, 1, 0, true)]).blocks();
        assert_eq!(blocks.iter().map(sets).collect::<Vec<_>>(), [[vec![0], vec![1], vec![0]]]);
    }

    #[test]
    fn what_may_be_covered_fills_blocks_and_needs_none() {
        let uses = [(0, 2, 0, true), (1, 2, 0, true), (0, 2, 1, true), (1, 2, 1, false)];
        let blocks =
            relation(&[&uses[..], &[(1, 3, 0, false), (0, 2, 2, false)]].concat()).blocks();
        let sides = [vec![0, 1], vec![2], vec![0, 1]];
        assert_eq!(blocks.iter().map(sets).collect::<Vec<_>>(), [sides]);
    }

    proptest! {
        #[test]
        fn blocks_cover_what_is_needed_and_nothing_beside_the_relation(
            uses in vec((0usize..5, 0usize..5, 0usize..4, any::<bool>()), 0..60)
        ) {
            let uses: Vec<_> = uses.into_iter().filter(|(from, to, ..)| from != to).collect();
            let relation = relation(&uses);
            let covered: BTreeSet<Begun> =
                relation.blocks().iter().flat_map(|block| begun(block).collect::<Vec<_>>()).collect();
            for (one, is_needed) in &relation.uses {
                prop_assert!(!is_needed || covered.contains(one), "{:?} is not covered", one);
            }
            for one in covered.iter().filter(|(_, to, from)| to != from) {
                prop_assert!(relation.uses.contains_key(one), "{:?} is covered", one);
            }
        }
    }
}
