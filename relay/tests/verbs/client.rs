//! Client files: as text, as QR code, and whether they are stale.

use std::{fs, io::BufReader};

use super::site::{PRIVATE, PUBLIC, Site};

#[test]
fn the_private_key_has_a_placeholder_unless_its_file_is_named() {
    let site = Site::new();
    insta::assert_snapshot!(site.relay("peer config a").ended(0));
    let run = site.relay("peer config a --private-key-file a.key").ended(0);
    assert!(run.out.contains(&format!("\nPrivateKey = {}\n", PRIVATE[1])));
    assert!(run.out.contains(&format!("\nPublicKey = {}\n", PUBLIC[0])), "the relay's");
}

#[test]
fn a_key_of_somebody_else_is_an_error() {
    let site = Site::new();
    let run = site.relay("peer config b --private-key-file a.key");
    insta::assert_snapshot!(run.ended(2));
    insta::assert_snapshot!(site.relay("peer config a --private-key-file no.key").ended(2));
    insta::assert_snapshot!(site.relay("peer config a --qr").ended(2));
}

#[test]
fn a_relay_without_a_key_has_no_clients() {
    let site = Site::new();
    fs::remove_file(site.path("private.key")).expect("removed");
    let before = site.tree();
    insta::assert_snapshot!(site.relay("peer config a").ended(2));
    site.relay("peer add c --generate").ended(2);
    site.relay("peer rotate a").ended(2);
    assert_eq!(site.tree(), before);
}

#[test]
fn a_generated_key_is_that_of_the_new_peer() {
    let site = Site::new();
    let run = site.relay("peer add c --generate --allow 10.3.2.2").ended(0);
    let private = run.out.lines().find_map(|line| line.strip_prefix("PrivateKey = "));
    let public = site.relay_with("genkey --public", private.expect("a key")).ended(0).out;
    assert!(site.read("relay.d/c.toml").contains(public.trim()));
    assert!(run.out.starts_with("# c\n[Interface]\n"), "nothing else is on standard output");
    assert!(run.err.contains("added c with 10.3.2.4 and fd00::3:2:3: "), "{run}");
}

#[test]
fn a_picture_reads_back_as_the_configuration() {
    let site = Site::new();
    let run = site.relay("peer config a --private-key-file a.key --png a.png").ended(0);
    assert_eq!(run.out, "");
    assert_eq!(site.mode("a.png"), 0o600);
    let text = site.relay("peer config a --private-key-file a.key").ended(0).out;
    let kept = |line: &&str| !line.is_empty() && !line.starts_with('#');
    let expected: Vec<&str> = text.lines().filter(kept).collect();
    let read = read_png(&site);
    assert_eq!(read.lines().collect::<Vec<_>>(), expected);
}

fn read_png(site: &Site) -> String {
    let file = BufReader::new(fs::File::open(site.path("a.png")).expect("a picture"));
    let mut reader = png::Decoder::new(file).read_info().expect("a PNG");
    let mut pixels = vec![0; reader.output_buffer_size().expect("a size")];
    let info = reader.next_frame(&mut pixels).expect("pixels");
    let (width, height) = (info.width as usize, info.height as usize);
    let at = |x: usize, y: usize| pixels[y * width + x];
    let mut image = rqrr::PreparedImage::prepare_from_greyscale(width, height, at);
    let grids = image.detect_grids();
    let [grid] = grids.as_slice() else { panic!("{} codes", grids.len()) };
    grid.decode().expect("a code").1
}

#[test]
fn a_code_on_a_terminal_has_a_quiet_zone_and_fits() {
    let site = Site::new();
    let run = site.relay("peer config a --private-key-file a.key --qr").ended(0);
    let lines: Vec<&str> = run.out.lines().collect();
    let width = lines[0].chars().count();
    assert!(width <= 80, "{width} columns");
    assert!(lines.iter().all(|line| line.chars().count() == width));
    assert!(lines[..2].iter().all(|line| line.chars().all(|c| c == '█')), "{run}");
    assert!(lines.iter().all(|line| line.starts_with("████") || line.starts_with("▀▀▀▀")));
}

#[test]
fn a_client_whose_file_is_out_of_date_is_known() {
    let site = Site::new();
    let stale = || site.relay("peer config --stale").ended(0).out;
    assert_eq!(stale(), "a: never shown\nb: never shown\n");
    site.relay("peer config a").ended(0);
    site.relay("peer config b").ended(0);
    assert_eq!(stale(), "relay0: every client was shown its current configuration\n");
    assert_eq!(site.mode("state/relay0/rendered.json"), 0o600);
    assert_eq!(site.mode("state/relay0"), 0o700);

    site.relay("peer rename b node-b").ended(0);
    assert_eq!(
        stale(),
        "relay0: every client was shown its current configuration\n",
        "a name is no matter"
    );

    let text = site.read("relay.toml");
    site.write("relay.toml", &format!("{text}[defaults]\nmtu = 1300\n"), 0o640);
    assert_eq!(stale(), "a: changed since it was shown\nnode-b: changed since it was shown\n");
    site.relay("peer config a --private-key-file a.key").ended(0);
    let json = site.relay("peer config --stale --json").ended(0).json("stale");
    assert_eq!(json["stale"], serde_json::json!(["node-b"]));
    assert_eq!(json["neverShown"], serde_json::json!([]));

    site.relay("peer rotate a").ended(0);
    assert_eq!(stale(), "node-b: changed since it was shown\n");
    let record = site.read("state/relay0/rendered.json");
    assert!(!record.contains(PUBLIC[1]), "keys of nobody are forgotten");
}

#[test]
fn a_record_that_cannot_be_kept_is_said_and_costs_nothing_else() {
    let site = Site::new();
    site.write("state", "not a directory", 0o600);
    let run = site.relay("peer config a").ended(0);
    assert!(run.out.contains("[Interface]"));
    insta::assert_snapshot!(run.err.replace(&site.path("").display().to_string(), "/etc/relay/"));
    site.relay("peer config --stale").ended(1);
}
