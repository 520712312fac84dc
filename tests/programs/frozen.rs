//! The maps of a policy, once it is loaded: neither programs nor processes write them.

use std::{
    collections::BTreeMap,
    fs,
    os::fd::{AsFd as _, AsRawFd as _},
};

use aya::maps::{HashMap, LpmTrie, Map, MapData, MapError, MapInfo, lpm_trie::Key};
use relay::{
    datapath::Direction,
    model::{HostAccess, Port, Transport},
};
use relay_tests::program_run::{ProgramRun, peer};

use crate::{possible, rules::one_way};

/// `BPF_F_RDONLY_PROG` of include/uapi/linux/bpf.h.
const READ_ONLY: u32 = 1 << 7;

/// Maps of a policy beside the programs' constants, which are its arrays.
const POLICY: [&str; 3] = ["PREFIXES_V4", "PREFIXES_V6", "HOST_PORTS"];

/// A policy with rules, open ports, and prefixes that are in no array.
fn programs() -> ProgramRun {
    let mut relay = one_way();
    relay.peers.push(peer(5, &[], &["192.168.7.0/24", "fd07::/64"], &[]));
    relay.host_access = HostAccess::Ports(vec![Port { transport: Transport::Tcp, number: 22 }]);
    ProgramRun::new(relay)
}

/// The ids of the maps of both programs, by name.
pub(crate) fn maps(programs: &mut ProgramRun) -> BTreeMap<String, u32> {
    let mut maps = BTreeMap::new();
    for direction in [Direction::Ingress, Direction::Egress] {
        let program = programs.loaded().program(direction).expect("the program");
        let ids = program.info().expect("its info").map_ids().expect("the kernel has it");
        for id in ids.expect("the kernel has them") {
            let name = MapInfo::from_id(id).expect("a map").name_as_str().map(str::to_owned);
            maps.insert(name.expect("UTF-8"), id);
        }
    }
    maps
}

/// Whether processes are kept from writing a map, and programs.
fn is_closed(id: u32) -> [bool; 2] {
    let info = MapInfo::from_id(id).expect("a map");
    let map = info.fd().expect("a descriptor");
    let path = format!("/proc/self/fdinfo/{}", map.as_fd().as_raw_fd());
    let text = fs::read_to_string(path).expect("what the kernel says of it");
    let field = |name| text.lines().find_map(|line| line.strip_prefix(name)).expect("a field");
    let flags = u32::from_str_radix(field("map_flags:\t0x"), 16).expect("a number");
    [field("frozen:\t") == "1", flags & READ_ONLY != 0]
}

#[test]
fn no_program_and_no_process_writes_the_maps_of_a_policy() {
    if !possible("frozen::policy") {
        return;
    }
    let mut programs = programs();
    let maps = maps(&mut programs);
    let constants = maps.keys().filter(|name| name.starts_with(".rodata"));
    let policy: Vec<_> = constants.map(String::as_str).chain(POLICY).collect();
    // Leaves of both families, cells, directions, rule sets, grants, services, ends, limits.
    assert!(policy.len() > POLICY.len() + 8, "{policy:?}");
    for name in policy {
        assert_eq!(is_closed(maps[name]), [true; 2], "{name}");
    }
    // Counters and flows are written by programs.
    assert_eq!(is_closed(maps["COUNTERS"]), [false; 2]);
}

#[test]
fn who_has_a_map_of_a_policy_by_its_id_cannot_change_it() {
    if !possible("frozen::by_id") {
        return;
    }
    let mut programs = programs();
    let maps = maps(&mut programs);
    let open = |name: &str| {
        let map = MapData::from_id(maps[name]).expect("a map");
        Map::from_map_data(map).expect("a kind that aya knows")
    };
    let mut v4 = LpmTrie::<_, [u8; 4], [u32; 4]>::try_from(open("PREFIXES_V4")).expect("a trie");
    assert_denied(v4.insert(&Key::new(8, [203, 0, 0, 0]), [0; 4], 0));
    assert_denied(v4.remove(&Key::new(24, [192, 168, 7, 0])));
    let mut v6 = LpmTrie::<_, [u8; 16], [u32; 4]>::try_from(open("PREFIXES_V6")).expect("a trie");
    assert_denied(v6.insert(&Key::new(0, [0; 16]), [0; 4], 0));
    let mut ports = HashMap::<_, u32, u32>::try_from(open("HOST_PORTS")).expect("a hash");
    assert_denied(ports.insert(6 << 16 | 23, 1, 0));
    assert_denied(ports.remove(&(6 << 16 | 22)));
}

fn assert_denied(written: Result<(), MapError>) {
    match written {
        Err(MapError::SyscallError(error)) => {
            assert_eq!(error.io_error.kind(), std::io::ErrorKind::PermissionDenied, "{error}");
        }
        other => panic!("{other:?}"),
    }
}
