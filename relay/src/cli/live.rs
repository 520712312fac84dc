//! The live table on a terminal, which is restored at the end, on a signal and on a panic.

use std::{
    io,
    ops::ControlFlow,
    time::{Duration, Instant, SystemTime},
};

use crossterm::event::{Event, EventStream, KeyCode, KeyEventKind, KeyModifiers};
use futures_util::StreamExt as _;
use ratatui::DefaultTerminal;
use tokio::{
    signal::unix::{SignalKind, signal},
    time::MissedTickBehavior,
};

use crate::{
    engine::Result,
    stats::{Key, Snapshot, Watch},
};

/// The terminal in raw mode until this is dropped; ratatui's own hook restores it on a panic.
struct Screen(DefaultTerminal);

impl Screen {
    fn take() -> io::Result<Self> {
        ratatui::try_init().map(Self)
    }

    fn draw(&mut self, watch: &mut Watch) -> io::Result<()> {
        self.0.draw(|frame| watch.render(frame)).map(drop)
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        ratatui::restore();
    }
}

/// Shows what `look` reads, after each interval, until a key or a signal ends it.
///
/// # Errors
/// The first read or the terminal fails. Later errors of `look` are shown on the screen.
pub(super) async fn run(
    mut watch: Watch,
    every: Duration,
    mut look: impl AsyncFnMut() -> Result<Snapshot>,
) -> Result<()> {
    let began = Instant::now();
    watch.feed(look().await?, began.elapsed(), SystemTime::now());
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut hang_up = signal(SignalKind::hangup())?;
    let mut ticks = tokio::time::interval_at(tokio::time::Instant::now() + every, every);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut screen = Screen::take()?;
    let mut events = EventStream::new();
    loop {
        screen.draw(&mut watch)?;
        tokio::select! {
            _ = terminate.recv() => return Ok(()),
            _ = interrupt.recv() => return Ok(()),
            _ = hang_up.recv() => return Ok(()),
            _ = ticks.tick() => match look().await {
                Ok(snapshot) => watch.feed(snapshot, began.elapsed(), SystemTime::now()),
                Err(error) => watch.trouble(error.chain()),
            },
            event = events.next() => match event {
                None => return Ok(()),
                Some(event) => {
                    if press(&mut watch, &event?).is_break() {
                        return Ok(());
                    }
                }
            },
        }
    }
}

fn press(watch: &mut Watch, event: &Event) -> ControlFlow<()> {
    // The loop draws again after every event, which a new size needs.
    let Event::Key(event) = event else { return ControlFlow::Continue(()) };
    if event.kind == KeyEventKind::Release {
        return ControlFlow::Continue(());
    }
    if event.modifiers.contains(KeyModifiers::CONTROL) {
        // In raw mode the terminal sends no signal for Ctrl-C.
        return match event.code == KeyCode::Char('c') {
            true => ControlFlow::Break(()),
            false => ControlFlow::Continue(()),
        };
    }
    #[expect(clippy::wildcard_enum_match_arm, reason = "most keys of a keyboard do nothing here")]
    let key = match event.code {
        KeyCode::Char(c) => Key::Char(c),
        KeyCode::Enter => Key::Enter,
        KeyCode::Esc => Key::Escape,
        KeyCode::Backspace => Key::Backspace,
        KeyCode::Up => Key::Up,
        KeyCode::Down => Key::Down,
        KeyCode::PageUp => Key::PageUp,
        KeyCode::PageDown => Key::PageDown,
        KeyCode::Home => Key::Home,
        KeyCode::End => Key::End,
        _ => return ControlFlow::Continue(()),
    };
    watch.press(key)
}
