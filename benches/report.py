"""From samples to words: the tables on the terminal and docs/benchmarks.md."""

import os
import platform
import statistics
import textwrap
from collections import namedtuple
from datetime import date
from pathlib import Path

import plot
import servers

# A table a measure: its title and unit, and the heading of each column of samples. `rows`: who is measured where it is
# not supervisors; the first of them is what the others are compared with, instead of the limit.
Table = namedtuple("Table", "title unit columns digits rows", defaults=[None])

COUNTS = (1, 100, 1000)
TABLES = {
    "boot": Table("Boot, all N services started", "ms", {f"boot/{n}": f"N = {n:,}" for n in COUNTS}, 1),
    "relaunch": Table(
        "`kill -9` to relaunch", "ms", {"relaunch/steady": "steady", "relaunch/loop": "crash loop"}, 2
    ),
    "memory": Table("Memory with N services", "kB of PSS", {f"memory/{n}": f"N = {n:,}" for n in COUNTS}, 0),
    "idle": Table(
        "Idle with 100 services", "a second", {"idle/cpu": "CPU, ms", "idle/wakeups": "wake-ups"}, 2
    ),
    "orphans": Table("20,000 orphans", "ms of PID 1's CPU", {"orphans/cpu": "reaped"}, 0),
    "shutdown": Table("Shutdown of 100 services", "ms", {"shutdown": "TERM to the end"}, 1),
    "relay": Table("A signal through PID 1", "µs", {"relay": "USR1 to the child"}, 0),
    "logs": Table(
        "Logs: the time of a GiB",
        "s",
        {
            "logs/file": "to a file", "logs/pipe": "to a pipe", "logs/prefix": "prefix, time", "logs/json": "JSON",
            "logs/rotated": "rotated files", "logs/lines": "one write a line",
        },
        2,
    ),  # fmt: skip
    "torn": Table("Two services write at once", "lines torn or lost", {"torn": "torn"}, 0),
    "status": Table("Status of 100 services", "ms", {"status": "the whole command"}, 1),
    "health": Table(
        "A health check", "see columns", {"health/time": "the whole command, ms", "health/memory": "its memory, MB"}, 1
    ),
    "size": Table("Size", "kB", {"size": "files"}, 0),
    "held": Table(
        "A held socket", "requests a second, and µs of CPU for one",
        {
            "held/nginx": "nginx", "held/nginx-cpu": "nginx, CPU", "held/gunicorn": "gunicorn",
            "held/gunicorn-cpu": "gunicorn, CPU",
        },
        0, (servers.OWN, servers.HELD, servers.DOOR),
    ),
    "roll": Table(
        "A restart under load", "see columns",
        {"roll/gap": "longest without an answer, ms", "roll/failed": "requests failed"}, 0,
        (servers.PLAIN, servers.ROLLING),
    ),
}  # fmt: skip
TABLES["logcpu"] = Table(
    "Logs: the CPU time of a GiB",
    "s",
    {key.replace("logs", "logcpu"): title for key, title in TABLES["logs"].columns.items()},
    2,
)


def median(bench, key, peer):
    values = bench.samples.get(key, {}).get(peer)
    return statistics.median(values) if values else None


def cell(bench, key, peer, digits, base="limit"):
    """The median, and in brackets what it is of the limit's."""
    value, limit = median(bench, key, peer), median(bench, key, base)
    if value is None:
        return "–"
    text = f"{value:,.{digits}f}"
    if base == servers.OWN:
        return text if peer == base else f"{text} ({servers.ratio(bench, key, peer)})"
    if not limit:
        return text
    ratio = value / limit
    return f"{text} ({ratio:.2f} ×)" if ratio < 10 else f"{text} ({ratio:,.0f} ×)"


def table(bench, name):
    """One measure as a Markdown table: who has all columns before who has not, then the least first."""
    spec = TABLES[name]
    keys = [key for key in spec.columns if key in bench.samples]
    peers = [p.name for p in bench.peers if any(p.name in bench.samples[key] for key in keys)]
    widest = max(keys, key=lambda key: len(bench.samples[key]))
    peers.sort(key=lambda peer: (median(bench, keys[-1], peer) is None, median(bench, widest, peer) or 0))
    peers, base = (spec.rows, spec.rows[0]) if spec.rows else (peers, "limit")
    head = ["", *(spec.columns[key] for key in keys)]
    rows = [[peer, *(cell(bench, key, peer, spec.digits, base) for key in keys)] for peer in peers]
    remarks = {}
    for key in keys:
        remarks.update(bench.remarks.get(key, {}))
    if remarks:
        head.append("")
        rows = [[*row, remarks.get(peer, "")] for row, peer in zip(rows, peers)]
    widths = [max(len(row[i]) for row in [head, *rows]) for i in range(len(head))]
    rule = ["-" * widths[0], *("-" * (w - 1) + ":" for w in widths[1:])]

    def line(first, *rest):
        return " | ".join([first.ljust(widths[0]), *map(str.rjust, rest, widths[1:])])

    return "\n".join(f"| {line(*row)} |" for row in [head, rule, *rows])


def section(bench, measure):
    """A measure's title, its table, and what it is (the measure's own words)."""
    spec = TABLES[measure.__name__]
    runs = [len(v) for key in spec.columns for v in bench.samples.get(key, {}).values()]
    if not runs:
        return f"## {spec.title}\n\nNothing could be measured."
    many = f" Runs: {min(runs)}{f' to {max(runs)}' * (max(runs) > min(runs))}." if max(runs) > 1 else ""
    words = " ".join(measure.__doc__.split()) + many
    title, medians = f"## {spec.title}", "Medians." if spec.unit == "see columns" else f"Medians, {spec.unit}."
    return "\n\n".join([title, medians, table(bench, measure.__name__), textwrap.fill(words, 110)])


def restarts(bench):
    """The plot of answers over time, or nothing."""
    colours = {servers.ROLLING: "#0f6fde", servers.PLAIN: "#e8590c"}
    runs = getattr(bench, "timelines", {})
    lines = [plot.read(name, colours[name], runs[name]) for name in colours if name in runs]
    return plot.draw("gunicorn behind nginx, restarted under full load", lines) if lines else ""


def flaws(bench):
    """The runs that did not count."""
    lines = [f"- {peer}, {key.replace('/', ' ')}: {why}" for (key, peer), why in sorted(bench.flaws.items())]
    return "\n".join(["## What could not be measured\n", *lines]) if lines else ""


def machine():
    """The machine in one line."""
    fields = {}
    for file, mark in ("/proc/cpuinfo", ":"), ("/etc/os-release", "="):
        for line in Path(file).read_text().splitlines() if Path(file).exists() else []:
            key, _, value = line.partition(mark)
            fields.setdefault(key.strip(), value.strip().strip('"'))
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    return (
        f"{fields.get('model name', platform.machine())}, {os.cpu_count()} CPUs, {memory:.0f} GiB, "
        f"Linux {platform.release().split('-')[0]}, {fields.get('PRETTY_NAME', 'unknown distribution')}"
    )


INTRODUCTION = """\
# Benchmarks

Written by `make bench`, {date}. Each supervisor runs as PID 1 of fresh PID and mount namespaces with its own
/proc and /run, beside a C program that does the bare minimum for the same work (`limit`, benches/limit.c);
the figure in brackets is the ratio to it. Runs of all supervisors are interleaved, and a run whose outcome
is not what it should be does not count: it is named at the end. On a small or shared machine read the ratios,
not the last digit, and take differences under 10 % for noise.

minisup runs with its defaults, so each stream of each service goes through a pipe of its own, but for a
restart without delay or end. The others are set to be as quick as they can be; benches/peers.py has every
setting.

Machine: {machine}.
Load average when it began and when it ended: {began:.1f} and {ended:.1f}; without other work it is below 2.

{versions}"""


def document(bench, measures, began):
    """The whole of docs/benchmarks.md."""
    rows = "\n".join(f"| {p.name} | {p.version()} |" for p in bench.peers if p.name != "minisup exec" and not p.stops_only)
    introduction = INTRODUCTION.format(
        date=date.today().isoformat(), machine=machine(), began=began, ended=os.getloadavg()[0],
        versions=f"| | version |\n|---|---|\n{rows}",
    )  # fmt: skip
    parts = [introduction, *(section(bench, measure) for measure in measures), flaws(bench)]
    return "\n\n".join(part for part in parts if part) + "\n"
