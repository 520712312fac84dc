use relay_tests::skip::Need;

use crate::{
    config, fragments, gossip, http, import, inner, names, outer, policy, rules, run::Run,
};

/// Something that takes bytes of others.
#[derive(Debug, Clone, Copy)]
pub struct Target {
    /// Its name, also of its directory in `corpus/`.
    pub name: &'static str,
    /// What it needs of the machine.
    pub needs: &'static [Need],
    start: fn() -> Run,
}

/// All of them.
pub const TARGETS: [Target; 10] = [
    Target { name: "config", needs: &[], start: config::start },
    Target { name: "fragments", needs: &[], start: fragments::start },
    Target { name: "gossip", needs: &[], start: gossip::start },
    Target { name: "http", needs: &[Need::Root], start: http::start },
    Target { name: "import", needs: &[], start: import::start },
    Target { name: "inner", needs: &[Need::Root, Need::Bpf], start: inner::start },
    Target { name: "names", needs: &[], start: names::start },
    Target { name: "outer", needs: &[Need::Root, Need::Bpf], start: outer::start },
    Target { name: "policy", needs: &[], start: policy::start },
    Target { name: "rules", needs: &[], start: rules::start },
];

/// The target of this name.
pub fn target(name: &str) -> Option<Target> {
    TARGETS.into_iter().find(|target| target.name == name)
}

impl Target {
    /// Begins: what is returned takes one input after the other, and panics if something does not hold.
    pub fn start(&self) -> impl FnMut(&[u8]) + use<> {
        (self.start)()
    }
}
