"""The stage: one supervisor as PID 1 of fresh PID and mount namespaces, and what its actors report."""

import contextlib
import ctypes
import fcntl
import os
import re
import shutil
import signal
import socket
import struct
import subprocess
import time
from collections import namedtuple
from pathlib import Path

from peers import BUILT, HERE

ACTOR = str(BUILT / "actor")
CLONE_NEWNS, CLONE_NEWUSER, CLONE_NEWNET = 0x00020000, 0x10000000, 0x40000000
SIOCSIFFLAGS, IFF_UP = 0x8914, 1
MS_REC, MS_PRIVATE = 0x4000, 0x40000

Report = namedtuple("Report", "kind name pid moment extra")  # see actor.c


class Flaw(Exception):
    """A run that does not count, and why."""


def build():
    """Compile the actor and the limit."""
    BUILT.mkdir(parents=True, exist_ok=True)
    for program in ("actor", "limit"):
        source, binary = HERE / f"{program}.c", BUILT / program
        if not binary.exists() or binary.stat().st_mtime < source.stat().st_mtime:
            compiler = os.environ.get("CC", "cc")
            subprocess.run([compiler, "-O2", "-static", "-Wall", "-o", binary, source], check=True)


def enter_scratch():
    """A tmpfs and a loopback only this process and its children see: nothing is left behind, however we end, and no
    firewall keeps track of the connections, of which its table holds too few."""
    libc = ctypes.CDLL(None, use_errno=True)

    def must(result, what):
        if result != 0:
            raise SystemExit(f"benches/run: cannot {what}: {os.strerror(ctypes.get_errno())}; it needs root, "
                             "or user namespaces, to make PID namespaces")  # fmt: skip

    uid, gid = os.getuid(), os.getgid()
    namespaces = CLONE_NEWNS | CLONE_NEWNET | (CLONE_NEWUSER if uid else 0)
    must(libc.unshare(namespaces), "make namespaces of mounts and of the network")
    if uid:
        for file, text in ("setgroups", "deny"), ("uid_map", f"0 {uid} 1"), ("gid_map", f"0 {gid} 1"):
            Path("/proc/self", file).write_text(text)
    scratch = BUILT / "scratch"
    scratch.mkdir(exist_ok=True)
    must(libc.mount(None, b"/", None, MS_REC | MS_PRIVATE, None), "keep mounts to ourselves")
    must(libc.mount(b"tmpfs", str(scratch).encode(), b"tmpfs", 0, b"mode=755"), "mount a tmpfs")
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
        fcntl.ioctl(any_socket, SIOCSIFFLAGS, struct.pack("16sh14x", b"lo", IFF_UP))
    return scratch


class Stage:
    """A supervisor with its services, from the moment it is executed; a context manager that ends it.

    `executed` is that moment, `pid1` its pid as we see it. With `lines` = (count, file or None) its stdout is
    a pipe to a sink, which reports when so many lines have come; else it is a file."""

    made = 0

    def __init__(self, scratch, peer, count=1, role=("child",), log=None, lines=None):
        Stage.made += 1
        self.pid1 = 0
        self.room = scratch / str(Stage.made)
        self.room.mkdir()
        self.reports, self._rest = [], ""
        (self.room / "reports").touch()
        self._file = open(self.room / "reports")
        kind, *extra = role
        names = (f"s{i:04}" for i in range(count))
        self.services = [(n, [ACTOR, kind, str(self.room / "reports"), n, *extra]) for n in names]
        (self.room / "logs").mkdir()
        command = peer.command(self.room, self.services, log)
        self.sink = None
        with open(self.room / "stdout", "wb") as out, open(self.room / "stderr", "wb") as err:
            if lines:
                count, path = lines
                self.sink = subprocess.Popen(
                    [ACTOR, "sink", str(self.room / "reports"), "sink", str(count), path and str(path) or "-"],
                    stdin=subprocess.PIPE,
                )  # fmt: skip
            self.process = subprocess.Popen(
                [ACTOR, "stage", str(self.room / "reports"), *command], stdin=subprocess.DEVNULL,
                stdout=self.sink.stdin if self.sink else out, stderr=err, cwd=self.room,
            )  # fmt: skip
            if self.sink:
                self.sink.stdin.close()
        try:
            self.pid1 = int(self.wait("P")[0].extra)
            self.executed = self.wait("E")[0].moment
            self.namespace = os.readlink(f"/proc/{self.pid1}/ns/pid")
        except (Flaw, OSError) as why:
            self.close()
            raise Flaw(str(why)) from why

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        """End PID 1; the kernel ends every process of its namespace, and only then is it gone."""
        with contextlib.suppress(OSError, subprocess.TimeoutExpired):
            if self.pid1 and self.process.poll() is None:
                os.kill(self.pid1, signal.SIGKILL)
                self.process.wait(20)
        self.process.kill()  # else: PID 1 asked for SIGKILL when the stage dies
        self.process.wait()
        if self.sink:
            self.sink.wait()  # nobody is left to write
        self._file.close()
        shutil.rmtree(self.room, ignore_errors=True)

    def of_kind(self, kind):
        """All reports of a kind so far."""
        *lines, self._rest = (self._rest + self._file.read()).split("\n")
        for line in lines:
            kind_, name, pid, moment, *extra = line.split()
            self.reports.append(Report(kind_, name, int(pid), int(moment), " ".join(extra)))
        return [r for r in self.reports if r.kind == kind]

    def wait(self, kind, count=1, timeout=15.0, pause=0.001):
        """The reports of a kind, once there are `count`. The pause costs no accuracy: reports carry their
        moment; it keeps us off the processors meanwhile."""
        end = time.monotonic() + timeout
        while True:
            gone = self.process.poll() is not None
            found = self.of_kind(kind)
            if len(found) >= count:
                return found
            if gone or time.monotonic() > end:
                said = (self.room / "stderr").read_text(errors="replace").strip()[-300:]
                why = "PID 1 is gone" if gone else f"{timeout:g} s have passed"
                raise Flaw(f"{len(found)} of {count} '{kind}' reports when {why}; it said: {said or '-'}")
            time.sleep(pause)

    def processes(self):
        """(pids of the supervisor's own processes, {pid in the namespace: pid here} of the actors)."""
        own, actors = [], {}
        for entry in os.listdir("/proc"):
            try:
                if entry.isdigit() and os.readlink(f"/proc/{entry}/ns/pid") == self.namespace:
                    if os.readlink(f"/proc/{entry}/exe") == ACTOR:
                        status = Path(f"/proc/{entry}/status").read_text()
                        actors[int(re.search(r"^NSpid:.*\s(\d+)$", status, re.M)[1])] = int(entry)
                    else:
                        own.append(int(entry))
            except OSError:
                pass  # it ended meanwhile
        return own, actors

    def tell_children(self, number):
        """Signal every child from outside."""
        for pid in self.processes()[1].values():
            os.kill(pid, number)

    def kill_child(self, number=signal.SIGKILL):
        """Signal the newest child from outside; its pid in the namespace, and the moment."""
        inner = self.of_kind("S")[-1].pid
        outer = self.processes()[1].get(inner)
        if outer is None:
            raise Flaw(f"no process {inner} to signal")
        moment = time.monotonic_ns()
        os.kill(outer, number)
        return inner, moment


def usage(pids):
    """(CPU nanoseconds, context switches) of these processes so far, of all their threads."""
    cpu = switches = 0
    for pid in pids:
        for task in Path(f"/proc/{pid}/task").iterdir():
            cpu += int((task / "schedstat").read_text().split()[0])
            found = re.findall(r"voluntary_ctxt_switches:\s+(\d+)", (task / "status").read_text())
            switches += sum(map(int, found))
    return cpu, switches


def pss(pids):
    """Proportional set size of these processes, kB."""
    rollups = (Path(f"/proc/{pid}/smaps_rollup").read_text() for pid in pids)
    return sum(int(re.search(r"^Pss:\s+(\d+)", text, re.M)[1]) for text in rollups)
