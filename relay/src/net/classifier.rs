//! BPF filters on an interface's clsact qdisc, which kernels without TCX run.

use rtnetlink::packet_route::{
    RouteNetlinkMessage,
    tc::{TcAttribute, TcFilterBpfOption, TcHandle, TcMessage, TcOption},
};

use super::{Handle, NetError};
use crate::model::{Classifier, Direction};

/// Lists the filters of the interface with this index; none if it has no clsact qdisc.
///
/// # Errors
/// The kernel did not answer.
pub async fn read(handle: &Handle, index: u32) -> Result<Vec<Classifier>, NetError> {
    let mut classifiers = Vec::new();
    for (minor, direction) in
        [(TcHandle::MIN_INGRESS, Direction::Ingress), (TcHandle::MIN_EGRESS, Direction::Egress)]
    {
        let index = i32::try_from(index).unwrap_or(i32::MAX);
        let mut message = TcMessage::with_index(index);
        message.header.parent = TcHandle { major: u16::MAX, minor };
        let request = RouteNetlinkMessage::GetTrafficFilter(message);
        let answers = match handle.dump("RTM_GETTFILTER", "clsact", request).await {
            Ok(answers) => answers,
            // There is no such qdisc.
            Err(error) if error.os_error() == Some(libc::EINVAL) => continue,
            Err(error) => return Err(error),
        };
        classifiers.extend(answers.iter().filter_map(|answer| match answer {
            RouteNetlinkMessage::NewTrafficFilter(message) => classifier(message, direction),
            _ => None,
        }));
    }
    Ok(classifiers)
}

fn classifier(message: &TcMessage, direction: Direction) -> Option<Classifier> {
    let options = message.attributes.iter().find_map(|attribute| match attribute {
        TcAttribute::Options(options) => Some(options),
        _ => None,
    })?;
    let program_id = options.iter().find_map(|option| match option {
        TcOption::Bpf(TcFilterBpfOption::ProgId(id)) => Some(*id),
        _ => None,
    })?;
    Some(Classifier {
        direction,
        // The upper half of tcm_info (TC_H_MAJ, include/uapi/linux/pkt_sched.h).
        priority: u16::try_from(message.header.info >> 16).unwrap_or(u16::MAX),
        handle: message.header.handle.into(),
        program_id,
    })
}
