//! Chromium without a window, driven by its WebDriver (<https://www.w3.org/TR/webdriver2/>).

use std::{
    io::{BufRead as _, BufReader},
    process::{Child, Command, Stdio},
    time::Duration,
};

use anyhow::{Context as _, Result, ensure};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use relay_vm::{apt, browser, process};
use serde_json::{Value, json};
use ureq::Agent;

/// Time limit of a command. Loading a page from an emulated machine takes seconds.
const COMMAND: Duration = Duration::from_secs(120);

/// What the driver prints before its port.
const STARTED: &str = "started successfully on port ";

/// A key without a character of its own, as WebDriver writes it (section 17.4.2).
pub(crate) mod key {
    pub(crate) const TAB: char = '\u{e004}';
    pub(crate) const ENTER: char = '\u{e007}';
    pub(crate) const SHIFT: char = '\u{e008}';
    pub(crate) const ESCAPE: char = '\u{e00c}';
    pub(crate) const SPACE: char = ' ';
}

/// A browser with one tab, and nothing of earlier ones.
pub(crate) struct Browser {
    agent: Agent,
    /// Where its commands go.
    session: String,
    driver: Child,
}

impl Browser {
    pub(crate) fn start() -> Result<Self> {
        let driver = process::find(browser::DRIVER).context("no chromedriver")?;
        // The driver ends with this thread, however that ends.
        let mut command = Command::new("setpriv");
        command.args(["--pdeathsig", "TERM"]).arg(driver).arg("--port=0");
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut driver = command.spawn().context("cannot start chromedriver")?;
        let output = driver.stdout.take().context("its output")?;
        let config = Agent::config_builder().proxy(None).http_status_as_error(false);
        let agent = config.timeout_global(Some(COMMAND)).build().into();
        let mut browser = Self { agent, session: String::new(), driver };
        let mut lines = BufReader::new(output).lines();
        let port = loop {
            let line = lines.next().context("chromedriver has stopped")??;
            if let Some((_, port)) = line.split_once(STARTED) {
                break port.trim_end_matches('.').to_owned();
            }
        };
        // It goes on to write there.
        std::thread::spawn(move || lines.for_each(drop));
        browser.session = format!("http://127.0.0.1:{port}/session");
        let session = browser.command("", Some(&capabilities()?))?;
        let id = session["sessionId"].as_str().context("a session")?;
        browser.session = format!("{}/{id}", browser.session);
        Ok(browser)
    }

    /// Opens an address, and waits until it is loaded.
    pub(crate) fn open(&self, address: &str) -> Result<()> {
        self.command("/url", Some(&json!({ "url": address }))).map(drop)
    }

    /// Loads the page again, and waits for it.
    pub(crate) fn reload(&self) -> Result<()> {
        self.command("/refresh", Some(&json!({}))).map(drop)
    }

    /// Runs the body of a function in the page; a promise is awaited.
    pub(crate) fn run(&self, script: &str, arguments: &[Value]) -> Result<Value> {
        self.command("/execute/sync", Some(&json!({ "script": script, "args": arguments })))
    }

    /// Presses keys one after the other.
    pub(crate) fn press(&self, keys: &[char]) -> Result<()> {
        let presses = keys.iter().flat_map(|key| {
            ["keyDown", "keyUp"].map(|kind| json!({ "type": kind, "value": key.to_string() }))
        });
        self.act(presses.collect())
    }

    /// Presses a key while another is held.
    pub(crate) fn press_with(&self, held: char, key: char) -> Result<()> {
        let steps = [("keyDown", held), ("keyDown", key), ("keyUp", key), ("keyUp", held)];
        self.act(steps.map(|(kind, key)| json!({ "type": kind, "value": key.to_string() })).into())
    }

    /// What was written to the console since the last call, each with its level.
    pub(crate) fn console(&self) -> Result<Vec<String>> {
        let log = self.command("/se/log", Some(&json!({ "type": "browser" })))?;
        let entries = log.as_array().context("a list of entries")?;
        let text = |entry: &Value| {
            let [level, message] = ["level", "message"].map(|key| entry[key].as_str());
            format!("{} {}", level.unwrap_or_default(), message.unwrap_or_default())
        };
        // Of an address that is no page, such as that of the login, the browser wants an icon.
        let is_ours = |line: &String| !line.contains("/favicon.ico ");
        Ok(entries.iter().map(text).filter(is_ours).collect())
    }

    /// Sets the size of the page in CSS pixels, and what it prefers: `light` or `dark`.
    pub(crate) fn show_as(&self, width: u32, height: u32, scheme: &str) -> Result<()> {
        let size = json!({
            "width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 600
        });
        self.devtools("Emulation.setDeviceMetricsOverride", &size)?;
        // Without transitions nothing is looked at on its way from one colour to another.
        let features = json!([
            { "name": "prefers-color-scheme", "value": scheme },
            { "name": "prefers-reduced-motion", "value": "reduce" },
        ]);
        self.devtools("Emulation.setEmulatedMedia", &json!({ "features": features }))
    }

    /// What is to be seen, as PNG.
    pub(crate) fn picture(&self) -> Result<Vec<u8>> {
        let picture = self.command("/screenshot", None)?;
        Ok(STANDARD.decode(picture.as_str().context("a picture")?)?)
    }

    fn devtools(&self, command: &str, parameters: &Value) -> Result<()> {
        let asked = json!({ "cmd": command, "params": parameters });
        self.command("/goog/cdp/execute", Some(&asked)).map(drop)
    }

    fn act(&self, steps: Vec<Value>) -> Result<()> {
        let keyboard = json!({ "type": "key", "id": "keyboard", "actions": steps });
        self.command("/actions", Some(&json!({ "actions": [keyboard] }))).map(drop)
    }

    /// A command of the session, with parameters or without.
    fn command(&self, path: &str, parameters: Option<&Value>) -> Result<Value> {
        let address = format!("{}{path}", self.session);
        let answer = match parameters {
            Some(parameters) => self.agent.post(address).send(parameters.to_string()),
            None => self.agent.get(address).call(),
        };
        let mut answer = answer.with_context(|| format!("{path}: chromedriver"))?;
        let text = answer.body_mut().with_config().limit(64 << 20).read_to_string()?;
        let mut said: Value = serde_json::from_str(&text).with_context(|| text.clone())?;
        let value = said["value"].take();
        ensure!(answer.status().is_success(), "{path}: {}: {}", value["error"], value["message"]);
        Ok(value)
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        // All fail only if it has already ended.
        drop(self.agent.delete(&self.session).call());
        drop(self.driver.kill());
        drop(self.driver.wait());
    }
}

/// A browser that asks nobody but the page's server, and accepts its certificate.
fn capabilities() -> Result<Value> {
    let mut arguments = vec![
        "--headless=new",
        "--no-proxy-server",
        "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
        "--disable-background-networking",
        "--disable-component-update",
        "--disable-dev-shm-usage",
        "--disable-gpu",
        "--lang=en",
    ];
    if apt::is_root()? {
        // Chromium's own sandbox does not start as root.
        arguments.push("--no-sandbox");
    }
    let program = process::find(browser::PROGRAM).context("no Chromium")?;
    Ok(json!({ "capabilities": { "alwaysMatch": {
        "browserName": "chrome",
        "acceptInsecureCerts": true,
        "goog:chromeOptions": { "args": arguments, "binary": program },
        "goog:loggingPrefs": { "browser": "ALL" },
    } } }))
}
