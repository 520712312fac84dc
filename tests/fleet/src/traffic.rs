//! Traffic between two peers on two machines, while their relays change.

use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use relay_vm::workspace;
use serde_json::Value;

use crate::machine::Machine;
use crate::peers::Peer;

/// One end of a TCP connection; its first lines say more.
const TALK: &str = "/root/talk.py";

/// Echo requests every 100 ms, and one TCP connection on which both ends send a line every 100 ms.
pub(super) struct Traffic {
    /// The ids of `ping`, and of both ends of the connection.
    ping: String,
    ends: [String; 2],
}

/// What was seen of it.
#[derive(Debug)]
pub(super) struct Silences {
    /// The longest time between two answers to echo requests.
    pub(super) pings: Silence,
    /// The longest time between two lines, at either end.
    pub(super) stream: Silence,
    /// Echo requests that were not answered.
    pub(super) lost: u64,
    /// Lines that both ends received.
    pub(super) lines: u64,
}

/// A time in which nothing came.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Silence {
    pub(super) lasted: Duration,
    /// Its end, since 1970-01-01T00:00:00Z.
    pub(super) end: Duration,
}

impl Silences {
    pub(super) fn longest(&self) -> Silence {
        self.pings.max(self.stream)
    }
}

impl Traffic {
    /// From the first peer on the first machine to the second on the second.
    ///
    /// # Errors
    /// A machine cannot be reached, or they do not talk.
    pub(super) fn start(machines: [&Machine; 2], [from, to]: [&Peer; 2]) -> Result<Self> {
        let script = workspace::root().join("tests/fleet/src/talk.py");
        for machine in machines {
            machine.put(&script, TALK)?;
        }
        let talk = |role: &str, peer: &Peer| {
            let (name, address) = (peer.name, to.address());
            format!(
                "ip netns exec {name} python3 {TALK} {role} {address} \
                 >/root/talk.log 2>&1 </dev/null & echo $!"
            )
        };
        let [calls, listens] = machines;
        let listener = listens.run(&talk("listen", to))?;
        listens.run(&format!(
            "for i in $(seq 60); do ip netns exec {} ss -Hltn sport = :7000 | grep -q . && exit; \
             sleep 1; done; cat /root/talk.log >&2; exit 1",
            to.name
        ))?;
        let caller = calls.run(&talk("call", from))?;
        let ping = calls.run(&format!(
            "ip netns exec {} ping -n -D -i 0.1 {} >/root/ping.log 2>&1 </dev/null & echo $!",
            from.name,
            to.address()
        ))?;
        let trim = |id: String| id.trim().to_owned();
        Ok(Self { ping: trim(ping), ends: [trim(caller), trim(listener)] })
    }

    /// Ends it, on the same machines.
    ///
    /// # Errors
    /// The connection was cut, a line was lost, or no echo request was answered.
    pub(super) fn stop(self, [calls, listens]: [&Machine; 2]) -> Result<Silences> {
        let [caller, listener] = &self.ends;
        let ended = |id: &str, log: &str| {
            format!("while kill -0 {id} 2>/dev/null; do sleep 0.2; done; cat /root/{log}.log")
        };
        let called = calls.run(&format!("kill {caller} || true; {}", ended(caller, "talk")))?;
        let listened = listens.run(&ended(listener, "talk"))?;
        let ping = calls.run(&format!(
            "kill -INT {0} || true; {1}",
            self.ping,
            ended(&self.ping, "ping")
        ))?;
        let (pings, lost) = answers(&ping).with_context(|| format!("ping: {}", ping.trim_end()))?;
        let mut silences = Silences { pings, stream: Silence::default(), lost, lines: 0 };
        for said in [&called, &listened] {
            let Ok(Value::Object(end)) = serde_json::from_str(said) else {
                bail!(
                    "expected a connection that is not cut, found:\n{}\nand at the other \
                     end:\n{}\n{silences:?}",
                    called.trim_end(),
                    listened.trim_end()
                );
            };
            let number = |key: &str| end.get(key).and_then(Value::as_u64).unwrap_or_default();
            let time = |key: &str| Duration::from_millis(number(key));
            let longest = Silence { lasted: time("longest_ms"), end: time("longest_end_ms") };
            silences.stream = silences.stream.max(longest);
            silences.lines += number("received");
        }
        Ok(silences)
    }
}

/// The longest time between two lines of `ping -D` with an answer, and how many answers are missing.
fn answers(log: &str) -> Option<(Silence, u64)> {
    let answers: Vec<(Duration, u64)> = log
        .lines()
        .filter_map(|line| {
            let (time, answer) = line.strip_prefix('[')?.split_once(']')?;
            let number = answer.split_once("icmp_seq=")?.1.split(' ').next()?;
            let time = Duration::try_from_secs_f64(time.parse().ok()?).ok()?;
            answer.contains(" bytes from ").then_some((time, number.parse().ok()?))
        })
        .collect();
    let silences = answers
        .windows(2)
        .map(|pair| Silence { lasted: pair[1].0.saturating_sub(pair[0].0), end: pair[1].0 });
    let longest = silences.max().unwrap_or_default();
    let last = answers.iter().map(|(_, number)| *number).max()?;
    Some((longest, last.saturating_sub(u64::try_from(answers.len()).ok()?)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_longest_silence_is_between_two_answers() {
        let log = "PING 10.3.2.3 (10.3.2.3) 56(84) bytes of data.\n\
            [100.000000] 64 bytes from 10.3.2.3: icmp_seq=1 ttl=63 time=9.1 ms\n\
            [100.050000] 64 bytes from 10.3.2.3: icmp_seq=2 ttl=63 time=9.1 ms\n\
            [100.100000] From 10.3.2.1 icmp_seq=3 Destination Host Unreachable\n\
            [100.550000] 64 bytes from 10.3.2.3: icmp_seq=5 ttl=63 time=9.1 ms\n\n\
            --- 10.3.2.3 ping statistics ---\n6 packets transmitted, 3 received\n";
        let (longest, lost) = answers(log).expect("answers");
        let Silence { lasted, end } = longest;
        assert_eq!((lasted.as_millis(), end.as_millis(), lost), (500, 100_550, 2));
        assert!(answers("PING 10.3.2.3\n").is_none());
    }
}
