//! Loading a program, which a signal to this process may interrupt.

use std::io;

use aya::programs::ProgramError;

use super::DatapathError;

/// So often libbpf tries, too (`sys_bpf_prog_load()` in tools/lib/bpf/bpf.c, Linux 6.12).
const ATTEMPTS: u32 = 5;

/// Loads the program of this name by `load`, which is called again if it was interrupted.
///
/// # Errors
/// The kernel does not load it.
pub(super) fn load(
    program: &'static str,
    load: impl FnMut() -> Result<(), ProgramError>,
) -> Result<(), DatapathError> {
    let is_interrupted = |error: &ProgramError| {
        if let ProgramError::LoadError { io_error, .. } = error {
            is_interruption(io_error)
        } else {
            false
        }
    };
    attempted(load, is_interrupted).map_err(DatapathError::load(program))
}

/// Whether the verifier gave up because a signal is pending (`do_check()` in kernel/bpf/verifier.c,
/// Linux 6.12).
fn is_interruption(error: &io::Error) -> bool {
    error.raw_os_error() == Some(libc::EAGAIN)
}

fn attempted<T, E>(
    mut attempt: impl FnMut() -> Result<T, E>,
    is_interrupted: impl Fn(&E) -> bool,
) -> Result<T, E> {
    for _ in 1..ATTEMPTS {
        match attempt() {
            Err(error) if is_interrupted(&error) => {}
            other => return other,
        }
    }
    attempt()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_signal_interrupts_is_tried_again_and_nothing_else_is() {
        let tried = |errors: &[i32]| {
            let mut attempts = 0;
            let outcome = attempted(
                || {
                    attempts += 1;
                    let error = errors.get(attempts - 1).copied();
                    error.map_or(Ok(()), |error| Err(io::Error::from_raw_os_error(error)))
                },
                is_interruption,
            );
            (attempts, outcome.is_ok())
        };
        assert_eq!(tried(&[]), (1, true));
        assert_eq!(tried(&[libc::EAGAIN, libc::EAGAIN]), (3, true));
        assert_eq!(tried(&[libc::EINVAL]), (1, false));
        assert_eq!(tried(&[libc::EAGAIN, libc::EACCES]), (2, false));
        assert_eq!(tried(&[libc::EAGAIN; 9]), (5, false));
    }
}
