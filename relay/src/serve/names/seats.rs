use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use crate::model::PublicKey;

/// A number of seats, of which one peer gets only some, so that the others find a free one.
#[derive(Debug, Clone)]
pub(super) struct Seats {
    all: usize,
    each: usize,
    taken: Arc<Mutex<Taken>>,
}

#[derive(Debug, Default)]
struct Taken {
    all: usize,
    of: HashMap<Option<PublicKey>, usize>,
}

/// A seat, until it is dropped.
#[derive(Debug)]
pub(super) struct Seat {
    who: Option<PublicKey>,
    taken: Arc<Mutex<Taken>>,
}

impl Seats {
    pub(super) fn new(all: usize, each: usize) -> Self {
        Self { all, each, taken: Arc::default() }
    }

    /// A seat for a peer, or for one who is none; `None` if it has all of its own, or none is free.
    pub(super) fn take(&self, who: Option<PublicKey>) -> Option<Seat> {
        let mut taken = locked(&self.taken);
        let own = taken.of.get(&who).copied().unwrap_or(0);
        if taken.all >= self.all || own >= self.each {
            return None;
        }
        taken.all += 1;
        taken.of.insert(who, own + 1);
        Some(Seat { who, taken: Arc::clone(&self.taken) })
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        let mut taken = locked(&self.taken);
        taken.all -= 1;
        if let Some(own) = taken.of.get_mut(&self.who) {
            *own -= 1;
            if *own == 0 {
                taken.of.remove(&self.who);
            }
        }
    }
}

fn locked(taken: &Mutex<Taken>) -> MutexGuard<'_, Taken> {
    taken.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_peer_leaves_seats_to_others() {
        let seats = Seats::new(3, 2);
        let [a, b, c] = [1, 2, 3].map(|byte| Some(PublicKey::from_bytes([byte; 32])));
        let first = seats.take(a).expect("free");
        let _second = seats.take(a).expect("free");
        assert!(seats.take(a).is_none());
        let _third = seats.take(b).expect("free");
        assert!(seats.take(c).is_none() && seats.take(None).is_none());
        drop(first);
        let _fourth = seats.take(c).expect("free again");
        assert!(seats.take(a).is_none());
    }
}
