//! QR codes of a client's configuration, as the WireGuard app reads them.

use std::io::{self, IsTerminal as _};

use qrcode::{
    Color, EcLevel, QrCode, Version,
    bits::Bits,
    render::{Renderer, unicode::Dense1x2},
    types::QrError,
};
use rustix::termios::tcgetwinsize;
use zeroize::Zeroizing;

use super::exit::UsageError;
use crate::engine::{ErrorContext as _, Result};

/// Light modules around a code (ISO/IEC 18004, section 9.1).
const QUIET: usize = 4;
/// Enough for most readers, if the terminal has no room for more.
const QUIET_LEAST: usize = 2;
/// Bytes in the largest code at level L (ISO/IEC 18004, table 7).
const BYTES_MAX: usize = 2953;
/// Pixels of a module's side in a picture.
const MODULE: usize = 8;

/// Encodes a configuration without its comments and empty lines, so that modules are larger.
pub(super) fn encode(text: &str) -> Result<QrCode> {
    let mut short = Zeroizing::new(String::with_capacity(text.len()));
    for line in text.lines().filter(|line| !line.is_empty() && !line.starts_with('#')) {
        short.push_str(line);
        short.push('\n');
    }
    match of(short.as_bytes()) {
        Ok(code) => Ok(code),
        Err(QrError::DataTooLong) => Err(UsageError::Request(format!(
            "the configuration has {} bytes, but a QR code holds {BYTES_MAX}; shorten allowed_ips, \
             set client_allowed_ips = \"overlay\" in [defaults], or deliver the text",
            short.len()
        ))
        .into()),
        Err(error) => Err(error).context("cannot make a QR code"),
    }
}

fn of(bytes: &[u8]) -> Result<QrCode, QrError> {
    match QrCode::with_error_correction_level(bytes, EcLevel::L) {
        // The encoder's mix of modes can be longer than plain bytes.
        Err(QrError::DataTooLong) if bytes.len() <= BYTES_MAX => {
            let mut bits = Bits::new(Version::Normal(40));
            bits.push_byte_data(bytes)?;
            bits.push_terminator(EcLevel::L)?;
            QrCode::with_bits(bits, EcLevel::L)
        }
        coded => coded,
    }
}

/// Draws a code for a terminal: dark on light, whatever colours the terminal has.
///
/// # Errors
/// The terminal is too narrow for its lines.
pub(super) fn draw(code: &QrCode, color: bool) -> Result<Zeroizing<String>> {
    let columns = match io::stdout().is_terminal() {
        true => tcgetwinsize(io::stdout()).ok().map(|size| usize::from(size.ws_col)),
        false => None,
    };
    let quiet = u32::try_from(quiet(code.width(), columns)?)?;
    // A full block has the foreground's colour, the light one.
    let drawing = Renderer::<Dense1x2>::new(&code.to_colors(), code.width(), quiet)
        .dark_color(Dense1x2::Light)
        .light_color(Dense1x2::Dark)
        .build();
    let drawing = Zeroizing::new(drawing);
    let mut lines = Zeroizing::new(String::with_capacity(drawing.len() * 2));
    for line in drawing.lines() {
        let (before, after) = if color { ("\x1b[97;40m", "\x1b[0m") } else { ("", "") };
        for part in [before, line, after, "\n"] {
            lines.push_str(part);
        }
    }
    Ok(lines)
}

/// Light modules around a code of this width, as many as the terminal has room for.
fn quiet(width: usize, columns: Option<usize>) -> Result<usize, UsageError> {
    // A terminal that does not know its width reports zero.
    let Some(columns) = columns.filter(|&columns| columns > 0) else { return Ok(QUIET) };
    match columns.checked_sub(width + 2 * QUIET_LEAST) {
        Some(room) => Ok(QUIET.min(QUIET_LEAST + room / 2)),
        None => Err(UsageError::Request(format!(
            "the QR code is {} columns wide, but the terminal has {columns}; widen the terminal, use \
             a smaller font, or write a picture with --png FILE",
            width + 2 * QUIET_LEAST
        ))),
    }
}

/// A PNG picture of a code, black on white.
pub(super) fn picture(code: &QrCode) -> Result<Zeroizing<Vec<u8>>> {
    let modules = code.width() + 2 * QUIET;
    let side = modules * MODULE;
    let mut pixels = Zeroizing::new(vec![0xff; side * side]);
    for (index, _) in code.to_colors().iter().enumerate().filter(|(_, c)| **c == Color::Dark) {
        let (x, y) = (index % code.width() + QUIET, index / code.width() + QUIET);
        for row in y * MODULE..(y + 1) * MODULE {
            let start = row * side + x * MODULE;
            pixels[start..start + MODULE].fill(0);
        }
    }
    let side = u32::try_from(side)?;
    let mut file = Zeroizing::new(Vec::new());
    let mut encoder = png::Encoder::new(&mut *file, side, side);
    encoder.set_color(png::ColorType::Grayscale);
    encoder.set_depth(png::BitDepth::Eight);
    let mut writer = encoder.write_header()?;
    writer.write_image_data(&pixels)?;
    writer.finish()?;
    Ok(file)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_code_holds_what_the_largest_one_can() {
        let text = |bytes: usize| "10.100.0.0/24,".repeat(300)[..bytes].to_owned();
        for bytes in [BYTES_MAX - 2, BYTES_MAX - 1] {
            // A line break is added.
            assert_eq!(encode(&text(bytes)).expect("a code").width(), 177);
        }
        assert!(encode(&"a".repeat(BYTES_MAX)).is_err());
    }

    #[test]
    fn a_code_that_does_not_fit_the_terminal_is_an_error() {
        let of = |columns| quiet(77, columns).map_err(|error| error.to_string());
        assert_eq!([None, Some(0), Some(85), Some(200)].map(of), [const { Ok(4) }; 4]);
        assert_eq!([84, 83, 82, 81].map(|columns| of(Some(columns))), [Ok(3), Ok(3), Ok(2), Ok(2)]);
        let error = of(Some(80)).expect_err("too narrow");
        assert!(error.starts_with("the QR code is 81 columns wide, but the terminal has 80;"));
    }
}
