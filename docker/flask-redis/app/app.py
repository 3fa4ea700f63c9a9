"""A guest book: each visit is counted, each word kept in Redis.

Plain Flask and redis-py, from Ubuntu 16.04's (Python 3.5) to today's.
"""

import os

import redis
from flask import Flask, jsonify, redirect, render_template, request

app = Flask(__name__)
# It connects when it is first used, and anew whenever a connection is lost.
store = redis.StrictRedis.from_url(
    os.environ.get("REDIS_URL", "redis://localhost:6379/0"),
    decode_responses=True,
    socket_timeout=2,
)


@app.route("/")
def index():
    """The page: how often it was looked at, and the last words."""
    visits = store.incr("visits")
    return render_template("index.html", visits=visits, words=store.lrange("words", 0, 9))


@app.route("/words", methods=["POST"])
def add_word():
    """Keeps what a visitor says; the newest stands first, and a hundred are enough."""
    word = request.form.get("word", "").strip()[:140]
    if word:
        store.lpush("words", word)
        store.ltrim("words", 0, 99)
    return redirect("/")


@app.route("/data")
def data():
    """The same for programs. Looking does not count as a visit."""
    return jsonify(visits=int(store.get("visits") or 0), words=store.lrange("words", 0, 99))


@app.route("/healthz")
def healthz():
    """Whether the app itself works. Redis has a check of its own: a new app would not bring it back."""
    return "ok\n", 200, {"Content-Type": "text/plain"}


@app.errorhandler(redis.RedisError)
def redis_is_away(error):
    """Without Redis there is no page; the next request tries again."""
    app.logger.warning("redis does not answer: %s", error)
    return render_template("away.html"), 503, {"Retry-After": "2"}
