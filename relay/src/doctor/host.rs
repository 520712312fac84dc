//! The kernel and what this process may do with it.

use super::{
    Finding,
    facts::{Clock, Facts, Module, PinPlace},
};

/// First kernel with the TCX hook.
const TCX: (u32, u32) = (6, 6);

pub(super) fn findings(facts: &Facts) -> Vec<Finding> {
    vec![
        kernel(facts),
        jit(facts),
        btf(facts),
        unprivileged_bpf(facts),
        capabilities(facts),
        bpffs(facts),
        wireguard(facts),
        nf_tables(facts),
        clock(facts),
    ]
}

fn kernel(facts: &Facts) -> Finding {
    let Facts { kernel, version, minimum, .. } = facts;
    let (major, minor) = minimum;
    match version {
        Some(version) if *version >= TCX => {
            Finding::ok("kernel", format!("{kernel}; programs attach to TCX"))
        }
        Some(version) if version >= minimum => Finding::ok(
            "kernel",
            format!("{kernel}; programs attach as clsact filters (TCX needs 6.6)"),
        ),
        Some(_) => Finding::problem(
            "kernel",
            format!("{kernel} is older than {major}.{minor}"),
            "boot a newer kernel",
        ),
        None => Finding::warning(
            "kernel",
            format!("cannot tell the version of {kernel}"),
            format!("check that it is {major}.{minor} or newer"),
        ),
    }
}

fn jit(facts: &Facts) -> Finding {
    let remedy = "sysctl -w net.core.bpf_jit_enable=1";
    match facts.jit {
        Some(0) => {
            Finding::warning("bpf-jit", "off: programs are interpreted for every packet", remedy)
        }
        Some(_) => Finding::ok("bpf-jit", "on"),
        None => Finding::warning(
            "bpf-jit",
            "not visible in this network namespace",
            "check in the initial network namespace that net.core.bpf_jit_enable is 1",
        ),
    }
}

fn btf(facts: &Facts) -> Finding {
    match facts.btf {
        true => Finding::ok("btf", "found /sys/kernel/btf/vmlinux"),
        false => Finding::warning(
            "btf",
            "no /sys/kernel/btf/vmlinux: relay does not need it, but bpftool shows less",
            "to inspect the programs, boot a kernel with CONFIG_DEBUG_INFO_BTF",
        ),
    }
}

fn unprivileged_bpf(facts: &Facts) -> Finding {
    match facts.unprivileged_bpf_disabled {
        Some(0) => Finding::warning(
            "unprivileged-bpf",
            "every user can load BPF programs",
            "sysctl -w kernel.unprivileged_bpf_disabled=2",
        ),
        Some(_) => {
            Finding::ok("unprivileged-bpf", "only privileged processes can load BPF programs")
        }
        None => Finding::ok("unprivileged-bpf", "this kernel has no unprivileged BPF"),
    }
}

fn capabilities(facts: &Facts) -> Finding {
    match facts.missing_capabilities.as_slice() {
        [] => Finding::ok("capabilities", "this process has all that `relay up` needs"),
        missing => Finding::problem(
            "capabilities",
            format!("this process lacks {}", missing.join(", ")),
            "run relay as root, or give it CAP_NET_ADMIN, CAP_BPF, CAP_PERFMON and CAP_SYS_ADMIN",
        ),
    }
}

fn bpffs(facts: &Facts) -> Finding {
    let path = facts.bpffs.display();
    match &facts.pin_place {
        PinPlace::Closed => Finding::ok("bpffs", format!("mounted at {path}")),
        PinPlace::Open => Finding::warning(
            "bpffs",
            format!("users other than root can create directories in {path}"),
            format!("chmod 0700 {path}, or mount it with -o mode=0700"),
        ),
        PinPlace::Distrusted(found, remedy) => Finding::problem("bpffs", found, remedy),
        PinPlace::ReadOnly => Finding::problem(
            "bpffs",
            format!("the BPF file system at {path} is mounted read-only"),
            format!("mount -o remount,rw {path}"),
        ),
        PinPlace::Missing => Finding::problem(
            "bpffs",
            format!("no BPF file system is mounted at {path}"),
            format!("mount -t bpf -o mode=0700 bpf {path}, or name another with --bpffs"),
        ),
    }
}

fn wireguard(facts: &Facts) -> Finding {
    match facts.wireguard {
        Module::Present => Finding::ok("wireguard", "built in or loaded"),
        Module::Loadable => {
            Finding::ok("wireguard", "available as a module, which `relay up` loads")
        }
        Module::Missing => Finding::problem(
            "wireguard",
            "neither built into this kernel nor available as a module",
            "boot a kernel with CONFIG_WIREGUARD, such as that of Debian's linux-image-amd64 or \
             Ubuntu's linux-image-generic",
        ),
        Module::Unknown => unknown("wireguard"),
        Module::Barred => Finding::problem(
            "wireguard",
            "a module that is not loaded, and kernel.modules_disabled is set",
            "load it at boot: echo wireguard > /etc/modules-load.d/relay.conf, and reboot",
        ),
    }
}

fn nf_tables(facts: &Facts) -> Finding {
    let wanted = facts.relay.as_ref().is_none_or(|relay| relay.fence);
    match (facts.nf_tables, wanted) {
        (Module::Present, _) => Finding::ok("nf-tables", "built in or loaded"),
        (Module::Loadable, _) => {
            Finding::ok("nf-tables", "available as a module, which `relay up` loads")
        }
        (Module::Unknown, true) => unknown("nf-tables"),
        (Module::Missing | Module::Barred | Module::Unknown, false) => {
            Finding::ok("nf-tables", "not needed with fence = false")
        }
        (Module::Missing, true) => Finding::problem(
            "nf-tables",
            "neither built into this kernel nor available as a module",
            "boot a kernel with CONFIG_NF_TABLES_INET, or set fence = false and accept that \
             only the policy's own programs fail closed",
        ),
        (Module::Barred, true) => Finding::problem(
            "nf-tables",
            "a module that is not loaded, and kernel.modules_disabled is set",
            "load it at boot: echo nf_tables > /etc/modules-load.d/relay.conf, and reboot",
        ),
    }
}

fn unknown(check: &'static str) -> Finding {
    Finding::warning(check, "cannot be checked without root", "run relay doctor as root")
}

/// A handshake carries a time that has to grow from one to the next (WireGuard paper, section 5.1).
fn clock(facts: &Facts) -> Finding {
    let remedy = "timedatectl set-ntp true, or install chrony; after the clock is set back, peers \
                  ignore handshakes until it has caught up";
    match facts.clock {
        Clock::Synchronized => Finding::ok("clock", "synchronised"),
        Clock::Served(service) => Finding::ok("clock", format!("{service} runs")),
        Clock::Unserved => Finding::warning("clock", "no known time service runs", remedy),
        Clock::Past => Finding::problem("clock", "its time is long past", remedy),
    }
}
