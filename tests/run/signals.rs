//! Signals that PID 1 passes on.

use crate::needs_namespaces;
use crate::stage::{Place, supervise};
use crate::support::wait_until;

pub fn signals_go_where_the_configuration_sends_them(place: Place) {
    let mut run = supervise(
        place,
        r#"
        [signals]
        USR2 = "web"
        HUP = "web:QUIT"
        WINCH = "all"
        INT = "app:USR1"
        USR1 = ""

        [service.web]
        command = "${HELPER} catch 15"
        log.prefix = true

        [service.app]
        command = "${HELPER} catch 15"
        log.prefix = true
        requires = ["web"]
        "#,
    )
    .start();
    run.heard("ready");
    run.heard("ready");
    run.said("all is up");
    let number = |line: String| {
        let digits: String = line.chars().filter(char::is_ascii_digit).collect();
        (line.contains("web"), digits.parse::<i32>().unwrap_or_default())
    };
    run.signal(libc::SIGUSR2);
    assert_eq!(number(run.heard("")), (true, libc::SIGUSR2));
    run.signal(libc::SIGHUP);
    assert_eq!(number(run.heard("")), (true, libc::SIGQUIT));
    run.signal(libc::SIGUSR1);
    run.signal(libc::SIGWINCH);
    let mut both = [number(run.heard("")), number(run.heard(""))];
    both.sort_unstable();
    assert_eq!(both, [(false, libc::SIGWINCH), (true, libc::SIGWINCH)]);
    run.signal(libc::SIGINT);
    assert_eq!(number(run.heard("")), (false, libc::SIGUSR1));
    run.stops_with(0);
}

#[test]
fn usr1_asks_those_to_reopen_their_logs_that_can() {
    needs_namespaces!();
    let mut run = supervise(
        Place::Pid1,
        r#"
        [service.web]
        command = "${HELPER} catch 15"
        reopen = { signal = "HUP" }

        [service.app]
        command = ["sh", "-c", "trap 'echo wrong' USR1 HUP; echo ready; sleep 1001 & wait"]
        "#,
    )
    .start();
    run.heard("ready");
    run.heard("ready");
    run.said("all is up");
    run.signal(libc::SIGUSR1);
    assert_eq!(run.heard(""), "1");
    run.stops_with(0);
}

#[test]
fn a_signal_for_nobody_is_said_and_does_no_harm() {
    needs_namespaces!();
    let mut run = supervise(Place::Pid1, "[service.app]\ncommand = 'sleep 1001'").start();
    run.said("all is up");
    run.signal(libc::SIGUSR2);
    run.said("got USR2, which [signals] passes on to nobody");
    // Also those that tell others of their own faults, and all at once.
    for signal in (1..=64).filter(|n| ![2, 3, 9, 15, 19, 30, 32, 33, libc::SIGRTMIN() + 3].contains(n)) {
        run.signal(signal);
    }
    run.process("sleep 1001");
    run.stops_with(0);
}

#[test]
fn all_of_them_at_once_are_one_after_the_other() {
    needs_namespaces!();
    // Each on top of the one before would need more stack than a handler has.
    let mut config = String::from("[service.app]\ncommand = '${HELPER} catch 15'\n[signals]\n");
    let numbers: Vec<i32> = (34..=64).filter(|n| *n != libc::SIGRTMIN() + 3).collect();
    for number in &numbers {
        config += &format!("'RTMIN+{}' = 'app'\n", number - libc::SIGRTMIN());
    }
    let mut run = supervise(Place::Pid1, &config).start();
    run.heard("ready");
    run.said("all is up");
    run.signal(libc::SIGSTOP);
    wait_until("it has stopped", || run.field("State").starts_with(['T', 't']));
    numbers.iter().for_each(|number| run.signal(*number));
    run.signal(libc::SIGCONT);
    let mut passed_on: Vec<i32> = numbers.iter().map(|_| run.heard("").parse().unwrap()).collect();
    passed_on.sort_unstable();
    assert_eq!(passed_on, numbers);
    run.stops_with(0);
}
