//! Runs of a program on a single packet by `BPF_PROG_TEST_RUN`.

use std::{io::ErrorKind, time::Duration};

use aya::programs::{ProgramError, SchedClassifier, TestRun as _, TestRunOptions};

use super::DatapathError;
use crate::model::Direction;

/// A packet to run a program on, and its fields of `struct __sk_buff`.
#[derive(Debug, Clone, Copy, Default)]
pub struct Packet<'a> {
    /// The packet, from its IP header on.
    pub bytes: &'a [u8],
    /// Payload bytes of each segment of a GSO aggregate; 0 if it is none.
    pub gso_size: u32,
    /// Segments of a GSO aggregate; 0 if it is none.
    pub gso_segs: u32,
    /// Index of the interface whose program runs; 0 is the loopback interface.
    pub interface: u32,
    /// Index of the interface that the packet entered by; 0 is none.
    pub ingress_interface: u32,
    /// Mark.
    pub mark: u32,
}

/// Result of a run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Run {
    /// Return code, a `TC_ACT_*` of include/uapi/linux/pkt_cls.h.
    pub verdict: u32,
    /// The packet afterwards.
    pub packet: Vec<u8>,
    /// Its mark afterwards.
    pub mark: u32,
    /// Index of the interface that a packet between peers leaves by, if there is a mesh.
    pub way: u32,
}

/// Offset of the mark and of the first word for programs (`cb`) in `struct __sk_buff`
/// (include/uapi/linux/bpf.h, 6.12).
const MARK: usize = 8;
const WAY: usize = 48;

/// Its length.
const CONTEXT_LEN: usize = 192;

/// Runs a program of this name once.
pub(super) fn run(
    program: &SchedClassifier,
    name: &'static str,
    packet: &Packet<'_>,
) -> Result<Run, DatapathError> {
    let mut out = vec![0; packet.bytes.len() + 256];
    let context = packet.context();
    let mut after = context;
    let result = uninterrupted(|| {
        program.test_run(TestRunOptions {
            data_in: Some(packet.bytes),
            data_out: Some(&mut out),
            ctx_in: Some(&context),
            ctx_out: Some(&mut after),
            ..TestRunOptions::default()
        })
    });
    let result = result.map_err(DatapathError::program(name, "run"))?;
    out.truncate(result.data_size_out as usize);
    let (mark, way) = (field(&after, MARK), field(&after, WAY));
    Ok(Run { verdict: result.return_value, packet: out, mark, way })
}

/// Runs a program once, and returns the mark afterwards.
pub(super) fn mark_after(
    program: &SchedClassifier,
    direction: Direction,
    packet: &Packet<'_>,
) -> Result<u32, DatapathError> {
    let context = packet.context();
    let mut after = context;
    let result = uninterrupted(|| {
        program.test_run(TestRunOptions {
            data_in: Some(packet.bytes),
            ctx_in: Some(&context),
            ctx_out: Some(&mut after),
            ..TestRunOptions::default()
        })
    });
    result.map_err(DatapathError::program(direction.program(), "probe"))?;
    Ok(field(&after, MARK))
}

/// Runs a program `repeat` times, and returns the last verdict and the average time of a run.
pub(super) fn time(
    program: &SchedClassifier,
    direction: Direction,
    packet: &Packet<'_>,
    repeat: u32,
) -> Result<(u32, Duration), DatapathError> {
    let context = packet.context();
    let result = uninterrupted(|| {
        program.test_run(TestRunOptions {
            data_in: Some(packet.bytes),
            ctx_in: Some(&context),
            repeat,
            ..TestRunOptions::default()
        })
    });
    let result = result.map_err(DatapathError::program(direction.program(), "time"))?;
    Ok((result.return_value, result.duration))
}

/// The field at an offset.
fn field(context: &[u8; CONTEXT_LEN], at: usize) -> u32 {
    let mut bytes = [0; 4];
    bytes.copy_from_slice(&context[at..at + 4]);
    u32::from_ne_bytes(bytes)
}

/// Repeats a run that a signal interrupted (bpf_test_timer_continue() in net/bpf/test_run.c, 6.12).
pub(super) fn uninterrupted<T>(
    mut run: impl FnMut() -> Result<T, ProgramError>,
) -> Result<T, ProgramError> {
    const TRIES: u32 = 100;
    for _ in 1..TRIES {
        match run() {
            Err(ProgramError::SyscallError(error))
                if error.io_error.kind() == ErrorKind::Interrupted => {}
            done => return done,
        }
    }
    run()
}

impl Packet<'_> {
    /// `struct __sk_buff` (include/uapi/linux/bpf.h, 6.12). The kernel reads the fields set here and
    /// requires zeros elsewhere.
    fn context(&self) -> [u8; CONTEXT_LEN] {
        const INGRESS_IFINDEX: usize = 36;
        const IFINDEX: usize = 40;
        const GSO_SEGS: usize = 164;
        const GSO_SIZE: usize = 176;
        let mut context = [0; CONTEXT_LEN];
        for (offset, value) in [
            (MARK, self.mark),
            (INGRESS_IFINDEX, self.ingress_interface),
            (IFINDEX, self.interface),
            (GSO_SEGS, self.gso_segs),
            (GSO_SIZE, self.gso_size),
        ] {
            context[offset..offset + 4].copy_from_slice(&value.to_ne_bytes());
        }
        context
    }
}
