//! Large, deep and strange: clear and fast. The bounds on time are generous, for slow
//! machines and debug builds; what is quadratic passes them by far.

use super::{Folder, around, errors, loaded, plan};
use minisup::config::load;
use std::time::{Duration, Instant};

fn within<T>(bound: Duration, work: impl FnOnce() -> T) -> T {
    let start = Instant::now();
    let result = work();
    let took = start.elapsed();
    assert!(took < bound, "it took {took:?}");
    result
}

fn thousand() -> String {
    let service = |n| {
        let requires = if n % 10 == 0 { String::new() } else { format!("requires = [\"s{}\"]\n", n - 1) };
        format!("[service.s{n}]\ncommand = [\"sleep\", \"{n}\"]\nnice = 5\n{requires}")
    };
    "[defaults]\nuser = \"www-data\"\nenvironment = { A = \"b\" }\n".to_owned()
        + &(0..1000).map(service).collect::<String>()
}

#[test]
fn a_thousand_services_are_read_in_no_time() {
    let text = thousand();
    let plan = within(Duration::from_secs(5), || plan(&text));
    assert_eq!(plan.services.len(), 1000);
    let first = &plan.services[0].launch.environment;
    assert!(plan.services.iter().all(|s| std::rc::Rc::ptr_eq(&s.launch.environment, first)));
}

#[test]
fn a_chain_of_three_thousand_services_is_no_deep_recursion() {
    let service = |n: usize| {
        let requires = if n == 0 { String::new() } else { format!("requires = [\"s{}\"]\n", n - 1) };
        format!("[service.s{n}]\ncommand = \"/bin/sleep\"\n{requires}")
    };
    let text: String = (0..3000).map(service).collect();
    assert_eq!(within(Duration::from_secs(30), || plan(&text)).services.len(), 3000);
    let said = errors(&(text + "[service.z]\ncommand = \"a\"\n").replace(
        "[service.s0]\ncommand = \"/bin/sleep\"\n",
        "[service.s0]\ncommand = \"/bin/sleep\"\nrequires = [\"s2999\"]\n",
    ));
    assert!(said.contains("services wait for one another"), "{said}");
    assert!(said.len() < 2000, "{said}");
}

#[test]
fn a_hundred_thousand_variables_are_read() {
    let lines: String = (0..100_000).map(|n| format!("V{n} = \"{n}\"\n")).collect();
    let text = format!("[environment]\n{lines}[service.a]\ncommand = \"a\"\n");
    let plan = within(Duration::from_secs(30), || plan(&text));
    assert_eq!(plan.services[0].launch.environment.len(), 100_003);
}

#[test]
fn ten_megabytes_are_read() {
    let text =
        format!("[service.a]\ncommand = \"a\"\nenvironment = {{ A = \"{}\" }}\n", "x".repeat(10 << 20));
    within(Duration::from_secs(30), || plan(&text));
    let comments = format!("{}\n[service.a]\ncommand = \"a\"\n", "# a comment\n".repeat(1 << 20));
    within(Duration::from_secs(60), || plan(&comments));
}

#[test]
fn long_nonsense_is_refused() {
    for nonsense in
        ["[", "a = \n", "\"", "{", "a.", "= ", "[[a]]\n[a]\n", "${A} ", "'", "\u{0}", "a=1\n", "]"]
    {
        let text = nonsense.repeat((1 << 18) / nonsense.len());
        let said = within(Duration::from_secs(60), || errors(&text));
        assert!(said.contains("supervise.toml:"), "{nonsense:?}: {said}");
        assert!(said.len() < 200_000, "{nonsense:?}: {}", said.len());
    }
}

#[test]
fn a_string_of_a_million_references_is_refused_once() {
    let text = format!("[service.a]\ncommand = \"{}\"\n", "${NONE} ".repeat(1_000_000));
    let said = within(Duration::from_secs(30), || errors(&text));
    assert!(said.matches("error:").count() <= 21, "{}", said.matches("error:").count());
}

#[test]
fn deep_nesting_is_refused() {
    for (open, close) in [("[", "]"), ("{a=", "}"), ("{a.b=", "}")] {
        for depth in [30, 100, 100_000] {
            let text = format!("a = {}1{}\n", open.repeat(depth), close.repeat(depth));
            assert!(errors(&text).contains("supervise.toml:1:"));
        }
    }
    for dots in [20, 1000, 1_000_000] {
        let key = vec!["a"; dots].join(".");
        for text in [
            format!("{key} = 1\n"),
            format!("[{key}]\n"),
            format!("x = {{ {key} = 1 }}\n"),
            format!("[[{key}]]\n"),
        ] {
            assert!(errors(&text).contains("a key with more than"), "{}", errors(&text));
        }
        let quoted = vec!["\"=\""; dots].join(" . ");
        assert!(errors(&format!("{quoted} = 1\n")).contains("a key with more than"));
    }
}

#[test]
fn many_dots_in_a_string_are_no_key() {
    let text = "[service.a]\ncommand = \"a.b.c.d.e.f.g.h.i.j.k.l.m.n.o.p.q.r\"\n\
        environment = { A = 'x . y . z', B = '''\n1.2.3.4.5.6.7.8.9\n''' }\n";
    loaded(text);
}

#[test]
fn a_flood_of_warnings_does_not_drown_an_error() {
    let services = (0..3000).map(|n| format!("[service.s{n}]\ncommand = \"/none/a\"\nuser = {}\n", n + 1));
    let text = services.collect::<String>() + "[service.last]\ncomand = \"a\"\n";
    let folder = Folder::new();
    let path = folder.write("a.toml", text);
    let around = minisup::config::Surroundings { euid: 5000, egid: 5000, ..around() };
    let said = load(&[path], &around).unwrap_err().to_string();
    assert!(said.contains("did you mean \"command\"?"), "{said}");
}

#[test]
fn a_device_that_never_ends_is_not_read_for_ever() {
    let said = load(&["/dev/zero".into()], &around()).unwrap_err().to_string();
    assert!(said.contains("it is larger than"), "{said}");
}

#[test]
fn a_file_with_a_thousand_includes_is_read() {
    let folder = Folder::new();
    for n in 0..1000 {
        folder.write(&format!("d/{n:04}.toml"), format!("[service.s{n}]\ncommand = \"a\"\n"));
    }
    let path = folder.write("a.toml", "include = [\"d/*.toml\"]\n");
    let found = within(Duration::from_secs(30), || load(&[path], &around())).unwrap();
    assert_eq!((found.files.len(), found.plan.services.len()), (1001, 1000));
}
