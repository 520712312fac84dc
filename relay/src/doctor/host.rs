//! The kernel and what this process may do with it.

use super::{
    Finding,
    facts::{Clock, Facts, Module, PinPlace},
};

/// Since when the TCX hook is there.
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
            format!("{kernel}; programs attach as clsact filters, since TCX came with 6.6"),
        ),
        Some(_) => Finding::problem(
            "kernel",
            format!("{kernel} is older than {major}.{minor}"),
            "boot a newer kernel",
        ),
        None => Finding::warning(
            "kernel",
            format!("{kernel} does not tell its version"),
            format!("make sure that it is {major}.{minor} or newer"),
        ),
    }
}

fn jit(facts: &Facts) -> Finding {
    let remedy = "sysctl -w net.core.bpf_jit_enable=1";
    match facts.jit {
        Some(0) => Finding::warning("bpf-jit", "off: every packet is interpreted", remedy),
        Some(_) => Finding::ok("bpf-jit", "on"),
        None => Finding::warning(
            "bpf-jit",
            "not visible; only the first network namespace shows it",
            "look at net.core.bpf_jit_enable there, and set it to 1",
        ),
    }
}

fn btf(facts: &Facts) -> Finding {
    match facts.btf {
        true => Finding::ok("btf", "/sys/kernel/btf/vmlinux is there"),
        false => Finding::warning(
            "btf",
            "/sys/kernel/btf/vmlinux is not there; relay does without, bpftool shows less",
            "boot a kernel with CONFIG_DEBUG_INFO_BTF, if you want to look into the programs",
        ),
    }
}

fn unprivileged_bpf(facts: &Facts) -> Finding {
    match facts.unprivileged_bpf_disabled {
        Some(0) => Finding::warning(
            "unprivileged-bpf",
            "every user of this host may load BPF programs",
            "sysctl -w kernel.unprivileged_bpf_disabled=2",
        ),
        Some(_) => Finding::ok("unprivileged-bpf", "only privileged processes load programs"),
        None => Finding::ok("unprivileged-bpf", "this kernel knows no unprivileged BPF"),
    }
}

fn capabilities(facts: &Facts) -> Finding {
    match facts.missing_capabilities.as_slice() {
        [] => Finding::ok("capabilities", "this process has what `relay up` needs"),
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
            format!("others than root can make directories in {path}, relay's among them"),
            format!("chmod 0700 {path}; mounted by hand, with -o mode=0700"),
        ),
        PinPlace::Distrusted(found, remedy) => Finding::problem("bpffs", found, remedy),
        PinPlace::Missing => Finding::problem(
            "bpffs",
            format!("no BPF file system is mounted at {path}"),
            format!("mount -t bpf -o mode=0700 bpf {path}, or name another with --bpffs"),
        ),
    }
}

fn wireguard(facts: &Facts) -> Finding {
    match facts.wireguard {
        Module::Present => Finding::ok("wireguard", "in the kernel"),
        Module::Loadable => Finding::ok("wireguard", "a module, loaded by `relay up`"),
        Module::Missing => Finding::problem(
            "wireguard",
            "neither in this kernel nor among its modules",
            "boot a kernel with CONFIG_WIREGUARD: on Debian and Ubuntu linux-image-amd64 or \
             linux-image-generic",
        ),
        Module::Unknown => unknown("wireguard"),
        Module::Barred => Finding::problem(
            "wireguard",
            "a module, but kernel.modules_disabled is set",
            "load it at boot: echo wireguard > /etc/modules-load.d/relay.conf, and reboot",
        ),
    }
}

fn nf_tables(facts: &Facts) -> Finding {
    let wanted = facts.relay.as_ref().is_none_or(|relay| relay.fence);
    match (facts.nf_tables, wanted) {
        (Module::Present, _) => Finding::ok("nf-tables", "in the kernel"),
        (Module::Loadable, _) => Finding::ok("nf-tables", "a module, loaded by `relay up`"),
        (Module::Unknown, true) => unknown("nf-tables"),
        (Module::Missing | Module::Barred | Module::Unknown, false) => {
            Finding::ok("nf-tables", "not there, and not needed with fence = false")
        }
        (Module::Missing, true) => Finding::problem(
            "nf-tables",
            "neither in this kernel nor among its modules",
            "boot a kernel with CONFIG_NF_TABLES_INET, or set fence = false and accept that \
             nothing but the policy's own programs fails closed",
        ),
        (Module::Barred, true) => Finding::problem(
            "nf-tables",
            "a module, but kernel.modules_disabled is set",
            "load it at boot: echo nf_tables > /etc/modules-load.d/relay.conf, and reboot",
        ),
    }
}

fn unknown(check: &'static str) -> Finding {
    Finding::warning(check, "this process may not ask the kernel for it", "run relay as root")
}

/// A handshake carries a time that has to grow from one to the next (WireGuard paper, section 5.1).
fn clock(facts: &Facts) -> Finding {
    let remedy = "timedatectl set-ntp true, or install chrony: a clock that is set back makes peers \
                  drop handshakes";
    match facts.clock {
        Clock::Synchronized => Finding::ok("clock", "synchronised"),
        Clock::Served(service) => Finding::ok("clock", format!("{service} runs")),
        Clock::Unserved => Finding::warning("clock", "no service is known to set it", remedy),
        Clock::Past => Finding::problem("clock", "it shows a time long gone", remedy),
    }
}
