use std::{
    io::{self, Write as _},
    time::Duration,
};

use clap::Args;

use super::{Place, open::Open, output, up::Up};
use crate::{
    config::{self, Named, NewLoan, Options},
    engine::{self, ErrorContext as _, Result, Term, UpOptions},
    model::{PeerName, RuleName, Services},
    stats::render_loans_into,
};

/// Clients that are named one by one.
const SHOWN: usize = 4;

const OPTIONS: Options = Options { allow_empty: true };

/// `relay lend`.
#[derive(Debug, Args)]
#[command(
    override_usage = "relay lend FROM TO SERVICE... --for TIME|--until TIME [--both-ways] [--reason \
                      TEXT] [--dry-run]\n       relay lend --list [--json]\n       relay lend \
                      --revoke NAME [--dry-run]",
    after_help = "Writes a rule with an end into a fragment of its own, relay.d/lent-NAME.toml, and \
                  applies it as `relay reload` does. It ends by itself, in the kernel. The fragment \
                  is removed by the next `up`, `reload`, `lend` or change of peers after that. If \
                  `relay check` would fail, or the change cannot be applied, nothing is lent.\n\n\
                  Examples:\n  \
    relay lend ann db tcp/5432 --for 2h          until then ann may connect\n  \
    relay lend group:ops db tcp/22 icmp/echo --until 2030-12-31T18:00:00Z --reason INC-4711\n  \
    relay lend --list                            what is lent, and until when\n  \
    relay lend --revoke lent-ann-db              end it now"
)]
pub(super) struct Lend {
    /// Who may begin: a peer, "group:NAME", a network or address of peers, or "any".
    #[arg(value_parser = side, required_unless_present_any = ["list", "revoke"])]
    from: Option<Named>,
    /// With whom; as FROM.
    #[arg(value_parser = side, required_unless_present_any = ["list", "revoke"])]
    to: Option<Named>,
    /// What may be begun: tcp/22, udp/8000-8100, icmp/echo, sctp; may be repeated.
    #[arg(value_name = "SERVICE", value_parser = services)]
    #[arg(required_unless_present_any = ["list", "revoke"])]
    services: Vec<Services>,
    /// For how long, such as 30m, 2h or 1day; 366 days at most.
    #[arg(long = "for", value_name = "TIME", value_parser = humantime::parse_duration)]
    #[arg(required_unless_present_any = ["until", "list", "revoke"], conflicts_with = "until")]
    duration: Option<Duration>,
    /// Until when, such as 2030-12-31T18:00:00Z.
    #[arg(long, value_name = "TIME", value_parser = instant)]
    until: Option<u64>,
    /// Let either side begin.
    #[arg(long)]
    both_ways: bool,
    /// What it is for, in one line.
    #[arg(long, value_name = "TEXT", value_parser = reason)]
    reason: Option<String>,
    /// List what is lent.
    #[arg(long, conflicts_with_all = ASKED, conflicts_with_all = ["revoke", "dry_run"])]
    list: bool,
    /// Print JSON, with --list.
    #[arg(long, requires = "list")]
    json: bool,
    /// End what is lent under this name.
    #[arg(long, value_name = "NAME", value_parser = rule_name, conflicts_with_all = ASKED)]
    revoke: Option<RuleName>,
    /// Show what would change in the files, and change nothing.
    #[arg(long)]
    dry_run: bool,
}

/// The arguments that say what to lend.
const ASKED: [&str; 7] = ["from", "to", "services", "duration", "until", "both_ways", "reason"];

impl Lend {
    pub(super) fn run(&self, place: Place<'_>) -> Result<()> {
        match (&self.revoke, self) {
            (Some(name), _) => self.revoke(place, name),
            (None, Self { from: Some(from), to: Some(to), .. }) => self.lend(place, from, to),
            (None, _) => self.list(place),
        }
    }

    fn list(&self, place: Place<'_>) -> Result<()> {
        let loans = engine::loans(&config::load(place.config, OPTIONS)?);
        let mut out = output::stdout();
        match self.json {
            true => output::json(&mut out, &loans),
            false => Ok(render_loans_into(&mut out, &loans)?),
        }
    }

    fn lend(&self, place: Place<'_>, from: &Named, to: &Named) -> Result<()> {
        let term = match (self.duration, self.until) {
            (_, Some(until)) => Term::Until(until),
            (duration, None) => Term::For(duration.unwrap_or_default()),
        };
        let until = engine::rfc3339(term.end()?);
        if !self.dry_run {
            require_up(place)?;
        }
        let open = self.open(place)?;
        let loan = NewLoan {
            from: from.clone(),
            to: to.clone(),
            services: self.services.clone(),
            both_ways: self.both_ways,
            until: until.clone(),
            description: self.reason.clone(),
        };
        let (name, edit) = open.draft.lend(&open.loaded, &loan)?;
        let checked = open.checked(&edit, OPTIONS)?;
        engine::require_gain(&open.loaded, &checked.loaded, &name)?;
        open.warn(&checked);
        let lacking = engine::without_route(&open.loaded.relay, &checked.loaded.relay, &name);
        let doubts = engine::clock_doubt().map(str::to_owned);
        output::warn(&doubts.into_iter().chain(no_route(&lacking)).collect::<Vec<_>>());
        if self.dry_run {
            return show(&edit);
        }
        edit.stage()?.commit().context("nothing was lent")?;
        let mut out = output::stdout();
        if let Err(error) = apply(place, open.warned(), &mut out) {
            return take_back(place, &open, &name, error);
        }
        let services: Vec<_> = self.services.iter().map(ToString::to_string).collect();
        let arrow = if self.both_ways { '\u{2194}' } else { '\u{2192}' };
        writeln!(
            out,
            "lent {from} {arrow} {to}: {} until {until}; `relay lend --revoke {name}` ends it early",
            services.join(", "),
        )?;
        Ok(())
    }

    fn revoke(&self, place: Place<'_>, name: &RuleName) -> Result<()> {
        let open = self.open(place)?;
        let edit = open.draft.without([engine::lent_as(&open.loaded, name)?]);
        open.check(&edit, OPTIONS)?;
        if self.dry_run {
            return show(&edit);
        }
        let is_up = engine::block_on(engine::is_up(&open.loaded.relay))?;
        edit.stage()?.commit().context("nothing was revoked")?;
        let mut out = output::stdout();
        if is_up {
            apply(place, open.warned(), &mut out).with_context(|| {
                format!("{name} is out of the files, but may be in force still; run `relay up`")
            })?;
        }
        writeln!(out, "revoked {name}")?;
        Ok(())
    }

    /// Locks the files, and checks that the host can apply a change, before anything is changed.
    fn open(&self, place: Place<'_>) -> Result<Open> {
        if !self.dry_run {
            engine::require_kernel()?;
            engine::require_capabilities("lend")?;
        }
        Open::new(place.config, self.dry_run)
    }
}

/// Checks that the relay is up and can be reloaded, before anything is changed, and warns about other
/// changes that this would put in force.
fn require_up(place: Place<'_>) -> Result<()> {
    let options = UpOptions { dry_run: true, allow_empty: true, adopt: false, must_run: true };
    let other = engine::block_on(async {
        Ok(engine::Up::prepare(place.site("lend"), options).await?.lines().len())
    })?;
    if other > 0 {
        let what = "the files hold other changes that are not in force; they are applied, too";
        output::warn(&[what]);
    }
    Ok(())
}

fn apply(place: Place<'_>, warned: usize, out: &mut dyn io::Write) -> Result<()> {
    Up::after_edit(warned).bring_up(place, true, out)
}

/// Removes what could not be applied.
fn take_back(place: Place<'_>, open: &Open, name: &RuleName, error: engine::Error) -> Result<()> {
    let taken = || {
        let draft = config::Draft::read(place.config);
        let loaded = draft.load(OPTIONS)?;
        draft.without([engine::lent_as(&loaded, name)?]).stage()?.commit()?;
        // What failed may come after the policy was switched.
        apply(place, open.warned(), &mut io::sink())
    };
    let what = match taken() {
        Ok(()) => "nothing was lent".to_owned(),
        Err(again) => format!("{name} may be in force: taking it back failed ({})", again.chain()),
    };
    Err(error).context(what)
}

fn show(edit: &config::Edit) -> Result<()> {
    let mut out = output::stdout();
    edit.render_into(&mut out)?;
    writeln!(out, "nothing changed")?;
    Ok(())
}

/// A warning about clients that send no packets for what is lent to the relay.
fn no_route(clients: &[PeerName]) -> Option<String> {
    let mut shown: Vec<String> = clients.iter().take(SHOWN).map(ToString::to_string).collect();
    match clients.len().saturating_sub(SHOWN) {
        0 => {}
        more => shown.push(format!("{more} more")),
    }
    (!shown.is_empty()).then(|| {
        format!(
            "clients that have no route to each other yet: {}; give them the files that `relay peer \
             config NAME` shows",
            shown.join(", ")
        )
    })
}

fn side(text: &str) -> Result<Named, String> {
    config::parse_named(text).map_err(|fault| fault.to_string())
}

fn services(text: &str) -> Result<Services, String> {
    config::parse_services(text).map_err(|fault| fault.to_string())
}

fn instant(text: &str) -> Result<u64, String> {
    config::parse_instant(text).map_err(|fault| fault.to_string())
}

fn reason(text: &str) -> Result<String, String> {
    config::parse_description(text).map_err(|fault| fault.to_string())
}

fn rule_name(text: &str) -> Result<RuleName, String> {
    config::parse_rule_name(text).map_err(|fault| fault.to_string())
}
