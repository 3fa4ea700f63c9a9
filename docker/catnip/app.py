"""A random cat, each time the page is loaded: one file of Flask.

Runs alone too (`python3 app.py`), from Flask 0.10 and Python 3.5.
"""

import mimetypes
import os
import random

from flask import Flask, jsonify, render_template_string, url_for

# Not every image has /etc/mime.types, and Python's own list has not always known it.
mimetypes.add_type("image/svg+xml", ".svg")

app = Flask(__name__)

HERE = os.path.dirname(os.path.abspath(__file__))
CATS = sorted(name[:-4] for name in os.listdir(os.path.join(HERE, "static", "cats")))

PAGE = """<!doctype html>
<html lang="en">
<head>
  <meta charset="utf-8">
  <meta name="viewport" content="width=device-width, initial-scale=1">
  <title>Catnip: {{ cat }}</title>
  <link rel="icon" href="{{ url_for('static', filename='cats/biscuit.svg') }}" type="image/svg+xml">
  <link rel="stylesheet" href="{{ url_for('static', filename='catnip.css') }}">
</head>
<body>
  <main>
    <figure>
      <img id="cat" src="{{ url_for('static', filename='cats/' + cat + '.svg') }}" width="400" height="400" alt="A cat called {{ cat }}">
      <figcaption>This is <strong>{{ cat }}</strong>.</figcaption>
    </figure>
    <div class="words">
      <h1>catnip</h1>
      <p>A cat, by chance, from worker {{ worker }}.</p>
      <p><a class="button" href="/">Another one</a></p>
      <ul>
        {% for name in cats %}
        <li><a href="/cats/{{ name }}" title="{{ name }}"><img src="{{ url_for('static', filename='cats/' + name + '.svg') }}" width="56" height="56" alt="{{ name }}"></a></li>
        {% endfor %}
      </ul>
    </div>
  </main>
</body>
</html>
"""


def page(cat):
    """The page with this cat on it."""
    return render_template_string(PAGE, cat=cat, cats=CATS, worker=os.getpid())


@app.route("/")
def index():
    """Any of them. Not to be kept by a browser: the next one is another."""
    return page(random.choice(CATS)), 200, {"Cache-Control": "no-store"}


@app.route("/cats/<name>")
def one(name):
    """That one."""
    return page(name) if name in CATS else ("no such cat\n", 404, {"Content-Type": "text/plain"})


@app.route("/cats.json")
def names():
    """All of them, for programs."""
    return jsonify({name: url_for("static", filename="cats/" + name + ".svg") for name in CATS})


@app.route("/healthz")
def healthz():
    """What minisup asks."""
    return "ok\n", 200, {"Content-Type": "text/plain"}


if __name__ == "__main__":
    app.run(host="0.0.0.0", port=int(os.environ.get("PORT", "5000")))
