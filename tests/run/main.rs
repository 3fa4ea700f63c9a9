//! `minisup run`, the real binary, as the real PID 1: whether it does what it promises to
//! services that behave and to those that do not.
//!
//! Every scenario ends with [`stage::Run::ends_with`]: the exit code is the right one, and at
//! the moment at which PID 1 exits nobody else is left, alive or zombie. The kernel would kill
//! whoever is left then, so this is looked at before: see [`stage::Watch`].
//!
//! Scenarios wait for lines and for processes, never for a time. Those listed under
//! [`everywhere!`] are played four times: as PID 1, as PID 1 on a kernel that lacks the newer
//! system calls, under a container engine that forbids them, and as an ordinary process.

#[path = "../support/mod.rs"]
mod support;

mod stage;

mod ends;
mod environment;
mod exits;
mod faults;
mod first_start;
mod health;
mod heirs;
mod hooks;
mod launches;
mod memory;
mod order;
mod places;
mod quiet;
mod readers;
mod ready;
mod reload;
mod restarts;
mod schedule;
mod signals;
mod sockets;
mod storms;
mod trees;
mod users;
mod watch;
mod words;

/// Plays each scenario in four places.
macro_rules! everywhere {
    ($($module:ident :: $scenario:ident)*) => {
        everywhere!(@ as_pid_1 Pid1: $($module::$scenario)*);
        everywhere!(@ where_newer_calls_are_unknown OldKernel: $($module::$scenario)*);
        everywhere!(@ where_newer_calls_are_forbidden OldEngine: $($module::$scenario)*);
        everywhere!(@ as_an_ordinary_process NotPid1: $($module::$scenario)*);
    };
    (@ $name:ident $place:ident: $($module:ident :: $scenario:ident)*) => {
        mod $name {
            $(#[test]
            fn $scenario() {
                $crate::needs_namespaces!();
                $crate::$module::$scenario($crate::stage::Place::$place);
            })*
        }
    };
}

everywhere! {
    ends::who_ignores_term_is_killed_after_its_grace_period
    ends::who_has_stopped_itself_is_woken_to_end
    ends::a_second_term_skips_the_grace_periods
    ends::a_stop_sequence_is_gone_through
    exits::the_exit_code_is_that_of_the_essential_failure
    order::what_is_required_starts_first_and_stops_last
    trees::a_daemon_that_left_its_session_is_ended_with_its_service
    trees::a_daemon_that_cleared_its_environment_is_ended_too
    trees::what_is_left_of_a_service_is_ended_before_it_is_launched_again
    readers::a_tee_that_was_there_before_us_gets_our_very_last_line
    ready::every_way_to_be_ready_is_heard
    ready::who_is_not_ready_in_time_ends_the_container_with_the_reason
    hooks::every_hook_has_its_moment_and_knows_it
    health::who_is_unhealthy_is_launched_again
    heirs::an_heir_that_the_pid_file_names_goes_on_in_its_place
    reload::a_reload_checks_first_and_touches_nothing_if_that_fails
    restarts::who_is_killed_is_launched_again
    restarts::failures_in_a_row_are_waited_for_ever_longer_and_then_are_fatal
    signals::signals_go_where_the_configuration_sends_them
    launches::limits_and_the_rest_are_as_configured
    faults::what_cannot_be_executed_says_why_and_has_the_shells_exit_code
    sockets::a_service_finds_its_sockets_and_is_told_which_they_are
    watch::a_config_map_that_is_swapped_is_read_again
    storms::orphans_leave_nothing_behind
}
