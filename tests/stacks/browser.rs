//! A page as a person sees it: in a real browser, headless.
//!
//! Chromium is driven by its own protocol (CDP) over a pipe, so nothing but the package
//! `chromium` is needed. [`look`] is what most tests want: the page loads without one failed
//! request or error in the console, its style sheet is applied, and nothing sticks out at the
//! width of a desk or of a telephone. With `MINISUP_SCREENSHOTS=1` it also writes
//! docs/screenshots/NAME.png; otherwise a test leaves the tree as it was.

use serde_json::{Value, json};
use std::cell::RefCell;
use std::io::{BufRead, BufReader, Write};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

/// Longer than a page takes on a machine that is busy with other things.
const LONG: Duration = Duration::from_secs(60);

/// A desk's window, and a telephone's: width, height.
const DESK: (u32, u32) = (1280, 800);
const TELEPHONE: (u32, u32) = (390, 844);

/// A picture larger than this does not belong into a repository.
const PICTURE: usize = 150_000;

/// Looks at the page: it loads without a complaint, the element that `selector` names has a
/// `property` whose computed value contains `value`, and it fits. The page is returned for
/// more questions.
pub fn look(name: &str, url: &str, selector: &str, property: &str, value: &str) -> Page {
    let page = Page::open(url);
    page.complains_of_nothing();
    page.is_styled(selector, property, value);
    page.fits();
    page.picture(name);
    page.complains_of_nothing();
    page
}

/// A window of a browser of its own, which ends with it.
pub struct Page {
    browser: RefCell<Browser>,
    session: String,
    complaints: RefCell<Vec<String>>,
    /// The loading that has nothing more to fetch, by the browser's name for it.
    at_rest: RefCell<String>,
}

impl Page {
    /// A new browser that has loaded `url`, with all that belongs to it.
    pub fn open(url: &str) -> Page {
        let mut browser = Browser::launch();
        let target = browser.ask("", "Target.createTarget", &json!({ "url": "about:blank" })).0;
        let attach = json!({ "targetId": target["targetId"], "flatten": true });
        let session =
            browser.ask("", "Target.attachToTarget", &attach).0["sessionId"].as_str().unwrap().to_owned();
        let page = Page {
            browser: RefCell::new(browser),
            session,
            complaints: RefCell::default(),
            at_rest: RefCell::default(),
        };
        for domain in ["Page", "Runtime", "Log", "Network"] {
            page.ask(&format!("{domain}.enable"), &json!({}));
        }
        page.ask("Page.setLifecycleEventsEnabled", &json!({ "enabled": true }));
        page.size(DESK);
        page.go(url);
        page
    }

    /// Another page in the same window, with the same cookies.
    pub fn go(&self, url: &str) {
        let answer = self.ask("Page.navigate", &json!({ "url": url }));
        assert!(answer["errorText"].is_null(), "{url}: {answer}");
        let loading = answer["loaderId"].as_str().unwrap_or_default();
        self.wait_for_rest(url, |at_rest| at_rest == loading);
    }

    /// What an expression of JavaScript is; a promise is waited for.
    pub fn is(&self, expression: &str) -> Value {
        let question = json!({ "expression": expression, "returnByValue": true, "awaitPromise": true });
        let answer = self.ask("Runtime.evaluate", &question);
        assert!(answer["exceptionDetails"].is_null(), "{expression}: {answer}");
        answer["result"]["value"].clone()
    }

    /// Does what leads to another page, such as `document.forms[0].submit()`, and waits for that.
    pub fn follow(&self, script: &str) {
        let before = self.at_rest.borrow().clone();
        self.is(script);
        self.wait_for_rest(script, |at_rest| at_rest != before);
    }

    /// Writes into the field that `selector` names, as if by hand.
    pub fn write(&self, selector: &str, text: &str) {
        let field = format!("document.querySelector({})", json!(selector));
        assert_eq!(self.is(&format!("{field} !== null")), true, "there is no {selector}");
        self.is(&format!("{field}.focus()"));
        self.ask("Input.insertText", &json!({ "text": text }));
    }

    /// Waits until an expression is true.
    pub fn wait_until(&self, expression: &str) {
        let deadline = Instant::now() + LONG;
        while self.is(&format!("!!({expression})")) != true {
            assert!(Instant::now() < deadline, "waited too long for {expression}\n{}", self.text());
            std::thread::park_timeout(Duration::from_millis(50));
        }
    }

    /// What a reader reads.
    pub fn text(&self) -> String {
        self.is("document.body.innerText").as_str().unwrap_or_default().to_owned()
    }

    /// The style sheets did their part: no fallback of the browser's own.
    pub fn is_styled(&self, selector: &str, property: &str, value: &str) {
        let (selector, property) = (json!(selector), json!(property));
        let found = self.is(&format!(
            "(e => e && getComputedStyle(e).getPropertyValue({property}))(document.querySelector({selector}))"
        ));
        let found = found.as_str().unwrap_or_else(|| panic!("there is no {selector}"));
        assert!(found.contains(value), "{selector}: {property} is {found:?}, not {value:?}");
    }

    /// Nothing sticks out to the right, neither on a desk nor on a telephone.
    pub fn fits(&self) {
        for size in [TELEPHONE, DESK] {
            self.size(size);
            let wide = self.is("document.scrollingElement.scrollWidth").as_u64().unwrap();
            let culprits = self.is(&format!(
                "[...document.querySelectorAll('body *')].filter(e => e.getBoundingClientRect().right > {}) \
                 .map(e => e.outerHTML.slice(0, 80)).slice(0, 5)",
                size.0
            ));
            assert!(wide <= u64::from(size.0), "{wide} px wide in a window of {}: {culprits:#}", size.0);
        }
    }

    /// No error in the console, no exception, no request that failed or was refused.
    pub fn complains_of_nothing(&self) {
        self.is("0"); // whatever came before this answer has been heard
        let complaints = self.complaints.borrow();
        assert!(complaints.is_empty(), "the browser complains:\n{}", complaints.join("\n"));
    }

    /// Forgets what it complained of so far: for a test that breaks something on purpose.
    pub fn forgive(&self) {
        self.is("0");
        self.complaints.borrow_mut().clear();
    }

    /// docs/screenshots/NAME.png, if asked for, at three quarters of its size; always small enough for it.
    pub fn picture(&self, name: &str) {
        let clip = json!({ "x": 0, "y": 0, "width": DESK.0, "height": DESK.1, "scale": 0.75 });
        let answer = self.ask("Page.captureScreenshot", &json!({ "format": "png", "clip": clip }));
        let picture = from_base64(answer["data"].as_str().unwrap());
        assert!(picture.starts_with(b"\x89PNG"), "no picture");
        assert!(picture.len() < PICTURE, "the picture of {name} has {} bytes", picture.len());
        if std::env::var_os("MINISUP_SCREENSHOTS").is_some() {
            let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/screenshots");
            std::fs::create_dir_all(&folder).unwrap();
            std::fs::write(folder.join(format!("{name}.png")), picture).unwrap();
        }
    }

    fn size(&self, (width, height): (u32, u32)) {
        let size = json!({ "width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 600 });
        self.ask("Emulation.setDeviceMetricsOverride", &size);
    }

    fn wait_for_rest(&self, what: &str, is_it: impl Fn(&str) -> bool) {
        let deadline = Instant::now() + LONG;
        while !is_it(&self.at_rest.borrow()) {
            let event = self.browser.borrow().hear(deadline).unwrap_or_else(|| {
                panic!("{what} did not come to rest; so far:\n{}", self.complaints.borrow().join("\n"))
            });
            self.note(&event);
        }
    }

    fn ask(&self, method: &str, parameters: &Value) -> Value {
        let (answer, events) = self.browser.borrow_mut().ask(&self.session, method, parameters);
        events.iter().for_each(|event| self.note(event));
        answer
    }

    /// Keeps what a developer would see in red.
    fn note(&self, event: &Value) {
        let about = &event["params"];
        // The one thing that browsers ask for without being told to by a page.
        if event.to_string().contains("/favicon.ico\"") {
            return;
        }
        let complaint = match event["method"].as_str().unwrap_or_default() {
            "Page.lifecycleEvent" if about["name"] == "networkIdle" => {
                return about["loaderId"]
                    .as_str()
                    .unwrap_or_default()
                    .clone_into(&mut self.at_rest.borrow_mut());
            }
            "Runtime.exceptionThrown" => format!("exception: {}", about["exceptionDetails"]),
            "Runtime.consoleAPICalled" if about["type"] == "error" || about["type"] == "assert" => {
                format!("console: {}", about["args"])
            }
            "Log.entryAdded" if about["entry"]["level"] == "error" => format!("log: {}", about["entry"]),
            "Network.loadingFailed" if about["canceled"] != true => format!("request failed: {about}"),
            "Network.responseReceived" if about["response"]["status"].as_u64() >= Some(400) => {
                format!("HTTP {} for {}", about["response"]["status"], about["response"]["url"])
            }
            _ => return,
        };
        self.complaints.borrow_mut().push(complaint);
    }
}

/// Chromium, in a process group of its own and with a profile of its own.
struct Browser {
    process: Child,
    keyboard: ChildStdin,
    heard: Receiver<Value>,
    number: u64,
    profile: PathBuf,
}

impl Browser {
    fn launch() -> Browser {
        let unique = format!("minisup-browser-{}-{:?}", std::process::id(), std::thread::current().id());
        let profile = std::env::temp_dir().join(unique.replace(['(', ')'], ""));
        // The protocol is spoken on descriptors 3 and 4, each document ended by a NUL.
        let mut process = Command::new("sh")
            .args(["-c", r#"exec chromium "$@" 3<&0 4>&1 </dev/null >/dev/null"#, "sh"])
            .args([
                "--headless",
                "--remote-debugging-pipe",
                "--no-sandbox",
                "--disable-gpu",
                "--disable-quic",
            ])
            .args(["--no-first-run", "--disable-background-networking", "--disable-component-update"])
            .args([
                "--disable-sync",
                "--disable-dev-shm-usage",
                "--hide-scrollbars",
                "--force-color-profile=srgb",
            ])
            .arg(format!("--user-data-dir={}", profile.display()))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .process_group(0)
            .spawn()
            .expect("sh");
        let keyboard = process.stdin.take().unwrap();
        let screen = BufReader::new(process.stdout.take().unwrap());
        let (tell, heard) = channel();
        // Ends with the browser, whose end of the pipe it reads.
        std::thread::spawn(move || {
            for document in screen.split(0) {
                let Ok(document) = document else { return };
                let document = serde_json::from_slice(&document).expect("JSON from the browser");
                if tell.send(document).is_err() {
                    return;
                }
            }
        });
        Browser { process, keyboard, heard, number: 0, profile }
    }

    /// The answer, and the events that came before it.
    fn ask(&mut self, session: &str, method: &str, parameters: &Value) -> (Value, Vec<Value>) {
        self.number += 1;
        let mut question = json!({ "id": self.number, "method": method, "params": parameters });
        if !session.is_empty() {
            question["sessionId"] = json!(session);
        }
        let said = self.keyboard.write_all(format!("{question}\0").as_bytes());
        said.expect("chromium (is the package installed?) takes a question");
        let deadline = Instant::now() + LONG;
        let mut events = Vec::new();
        loop {
            let document = self.hear(deadline).unwrap_or_else(|| panic!("no answer to {method}"));
            if document["id"] == self.number {
                assert!(document["error"].is_null(), "{method}: {}", document["error"]);
                return (document["result"].clone(), events);
            }
            events.push(document);
        }
    }

    fn hear(&self, deadline: Instant) -> Option<Value> {
        self.heard.recv_timeout(deadline.saturating_duration_since(Instant::now())).ok()
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        let _ = self.keyboard.write_all(br#"{"id":0,"method":"Browser.close"}"#.as_ref());
        let _ = self.keyboard.write_all(b"\0");
        let deadline = Instant::now() + Duration::from_secs(5);
        while self.process.try_wait().is_ok_and(|end| end.is_none()) && Instant::now() < deadline {
            std::thread::park_timeout(Duration::from_millis(20));
        }
        let group = nix::unistd::Pid::from_raw(self.process.id() as i32);
        let _ = nix::sys::signal::killpg(group, nix::sys::signal::Signal::SIGKILL);
        let _ = self.process.wait();
        let _ = std::fs::remove_dir_all(&self.profile);
    }
}

/// RFC 4648, as the browser writes it: without breaks.
fn from_base64(text: &str) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(text.len() / 4 * 3);
    let (mut held, mut bits) = (0_u32, 0);
    for letter in text.bytes().filter(|&letter| letter != b'=') {
        let value = match letter {
            b'A'..=b'Z' => letter - b'A',
            b'a'..=b'z' => letter - b'a' + 26,
            b'0'..=b'9' => letter - b'0' + 52,
            b'+' => 62,
            b'/' => 63,
            other => panic!("no base64: {other}"),
        };
        held = held << 6 | u32::from(value);
        bits += 6;
        if bits >= 8 {
            bits -= 8;
            bytes.push((held >> bits) as u8);
        }
    }
    bytes
}
