use relay_common::{Reason, verdict::Verdict};
use relay_tests::{inner::Inner, program_run::address};

use crate::four_peers;

#[test]
fn a_probe_gets_a_verdict_and_moves_no_counter() {
    let Some(mut programs) = four_peers("probe::verdict") else { return };
    let udp = |from, to| Inner::udp(address(from), address(to), 40);
    for (inner, expected) in [
        (udp("10.3.2.2", "10.3.2.3"), Ok(Verdict::Relay)),
        (udp("fd00::3:2:3", "fd00::3:2:2"), Ok(Verdict::Relay)),
        (udp("10.3.2.2", "192.168.7.9"), Ok(Verdict::Relay)),
        (udp("10.3.2.2", "10.3.2.1"), Err(Reason::HostAccess)),
        (Inner::new(address("10.3.2.2"), address("10.3.2.1"), 1, &[8; 40]), Ok(Verdict::ToHost)),
        (udp("10.3.2.4", "10.3.2.5"), Err(Reason::NotInEitherList)),
        (udp("10.3.2.2", "10.3.2.3").with_ttl(1), Err(Reason::TtlExceeded)),
        (udp("10.3.2.99", "10.3.2.3"), Err(Reason::SourceUnknown)),
    ] {
        let (answer, moved) = programs.moved(|programs| programs.ask(&inner));
        assert_eq!(answer, expected, "{inner:?}");
        assert!(moved.is_empty(), "{moved:?}");
    }
    let recorded = programs.loaded().recorder().expect("the ring").read();
    assert_eq!(recorded, Default::default(), "a probe was recorded");
}
