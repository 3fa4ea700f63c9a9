"""Food trucks of Port Minnow: a page, and a search behind it.

Flask from 0.10, Python from 3.5. Whether the search server is there is asked with each request and at no other time,
so the app needs no restart when it comes back.
"""

from flask import Flask, jsonify, render_template, request

import search

app = Flask(__name__)

MOST = 400


@app.route("/")
def index():
    """The page; its script asks for the trucks."""
    return render_template("index.html")


@app.route("/search")
def find():
    """Trucks as JSON: ?q=words&kind=tacos&near=0.02,0.03. 503 as long as the search server is away."""
    try:
        near = [float(part) for part in request.args["near"].split(",")] if request.args.get("near") else None
        if near is not None and not (len(near) == 2 and abs(near[0]) <= 90 and abs(near[1]) <= 180):
            raise ValueError("no such place")
    except ValueError:
        return jsonify(error="near must be latitude,longitude"), 400
    try:
        total, trucks, kinds = search.find(request.args.get("q", "")[:200], request.args.get("kind"), near, MOST)
    except search.Away as away:
        return jsonify(error=str(away)), 503, {"Retry-After": "2"}
    return jsonify(total=total, trucks=trucks, kinds=kinds)


@app.route("/healthz")
def healthz():
    """Whether the app itself answers. A search server that is away is no reason to restart it."""
    return "ok\n", 200, {"Content-Type": "text/plain"}
