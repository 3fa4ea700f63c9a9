"""Answers over time while a server is restarted, drawn as an SVG by hand."""

from collections import namedtuple
from html import escape

WIDTH, HEIGHT = 860, 420
LEFT, RIGHT, TOP, BOTTOM = 64, 24, 124, 56
INK, PALE, GRID = "#1f2430", "#6b7280", "#e5e7eb"

Line = namedtuple("Line", "name colour done points")  # points: (seconds from the restart, answers in 100 ms)


def read(name, colour, runs):
    """The run of the median gap."""
    done, text = sorted(runs, key=lambda run: run[0].gap)[len(runs) // 2]
    rows = [line.split() for line in text.splitlines()]
    mark = next(int(row[1]) for row in rows if row[0] == "mark")
    points = [((int(row[0]) + 50 - mark) / 1000, int(row[1])) for row in rows if row[0] != "mark"]
    return Line(name, colour, done, points[1:-1])  # the first and the last column are not whole


def steps(most):
    """A round distance between lines of the grid, so that there are some five."""
    size = 1
    while True:
        for factor in (1, 2, 5):
            if most / (size * factor) <= 6:
                return size * factor
        size *= 10


def draw(title, lines):
    """The whole file."""
    # What all lines have: one restart may take longer than another.
    first, last = max(line.points[0][0] for line in lines), min(line.points[-1][0] for line in lines)
    lines = [line._replace(points=[p for p in line.points if first <= p[0] <= last]) for line in lines]
    step = steps(max(count for line in lines for _, count in line.points))
    top = step * (max(count for line in lines for _, count in line.points) // step + 1)

    def x(seconds):
        return LEFT + (seconds - first) / (last - first) * (WIDTH - LEFT - RIGHT)

    def y(count):
        return HEIGHT - BOTTOM - count / top * (HEIGHT - TOP - BOTTOM)

    def text(at, up, words, how=""):
        return f'<text x="{at:.1f}" y="{up:.1f}" {how}>{escape(words)}</text>'

    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" width="{WIDTH}" height="{HEIGHT}" '
        f'font-family="system-ui, sans-serif" font-size="13" fill="{PALE}">',
        f"<title>{escape(title)}</title>",
        f'<rect width="{WIDTH}" height="{HEIGHT}" rx="8" fill="#ffffff"/>',
        text(LEFT - 40, 30, title, f'font-size="17" font-weight="600" fill="{INK}"'),
    ]
    for count in range(0, top + 1, step):
        parts.append(f'<path d="M{LEFT} {y(count):.1f}H{WIDTH - RIGHT}" stroke="{GRID}"/>')
        parts.append(text(LEFT - 8, y(count) + 4, f"{count:,}", 'text-anchor="end"'))
    for second in range(int(first) - 1, int(last) + 2):
        if first <= second <= last:
            parts.append(f'<path d="M{x(second):.1f} {y(0):.1f}v5" stroke="{PALE}"/>')
            parts.append(text(x(second), y(0) + 20, str(second), 'text-anchor="middle"'))
    parts.append(text(x(last), HEIGHT - 14, "seconds from the restart", 'text-anchor="end"'))
    parts.append(text(LEFT - 40, TOP - 16, "answers in 100 ms"))
    parts.append(f'<path d="M{x(0):.1f} {TOP - 24}V{y(0):.1f}" stroke="{PALE}" stroke-dasharray="3 4"/>')
    parts.append(text(x(0) + 8, TOP - 16, "minisup restart app"))
    for line in lines:
        way = " ".join(f"{x(seconds):.1f},{y(count):.1f}" for seconds, count in line.points)
        parts.append(
            f'<polyline points="{way}" fill="none" stroke="{line.colour}" stroke-width="2.2" stroke-linejoin="round"/>'
        )
    for number, line in enumerate(lines):
        at, up = LEFT - 40, 54 + 20 * number
        parts.append(f'<path d="M{at} {up - 4}h22" stroke="{line.colour}" stroke-width="3" stroke-linecap="round"/>')
        words = f"{line.name}: {line.done.failed:,.0f} failed, at most {line.done.gap:,.0f} ms without an answer"
        parts.append(text(at + 30, up, words, f'fill="{INK}"'))
    return "\n".join([*parts, "</svg>"]) + "\n"
