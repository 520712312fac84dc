//! QR codes of a client's configuration, as the WireGuard app reads them.

use anyhow::{Context as _, Result};
use qrcode::{Color, EcLevel, QrCode, render::unicode::Dense1x2, types::QrError};
use zeroize::Zeroizing;

use super::exit::UsageError;

/// Light modules around a code (ISO/IEC 18004, section 9.1).
const QUIET: usize = 4;
/// Pixels of a module's side in a picture.
const MODULE: usize = 8;

/// Encodes a configuration without its comments and empty lines, for larger modules.
pub(super) fn encode(text: &str) -> Result<QrCode> {
    let mut short = Zeroizing::new(String::with_capacity(text.len()));
    for line in text.lines().filter(|line| !line.is_empty() && !line.starts_with('#')) {
        short.push_str(line);
        short.push('\n');
    }
    match QrCode::with_error_correction_level(short.as_bytes(), EcLevel::L) {
        Ok(code) => Ok(code),
        Err(QrError::DataTooLong) => Err(UsageError::Request(format!(
            "the configuration has {} bytes, and a QR code holds 2953; shorten allowed_ips, or hand \
             over the text",
            short.len()
        ))
        .into()),
        Err(error) => Err(error).context("cannot make a QR code"),
    }
}

/// Draws it for a terminal: dark on light, whatever the terminal's colours are if it has some.
pub(super) fn draw(code: &QrCode, color: bool) -> Zeroizing<String> {
    // Full blocks are in the foreground's colour, which is the light one.
    let drawing =
        code.render::<Dense1x2>().dark_color(Dense1x2::Light).light_color(Dense1x2::Dark).build();
    let drawing = Zeroizing::new(drawing);
    let mut lines = Zeroizing::new(String::with_capacity(drawing.len() * 2));
    for line in drawing.lines() {
        let (before, after) = if color { ("\x1b[97;40m", "\x1b[0m") } else { ("", "") };
        for part in [before, line, after, "\n"] {
            lines.push_str(part);
        }
    }
    lines
}

/// A PNG picture of it, black on white.
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
