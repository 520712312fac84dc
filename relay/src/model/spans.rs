use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::{IpNet, Ipv4Net, Ipv6Net};

/// Consecutive addresses of one family, as numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Span {
    /// Lowest address.
    pub first: u128,
    /// Highest address, not below `first`.
    pub last: u128,
}

/// A set of addresses of one family: spans, ascending, with a gap between each two.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub struct Spans(Vec<Span>);

impl Span {
    /// All addresses of a prefix.
    pub fn of(net: &IpNet) -> Self {
        Self { first: number(net.network()), last: number(net.broadcast()) }
    }

    /// What it shares with another.
    pub fn common(self, other: Self) -> Option<Self> {
        let (first, last) = (self.first.max(other.first), self.last.min(other.last));
        (first <= last).then_some(Self { first, last })
    }
}

impl FromIterator<Span> for Spans {
    fn from_iter<I: IntoIterator<Item = Span>>(spans: I) -> Self {
        let mut spans: Vec<Span> = spans.into_iter().collect();
        spans.sort_unstable();
        spans.dedup_by(|next, kept| {
            let joins = next.first <= kept.last.saturating_add(1);
            if joins {
                kept.last = kept.last.max(next.last);
            }
            joins
        });
        Self(spans)
    }
}

impl Spans {
    /// The addresses of these prefixes that are of one family.
    pub fn of<'n>(nets: impl IntoIterator<Item = &'n IpNet>, is_v4: bool) -> Self {
        nets.into_iter().filter(|net| net.addr().is_ipv4() == is_v4).map(Span::of).collect()
    }

    /// Whether it has no address.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Ascending.
    pub fn iter(&self) -> impl Iterator<Item = Span> + '_ {
        self.0.iter().copied()
    }

    /// Whether it has an address of another set.
    pub fn intersects(&self, other: &Self) -> bool {
        let (few, many) = if self.0.len() < other.0.len() { (self, other) } else { (other, self) };
        few.iter().any(|span| {
            let next = many.0.partition_point(|held| held.last < span.first);
            many.0.get(next).is_some_and(|held| held.first <= span.last)
        })
    }

    /// Its addresses that another set does not have.
    pub fn without(&self, taken: &Self) -> Self {
        let mut left = Vec::with_capacity(self.0.len());
        let mut next = 0;
        for &Span { mut first, last } in &self.0 {
            while taken.0.get(next).is_some_and(|span| span.last < first) {
                next += 1;
            }
            let mut is_used_up = false;
            for span in taken.0[next..].iter().take_while(|span| span.first <= last) {
                if first < span.first {
                    left.push(Span { first, last: span.first - 1 });
                }
                is_used_up = span.last >= last;
                first = span.last.saturating_add(1);
            }
            if !is_used_up {
                left.push(Span { first, last });
            }
        }
        Self(left)
    }

    /// The fewest prefixes that have exactly these addresses, ascending.
    pub fn prefixes(&self, is_v4: bool) -> Vec<IpNet> {
        let bits: u8 = if is_v4 { 32 } else { 128 };
        let mut nets = Vec::new();
        for &Span { first, last } in &self.0 {
            let mut at = Some(first);
            while let Some(start) = at.filter(|start| *start <= last) {
                let aligned = start.trailing_zeros();
                let fitting = (last - start).checked_add(1).map_or(128, u128::ilog2);
                let host_bits = aligned.min(fitting).min(u32::from(bits));
                nets.push(prefix(start, bits - u8::try_from(host_bits).unwrap_or(bits), is_v4));
                let size = 1u128.checked_shl(host_bits);
                at = size.and_then(|size| start.checked_add(size));
            }
        }
        nets
    }
}

/// An address as a number.
pub(super) fn number(address: IpAddr) -> u128 {
    match address {
        IpAddr::V4(address) => u128::from(u32::from(address)),
        IpAddr::V6(address) => u128::from(address),
    }
}

fn prefix(first: u128, prefix_len: u8, is_v4: bool) -> IpNet {
    match u32::try_from(first) {
        Ok(first) if is_v4 => Ipv4Net::new_assert(Ipv4Addr::from(first), prefix_len).into(),
        Ok(_) | Err(_) => Ipv6Net::new_assert(Ipv6Addr::from(first), prefix_len).into(),
    }
}

#[cfg(test)]
mod tests {
    use proptest::{collection::vec, prelude::*};

    use super::*;

    fn nets(text: &str) -> Vec<IpNet> {
        text.split_whitespace().map(|net| net.parse().expect("a prefix")).collect()
    }

    #[test]
    fn neighbours_become_one_prefix() {
        let spans = Spans::of(&nets("10.0.0.2/32 10.0.0.0/31 10.0.0.3/32 10.0.0.6/32"), true);
        assert_eq!(spans.prefixes(true), nets("10.0.0.0/30 10.0.0.6/32"));
    }

    #[test]
    fn a_whole_family_is_one_prefix() {
        for (all, is_v4) in [("0.0.0.0/0", true), ("::/0", false)] {
            let whole = Spans::of(&nets(all), is_v4);
            assert_eq!(whole.prefixes(is_v4), nets(all));
            assert!(whole.without(&whole).is_empty());
        }
    }

    #[test]
    fn what_is_taken_out_leaves_a_hole() {
        let (all, one) = (nets("fd00::/126"), nets("fd00::1/128"));
        let left = Spans::of(&all, false).without(&Spans::of(&one, false));
        assert_eq!(left.prefixes(false), nets("fd00::/128 fd00::2/127"));
    }

    fn spans() -> impl Strategy<Value = Vec<(u8, u8)>> {
        vec((0u8..64, 0u8..8), 0..8)
    }

    fn set(spans: &[(u8, u8)]) -> Spans {
        let span = |&(first, more): &(u8, u8)| Span {
            first: u128::from(first),
            last: u128::from(first) + u128::from(more),
        };
        spans.iter().map(span).collect()
    }

    proptest! {
        #[test]
        fn sets_behave_as_sets(a in spans(), b in spans()) {
            let has = |spans: &[(u8, u8)], it: u8| {
                spans.iter().any(|&(first, more)| (first..=first + more).contains(&it))
            };
            let (one, other) = (set(&a), set(&b));
            let held = |set: &Spans, it: u8| set.iter().any(|s| (s.first..=s.last).contains(&u128::from(it)));
            let left = one.without(&other);
            let prefixes = Spans::of(&left.prefixes(true), true);
            prop_assert_eq!(&prefixes, &left);
            for it in 0..80 {
                prop_assert_eq!(held(&one, it), has(&a, it));
                prop_assert_eq!(held(&left, it), has(&a, it) && !has(&b, it));
            }
            prop_assert_eq!(one.intersects(&other), (0..80).any(|it| has(&a, it) && has(&b, it)));
        }
    }
}
