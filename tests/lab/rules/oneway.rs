use std::io::{Read as _, Write as _};

use anyhow::ensure;
use relay_tests::{
    Family, Lab, Ledger, deadline, scenario, schema, skip,
    traffic::{Echo, Query, tcp::Attempt},
};

use super::{STREAM_LEN, WEB, connect, dropped, ruled, syn_is_dropped};
use crate::watch::Watch;

const DNS: u16 = 53;
const FTP: u16 = 21;

#[test]
fn a_connection_is_opened_by_one_side_and_used_by_both() {
    scenario(skip::LAB, || {
        let lab = Lab::start(ruled(&["tcp/8080"])?)?;
        let [a, b] = lab.first()?;
        let mut watch = Watch::start(&lab)?;
        for family in Family::ALL {
            connect(a, b, family, WEB)?.exchange(STREAM_LEN)?;
            let passed = watch.passed(a, b)?;
            let least = STREAM_LEN as u64;
            ensure!(passed.there.bytes > least && passed.back.bytes > least, "{passed:?}");

            syn_is_dropped(&mut watch, b, a, family, WEB)?;
            let options = ["observe", "--output", "json", "--last", "1"];
            let event = lab.relay().relay(&options)?.success("observe")?;
            let event = schema::parse("observe", &event)?;
            ensure!(event["from"] == b.name() && event["to"] == a.name(), "{event}");
            ensure!(event["reason"] == "no_rule" && event["protocol"] == "TCP", "{event}");
            ensure!(event["destinationPort"] == WEB, "{event}");
            syn_is_dropped(&mut watch, a, b, family, WEB + 1)?;
            watch.drops(b, a, family, "no_rule")?;
        }
        Ok(())
    });
}

#[test]
fn questions_and_pings_are_answered_and_pass_only_one_way() {
    scenario(skip::LAB, || {
        let lab = Lab::start(ruled(&["udp/53", "icmp/echo"])?)?;
        let [a, b] = lab.first()?;
        let mut watch = Watch::start(&lab)?;
        for family in Family::ALL {
            let query = Query::open(a, b, family, DNS)?;
            query.ask(40, 400)?;
            query.ask(40, 1100)?;
            let passed = watch.passed(a, b)?;
            ensure!((passed.there.packets, passed.back.packets) == (2, 2), "{passed:?}");
            // From the server's port, but nobody has asked from where it goes.
            query.stray()?;
            watch.moved(b)?;
            watch.settle(&Ledger::default().dropped(b.name(), "no_rule", 1))?;

            let mut echo = Echo::between(a, b, family)?;
            echo.send(3)?;
            ensure!(echo.answers(3, deadline::PATIENCE)? == 3, "no answers, {}", family.name());
            watch.passed(a, b)?;

            watch.drops(b, a, family, "no_rule")?;
            syn_is_dropped(&mut watch, a, b, family, DNS)?;
        }
        Ok(())
    });
}

#[test]
fn a_connection_of_ftp_opens_no_second_one() {
    scenario(skip::LAB, || {
        let lab = Lab::start(ruled(&["tcp/21"])?)?;
        let [a, b] = lab.first()?;
        for family in Family::ALL {
            let mut control = connect(a, b, family, FTP)?;
            let mut line = [0; 6];
            for command in [b"PORT\r\n", b"PASV\r\n"] {
                control.client.write_all(command)?;
                control.server.read_exact(&mut line)?;
                control.server.write_all(b"200 \r\n")?;
                control.client.read_exact(&mut line)?;
            }
            // Active: the server connects to the client. Passive: the client to another port.
            for (from, to) in [(b, a), (a, b)] {
                let before = lab.relay().ledger()?;
                let second = Attempt::start(
                    from.namespace(),
                    from.address(family),
                    to.namespace(),
                    to.address(family),
                )?;
                deadline::until("the dropped SYN", || {
                    Ok((dropped(&lab, &before, &[from], "no_rule")? > 0).then_some(()))
                })?;
                ensure!(second.accepted()?.is_none(), "{} opened a second one", from.name());
            }
            control.exchange(STREAM_LEN)?;
        }
        Ok(())
    });
}
