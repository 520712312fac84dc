//! What may become of a packet.

use relay_common::{Reason, flow::Side};

use super::flow::Flow;

/// What may become of a packet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Outcome {
    pub(super) verdict: Result<(), Reason>,
    /// Flows that it begins or changes.
    pub(super) kept: Vec<Flow>,
    /// Flows that are gone.
    pub(super) gone: Vec<Flow>,
    /// The rule that allows it.
    pub(super) rule: Option<u32>,
    /// Whether it begins a flow.
    pub(super) begins: bool,
    /// The side that it comes from.
    pub(super) side: Side,
}

impl Outcome {
    /// What it is, in a word, in this generation.
    pub(super) fn label(&self, generation: u32) -> &'static str {
        match self.verdict {
            Err(Reason::RuleEnded)
                if self.gone.iter().any(|flow| flow.generation == generation) =>
            {
                "run out"
            }
            Err(_) if !self.gone.is_empty() => "revoked",
            Err(reason) => reason.label(),
            Ok(()) if self.begins && !self.gone.is_empty() => "gave way",
            Ok(()) if self.begins => "begun",
            Ok(()) if self.side == Side::Answerer => "answered",
            Ok(()) if !self.kept.is_empty() => "gone on",
            Ok(()) if self.rule.is_some() => "without flow",
            Ok(()) => "by lists",
        }
    }

    pub(super) fn dropped(reason: Reason) -> Self {
        let (kept, gone) = (Vec::new(), Vec::new());
        Self { verdict: Err(reason), kept, gone, rule: None, begins: false, side: Side::Beginner }
    }

    pub(super) fn passed(rule: Option<u32>) -> Self {
        Self { verdict: Ok(()), rule, ..Self::dropped(Reason::NoRule) }
    }

    /// With the packet and its bytes counted for its flow, if it passes.
    pub(super) fn counted(mut self, bytes: u64) -> Self {
        if self.verdict.is_ok() {
            for flow in &mut self.kept {
                flow.packets += 1;
                flow.bytes += bytes;
            }
        }
        self
    }
}
