//! Datagrams in fragments, each behind its first one.

use std::net::IpAddr;

use anyhow::{Context as _, Result};
use relay::model::Service;
use relay_common::flow::{Side, ticks_of};
use relay_tests::inner::Inner;

use super::{
    formula::{Decided, Formula, Moment},
    history::History,
    model::Datagram,
    sent::{LONG, Sent},
};

/// The latest datagram that was cut into fragments.
pub(super) struct Cut {
    whole: Inner,
    ends: [IpAddr; 2],
    id: u16,
    /// If the first one has passed by rules.
    datagram: Option<Datagram>,
    pub(super) expires: u32,
}

impl History {
    /// Cuts a packet into fragments, and sends them in this order behind the first.
    pub(super) fn cut(&mut self, sent: &Sent, order: &[bool]) -> Result<()> {
        let sent = &Sent { ttl: 64, has_options: false, ..*sent };
        if !self.is_between_peers(sent) {
            return Ok(());
        }
        self.identification += 1;
        let (whole, id) = (sent.long(), self.identification);
        let outcome = self
            .try_packet(&whole.fragment(0..32, id), sent.ends, |model, formula, now| {
                model.judge(formula, sent, now, true)
            })
            .with_context(|| format!("the first fragment of {sent:?}"))?;
        let (side, expires) = (outcome.side, Moment::now().tick + ticks_of(30));
        let service = match side {
            Side::Beginner => Some(sent.asked()),
            Side::Answerer => sent.answered(),
        };
        let passed = outcome.verdict.is_ok() && outcome.rule.is_some();
        let datagram = service.filter(|_| passed).map(|service| Datagram { side, service });
        self.cut = Some(Cut { whole, ends: sent.ends, id, datagram, expires });
        order.iter().try_for_each(|is_last| self.late(*is_last))
    }

    /// A fragment of the datagram that was cut, if that is remembered or lists decide.
    pub(super) fn late(&mut self, is_last: bool) -> Result<()> {
        let Some(Cut { whole, ends, id, datagram, expires }) = &self.cut else { return Ok(()) };
        let (ends, datagram) = (*ends, *datagram);
        let decided = Formula(&self.programs).decide(ends, Service::Icmp, &Moment::now());
        let is_remembered = datagram.is_some() && *expires > Moment::now().tick + 2;
        if matches!(decided, Decided::ByRules(_)) && !is_remembered {
            return Ok(());
        }
        let part = if is_last { 48..LONG } else { 32..48 };
        let later = whole.fragment(part, *id);
        self.try_packet(&later, ends, |model, formula, now| {
            vec![model.judge_later(formula, ends, datagram.as_ref(), now)]
        })
        .with_context(|| format!("a later fragment between {ends:?} of {datagram:?}"))
        .map(drop)
    }
}
