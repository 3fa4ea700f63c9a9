//! More memory than it may have.

use crate::needs_namespaces;
use crate::stage::{Place, supervise};

#[test]
fn who_holds_more_than_it_may_with_its_children_is_launched_again() {
    needs_namespaces!();
    // The shell itself is small; what its child holds is in no group of its.
    let config = r#"
        [service.app]
        command = ["sh", "-c", "echo begun; test -e ${DIR}/lean && exec sleep 1001; setsid ${HELPER} hold 60 & wait"]
        memory_limit = "30MB"
        min_uptime = "0s"
        backoff.initial = "1ms"

        [service.lean]
        command = ["sleep", "1002"]
        memory_limit = "30MB"
    "#;
    let mut run = supervise(Place::Pid1, config).start();
    run.heard("begun");
    let lean = run.process("sleep 1002");
    let said = run.said("more than memory_limit");
    assert!(
        said.contains("app uses 6") && said.contains("more than memory_limit 30 MB: stopping it"),
        "{said}"
    );
    run.write("lean", "");
    run.heard("begun");
    run.process("sleep 1001");
    assert_eq!(run.process("sleep 1002").pid, lean.pid);
    run.stops_with(0);
}
