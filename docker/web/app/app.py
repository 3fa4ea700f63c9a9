"""The page behind nginx: what is shown proves that both servers did their part.

Plain Flask, from Ubuntu 16.04's 0.10 (Python 3.5) to today's.
"""

import os
import sys
import time

from flask import Flask, render_template, request

app = Flask(__name__)


@app.route("/")
def index():
    """The page: who answered, and through whom."""
    facts = [
        ("application server", request.environ.get("SERVER_SOFTWARE") or "uWSGI"),
        ("worker process", os.getpid()),
        ("user", "uid {}, gid {}".format(os.getuid(), os.getgid())),
        ("Python", sys.version.split()[0]),
        ("through", request.headers.get("X-Served-Through", "nothing: you asked the app itself")),
    ]
    return render_template("index.html", facts=facts)


@app.route("/healthz")
def healthz():
    """What a readiness probe or a HEALTHCHECK asks."""
    return "ok\n", 200, {"Content-Type": "text/plain"}


@app.route("/slow")
def slow():
    """A moment of work. Ask for it, stop the container meanwhile: the answer still comes."""
    print("begun {}".format(request.args.get("id", "-")), flush=True)
    time.sleep(0.3)
    return "done {}\n".format(request.args.get("id", "-")), 200, {"Content-Type": "text/plain"}
