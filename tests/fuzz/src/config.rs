//! The configuration file: it is a relay, or an error that shows nothing it should not. What relay
//! writes into such a file changes what it should change and nothing else.

use std::path::Path;

use relay::{
    config::{Draft, Edit, Loaded, NewPeer, Options, free_addresses, load_texts},
    engine,
    model::{Peer, PeerName, PublicKey, Relay},
};

use crate::{run::Run, terminal};

/// Of the main file. There is no such directory, so that nothing but the input is read.
const MAIN: &str = "/nonexistent/relay.toml";

/// The key of a peer that is added or gets another one. Nobody's.
const KEY: PublicKey = PublicKey::from_bytes([0xa5; 32]);

const OPTIONS: Options = Options { allow_empty: true };

pub(crate) fn start() -> Run {
    Box::new(|input| {
        let Ok(text) = str::from_utf8(input) else { return };
        if let Some(loaded) = judged(&[(MAIN, text)]) {
            edited(text, &loaded.relay);
        }
    })
}

/// What files say. Everything that is said about them is fit to be shown.
pub(crate) fn judged(files: &[(&str, &str)]) -> Option<Loaded> {
    let input: String = files.iter().map(|(_, text)| *text).collect();
    let texts = || files.iter().map(|(path, text)| (Path::new(path).into(), (*text).to_owned()));
    let loaded = match load_texts(texts(), OPTIONS) {
        Ok(loaded) => loaded,
        Err(problems) => {
            assert!(problems.iter().next().is_some(), "an error without a problem");
            for problem in &problems {
                let line = files.iter().find(|(path, _)| Path::new(path) == problem.file);
                let line = line.and_then(|(_, text)| text.split('\n').nth(problem.line - 1));
                let columns = line.expect("a line of its file").chars().count() + 1;
                assert!(problem.column <= columns, "{problem}");
                terminal::check(problem, &input);
            }
            return None;
        }
    };
    for warning in &loaded.warnings {
        terminal::check(warning, &input);
    }
    if let Err(error) = engine::compile(&loaded) {
        terminal::check(error.chain(), &input);
    }
    let again = load_texts(texts(), OPTIONS).expect("what was read before");
    assert_eq!(again.relay, loaded.relay);
    Some(loaded)
}

/// Changes the file in each way that relay has.
fn edited(text: &str, relay: &Relay) {
    let mut draft = Draft::read(Path::new(MAIN));
    draft.put(Path::new(MAIN), text.to_owned()).expect("the main file");
    let read = draft.load(OPTIONS).expect("what was read before").relay;
    assert_eq!(&read, relay);
    added(&draft, relay);
    if relay.peers.iter().any(|peer| peer.public_key == KEY) {
        return;
    }
    let Some(peer) = relay.peers.last() else { return };
    let expect = |edit: Edit, change: &dyn Fn(&mut Peer)| {
        let mut expected = relay.clone();
        expected.peers.last_mut().map(change);
        is_what(&draft, &edit, &expected);
    };
    if let Ok(edit) = draft.switch(&peer.name, !peer.enabled) {
        expect(edit, &|peer| peer.enabled = !peer.enabled);
    }
    let name: PeerName = "renamed-by-the-fuzzer".parse().expect("a name");
    if let Ok(edit) = draft.rename(&peer.name, &name) {
        expect(edit, &|peer| peer.name = name.clone());
    }
    if let Ok(edit) = draft.rekey(&peer.name, &KEY) {
        expect(edit, &|peer| peer.public_key = KEY);
    }
    if let Ok(edit) = draft.remove(&peer.name) {
        match draft.load_with(&edit, OPTIONS) {
            Ok(left) => assert_eq!(left.relay.peers, relay.peers[..relay.peers.len() - 1]),
            // A rule that covers nobody without it; then `relay peer remove` changes nothing.
            Err(problems) => terminal::check(problems, text),
        }
    }
}

fn added(draft: &Draft, relay: &Relay) {
    let Ok(addresses) = free_addresses(relay) else { return };
    let new = NewPeer {
        name: "added-by-the-fuzzer".parse().expect("a name"),
        public_key: KEY,
        addresses: addresses.clone(),
        routes: Vec::new(),
        allowed_ips: Some(Vec::new()),
        groups: Vec::new(),
    };
    let is_taken = relay.peers.iter().any(|peer| peer.public_key == KEY);
    let Ok(edit) = draft.add(&new, Some(Path::new(MAIN))) else { return };
    if is_taken {
        return;
    }
    let loaded = draft.load_with(&edit, OPTIONS);
    let loaded = loaded.unwrap_or_else(|problems| panic!("added a peer: {problems}"));
    let (last, others) = loaded.relay.peers.split_last().expect("the new one");
    assert_eq!(others, relay.peers);
    assert_eq!((&last.name, &last.addresses), (&new.name, &addresses));
}

fn is_what(draft: &Draft, edit: &Edit, expected: &Relay) {
    match draft.load_with(edit, OPTIONS) {
        Ok(loaded) => assert_eq!(&loaded.relay, expected),
        Err(problems) => panic!("edited: {problems}"),
    }
}
