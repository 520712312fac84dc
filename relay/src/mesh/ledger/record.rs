use std::net::SocketAddr;

use super::{
    action::Action,
    home::{Home, Sight},
};
use crate::{
    mesh::claim::Claim,
    model::{PublicKey, RelayName},
};

/// A claim is published again when its handshake is older than WireGuard's by this, seconds: who takes
/// a peer over calls the recently active ones first.
const REFRESH: u64 = 600;

/// What is known of one peer.
#[derive(Debug)]
pub(super) struct Record {
    pub(super) home: Home,
    /// What this relay claims: something if and only if `home` is [`Home::Here`].
    pub(super) own: Option<Claim>,
    /// What other relays claim, one each.
    pub(super) others: Vec<Standing>,
    /// The highest version that was heard or published.
    pub(super) highest: u32,
    /// WireGuard's latest handshake at the last look.
    handshake: Option<u64>,
}

/// A claim of another relay.
#[derive(Debug, Clone, Copy)]
pub(super) struct Standing {
    pub(super) place: usize,
    /// How often that relay had begun anew when it was heard.
    pub(super) life: u32,
    pub(super) claim: Claim,
}

/// The relays by whose names equal claims are told apart.
#[derive(Clone, Copy)]
pub(super) struct Names<'a> {
    pub(super) relays: &'a [RelayName],
    /// Place of this one.
    pub(super) own: usize,
}

impl Names<'_> {
    pub(super) fn prevails(
        self,
        (place, claim): (usize, &Claim),
        (than, other): (usize, &Claim),
    ) -> bool {
        claim.prevails(&self.relays[place], other, &self.relays[than])
    }

    /// The claim that prevails over all others.
    pub(super) fn best(self, others: &[Standing]) -> Option<Standing> {
        others.iter().copied().reduce(|best, it| {
            if self.prevails((it.place, &it.claim), (best.place, &best.claim)) { it } else { best }
        })
    }
}

impl Default for Record {
    fn default() -> Self {
        Self { home: Home::Unknown, own: None, others: Vec::new(), highest: 0, handshake: None }
    }
}

impl Record {
    /// The peer comes home here, with a version above all that were heard.
    pub(super) fn arrive(
        &mut self,
        peer: PublicKey,
        handshake: u64,
        endpoint: Option<SocketAddr>,
        actions: &mut Vec<Action>,
    ) {
        self.highest = self.highest.saturating_add(1);
        self.claim_it(peer, Claim::new(self.highest, handshake, endpoint), actions);
    }

    fn claim_it(&mut self, peer: PublicKey, claim: Claim, actions: &mut Vec<Action>) {
        self.home = Home::Here;
        self.own = Some(claim);
        actions.push(Action::Home { peer, home: Home::Here });
        actions.push(Action::Record { peer, claim });
        actions.push(Action::Publish { peer, claim });
    }

    /// Compares with what the kernel has.
    pub(super) fn look(&mut self, sight: &Sight, actions: &mut Vec<Action>) {
        let Sight { peer, home, handshake, endpoint } = *sight;
        let before = self.handshake.replace(handshake);
        // A session from before there was a mesh counts, too, while nobody claims the peer.
        let shook_hands = match before {
            Some(before) => handshake > before,
            None => handshake > 0 && self.home == Home::Unknown,
        };
        match self.own {
            Some(own) => {
                if home != Home::Here {
                    actions.push(Action::Home { peer, home: Home::Here });
                }
                self.refresh(peer, own, Claim::new(own.version, handshake, endpoint), actions);
            }
            None if home == Home::Here || shook_hands => {
                self.arrive(peer, handshake, endpoint, actions);
            }
            None => {
                if let Home::At(_) = self.home {
                    if home != self.home {
                        actions.push(Action::Home { peer, home: self.home });
                    }
                    if endpoint.is_some() {
                        actions.push(Action::Release { peer });
                    }
                }
            }
        }
    }

    /// Publishes the claim again if what WireGuard knows has changed much.
    fn refresh(&mut self, peer: PublicKey, own: Claim, seen: Claim, actions: &mut Vec<Action>) {
        let roamed = seen.endpoint.is_some() && seen.endpoint != own.endpoint;
        let first = own.handshake == 0 && seen.handshake > 0;
        if roamed || first || seen.handshake >= own.handshake.saturating_add(REFRESH) {
            let claim = Claim {
                version: own.version,
                handshake: own.handshake.max(seen.handshake),
                endpoint: seen.endpoint.or(own.endpoint),
            };
            self.own = Some(claim);
            actions.push(Action::Record { peer, claim });
            actions.push(Action::Publish { peer, claim });
        }
    }

    /// A claim of this relay that an agent before this one published: it counts as this one's if nobody
    /// else's prevails, since that is what the others go by.
    pub(super) fn remember(
        &mut self,
        peer: PublicKey,
        claim: Claim,
        names: Names<'_>,
        actions: &mut Vec<Action>,
    ) {
        self.highest = self.highest.max(claim.version);
        match self.own {
            Some(own) if own.version >= claim.version => {}
            Some(own) => {
                let claim = Claim { version: claim.version, ..own };
                self.own = Some(claim);
                actions.push(Action::Record { peer, claim });
                actions.push(Action::Publish { peer, claim });
            }
            None => {
                let best = names.best(&self.others);
                if best.is_none_or(|it| names.prevails((names.own, &claim), (it.place, &it.claim)))
                {
                    self.claim_it(peer, claim, actions);
                }
            }
        }
    }

    /// Takes note of another relay's claim, unless it is an older one of the same life.
    pub(super) fn hear(&mut self, heard: Standing) {
        self.highest = self.highest.max(heard.claim.version);
        match self.others.iter_mut().find(|it| it.place == heard.place) {
            Some(it) => {
                let rank = |it: &Standing| (it.life, it.claim.version, it.claim.handshake);
                if rank(&heard) >= rank(it) {
                    *it = heard;
                }
            }
            None => {
                // Mostly one relay claims a peer.
                self.others.reserve_exact(1);
                self.others.push(heard);
            }
        }
    }

    /// Changes which claims stand, and draws the consequences.
    pub(super) fn change(
        &mut self,
        peer: PublicKey,
        names: Names<'_>,
        change: impl FnOnce(&mut Self),
        actions: &mut Vec<Action>,
    ) {
        let before = names.best(&self.others);
        change(self);
        let Some(best) = names.best(&self.others) else { return };
        let home = Home::At(best.place);
        match self.own {
            Some(own) if !names.prevails((best.place, &best.claim), (names.own, &own)) => {}
            Some(_) => {
                self.own = None;
                self.home = home;
                actions.push(Action::Home { peer, home });
                actions.push(Action::Record { peer, claim: best.claim });
                actions.push(Action::Release { peer });
                actions.push(Action::Withdraw { peer });
            }
            None => {
                if self.home != home {
                    self.home = home;
                    actions.push(Action::Home { peer, home });
                }
                if before.is_none_or(|it| it.claim != best.claim) {
                    actions.push(Action::Record { peer, claim: best.claim });
                }
            }
        }
    }
}
