"""Measures with real servers, nginx and gunicorn, under load from a process of its own (tests/servers/asker.rs)."""

import contextlib
import os
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace

from peers import BUILT, HERE, Minisup
from stage import Flaw, usage

ASKER = BUILT / "asker"
APP = HERE.parent / "docker" / "web" / "app"

OWN, HELD, DOOR = "its own listener", "a held socket", "a held socket, rolling"
PLAIN, ROLLING = "plain restart", "rolling restart"


def missing():
    """What of it is not here."""
    programs = [name for name in ("nginx", "gunicorn", "rustc") if not shutil.which(name, path=path())]
    flask = subprocess.run([sys.executable, "-c", "import flask"], capture_output=True).returncode == 0
    return programs + ["python3-flask"] * (not flask) + ["minisup"] * (not Minisup().is_here())


def path():
    return os.environ.get("PATH", "") + ":/usr/sbin:/sbin"


def build():
    """Compile the asker."""
    source = HERE.parent / "tests" / "servers" / "asker.rs"
    if not ASKER.exists() or ASKER.stat().st_mtime < source.stat().st_mtime:
        subprocess.run(["rustc", "--edition", "2024", "-O", "-o", ASKER, source], check=True)


def free_port():
    with socket.socket() as any_port:
        any_port.bind(("127.0.0.1", 0))
        return any_port.getsockname()[1]


class Servers:
    """minisup with servers that it has made ready; a context manager that ends it. `services`: TOML, in which ROOM is
    a folder of its own and PORT the port that is asked."""

    made = 0

    def __init__(self, scratch, services, location="return 200 hello;"):
        Servers.made += 1
        self.room = scratch / f"servers{Servers.made}"
        shutil.copytree(APP, self.room)
        self.port = free_port()
        self.write("nginx.conf", NGINX.replace("LOCATION", location))
        self.write("supervise.toml", f'[supervisor]\ncontrol_socket = "ROOM/ctl"\n{services}')
        self.supervisor = None

    def write(self, name, text):
        (self.room / name).write_text(text.replace("ROOM", str(self.room)).replace("PORT", str(self.port)))

    def __enter__(self):
        command = [Minisup().path(), "run", "--config", str(self.room / "supervise.toml")]
        with open(self.room / "log", "wb") as log:
            environment = {**os.environ, "PATH": path()}
            streams = {"stdin": subprocess.DEVNULL, "stdout": log, "stderr": log}
            self.supervisor = subprocess.Popen(command, env=environment, **streams)
        end = time.monotonic() + 30
        while self.minisup("wait", "all", "--timeout", "30s").returncode:
            if self.supervisor.poll() is not None or time.monotonic() > end:
                said = (self.room / "log").read_text(errors="replace")[-300:]
                self.__exit__()
                raise Flaw(f"not ready: {said}")
            time.sleep(0.05)
        return self

    def __exit__(self, *_):
        self.supervisor.send_signal(signal.SIGTERM)
        self.supervisor.wait()
        shutil.rmtree(self.room, ignore_errors=True)

    def cpu(self):
        """Nanoseconds that the servers have used, minisup's own left out."""
        return usage(below(self.supervisor.pid))[0]

    def minisup(self, *words):
        environment = {**os.environ, "MINISUP_SOCKET": str(self.room / "ctl")}
        return subprocess.run([Minisup().path(), *words], env=environment, capture_output=True, text=True)

    def asker(self, *options):
        """Clients that ask until their stdin is closed."""
        words = [ASKER, f"127.0.0.1:{self.port}", "/healthz", *map(str, options)]
        streams = dict.fromkeys(("stdin", "stdout", "stderr"), subprocess.PIPE)
        return subprocess.Popen(words, **streams, text=True)


def below(pid):
    """All its children, and theirs."""
    own = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return [child for each in own for child in (each, *below(each))]


def counts(asker):
    """What the asker counted, once it has ended; `failures`: the first of them in its words, "0.637 s: status 502"."""
    lines, complaints = (stream.splitlines() for stream in asker.communicate())
    if asker.returncode or not lines or not lines[-1].startswith("counts "):
        raise Flaw(f"the asker ended with {asker.returncode}: {lines[-1:] + complaints[-1:]}")
    answered, failed, closed, _, slowest, gap, seconds = map(float, lines[-1].split()[1:])
    failures = [line.removeprefix("asker: failed after ") for line in complaints]
    return SimpleNamespace(
        answered=answered, failed=failed, closed=closed, slowest=slowest, gap=gap, seconds=seconds, failures=failures
    )


def none_failed(done):
    """A flaw if a request failed, with the first of them."""
    if done.failed:
        raise Flaw(f"{done.failed:.0f} requests failed, the first after {done.failures[:1]}")


NGINX = """\
worker_processes 2;
pid ROOM/nginx.pid;
error_log stderr error;
events { worker_connections 512; }
http {
    access_log off;
    keepalive_requests 1000000;
    client_body_temp_path ROOM/body;
    proxy_temp_path ROOM/proxy;
    uwsgi_temp_path ROOM/uwsgi;
    fastcgi_temp_path ROOM/fastcgi;
    scgi_temp_path ROOM/scgi;
    server { listen 127.0.0.1:PORT; location / { LOCATION } }
}
"""

NGINX_SERVICE = '[service.web]\npreset = "nginx"\ncommand = "nginx -e stderr -c ROOM/nginx.conf"\n'
GUNICORN_SERVICE = '[service.app]\npreset = "gunicorn"\ndirectory = "ROOM"\n'
SOCKETS = 'sockets = { http = "tcp://127.0.0.1:PORT" }\n'
# With rolling replacement gunicorn has a second listener, its door (docs/sockets.md).
SIDES = {
    "nginx": {
        OWN: NGINX_SERVICE,
        HELD: NGINX_SERVICE + SOCKETS,
        DOOR: f'{NGINX_SERVICE}{SOCKETS}restart_mode = "rolling"\n',
    },
    "gunicorn": {
        OWN: GUNICORN_SERVICE + 'command = "gunicorn --workers 2 --bind 127.0.0.1:PORT app:app"\n',
        HELD: f'{GUNICORN_SERVICE}{SOCKETS}command = "gunicorn --workers 2 app:app"\n',
        DOOR: f'{GUNICORN_SERVICE}{SOCKETS}command = "gunicorn --workers 2 app:app"\nrestart_mode = "rolling"\n',
    },
}


def held(bench):
    """A server at a socket that minisup holds beside the same server at one that it opened itself, all asked at once
    by 8 clients each, so that they see the same weather; each request on a connection of its own: that is where
    a listener could cost something. nginx answers by itself, gunicorn with the demo's Flask app. Every few pairs all are
    launched anew: of two processes of Python that do the same, one is some percent quicker as long as it lives. CPU:
    schedstat of all the server's processes. In brackets: the median of the ratios, pair by pair, and between
    what it lies with 95 %. A run counts when no request failed."""
    for server, services in SIDES.items():
        rate, cost = f"held/{server}", f"held/{server}-cpu"
        for _ in range(bench.scale.held_launches):
            with bench.attempt(rate, SimpleNamespace(name=HELD)), contextlib.ExitStack() as stack:
                sides = {name: stack.enter_context(Servers(bench.scratch, text)) for name, text in services.items()}
                for turn in range(bench.scale.held_pairs + 1):
                    for name, (done, used) in together(sides, turn, bench.scale.held_seconds).items():
                        none_failed(done)
                        if turn:  # the first pair only warms up
                            bench.add(rate, SimpleNamespace(name=name), done.answered / done.seconds)
                            bench.add(cost, SimpleNamespace(name=name), used / 1000 / done.answered)


def together(sides, turn, seconds):
    """All asked at once for so long: {name: (counts, nanoseconds of CPU)}."""
    names = list(sides)
    names = names[turn % len(names) :] + names[: turn % len(names)]
    before = {name: sides[name].cpu() for name in names}
    askers = {name: sides[name].asker("--fresh", "--requests", 1, "--shares", 1) for name in names}
    time.sleep(seconds)
    for asker in askers.values():
        asker.stdin.close()
        asker.stdin = None
    done = {name: counts(asker) for name, asker in askers.items()}
    return {name: (done[name], sides[name].cpu() - before[name]) for name in names}


def ratio(bench, key, name):
    """The median of the ratios, pair by pair, and between what it lies with 95 % (order statistics)."""
    own, its = bench.samples[key][OWN], bench.samples[key][name]
    values = sorted(mine / theirs for mine, theirs in zip(its, own))
    away = 0.98 * len(values) ** 0.5
    low, high = (values[min(max(round(len(values) / 2 + d), 0), len(values) - 1)] for d in (-away, away - 1))
    return f"{statistics.median(values):.3f} ×; {low:.3f} to {high:.3f}"


WEB = (
    '[service.web]\npreset = "nginx"\ncommand = "nginx -e stderr -c ROOM/nginx.conf"\nrequires = ["app"]\n'
    '[service.app]\npreset = "gunicorn"\ndirectory = "ROOM"\n'
)
RESTARTS = {
    PLAIN: WEB + 'command = "gunicorn --workers 2 --bind unix:ROOM/app.sock app:app"\n',
    ROLLING: WEB + 'command = "gunicorn --workers 2 app:app"\nrestart_mode = "rolling"\n'
    'sockets = { app = "unix://ROOM/app.sock" }\n',
}


def roll(bench):
    """gunicorn with the demo's Flask app behind nginx, asked by 8 keep-alive clients at full speed, is restarted by
    `minisup restart app`. Plain: it is stopped, then launched again, and listens itself. Rolling: the new one
    is ready before the old one is asked to end, and the socket is held. The longest time in which nobody
    had an answer; a client whose request failed pauses for 10 ms before the next. What fails in a plain restart is
    what is measured; a request that fails in a rolling one is a flaw."""
    bench.timelines = {}
    for name in [*RESTARTS] * bench.scale.rolls:
        with bench.attempt("roll/gap", SimpleNamespace(name=name)):
            with Servers(bench.scratch, RESTARTS[name], "proxy_pass http://unix:ROOM/app.sock;") as servers:
                file = servers.room / "timeline"
                asker = servers.asker("--requests", 1, "--timeline", file)
                time.sleep(bench.scale.roll_seconds)
                asker.stdin.write("restart\n")
                asker.stdin.flush()
                restarted = servers.minisup("restart", "app")
                time.sleep(bench.scale.roll_seconds)
                done = counts(asker)
                if restarted.returncode:
                    raise Flaw(restarted.stderr.strip())
                bench.add("roll/gap", SimpleNamespace(name=name), done.gap)
                bench.add("roll/failed", SimpleNamespace(name=name), done.failed)
                bench.timelines.setdefault(name, []).append((done, file.read_text()))
                if name == ROLLING:
                    none_failed(done)


EVERY = [held, roll]
