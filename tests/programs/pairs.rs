use relay_common::{PairCounters, names::PAIR_STATS};
use relay_tests::{
    inner::Inner,
    program_run::{ProgramRun, REDIRECT, address},
};

use crate::{four, possible};

#[test]
fn pairs_are_counted_on_request() {
    if !possible("pairs::counted") {
        return;
    }
    let inner = Inner::udp(address("10.3.2.2"), address("10.3.2.3"), 56);
    let back = Inner::udp(address("fd00::3:2:3"), address("fd00::3:2:2"), 52);
    let mut tcp = vec![0; 20 + 3000];
    tcp[12] = 0x50;
    let aggregate = Inner::new(address("10.3.2.2"), address("10.3.2.3"), 6, &tcp);
    let mut programs = ProgramRun::with_features(four(), PAIR_STATS);
    for _ in 0..3 {
        assert_eq!(programs.ingress(&inner).0, REDIRECT);
    }
    assert_eq!(programs.ingress(&back).0, REDIRECT);
    programs.ingress(&Inner::udp(address("10.3.2.4"), address("10.3.2.5"), 40));
    let mut pair = |source, destination| programs.loaded().pair(source, destination).expect("it");
    assert_eq!(pair(1, 2), PairCounters { packets: 3, bytes: 3 * 84 });
    assert_eq!(pair(2, 1), PairCounters { packets: 1, bytes: 100 });
    assert_eq!(pair(3, 4), PairCounters::default());
    programs.ingress_aggregate(&aggregate, (3, 1300));
    let counted = programs.loaded().pair(1, 2).expect("it");
    assert_eq!(counted, PairCounters { packets: 6, bytes: 3 * 84 + 3 * 40 + 3000 });
}
