"""app1 knows nothing of where it lives, and says where that is.

Plain Flask, from Ubuntu 16.04's (Python 3.5) to today's.
"""

import os
import sys

from flask import Flask, jsonify, render_template, request, url_for

app = Flask(__name__)


@app.route("/")
def index():
    """The page: what arrived of the address."""
    facts = [
        ("SCRIPT_NAME", request.environ.get("SCRIPT_NAME", "")),
        ("PATH_INFO", request.environ.get("PATH_INFO", "")),
        ("a link to here", url_for("index")),
        ("user", "uid {}, gid {}".format(os.getuid(), os.getgid())),
        ("Python", sys.version.split()[0]),
    ]
    return render_template("index.html", facts=facts)


@app.route("/where/<path:name>")
def where(name):
    """The same for programs, at any depth."""
    return jsonify(script=request.environ.get("SCRIPT_NAME", ""), path=request.environ["PATH_INFO"], name=name)
