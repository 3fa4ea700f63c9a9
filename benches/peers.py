"""The supervisors: how each is told to run the same services, as fast as its own settings allow.

A peer that is not installed is left out. Each is a Debian package but for ours and the limit.
"""

import json
import os
import re
import shlex
import shutil
import subprocess
from pathlib import Path

HERE = Path(__file__).resolve().parent
BUILT = HERE.parent / "target" / "bench"


def output(*command):
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=20, stdin=subprocess.DEVNULL)
    except (OSError, subprocess.SubprocessError):
        return ""
    return done.stdout.strip()


class Peer:
    """A supervisor of many services that launches them again when they end."""

    name = program = package = ""
    many = True  # holds more than one service, and launches them again
    relays = False  # passes signals to PID 1 on to the child
    logs = ()  # what it can do with lines: see measures.LOGS
    stops_only = False  # only the stop is measured of it

    def path(self):
        return shutil.which(self.program, path=os.environ.get("PATH", "") + ":/usr/sbin:/sbin")

    def is_here(self):
        return bool(self.path()) and os.access(self.path(), os.X_OK)

    def version(self):
        return output("dpkg-query", "-W", "-f", "${Version} (Debian package)", self.package)

    def files(self):
        """What it adds to an image: its package's files but for the manuals, without its dependencies."""
        listed = output("dpkg-query", "-L", self.package).splitlines()
        files = (Path(f) for f in listed if not f.startswith(("/usr/share/doc", "/usr/share/man")))
        return [f for f in files if f.is_file() and not f.is_symlink()]

    def command(self, room, services, log=None):
        """Write what it reads into the folder `room`; the command to start it. `services`: (name, argv);
        `log`: what to do with their lines, one of `logs`, if that is what is measured."""
        raise NotImplementedError

    def status(self, room, services):
        """The command that shows how these services are, or None."""
        return None

    def health(self, room):
        """The command for a container's health check, or None."""
        return None


class Limit(Peer):
    name = "limit"
    relays = True
    logs = ("file", "pipe", "prefix", "json", "rotated", "lines")

    def path(self):
        return str(BUILT / "limit")

    def version(self):
        return "benches/limit.c"

    def files(self):
        return [Path(self.path())]

    def command(self, room, services, log=None):
        name, argv = services[0]
        mode = {None: [], "prefix": ["-prefix"], "rotated": [f"-rotate={room}/logs"]}.get(log, ["-copy"])
        return [self.path(), *mode, str(len(services)), *("{}" if word == name else word for word in argv)]

    def status(self, room, services):
        return [str(BUILT / "actor"), "nothing"]

    def health(self, room):
        return [str(BUILT / "actor"), "nothing"]


class LimitWithPipes(Limit):
    """The limit with what `log = "forward"` is made of: two pipes each, which end with their child. A stop is where
    it shows: a pipe's end wakes its reader, and who dies pays for it."""

    name = "limit (pipes)"
    relays = False
    stops_only = True
    logs = ()

    def command(self, room, services, log=None):
        program, *rest = super().command(room, services)
        return [program, "-both", *rest]


class Minisup(Peer):
    """`minisup run` with its defaults (each stream through a pipe) but for a restart without delay or end."""

    name = "minisup"
    logs = ("file", "pipe", "prefix", "json", "rotated", "lines")

    def path(self):
        target = HERE.parent / "target"
        found = [os.environ.get("MINISUP"), target / "dist" / "minisup", target / "release" / "minisup"]
        return next((str(f) for f in found if f and os.access(f, os.X_OK)), None)

    def version(self):
        commit = output("git", "-C", str(HERE), "describe", "--always", "--dirty")
        return " ".join([output(self.path(), "--version").removeprefix("minisup "), commit and f"({commit})"])

    def files(self):
        return [Path(self.path())]

    def command(self, room, services, log=None):
        how = {"prefix": 'log_format = "prefix"\ntimestamps = true\n', "json": 'log_format = "json"\n'}
        to = f'stdout = {{ file = "{room}/logs/current", max_size = "16MB", keep = 1000 }}\n'
        text = (
            f'[supervisor]\ncontrol_socket = "{room}/minisup.sock"\nlog_level = "error"\n{how.get(log, "")}'
            f'[defaults]\n{to if log == "rotated" else ""}backoff = {{ initial = "0s", max = "0s", jitter = 0 }}\n'
            'max_failures = 0\nmin_uptime = "0s"\n'
        )
        text += "".join(f"[service.{name}]\ncommand = {json.dumps(argv)}\n" for name, argv in services)
        (room / "supervise.toml").write_text(text)
        return [self.path(), "--config", str(room / "supervise.toml")]

    def status(self, room, services):
        return [self.path(), "status", "--socket", str(room / "minisup.sock")]

    def health(self, room):
        return [self.path(), "health", "--socket", str(room / "minisup.sock")]


class MinisupWithoutPipes(Minisup):
    """`stdout = "inherit"`: as those supervisors do it that leave their children's streams alone."""

    name = "minisup (inherit)"
    stops_only = True
    logs = ()

    def command(self, room, services, log=None):
        command = super().command(room, services)
        file = room / "supervise.toml"
        streams = 'stdout = "inherit"\nstderr = "inherit"\n'
        file.write_text(file.read_text().replace("[defaults]\n", f"[defaults]\n{streams}"))
        return command


class MinisupExec(Minisup):
    name = "minisup exec"
    many = False
    relays = True
    logs = ()

    def command(self, room, services, log=None):
        return [self.path(), "exec", "--", *services[0][1]]


class ScanDirectory(Peer):
    """The daemontools family: a folder a service, with an executable `run`."""

    def folders(self, room, services, logger=None):
        for name, argv in services:
            folder = room / "scan" / name
            for place, words in (folder, argv), (folder / "log", logger):
                if words:
                    place.mkdir(parents=True)
                    (place / "run").write_text(f"#!/bin/sh\nexec {shlex.join(words)}\n")
                    (place / "run").chmod(0o755)
        return str(room / "scan")


class S6(ScanDirectory):
    name = package = "s6"
    program = "s6-svscan"
    logs = ("file", "pipe", "prefix", "rotated", "lines")

    def command(self, room, services, log=None):
        how = {"prefix": ["T", "1"], "rotated": ["n1000", "s16000000", f"{room}/logs"]}.get(log, ["1"])
        logger = ["s6-log", *how] if log else None
        return [self.path(), "-c", str(len(services) + 50), self.folders(room, services, logger)]


class Runit(ScanDirectory):
    name = package = "runit"
    program = "runsvdir"
    logs = ("rotated",)

    def status(self, room, services):
        return [shutil.which("sv"), "status", *(f"{room}/scan/{name}" for name, _ in services)]

    def command(self, room, services, log=None):
        if log:
            (room / "logs" / "config").write_text("s16000000\nn1000\n")
        scan = self.folders(room, services, ["svlogd", f"{room}/logs"] if log else None)
        os.utime(scan, (10**9, 10**9))  # it waits a second for a folder that changed within this one
        return [self.path(), "-P", scan]


class Supervisord(Peer):
    name = program = "supervisord"
    package = "supervisor"
    logs = ("file", "pipe", "rotated", "lines")

    def status(self, room, services):
        return [shutil.which("supervisorctl"), "-c", str(room / "supervisord.conf"), "status"]

    def command(self, room, services, log=None):
        to = f"{room}/logs/current" if log == "rotated" else "/dev/fd/1"
        size = "16MB\nstdout_logfile_backups=1000" if log == "rotated" else "0"
        text = (
            f"[unix_http_server]\nfile={room}/ctl\n[supervisorctl]\nserverurl=unix://{room}/ctl\n"
            "[rpcinterface:supervisor]\n"
            "supervisor.rpcinterface_factory=supervisor.rpcinterface:make_main_rpcinterface\n"
            f"[supervisord]\nnodaemon=true\nsilent=true\nuser=root\nlogfile=/dev/null\nlogfile_maxbytes=0\n"
            f"pidfile={room}/pid\nminfds={4 * len(services) + 100}\n"
        )
        text += "".join(
            f"[program:{name}]\ncommand={shlex.join(argv)}\nautorestart=true\nstartsecs=0\n"
            f"redirect_stderr=true\nstdout_logfile={to}\nstdout_logfile_maxbytes={size}\n"
            for name, argv in services
        )
        (room / "supervisord.conf").write_text(text)
        return [self.path(), "-c", str(room / "supervisord.conf")]


class OneChild(Peer):
    """The small inits: one child, passed signals, no second launch."""

    many = False
    relays = True

    def __init__(self, name):
        self.name = self.program = self.package = name

    def command(self, room, services, log=None):
        return [self.path(), "--", *services[0][1]]


EVERY = [Limit(), LimitWithPipes(), Minisup(), MinisupWithoutPipes(), MinisupExec(), S6(), Runit(),
         Supervisord(), OneChild("tini"), OneChild("dumb-init"), OneChild("catatonit")]  # fmt: skip
PACKAGES = [peer.package for peer in EVERY if peer.package]


def linking(path):
    """How a program is linked: "static", "dynamic", or the interpreter of its first line."""
    with open(path, "rb") as file:
        head = file.read(4096)
    if head[:2] == b"#!":
        return re.split(rb"[\s/]+", head[2:].split(b"\n")[0].strip())[-1].decode() + " script"
    return "dynamic" if b"/ld-linux" in head or b"/ld-musl" in head else "static"
