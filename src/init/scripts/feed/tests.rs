//! A feed as the crew uses it.

use super::*;
use crate::init::scripts::progress::Say;
use std::cell::RefCell;
use std::rc::Rc;

/// All portions that a feed gives.
fn drain(script: &mut Script<'_>) -> Vec<u8> {
    let mut all = Vec::new();
    let mut buffer = [0; 1000];
    loop {
        match script.fill(&mut buffer).unwrap() {
            0 => return all,
            count => all.extend(&buffer[..count]),
        }
    }
}

/// A file of this test.
fn file(name: &str, content: &[u8]) -> PathBuf {
    let path = std::env::temp_dir().join(format!("minisup-feed-{}-{name}", std::process::id()));
    fs::write(&path, content).unwrap();
    path
}

#[test]
fn a_script_is_fed_without_its_mark_and_its_statements_are_known() {
    let text: String = (1..=5000).map(|n| format!("INSERT INTO t VALUES ({n});\n")).collect();
    let path = file("marked.sql", format!("\u{feff}{text}").as_bytes());
    let mut progress = Progress::with(1, 1, None, |_| ());
    progress.begin(1, "marked.sql", 1, 1, true);
    let mut script = Script::open(&path, Packing::None, vec![], None, &mut progress).unwrap();
    assert!(drain(&mut script) == text.as_bytes());
    assert_eq!(script.given(), text.len() as u64);
    assert_eq!(script.statement(4321).as_deref(), Some("INSERT INTO t VALUES (4321);"));
    fs::remove_file(&path).unwrap();
}

#[test]
fn what_a_client_reads_itself_is_watched() {
    let path = file("sourced.dump", &[b'x'; 100_000]);
    let places = Rc::new(RefCell::new(String::new()));
    let seen = places.clone();
    let mut progress = Progress::with(1, 100_000, None, move |say| {
        if let Say::Status(text) = say {
            *seen.borrow_mut() = text;
        }
    });
    progress.begin(1, "all.sql", 100_000, 100_000, true);
    let mut script = Script::watch(vec![(path.clone(), 100_000)], None, &mut progress);
    // A child of this very thread that has read a part of the file, and waits.
    let mut child = std::process::Command::new("sh")
        .args(["-c", "exec 9<\"$0\"; head -c 41000 <&9 >&2; echo; read wait", path.to_str().unwrap()])
        .stdin(std::process::Stdio::piped())
        .stdout(std::process::Stdio::piped())
        .stderr(std::process::Stdio::null())
        .spawn()
        .unwrap();
    let mut ready = [0];
    child.stdout.as_mut().unwrap().read_exact(&mut ready).unwrap();
    script.tick();
    let (file, position) = (script.file, script.position);
    drop(child.stdin.take());
    child.wait().unwrap();
    fs::remove_file(&path).unwrap();
    if !Path::new("/proc/thread-self/children").exists() {
        assert_eq!(position, 0, "a kernel that does not tell");
        return;
    }
    // head may have read more than it passed on.
    assert!(file == 0 && (41_000..100_000).contains(&position), "{position}");
}

#[test]
fn a_file_that_the_client_reads_itself_is_followed_by_its_position() {
    let text: String = (1..=5000).map(|n| format!("INSERT INTO t VALUES ({n});\n")).collect();
    let path = file("direct.sql", format!("\u{feff}{text}").as_bytes());
    let said = Rc::new(RefCell::new(Vec::new()));
    let heard = said.clone();
    let mut progress = Progress::with(1, 100, None, move |say| heard.borrow_mut().push(say));
    let size = text.len() as u64 + 3;
    progress.begin(1, "direct.sql", size, 100, true);
    let mut script = Script::hand(&path, vec![], None, &mut progress).unwrap();
    let Stdin::File(client, _) = script.stdin().unwrap() else { panic!("it has the file itself") };
    let mut client = File::from(client);
    let half = text.find("VALUES (2501)").unwrap() - "INSERT INTO t ".len();
    let mut begin = vec![0; half];
    client.read_exact(&mut begin).unwrap();
    assert!(begin == text.as_bytes()[..begin.len()], "the mark is left out");
    script.tick();
    let direct = script.direct.as_mut().unwrap();
    assert_eq!(direct.place(), (half as u64 + 3, 2501));
    assert_eq!(direct.statement(None).as_deref(), Some("INSERT INTO t VALUES (2500);"));
    assert_eq!(script.statement(4321).as_deref(), Some("INSERT INTO t VALUES (4321);"));
    client.read_to_end(&mut begin).unwrap();
    script.tick();
    drop(script);
    progress.end(true);
    let whole = said.borrow().iter().any(|say| matches!(say, Say::Line(line) if line.contains("done in")));
    assert!(whole, "{:?}", said.borrow());
    fs::remove_file(&path).unwrap();
}
