//! Chromium and its driver, and in the cache what judges a page and an API: axe and schemathesis.

use std::path::PathBuf;

use anyhow::Result;

use crate::{process, workspace};

/// The browser, of Debian's package of this name.
pub const PROGRAM: &str = "chromium";

/// Its driver, of the package chromium-driver.
pub const DRIVER: &str = "chromedriver";

/// Tries an API by its description; from PyPI.
pub const SCHEMATHESIS: &str = "schemathesis==4.32.5";

/// Has axe 4.12.1 in it, which looks for what keeps people from using a page; from PyPI, with its hash.
pub const AXE: &str = "axe-playwright-python==0.1.8 \\
    --hash=sha256:fdd263c998388f1a8e67cad02677e612d946248bd44d163be5e8650ea31f95f8";

/// Names of what is missing of all this.
pub fn missing() -> Vec<&'static str> {
    let programs = [PROGRAM, DRIVER].into_iter().filter(|name| process::find(name).is_none());
    let tools = [("schemathesis", schemathesis().is_none()), ("axe", axe().is_none())];
    let tools = tools.into_iter().filter_map(|(name, is_absent)| is_absent.then_some(name));
    programs.chain(tools).collect()
}

/// The virtual environment of schemathesis and axe.
///
/// # Errors
/// There is no directory for a cache.
pub fn environment() -> Result<PathBuf> {
    let version = |package: &str| {
        package.split("==").nth(1).and_then(|rest| rest.split(' ').next()).map(str::to_owned)
    };
    let versions: Vec<_> = [SCHEMATHESIS, AXE].into_iter().filter_map(version).collect();
    Ok(workspace::cache()?.join(format!("browser-{}", versions.join("-"))))
}

/// schemathesis, if it is installed.
pub fn schemathesis() -> Option<PathBuf> {
    Some(environment().ok()?.join("bin/schemathesis")).filter(|program| program.is_file())
}

/// The script of axe, if it is installed.
pub fn axe() -> Option<PathBuf> {
    let versions = std::fs::read_dir(environment().ok()?.join("lib")).ok()?;
    let script = "site-packages/axe_playwright_python/axe.min.js";
    versions.flatten().map(|version| version.path().join(script)).find(|script| script.is_file())
}
