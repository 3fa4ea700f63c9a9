"""The measures. The words under each table of docs/benchmarks.md are the docstrings of these functions."""

import contextlib
import os
import re
import signal
import subprocess
import time

from peers import linking
from stage import ACTOR, Flaw, Stage, pss, usage

MS = 1e6  # nanoseconds


class Bench:
    """What all measures share: the peers, how much to do, the samples, and the runs that did not count."""

    def __init__(self, scratch, peers, scale):
        self.scratch, self.peers, self.scale = scratch, peers, scale
        self.samples, self.flaws, self.remarks = {}, {}, {}

    def add(self, key, peer, value):
        self.samples.setdefault(key, {}).setdefault(peer.name, []).append(value)

    def remark(self, key, peer, text):
        self.remarks.setdefault(key, {})[peer.name] = text

    def turns(self, key, peers, rounds, budget=20.0):
        """Round after round, each peer in turn, so that all see the same weather. Whoever failed or has used
        up its seconds is left out of further rounds."""
        spent = dict.fromkeys(peers, 0.0)
        for _ in range(rounds):
            for peer in peers:
                if spent[peer] < budget and (key, peer.name) not in self.flaws:
                    start = time.monotonic()
                    yield peer
                    spent[peer] += time.monotonic() - start

    @contextlib.contextmanager
    def attempt(self, key, peer):
        """Note a flaw instead of ending everything."""
        try:
            yield
        except (Flaw, OSError) as why:
            self.flaws[key, peer.name] = " ".join(str(why).split())

    @contextlib.contextmanager
    def all_up(self, key, peers, count=1):
        """Every peer's stage at once, for measures in which each only waits: {peer: stage}."""
        with contextlib.ExitStack() as stack:
            up = {}
            for peer in peers:
                with self.attempt(key, peer):
                    up[peer] = stack.enter_context(Stage(self.scratch, peer, count))
                    all_started(up[peer], count)
            yield up

    def able(self, count):
        return [p for p in self.peers if (p.many or count == 1) and not p.stops_only]


def all_started(stage, count):
    """Wait until each service reported its start, once and under its own name; the last start's moment."""
    started = stage.wait("S", count, timeout=60, pause=0.003)
    names = {report.name for report in started}
    if len(names) != count or len(started) != count:
        raise Flaw(f"{len(names)} of {count} services started, {len(started)} times")
    return max(report.moment for report in started)


def boot(bench):
    """From the moment before the supervisor's `execve` to the first statement of the last child's `main`
    (a static C program). A run counts when each of the N services has reported once, under its own name."""
    for count, rounds in bench.scale.boot.items():
        key = f"boot/{count}"
        for peer in bench.turns(key, bench.able(count), rounds):
            with bench.attempt(key, peer), Stage(bench.scratch, peer, count) as stage:
                bench.add(key, peer, (all_started(stage, count) - stage.executed) / MS)


def memory(bench):
    """Proportional set size (smaps_rollup) of all the supervisor's own processes, the children left out, at
    rest after all N have started. Processes of one program share its pages, and each is charged its part."""
    for count in bench.scale.boot:
        key = f"memory/{count}"
        for peer in bench.turns(key, bench.able(count), 1):
            with bench.attempt(key, peer), Stage(bench.scratch, peer, count) as stage:
                all_started(stage, count)
                time.sleep(bench.scale.rest)
                own, actors = stage.processes()
                if len(actors) != count:
                    raise Flaw(f"{len(actors)} of {count} children are there")
                bench.add(key, peer, pss(own))
                bench.remark(key, peer, f"{len(own)} process{'es' * (len(own) > 1)}")


def relaunch_once(stage):
    """Kill the child; nanoseconds until the next one's `main`."""
    before = len(stage.of_kind("S"))
    killed, moment = stage.kill_child()
    after = stage.wait("S", before + 1, timeout=10)
    actors = stage.processes()[1]
    if len(after) != before + 1 or after[-1].pid == killed or set(actors) != {after[-1].pid}:
        raise Flaw("not exactly one new child after the kill")
    return after[-1].moment - moment


def relaunch(bench):
    """`kill -9` of the child, from outside, to the first statement of the next one's `main`. Steady: the
    child had run for more than 1.2 s. Crash loop: it is killed 20 ms after its start, five times in a row. A
    run counts when the killed pid is gone and exactly one new child is there. Every supervisor is set to the
    smallest delay it allows; for s6, supervisord and (while the child is younger than a second) runit that
    is a second."""
    steady, loop = "relaunch/steady", "relaunch/loop"
    with bench.all_up(steady, bench.able(2)) as up:
        last = dict.fromkeys(up, time.monotonic())
        for peer in bench.turns(steady, list(up), bench.scale.kills, budget=60):
            with bench.attempt(steady, peer):
                time.sleep(max(0.0, last[peer] + 1.25 - time.monotonic()))
                bench.add(steady, peer, relaunch_once(up[peer]) / MS)
                last[peer] = time.monotonic()
        for peer in bench.turns(loop, list(up), bench.scale.bursts, budget=8):
            with bench.attempt(loop, peer):
                relaunch_once(up[peer])  # this one follows a long life
                for _ in range(bench.scale.in_burst):
                    time.sleep(0.02)
                    bench.add(loop, peer, relaunch_once(up[peer]) / MS)


def idle(bench):
    """CPU time (schedstat) and context switches of all threads of the supervisor's own processes while
    nothing happens. All supervisors are up side by side, which one that is truly idle does not notice."""
    count = bench.scale.idle_services
    with bench.all_up("idle/cpu", bench.able(2), count) as up:
        time.sleep(bench.scale.rest * 3)
        own = {peer: stage.processes()[0] for peer, stage in up.items()}
        before = {peer: (time.monotonic(), *usage(pids)) for peer, pids in own.items()}
        time.sleep(bench.scale.idle_seconds)
        for peer, pids in own.items():
            with bench.attempt("idle/cpu", peer):
                start, cpu, switches = before[peer]
                cpu_now, switches_now = usage(pids)
                seconds = time.monotonic() - start
                bench.add("idle/cpu", peer, (cpu_now - cpu) / MS / seconds)
                bench.add("idle/wakeups", peer, (switches_now - switches) / seconds)


def orphans(bench):
    """A child hands zombies to PID 1: parents that end after their 64 children have, never more than 4,096
    unreaped. PID 1's CPU time until the last is gone, for 20,000. A run counts when each of the pids
    names nobody any more (`kill` says ESRCH) within 15 s. The maker itself takes most of the time, so the
    CPU of PID 1 is what tells them apart."""
    count = bench.scale.orphans
    for peer in bench.turns("orphans/cpu", bench.able(1), bench.scale.orphan_rounds):
        role = ("orphans", str(count))
        with bench.attempt("orphans/cpu", peer), Stage(bench.scratch, peer, 1, role) as stage:
            all_started(stage, 1)
            time.sleep(bench.scale.rest / 2)
            before, _ = usage([stage.pid1])
            stage.kill_child(signal.SIGUSR1)
            gone, most, _ = map(int, stage.wait("R", timeout=30)[0].extra.split())
            if gone != count:
                raise Flaw(f"{count - gone} of {count} orphans are still zombies after 15 s")
            time.sleep(0.05)
            after, _ = usage([stage.pid1])
            bench.add("orphans/cpu", peer, (after - before) / MS * 20_000 / count)
            bench.remark("orphans/cpu", peer, f"{most} zombies at most")


def shutdown(bench):
    """SIGTERM to PID 1, from outside, until the namespace is gone. Each child reports the TERM it gets and
    ends at once. The last column says how many got one: who leaves first lets the kernel kill the rest. Two pipes to
    each child have their price, whoever holds them: "limit (pipes)". Tried by hand with the limit, 35 turns of each: half of
    it is the pipes (1.12 × without anybody who watches them), half the epoll that watches; two that all children share cost
    nothing."""
    count, key = bench.scale.shutdown_services, "shutdown"
    for peer in bench.turns(key, [p for p in bench.peers if p.many], bench.scale.shutdowns):
        with bench.attempt(key, peer), Stage(bench.scratch, peer, count) as stage:
            all_started(stage, count)
            time.sleep(bench.scale.rest)
            moment = time.monotonic_ns()
            os.kill(stage.pid1, signal.SIGTERM)
            end = stage.wait("X", timeout=40)[0]
            told = {r.name for r in stage.of_kind("G") if int(r.extra) == signal.SIGTERM}
            bench.add(key, peer, (end.moment - moment) / MS)
            code = os.waitstatus_to_exitcode(int(end.extra))
            bench.remark(key, peer, f"{len(told)}/{count} children got TERM, exit code {code}")


def relay(bench):
    """USR1 to PID 1, from outside, until the child has it. A run counts when the child reports that signal
    once for each one sent. The median of many, the inits in turn: most of it is the machine's wake-up."""
    key = "relay"
    with bench.all_up(key, [p for p in bench.peers if p.relays]) as up:
        time.sleep(bench.scale.rest)
        sent = dict.fromkeys(up, 0)
        for peer in bench.turns(key, list(up), bench.scale.signals):
            with bench.attempt(key, peer):
                sent[peer] += 1
                moment = time.monotonic_ns()
                os.kill(up[peer].pid1, signal.SIGUSR1)
                got = up[peer].wait("G", sent[peer], timeout=2, pause=0.0005)
                if len(got) != sent[peer] or int(got[-1].extra) != signal.SIGUSR1:
                    raise Flaw(f"{len(got)} signals arrived, {sent[peer]} were sent")
                bench.add(key, peer, (got[-1].moment - moment) / 1000)
                time.sleep(0.002)


# What is done with the lines of a service, and where they go: the mode, and bytes a write.
LOGS = {"file": 65536, "pipe": 65536, "prefix": 65536, "json": 65536, "rotated": 65536, "lines": 100}
LINE = 100


def log_once(bench, peer, mode):
    """(nanoseconds, nanoseconds of CPU) of moving what is to be moved."""
    kib = bench.scale.log_mib * 1024 // (8 if mode == "lines" else 1)
    total = kib * 1024 // LINE * LINE
    to_pipe = mode not in ("file", "rotated")
    role = ("writes", str(kib), str(LINE), str(LOGS[mode]))
    lines = (total // LINE, None) if to_pipe else None
    with Stage(bench.scratch, peer, 1, role, log=mode, lines=lines) as stage:
        all_started(stage, 1)
        time.sleep(bench.scale.rest)
        own, _ = stage.processes()
        before, _ = usage(own)
        stage.tell_children(signal.SIGUSR1)
        began = stage.wait("W")[0].moment
        if to_pipe:
            end = stage.wait("L", timeout=120)[0]
            moment, wrong = end.moment, mode in ("pipe", "lines") and int(end.extra) - total
        else:
            moment, wrong = wait_for_bytes(stage, mode, total)
        after, _ = usage(own)
        if wrong:
            raise Flaw(f"{abs(wrong)} bytes too {'many' if wrong > 0 else 'few'}")
        return (moment - began) * 2**20 / kib, (after - before) * 2**20 / kib


def wait_for_bytes(stage, mode, total):
    """When so many bytes are in the file, or in all files of the folder; and how many more came."""
    end = time.monotonic() + 120
    while True:
        moment = time.monotonic_ns()
        files = [stage.room / "stdout"] if mode == "file" else stage.room.glob("logs/*")
        size = 0
        for file in files:
            with contextlib.suppress(FileNotFoundError):  # renamed meanwhile
                size += file.stat().st_size * (file.name not in ("lock", "state", "config"))
        if size >= total or time.monotonic() > end:
            return moment, size - total
        time.sleep(0.002)


def logs(bench):
    """A service writes 100-byte lines, 64 KiB a `write`, and PID 1 moves them: from the service's first write
    until the last byte is in the file, or the last line has come out of the pipe. With prefix: name and
    time of each line (the limit: the name alone). JSON: one object a line (the limit: a plain copy).
    Rotated: files of 16 MB on a tmpfs. One write a line: to a pipe. Whoever tears lines is as
    quick as he is, see below; a run counts when as many bytes or lines came as were written."""
    for mode in LOGS:
        wall, cpu = f"logs/{mode}", f"logcpu/{mode}"
        for peer in bench.turns(wall, [p for p in bench.peers if mode in p.logs], bench.scale.log_runs):
            with bench.attempt(wall, peer):
                seconds, busy = log_once(bench, peer, mode)
                bench.add(wall, peer, seconds / 1e9)
                bench.add(cpu, peer, busy / 1e9)


def logcpu(bench):
    """CPU time (schedstat) of the supervisor's own processes, its loggers among them, in the same runs."""
    if not any(key.startswith("logcpu/") for key in bench.samples):
        logs(bench)


def torn(bench):
    """Two services write to one pipe at once, lines of 64 KiB and short ones in turn, each with its number and
    its length in it. Torn: a line that came, but not as it was written. A run counts when all was written."""
    key, kib = "torn", bench.scale.torn_mib * 1024
    for peer in bench.turns(key, [p for p in bench.peers if "pipe" in p.logs and p.name != "limit"], 1):
        copy = bench.scratch / "torn"
        with bench.attempt(key, peer):
            with Stage(bench.scratch, peer, 2, ("writes", str(kib), "0", "0"), "pipe", (10**12, copy)) as stage:
                all_started(stage, 2)
                time.sleep(bench.scale.rest)
                stage.tell_children(signal.SIGUSR1)
                written = sum(int(done.extra) for done in stage.wait("D", 2, timeout=60))
                size = -1
                while size != (size := copy.stat().st_size):  # what is under way arrives
                    time.sleep(0.5)
            whole = {m[0] for line in copy.read_bytes().split(b"\n") if (m := whole_line(line))}
            bench.add(key, peer, written - len(whole))
            bench.remark(key, peer, f"of {written:,} lines")
        copy.unlink(missing_ok=True)


def whole_line(line):
    """(which,) if this is a line as a writer wrote it: NAME:NUMBER:LENGTH:xxx."""
    name, _, rest = line.partition(b":")
    number, _, rest = rest.partition(b":")
    length, _, rest = rest.partition(b":")
    is_whole = length.isdigit() and int(length) == len(line) + 1 and rest == name[-1:] * len(rest)
    return ((name, number),) if is_whole else None


def status(bench):
    """The command that shows all services (`minisup status`, `supervisorctl status`, `sv status`), from fork to
    its end, its output to a pipe. The limit: a static C program that does nothing. A run counts when the
    command succeeds and names every service."""
    count, key = bench.scale.shutdown_services, "status"
    able = [p for p in bench.able(2) if p.status(bench.scratch, [])]
    with bench.all_up(key, able, count) as up:
        time.sleep(bench.scale.rest * 3)
        for peer in bench.turns(key, list(up), bench.scale.statuses):
            with bench.attempt(key, peer):
                command = peer.status(up[peer].room, up[peer].services)
                moment = time.monotonic_ns()
                done = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE)
                took = time.monotonic_ns() - moment
                named = len(set(re.findall(rb"\bs\d{4}\b", done.stdout)))
                if peer.name != "limit" and (done.returncode or named != count):
                    raise Flaw(f"exit code {done.returncode}, {named} of {count} services named")
                bench.add(key, peer, took / MS)


def health(bench):
    """`minisup health`, which an engine runs in each container every few seconds: from fork to its end, and the most
    memory that was resident, with the pages of the program that it shares with PID 1. The limit: a static C program that
    does nothing. A run counts when the command says that all is well."""
    count = bench.scale.shutdown_services
    able = [p for p in bench.able(2) if p.health(bench.scratch)]
    with bench.all_up("health", able, count) as up:
        time.sleep(bench.scale.rest)
        for peer in bench.turns("health", list(up), bench.scale.statuses):
            with bench.attempt("health", peer):
                command = peer.health(up[peer].room)
                moment = time.monotonic_ns()
                subprocess.run(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, check=True)
                bench.add("health/time", peer, (time.monotonic_ns() - moment) / MS)
                measured = subprocess.run([ACTOR, "peak", *command], stdout=subprocess.PIPE, check=True)
                bench.add("health/memory", peer, int(measured.stdout.split()[-1]) / 1000)


def size(bench):
    """Bytes it adds to an image: the binary of ours and of the limit, for the others the files of their
    Debian package but for the manuals. What a package depends on (libraries, Python) comes on top."""
    for peer in bench.peers:
        if peer.name != "minisup exec" and not peer.stops_only:
            bench.add("size", peer, sum(file.stat().st_size for file in peer.files()) / 1000)
            bench.remark("size", peer, linking(peer.path()))


EVERY = [boot, relaunch, memory, idle, orphans, shutdown, relay, logs, logcpu, torn, status, health, size]
