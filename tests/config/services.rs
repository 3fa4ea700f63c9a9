//! What keys mean.

use super::{Folder, around, errors, plan, seconds};
use minisup::config::{Surroundings, load};
use minisup::core::plan::*;
use minisup::core::signal::Signal;
use std::rc::Rc;
use std::time::Duration;

fn service(text: &str) -> ServiceSpec {
    plan(&format!("[service.x]\n{text}\n")).services[0].clone()
}

/// A service with `command = "sleep 1"` and these lines.
fn with(text: &str) -> ServiceSpec {
    service(&format!("command = \"sleep 1\"\n{text}"))
}

fn variable<'a>(service: &'a ServiceSpec, name: &str) -> Option<&'a str> {
    let found = service.launch.environment.iter().find(|(known, _)| known == name);
    found.map(|(_, value)| value.as_str())
}

mod commands {
    use super::*;

    #[test]
    fn a_string_is_split_as_a_shell_splits_words() {
        let command = |text: &str| service(&format!("command = {text}")).launch.command.join("|");
        assert_eq!(command(r#"'a  "b c" d\ e'"#), "a|b c|d e");
        assert_eq!(command(r#"["a", "b c", "$x && y", 5]"#), "a|b c|$x && y|5");
        assert_eq!(command(r#""a ${NAME} '${NONE:-x y}'""#), "a|value|x y");
    }

    #[test]
    fn in_the_value_of_a_variable_only_blanks_are_special() {
        let command = |value: &str| {
            let folder = Folder::new();
            let text = "[service.x]\ncommand = \"a --title ${T} --as '${T}' ${NONE:-'x y'}\"\n\
                hooks = { after_exit = \"b ${T}\" }\nenvironment = { T = \"${T}\" }\n";
            let path = folder.write("supervise.toml", text);
            let mut around = around();
            around.environment.push(("T".into(), value.into()));
            let spec =
                load(&[path], &around).unwrap_or_else(|errors| panic!("{errors}")).plan.services[0].clone();
            assert_eq!(variable(&spec, "T"), Some(value));
            let hook = spec.hooks.unwrap().after_exit.unwrap().join("|");
            (spec.launch.command.join("|"), hook)
        };
        assert_eq!(command("it's"), ("a|--title|it's|--as|it's|x y".into(), "b|it's".into()));
        assert_eq!(command("a #b\\c"), ("a|--title|a|#b\\c|--as|a #b\\c|x y".into(), "b|a|#b\\c".into()));
    }

    #[test]
    fn a_command_of_several_lines_is_one_also_where_lines_end_in_cr_lf() {
        let written = "[service.x]\ncommand = '''\na \\\n  --bind :80 \\\n  'b\nc'\n'''\n\
            hooks = { after_exit = [\"sh\", \"-c\", \"\"\"\nset -e\nx\n\"\"\"] }\n";
        for text in [written.to_owned(), written.replace('\n', "\r\n")] {
            let spec = plan(&text).services[0].clone();
            assert_eq!(&spec.launch.command[..], ["a", "--bind", ":80", "b\nc"]);
            assert_eq!(&spec.hooks.unwrap().after_exit.unwrap()[2], "set -e\nx\n");
        }
    }

    #[test]
    fn an_open_quote_and_nothing_at_all_are_errors() {
        assert!(errors("[service.x]\ncommand = \"a 'b\"").contains("has a quote that is not closed"));
        for nothing in ["\"\"", "\"  \"", "[]", "[\"\"]", "\"''\""] {
            assert!(errors(&format!("[service.x]\ncommand = {nothing}")).contains("`command`"), "{nothing}");
        }
    }

    #[test]
    fn the_number_of_an_instance_stays_for_the_launch() {
        let spec = with("instances = 2\nenvironment = { N = \"${instance}\" }");
        assert_eq!(variable(&spec, "N"), Some("${instance}"));
        let probe = |text: &str| with(&format!("ready = {{ {text} }}")).ready.unwrap().probe.of_instance(2);
        assert_eq!(probe("unix = \"/run/${instance}\""), Probe::Unix("/run/2".into()));
        assert_eq!(
            probe("uwsgi = \":303${instance}\""),
            Probe::Uwsgi(UwsgiProbe {
                address: ProbeAddress::Tcp("127.0.0.1:3032".into()),
                path: "/".into()
            })
        );
        let Probe::Http(http) = probe("http = \"http://h:80${instance}/${instance}\"") else { panic!() };
        assert_eq!((http.address, http.path.as_str()), (ProbeAddress::Tcp("h:802".into()), "/2"));
        for wrong in ["ready = { tcp = \"127.0.0.1:80${instance}\" }", "directory = \"/srv/${instance}\""] {
            let said = errors(&format!("[service.x]\ncommand = \"a\"\n{wrong}\n"));
            assert!(said.contains("is the same for all instances"), "{said}");
        }
    }
}

mod layers {
    use super::*;

    #[test]
    fn the_own_table_goes_before_the_preset_before_the_defaults() {
        let text = "[defaults]\nmax_failures = 7\nmin_uptime = \"2s\"\nstop = { signal = \"INT\", tree = false }\n\
            [service.x]\npreset = \"nginx\"\nmin_uptime = \"3s\"\n";
        let spec = &plan(text).services[0];
        assert_eq!((spec.max_failures, spec.min_uptime), (Some(7), seconds(3)));
        assert_eq!(&spec.stop.sequence[..], [(Signal::QUIT, seconds(6)), (Signal::TERM, seconds(2))]);
        assert!(!spec.stop.tree);
    }

    #[test]
    fn a_grace_period_keeps_the_signals_of_the_preset() {
        let spec = service("preset = \"nginx\"\nstop = { grace_period = \"30s\" }");
        assert_eq!(&spec.stop.sequence[..], [(Signal::QUIT, seconds(28)), (Signal::TERM, seconds(2))]);
    }

    #[test]
    fn another_kind_of_probe_keeps_the_times() {
        let text = "[defaults]\nready = { tcp = \"127.0.0.1:1\", timeout = \"5s\" }\n\
            [service.x]\ncommand = \"a\"\nready = { file = \"/run/x\" }\n";
        let ready = plan(text).services[0].ready.clone().unwrap();
        assert_eq!(
            *ready,
            Ready {
                probe: Probe::File("/run/x".into()),
                interval: Duration::from_millis(250),
                timeout: seconds(5)
            }
        );
    }

    #[test]
    fn what_a_preset_says_can_be_taken_away() {
        let spec = service(
            "preset = \"gunicorn\"\ncommand = \"gunicorn a\"\nready = \"started\"\nreload = \"none\"\nreopen = \"none\"",
        );
        assert_eq!((spec.ready, spec.reload, spec.reopen), (None, None, None));
    }

    #[test]
    fn a_later_file_overrides_key_by_key() {
        let folder = Folder::new();
        let base = folder.write(
            "base.toml",
            "[service.a]\ncommand = \"a\"\nnice = 5\nready = { tcp = \"127.0.0.1:1\", timeout = \"5s\" }\n",
        );
        let over = folder.write(
            "over.toml",
            "[service.a]\nnice = 6\nready = { unix = \"/run/x\" }\n[service.b]\ncommand = \"b\"\n",
        );
        let plan = load(&[base, over], &around()).unwrap().plan;
        assert_eq!(plan.services.len(), 2);
        let a = &plan.services[0];
        assert_eq!(a.launch.extra.as_ref().unwrap().nice, Some(6));
        let ready = a.ready.as_ref().unwrap();
        assert_eq!((&ready.probe, ready.timeout), (&Probe::Unix("/run/x".into()), seconds(5)));
    }

    #[test]
    fn services_keep_the_order_in_which_they_are_written() {
        let plan =
            plan("[service.z]\ncommand = \"z\"\n[service.a]\ncommand = \"a\"\n[service.m]\ncommand = \"m\"");
        let names: Vec<_> = plan.services.iter().map(|service| &*service.name).collect();
        assert_eq!(names, ["z", "a", "m"]);
    }
}

mod environment {
    use super::*;

    #[test]
    fn later_ones_win() {
        let folder = Folder::new();
        folder.write("x.env", "# a comment\nexport A=file\nB='file'\nC=file # not a comment\n\nTWO=a=b\n");
        let path = folder.write(
            "supervise.toml",
            "[environment]\nA = \"common\"\nNAME = \"common\"\nHOME = \"/common\"\n\
             [defaults]\nenvironment = { C = \"defaults\", D = \"defaults\" }\n\
             [service.x]\ncommand = \"sleep 1\"\nuser = \"www-data\"\nenvironment_files = [\"x.env\", \"-none\"]\n\
             environment = { D = \"own\", E = 1.10, F = true }\n",
        );
        let spec = load(&[path], &around()).unwrap().plan.services[0].clone();
        let expected = [
            ("A", "file"),
            ("B", "file"),
            ("C", "defaults"),
            ("D", "own"),
            ("E", "1.10"),
            ("F", "true"),
            ("HOME", "/common"),
            ("LOGNAME", "www-data"),
            ("NAME", "common"),
            ("PATH", "/usr/bin:/bin:/usr/sbin:/sbin"),
            ("TWO", "a=b"),
            ("USER", "www-data"),
        ];
        let found: Vec<_> = spec.launch.environment.iter().map(|(n, v)| (n.as_str(), v.as_str())).collect();
        assert_eq!(found, expected);
    }

    #[test]
    fn a_byte_order_mark_is_no_part_of_a_name() {
        let folder = Folder::new();
        let text =
            "[service.x]\ncommand = \"a\"\nclear_environment = true\nenvironment_files = [\"x.env\"]\n";
        let path = folder.write("supervise.toml", text);
        let read = |text: &str| {
            folder.write("x.env", text);
            load(std::slice::from_ref(&path), &around())
        };
        let pairs = |names: [&str; 2]| names.map(|name| (name.to_owned(), "1".to_owned()));
        let spec = read("\u{feff}A=1\r\nB=1\r\n").unwrap().plan.services[0].clone();
        assert_eq!(&spec.launch.environment[..], pairs(["A", "B"]));
        assert!(read("\u{feff}# a comment\nA=1\n").is_ok());
        let said = read("\u{feff}A\n").unwrap_err().to_string();
        assert!(said.contains("x.env:1:1: error: not a line NAME=value\n  1 | A\n"), "{said}");
    }

    #[test]
    fn a_cleared_one_holds_what_is_set() {
        let spec = with("clear_environment = true\nenvironment = { A = \"x\" }");
        assert_eq!(&spec.launch.environment[..], [("A".to_string(), "x".to_string())]);
    }

    #[test]
    fn a_secret_comes_from_its_variable_or_its_file() {
        let folder = Folder::new();
        let secret = folder.write("secret", "pass word\n\n");
        let path = folder.write(
            "supervise.toml",
            "[service.x]\ncommand = \"sleep 1\"\nclear_environment = true\nsecrets = [\"KEY\", \"NAME\"]\n",
        );
        let given = |name: &str, value: &str| Surroundings {
            environment: [around().environment, vec![(name.into(), value.into())]].concat(),
            ..around()
        };
        let spec = load(std::slice::from_ref(&path), &given("KEY_FILE", &secret.display().to_string()))
            .unwrap()
            .plan;
        let launch = &spec.services[0].launch;
        let pair = |name: &str, value: &str| (name.to_string(), value.to_string());
        assert_eq!(&launch.environment[..], [pair("KEY", "pass word"), pair("NAME", "value")]);
        assert_eq!(&launch.secrets[..], ["KEY", "NAME"]);

        let mut both = given("KEY_FILE", "/x");
        both.environment.push(("KEY".into(), "y".into()));
        let said = load(std::slice::from_ref(&path), &both).unwrap_err().to_string();
        assert!(said.contains("both KEY and KEY_FILE are set"), "{said}");
        let said = load(&[path], &given("KEY", "")).unwrap_err().to_string();
        assert!(said.contains("the secret KEY is not given"), "empty counts as not set: {said}");
    }

    #[test]
    fn equal_ones_are_one() {
        let text: String = (0..3)
            .map(|n| {
                format!(
                    "[service.s{n}]\ncommand = \"a\"\nuser = \"www-data\"\nenvironment = {{ A = \"1\" }}\n"
                )
            })
            .collect();
        let plan = plan(&text);
        let [a, b, c] = &plan.services[..] else { panic!() };
        for other in [b, c] {
            assert!(Rc::ptr_eq(&a.launch.environment, &other.launch.environment));
            assert!(Rc::ptr_eq(&a.launch.secrets, &other.launch.secrets));
            assert!(Rc::ptr_eq(&a.stop, &other.stop));
            assert!(Rc::ptr_eq(&a.success_codes, &other.success_codes));
        }
    }

    #[test]
    fn a_broken_line_of_a_file_is_shown() {
        let folder = Folder::new();
        folder.write("x.env", "A=1\nnonsense\n");
        let path = folder.write("a.toml", "[service.x]\ncommand = \"a\"\nenvironment_files = [\"x.env\"]\n");
        let said = load(&[path], &around()).unwrap_err().to_string();
        assert!(said.contains("x.env:2:1: error: not a line NAME=value"), "{said}");
    }
}

mod credentials {
    use super::*;

    fn who(text: &str) -> (u32, u32, Vec<u32>) {
        let spec = with(text);
        let who = spec.launch.extra.unwrap().credentials.unwrap();
        (who.uid, who.gid, who.groups.to_vec())
    }

    #[test]
    fn names_and_numbers_mean_the_same() {
        assert_eq!(who("user = \"www-data\""), (33, 33, vec![33, 4]));
        assert_eq!(who("user = 33"), (33, 33, vec![33, 4]));
        assert_eq!(who("user = \"33:adm\""), (33, 4, vec![4]));
        assert_eq!(who("user = \"www-data\"\ngroup = \"adm\""), (33, 4, vec![4]));
        assert_eq!(who("user = \"www-data\"\ngroups = [\"adm\", 99]"), (33, 33, vec![33, 4, 99]));
        assert_eq!(who("group = 5"), (0, 5, vec![5]));
    }

    #[test]
    fn a_number_without_an_entry_works_and_is_not_in_roots_group() {
        assert_eq!(who("user = 4242"), (4242, 4242, vec![4242]));
        let spec = with("user = 4242");
        assert_eq!(variable(&spec, "HOME"), Some("/"));
        assert_eq!(variable(&spec, "USER"), Some("4242"));
    }

    #[test]
    fn who_is_not_root_stays_what_it_is_or_is_told() {
        let folder = Folder::new();
        let path = folder.write("a.toml", "[service.x]\ncommand = \"sleep 1\"\nuser = \"www-data\"\n");
        let as_user = |uid| Surroundings { euid: uid, egid: uid, ..around() };
        let same = load(std::slice::from_ref(&path), &as_user(33)).unwrap();
        assert_eq!(same.plan.services[0].launch.extra, None);
        assert!(same.warnings.is_empty(), "{:?}", same.warnings);
        let other = load(&[path], &as_user(1000)).unwrap();
        assert!(other.warnings[0].message.contains("cannot become user 33"), "{:?}", other.warnings);
    }
}

mod order {
    use super::*;

    #[test]
    fn a_bare_name_means_ready_or_done() {
        let text = "[service.m]\ncommand = \"m\"\ntype = \"oneshot\"\n[service.d]\ncommand = \"d\"\n\
            health = { tcp = \"127.0.0.1:1\" }\n\
            [service.x]\ncommand = \"x\"\nrequires = [\"m\", \"d\", \"d:healthy\", \"d\"]\nafter = \"m:started\"\n";
        let spec = plan(text).services[2].clone();
        let conditions: Vec<_> = spec.requires.iter().map(|d| (d.service.0, d.condition)).collect();
        assert_eq!(conditions, [(0, Condition::Done), (1, Condition::Ready), (1, Condition::Healthy)]);
        assert_eq!(spec.after[0].condition, Condition::Started);
    }

    #[test]
    fn a_oneshot_by_default_is_known_to_those_before_it() {
        let text = "[defaults]\ntype = \"oneshot\"\n[service.x]\ncommand = \"x\"\nrequires = \"m\"\n[service.m]\ncommand = \"m\"\n";
        assert_eq!(plan(text).services[0].requires[0].condition, Condition::Done);
    }

    #[test]
    fn what_all_require_does_not_require_itself() {
        let text =
            "[defaults]\nrequires = \"m\"\n[service.m]\ncommand = \"m\"\n[service.x]\ncommand = \"x\"\n";
        let plan = plan(text);
        assert_eq!((plan.services[0].requires.len(), plan.services[1].requires.len()), (0, 1));
    }

    #[test]
    fn a_oneshot_comes_back_only_if_it_says_so_itself() {
        let restart = |text: &str| plan(text).services[0].restart;
        let defaults = "[defaults]\nrestart = \"on-failure\"\n";
        assert_eq!(restart(&format!("{defaults}[service.x]\ncommand = \"x\"\n")), Restart::OnFailure);
        let oneshot = format!("{defaults}[service.x]\ncommand = \"x\"\ntype = \"oneshot\"\n");
        assert_eq!(restart(&oneshot), Restart::Never);
        assert_eq!(restart(&format!("{oneshot}restart = \"on-failure\"\n")), Restart::OnFailure);
    }
}

mod stops {
    use super::*;

    fn sequence(text: &str) -> Vec<(Signal, Duration)> {
        with(text).stop.sequence.to_vec()
    }

    #[test]
    fn each_signal_has_its_time() {
        let quit_term = vec![(Signal::QUIT, seconds(5)), (Signal::TERM, seconds(2))];
        assert_eq!(sequence("stop = { signal = [\"QUIT\", \"5s\", \"TERM\", \"2s\"] }"), quit_term);
        assert_eq!(
            sequence("stop = { signal = [\"QUIT\", \"TERM\", \"2s\"], grace_period = \"7s\" }"),
            quit_term
        );
        assert_eq!(
            sequence("stop = { signal = [\"QUIT\", \"5s\", \"TERM\"], grace_period = \"7s\" }"),
            quit_term
        );
        assert_eq!(sequence("stop = { signal = \"SIGINT\" }"), [(Signal::INT, seconds(8))]);
        assert_eq!(sequence("stop = { signal = 2, grace_period = 0 }"), [(Signal::INT, Duration::ZERO)]);
    }

    #[test]
    fn the_delay_counts() {
        let stop = with("stop = { delay = \"1s\", grace_period = \"2s\" }").stop;
        assert_eq!(stop.longest(), seconds(3));
    }
}

mod launches {
    use super::*;

    #[test]
    fn what_few_services_set_is_there_or_costs_nothing() {
        assert_eq!(with("").launch.extra, None);
        let extra = with(
            "umask = \"027\"\nnice = -5\noom_score_adj = \"500\"\ncapabilities = [\"CAP_NET_BIND_SERVICE\", \"chown\"]\n\
             limits = { nofile = 1024, core = \"unlimited\", stack = { soft = \"1MiB\" }, nproc = { soft = 1, hard = 2 } }",
        );
        let extra = extra.launch.extra.unwrap();
        assert_eq!((extra.umask, extra.nice, extra.oom_score_adj), (Some(0o27), Some(-5), Some(500)));
        assert_eq!(extra.capabilities.as_deref(), Some(&[0, 10][..]));
        let limit = |resource, soft, hard| Limit { resource, soft, hard };
        assert_eq!(
            &extra.limits[..],
            [
                limit(Resource::Core, None, None),
                limit(Resource::Nofile, Some(1024), Some(1024)),
                limit(Resource::Nproc, Some(1), Some(2)),
                limit(Resource::Stack, Some(1 << 20), Some(1 << 20)),
            ]
        );
        assert_eq!(with("umask = 0o22").launch.extra.unwrap().umask, Some(0o22));
    }

    #[test]
    fn processor_time_is_a_time_and_no_size() {
        let limit = |text: &str| {
            let extra = with(&format!("limits = {{ cpu = {text} }}")).launch.extra.unwrap();
            (extra.limits[0].soft, extra.limits[0].hard)
        };
        for (text, seconds) in
            [("60", 60), ("\"60\"", 60), ("\"10s\"", 10), ("\"10m\"", 600), ("\"1h30m\"", 5400)]
        {
            assert_eq!(limit(text), (Some(seconds), Some(seconds)), "{text}");
        }
        assert_eq!(limit("{ soft = \"1m\", hard = \"unlimited\" }"), (Some(60), None));
        for text in ["10MB", "1KiB", "500ms", "much", ""] {
            let said = errors(&format!("[service.x]\ncommand = \"a\"\nlimits = {{ cpu = \"{text}\" }}"));
            assert!(said.contains("`limits.cpu` must be whole seconds"), "{said}");
        }
    }

    #[test]
    fn switches_and_numbers_may_come_from_variables() {
        for (text, enabled) in [("true", true), ("1", true), ("no", false), ("", false), ("off", false)] {
            assert_eq!(with(&format!("enabled = \"${{NONE:-{text}}}\"")).enabled, enabled, "{text}");
        }
        assert_eq!(with("instances = \"${NONE:-3}\"").instances, 3);
    }
}

mod probes {
    use super::*;

    fn probe(text: &str) -> Probe {
        with(&format!("ready = {{ {text} }}")).ready.unwrap().probe
    }

    fn http(address: ProbeAddress, host: &str, path: &str) -> Probe {
        Probe::Http(HttpProbe {
            address,
            host: host.into(),
            path: path.into(),
            status: Statuses::range(200, 399),
        })
    }

    #[test]
    fn all_kinds_are_read() {
        let tcp = |text: &str| Probe::Tcp(text.parse().unwrap());
        assert_eq!(probe("notify = true"), Probe::Notify);
        assert_eq!(probe("fd = 3"), Probe::Fd(3));
        for text in ["\"127.0.0.1:80\"", "\"localhost:80\"", "\":80\"", "80", "\"80\""] {
            assert_eq!(probe(&format!("tcp = {text}")), tcp("127.0.0.1:80"), "{text}");
        }
        assert_eq!(probe("tcp = \"[::1]:80\""), tcp("[::1]:80"));
        assert_eq!(probe("unix = \"/run/x\""), Probe::Unix("/run/x".into()));
        assert_eq!(probe("exec = \"a 'b c'\""), Probe::Exec(["a".into(), "b c".into()].into()));
        assert_eq!(probe("log = \"^ready\""), Probe::Log("^ready".into()));
        assert_eq!(probe("file = \"/run/x\""), Probe::File("/run/x".into()));
    }

    #[test]
    fn a_question_in_uwsgis_protocol_may_name_a_path_as_one_in_http_may() {
        let asks = |text: &str, address: ProbeAddress, path: &str| {
            assert_eq!(probe(text), Probe::Uwsgi(UwsgiProbe { address, path: path.into() }), "{text}");
        };
        let tcp = || ProbeAddress::Tcp("127.0.0.1:3031".into());
        let unix = |path: &str| ProbeAddress::Unix(path.into());
        asks("uwsgi = \":3031\"", tcp(), "/");
        asks("uwsgi = \"localhost:3031\"", ProbeAddress::Tcp("localhost:3031".into()), "/");
        asks("uwsgi = \":3031/healthz?deep=1\"", tcp(), "/healthz?deep=1");
        asks("uwsgi = \"/run/x\"", unix("/run/x"), "/");
        asks("uwsgi = \"run/x.sock\"", unix("run/x.sock"), "/");
        asks("uwsgi = \"unix:///run/x:/healthz\"", unix("/run/x"), "/healthz");
        asks("uwsgi = \"/run/x:/a:/b\"", unix("/run/x"), "/a:/b");
        asks("uwsgi = \"/healthz\", unix = \"/run/x\"", unix("/run/x"), "/healthz");
    }

    #[test]
    fn urls_are_read() {
        let at = |text: &str| ProbeAddress::Tcp(text.into());
        let unix = || ProbeAddress::Unix("/run/x".into());
        assert_eq!(probe("http = \"http://db:81/a?b#c\""), http(at("db:81"), "db:81", "/a?b"));
        assert_eq!(probe("http = \"http://127.0.0.1\""), http(at("127.0.0.1:80"), "127.0.0.1", "/"));
        assert_eq!(probe("http = \"http://[::1]:81?x\""), http(at("[::1]:81"), "[::1]:81", "/?x"));
        assert_eq!(probe("http = \"http+unix:///run/x:/a\""), http(unix(), "localhost", "/a"));
        assert_eq!(probe("http = \"http+unix:///run/x\""), http(unix(), "localhost", "/"));
        assert_eq!(probe("http = \"/a\", unix = \"/run/x\""), http(unix(), "localhost", "/a"));
        assert_eq!(probe("http = \"http://host/a\", unix = \"/run/x\""), http(unix(), "host", "/a"));
    }

    #[test]
    fn a_status_is_one_or_a_range_or_a_list_of_these() {
        let statuses = |text: &str| match probe(&format!("http = \"http://h/\", status = {text}")) {
            Probe::Http(http) => http.status,
            other => panic!("{other:?}"),
        };
        assert_eq!(statuses("204"), Statuses::range(204, 204));
        assert_eq!(statuses("\"200-299\""), Statuses::range(200, 299));
        let list = statuses("[200, \"404\", \"300-399\"]");
        assert_eq!(list.to_string(), "200,404,300-399");
        assert!(list.contain(404) && list.contain(301) && !list.contain(403));
        assert_eq!(list, "200,404,300-399".parse().unwrap());
        for wrong in ["[]", "[true]", "\"200-\"", "\"399-200\"", "99", "[200, 600]"] {
            let said = errors(&format!(
                "[service.x]\ncommand = \"a\"\nready = {{ http = \"http://h/\", status = {wrong} }}\n"
            ));
            assert!(said.contains("or a list of these"), "{wrong}: {said}");
        }
    }

    #[test]
    fn health_has_times_of_its_own() {
        let health =
            with("health = { notify = true, interval = \"30s\", action = \"none\" }").health.unwrap();
        let expected = Health {
            probe: Probe::Notify,
            interval: seconds(30),
            timeout: seconds(3),
            failures: 3,
            restart: false,
        };
        assert_eq!(*health, expected);
    }

    #[test]
    fn a_line_cannot_be_seen_where_none_passes() {
        let said = errors(
            "[service.x]\ncommand = \"a\"\nready = { log = \"x\" }\nstdout = \"inherit\"\nstderr = \"null\"\n",
        );
        assert!(said.contains("can never match"), "{said}");
    }
}

mod signals {
    use super::*;

    #[test]
    fn they_go_where_they_are_sent() {
        let plan = plan(
            "[signals]\nUSR2 = \"x\"\nSIGHUP = \"x:QUIT\"\nWINCH = \"all\"\n\"RTMIN+5\" = \"all:12\"\nPIPE = \"\"\n\
             [service.x]\ncommand = \"a\"\n",
        );
        let x = minisup::core::ids::ServiceId(0);
        let named = |name| Signal::parse(name).unwrap();
        let expected = [
            (Signal::USR2, Forward::To(x, Signal::USR2)),
            (Signal::HUP, Forward::To(x, Signal::QUIT)),
            (Signal::WINCH, Forward::All(Signal::WINCH)),
            (named("RTMIN+5"), Forward::All(Signal::USR2)),
            (named("PIPE"), Forward::Swallow),
        ];
        assert_eq!(&plan.signals[..], expected);
    }
}

mod backing_off {
    use super::*;

    #[test]
    fn who_sets_one_end_of_the_delay_means_that_one() {
        let ends = |text: &str| with(&format!("backoff = {{ {text} }}")).backoff;
        let short = ends("max = \"50ms\"");
        assert_eq!((short.initial, short.max), (Duration::from_millis(50), Duration::from_millis(50)));
        let long = ends("initial = \"1m\"");
        assert_eq!((long.initial, long.max), (seconds(60), seconds(60)));
        let said = errors("[service.x]\ncommand = \"a\"\nbackoff = { initial = \"2s\", max = \"1s\" }\n");
        assert!(said.contains("`backoff.initial` is longer"), "{said}");
    }
}
