"""app2 counts its visits in MongoDB, and remembers each.

Plain Flask and pymongo, from Ubuntu 16.04's (Python 3.5, pymongo 3.2) to today's.
"""

import datetime
import os

from flask import Flask, jsonify, render_template, request
from pymongo import MongoClient, ReturnDocument
from pymongo.errors import PyMongoError

app = Flask(__name__)
# It connects when it is first used, and goes on looking for a server that went away. Not before uWSGI has
# made its workers: a client must not be shared by processes.
client = MongoClient(
    os.environ.get("MONGO_URL", "mongodb://localhost:27017/"), serverSelectionTimeoutMS=2000, connect=False
)
counters = client.two_apps.counters
visits = client.two_apps.visits


@app.route("/")
def index():
    """The page: one visit more."""
    counter = counters.find_one_and_update(
        {"_id": "app2"}, {"$inc": {"count": 1}}, upsert=True, return_document=ReturnDocument.AFTER
    )
    visits.insert_one({"number": counter["count"], "when": datetime.datetime.utcnow()})
    last = list(visits.find().sort("number", -1).limit(5))
    return render_template("index.html", count=counter["count"], last=last)


@app.route("/data")
def data():
    """The same for programs. Looking does not count as a visit."""
    counter = counters.find_one({"_id": "app2"}) or {"count": 0}
    return jsonify(count=counter["count"], script=request.environ.get("SCRIPT_NAME", ""))


@app.route("/healthz")
def healthz():
    """Whether the app itself works. MongoDB has a check of its own: a new app would not bring it back."""
    return "ok\n", 200, {"Content-Type": "text/plain"}


@app.errorhandler(PyMongoError)
def mongodb_is_away(error):
    """Without MongoDB there is no page; the next request tries again."""
    app.logger.warning("MongoDB does not answer: %s", error)
    return render_template("away.html"), 503, {"Retry-After": "2"}
