//! The steps of a history.

use proptest::{collection::vec, prelude::*, sample::Index};
use relay_common::flow::ticks_of;

use super::sent::{Kind, any_flags, any_kind};

/// What happens next.
#[derive(Debug, Clone)]
pub(super) enum Step {
    /// A packet between two addresses that rules decide about, or else between any two of a family.
    Send { ends: Index, elsewhere: Option<(bool, Index)>, kind: Kind, ttl: u8, has_options: bool },
    /// The next packet of a flow that is live, from the side that began it or the other, with these
    /// flags.
    More { flow: Index, is_answer: bool, flags: u8 },
    /// An answer to an earlier packet, with these flags.
    Reply(Index, u8),
    /// More of an earlier one.
    Again(Index, u8),
    /// An error about an earlier one, which it quotes whole or in part, from its receiver or another
    /// address.
    Error { about: Index, is_whole: bool, from: Option<Index> },
    /// A probe like an earlier one.
    Probe(Index, u8),
    /// An earlier one in fragments, in this order behind the first.
    Fragments(Index, Vec<bool>),
    /// A fragment of the latest datagram that was cut.
    Late,
    /// Flows like an earlier packet's that are in the same set, of which some are answered.
    Crowd(Index, Vec<bool>),
    /// Time passes, ticks.
    Wait(u32),
    /// A rule ends.
    End,
}

pub(super) fn any_step() -> impl Strategy<Value = Step> {
    let index = any::<Index>;
    let ttl = prop_oneof![40 => Just(64), 1 => Just(1)];
    let wait = prop_oneof![
        60 => 1..4u32,
        20 => 0..20u32,
        5 => 0..700u32,
        1 => Just(ticks_of(5 * 86_400)),
    ];
    let elsewhere = prop::option::weighted(0.1, (any::<bool>(), index()));
    let send = (index(), elsewhere, any_kind(), ttl, prop::bool::weighted(0.1)).prop_map(
        |(ends, elsewhere, kind, ttl, has_options)| Step::Send {
            ends,
            elsewhere,
            kind,
            ttl,
            has_options,
        },
    );
    let more = (index(), any::<bool>(), any_flags())
        .prop_map(|(flow, is_answer, flags)| Step::More { flow, is_answer, flags });
    let error = (index(), any::<bool>(), prop::option::weighted(0.2, index()))
        .prop_map(|(about, is_whole, from)| Step::Error { about, is_whole, from });
    prop_oneof![
        240 => send,
        240 => more,
        150 => (index(), any_flags()).prop_map(|(index, flags)| Step::Reply(index, flags)),
        100 => (index(), any_flags()).prop_map(|(index, flags)| Step::Again(index, flags)),
        50 => error,
        30 => (index(), any_flags()).prop_map(|(index, flags)| Step::Probe(index, flags)),
        30 => (index(), vec(any::<bool>(), 1..4)).prop_map(|(at, order)| Step::Fragments(at, order)),
        10 => Just(Step::Late),
        2 => (index(), vec(prop::bool::weighted(0.8), 8..14)).prop_map(|(at, some)| Step::Crowd(at, some)),
        20 => wait.prop_map(Step::Wait),
        1 => Just(Step::End),
    ]
}
