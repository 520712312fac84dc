//! Puts the program of a candidate in front of ours, and takes it off.

use aya::programs::{
    LinkOrder, SchedClassifier,
    links::FdLink,
    tc::{NlOptions, TcAttachOptions},
};

use super::{
    super::{DatapathError, generation::Loaded, pinned::Pins},
    hook::{Hook, Mode, PRIORITY, TRIAL_HANDLE},
    switch::{detach_stale, program},
};
use crate::model::Direction;

/// Attaches the program of a candidate in front of ours.
///
/// A clsact filter of our priority runs before those that are there already: the kernel adds it at the
/// head of their list (cls_bpf_change(), net/sched/cls_bpf.c, 6.1).
pub(in super::super) fn attach_trial(
    pins: &Pins,
    interface: &str,
    loaded: &mut Loaded,
    ingress: &Hook,
) -> Result<(), DatapathError> {
    let missing = || DatapathError::NotAttached { interface: interface.to_owned() };
    let ours = program(ingress)?.ok_or_else(missing)?;
    let name = loaded.name(Direction::Ingress);
    let failed = |action| DatapathError::program(name, action);
    let options = match ingress.mode.ok_or_else(missing)? {
        Mode::Tcx => {
            let order = LinkOrder::before_program::<SchedClassifier>(&ours);
            TcAttachOptions::TcxOrder(order.map_err(failed("place"))?)
        }
        Mode::Netlink => TcAttachOptions::Netlink(NlOptions {
            priority: PRIORITY,
            handle: TRIAL_HANDLE,
            classid: None,
        }),
    };
    let program = loaded.program(Direction::Ingress)?;
    let attached =
        program.attach_with_options(interface, Direction::Ingress.attach_type(), options);
    let link = program.take_link(attached.map_err(failed("attach"))?).map_err(failed("keep"))?;
    if ingress.mode == Some(Mode::Netlink) {
        // Dropping the link would remove the filter.
        std::mem::forget(link);
        return Ok(());
    }
    let path = pins.trial_link();
    let link: FdLink = link.try_into().map_err(DatapathError::link(&path, "take"))?;
    let pinned = link.pin(&path);
    pinned.map_err(|source| DatapathError::Pinning { path, source: Box::new(source) })?;
    Ok(())
}

/// Detaches the programs of candidates.
pub(in super::super) fn detach_trials(
    pins: &Pins,
    interface: &str,
    ingress: &Hook,
) -> Result<(), DatapathError> {
    ingress.trials.iter().try_for_each(|trial| detach_stale(interface, trial))?;
    let path = pins.trial_link();
    if path.exists() { pins.remove_file(&path) } else { Ok(()) }
}
