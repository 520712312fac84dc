//! Services, by their index in the kernel's tables.

use relay_common::service;

use crate::model::{Service, Transport};

/// The service with this index; `None` if there is none.
pub fn service(index: u32) -> Option<Service> {
    let port = |first| u16::try_from(index - first).ok();
    match index {
        service::TCP..service::UDP => Some(Service::Port(Transport::Tcp, port(service::TCP)?)),
        service::UDP..service::PROTOCOL => Some(Service::Port(Transport::Udp, port(service::UDP)?)),
        service::PROTOCOL..service::ECHO => {
            Some(Service::Protocol(u8::try_from(index - service::PROTOCOL).ok()?))
        }
        service::ECHO => Some(Service::Echo),
        service::ICMP => Some(Service::Icmp),
        _ => None,
    }
}
