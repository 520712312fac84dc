//! A Debian machine in QEMU (software emulation), reached by SSH over loopback.

use std::fs;
use std::net::{TcpListener, UdpSocket};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use relay_vm::{console, process};

use crate::image::Image;

/// Time limit of a boot, which takes a minute of a processor.
const BOOT: Duration = Duration::from_secs(400);

/// Time between attempts to connect.
const INTERVAL: Duration = Duration::from_millis(500);

/// Any free port.
const LOOPBACK: (&str, u16) = ("127.0.0.1", 0);

/// Ports of 127.0.0.1 that nobody uses yet.
///
/// # Errors
/// There are none.
pub(super) fn udp_ports<const N: usize>() -> Result<[u16; N]> {
    let mut sockets = Vec::new();
    let mut ports = [0; N];
    for port in &mut ports {
        let socket = UdpSocket::bind(LOOPBACK).context("no port on 127.0.0.1")?;
        *port = socket.local_addr().context("no port on 127.0.0.1")?.port();
        // Another has to have another.
        sockets.push(socket);
    }
    Ok(ports)
}

/// A machine. It ends on drop, and its changes are lost.
pub(super) struct Machine {
    /// Host name and name in the inventory.
    pub(super) name: &'static str,
    /// SSH, on 127.0.0.1.
    pub(super) port: u16,
    /// The relay, on 127.0.0.1.
    relay: u16,
    key: PathBuf,
    console: PathBuf,
    child: Child,
}

impl Machine {
    /// Starts to boot; [`Self::wait`] returns when it is up. Its second network card sends each frame as
    /// a datagram from the first of these ports of 127.0.0.1 to the other, and receives there.
    ///
    /// # Errors
    /// QEMU does not start.
    pub(super) fn start(
        name: &'static str,
        image: &Image,
        directory: &Path,
        [here, there]: [u16; 2],
    ) -> Result<Self> {
        // Both ports are free again here; QEMU fails if another process takes one before it.
        let port = TcpListener::bind(LOOPBACK).and_then(|listener| listener.local_addr());
        let port = port.context("no port on 127.0.0.1")?.port();
        let [relay] = udp_ports()?;
        let console = directory.join(format!("{name}.console.log"));
        // The emulator ends with its parent, however that ends.
        let mut command = Command::new("setpriv");
        command.args(["--pdeathsig", "KILL", "qemu-system-x86_64"]);
        command.args(["-nodefaults", "-no-user-config", "-display", "none", "-m", "1024"]);
        // A thread per processor may run half-patched kernel code: an oops. See `relay_vm`.
        command.args(["-accel", "tcg,thread=single", "-cpu", "max", "-smp", "2"]);
        command.arg("-kernel").arg(image.kernel()).arg("-initrd").arg(image.initramfs());
        command.arg("-append").arg(format!(
            "root=/dev/vda rw console=ttyS0 loglevel=5 net.ifnames=0 mitigations=off nowatchdog \
             rcupdate.rcu_cpu_stall_suppress=1 oops=panic systemd.hostname={name}"
        ));
        command.arg("-drive").arg(format!("file={},if=virtio,format=raw", image.disk().display()));
        command.args(["-snapshot", "-device", "virtio-rng-pci"]);
        let nic = format!(
            "user,model=virtio-net-pci,hostfwd=tcp:127.0.0.1:{port}-:22,\
             hostfwd=udp:127.0.0.1:{relay}-:51820"
        );
        command.arg("-nic").arg(nic);
        command
            .arg("-netdev")
            .arg(format!("socket,id=lan,udp=127.0.0.1:{there},localaddr=127.0.0.1:{here}"));
        // Of a locally administered range, and another on each machine.
        let mac = format!("mac=52:54:00:51:{:02x}:{:02x}", here >> 8, here & 0xff);
        command.arg("-device").arg(format!("virtio-net-pci,netdev=lan,{mac}"));
        command.arg("-serial").arg(format!("file:{}", console.display()));
        let child = command
            .stdin(Stdio::null())
            .spawn()
            .with_context(|| format!("cannot start `{}`", process::describe(&command)))?;
        Ok(Self { name, port, relay, key: image.key(), console, child })
    }

    /// Sends a datagram to the relay's port, through the machine's network card.
    ///
    /// # Errors
    /// The socket fails.
    pub(super) fn send_to_relay(&self, message: &[u8]) -> Result<()> {
        let socket = UdpSocket::bind(LOOPBACK).context("no port on 127.0.0.1")?;
        socket.send_to(message, ("127.0.0.1", self.relay)).context("cannot send").map(drop)
    }

    /// Options of ssh. The host key is not checked, as the connection is on loopback.
    pub(super) fn ssh_options(&self) -> Vec<String> {
        let mut options = vec!["-i".to_owned(), self.key.display().to_string()];
        for option in [
            "StrictHostKeyChecking=no",
            "UserKnownHostsFile=/dev/null",
            "LogLevel=ERROR",
            "BatchMode=yes",
            "ConnectTimeout=10",
            "ServerAliveInterval=15",
            "ServerAliveCountMax=8",
        ] {
            options.extend(["-o".to_owned(), option.to_owned()]);
        }
        options
    }

    /// Waits until it accepts SSH and systemd has started all units.
    ///
    /// # Errors
    /// It did not boot in time, or a unit failed.
    pub(super) fn wait(&mut self) -> Result<()> {
        let started = Instant::now();
        while !process::succeeds(&mut self.ssh("true")) {
            if let Some(status) = self.child.try_wait().context("cannot wait for QEMU")? {
                bail!("QEMU of {} ended with {status}", self.name);
            }
            if started.elapsed() > BOOT {
                bail!(
                    "{} did not accept SSH within {} s; console: {}",
                    self.name,
                    BOOT.as_secs(),
                    self.console.display()
                );
            }
            std::thread::sleep(INTERVAL);
        }
        let state =
            self.run("systemctl is-system-running --wait || systemctl --failed --no-legend")?;
        if state.trim() != "running" {
            bail!("{}: found the system {state:?}, expected running", self.name);
        }
        Ok(())
    }

    /// Restarts it and waits until it is up again.
    ///
    /// # Errors
    /// As [`Self::wait`].
    pub(super) fn reboot(&mut self) -> Result<()> {
        let boot = self.run("cat /proc/sys/kernel/random/boot_id")?;
        // The connection ends before the command can.
        process::succeeds(&mut self.ssh("systemctl reboot"));
        let started = Instant::now();
        while process::read(&mut self.ssh("cat /proc/sys/kernel/random/boot_id"))
            .is_ok_and(|now| now == boot)
        {
            if started.elapsed() > BOOT {
                bail!("{} did not go down within {} s", self.name, BOOT.as_secs());
            }
            std::thread::sleep(INTERVAL);
        }
        self.wait()
    }

    /// Runs a script as root and returns its output.
    ///
    /// # Errors
    /// The script failed; quotes its standard error.
    pub(super) fn run(&self, script: &str) -> Result<String> {
        process::read(&mut self.ssh(&format!("set -e\n{script}")))
            .with_context(|| format!("on {}", self.name))
    }

    /// Copies a file to the machine.
    ///
    /// # Errors
    /// scp failed.
    pub(super) fn put(&self, from: &Path, to: &str) -> Result<()> {
        let mut command = Command::new("scp");
        command.arg("-q").args(self.ssh_options()).arg("-P").arg(self.port.to_string());
        process::read(command.arg(from).arg(format!("root@127.0.0.1:{to}"))).map(drop)
    }

    /// # Errors
    /// The kernel logged a warning, or the console's log cannot be read.
    pub(super) fn require_sound_kernel(&self) -> Result<()> {
        let log = fs::read(&self.console)
            .with_context(|| format!("cannot read {}", self.console.display()))?;
        match console::alarm(&String::from_utf8_lossy(&log)) {
            Some(alarm) => bail!("the kernel of {} logged:\n{alarm}", self.name),
            None => Ok(()),
        }
    }

    fn ssh(&self, script: &str) -> Command {
        let mut command = Command::new("ssh");
        command.args(self.ssh_options()).arg("-p").arg(self.port.to_string());
        command.args(["root@127.0.0.1", script]);
        command
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        // Both fail only if it has already exited.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
