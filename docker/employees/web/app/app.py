"""Employees by department and by name.

Plain Flask, from Ubuntu 16.04's 0.10 (Python 3.5) to today's.
"""

import logging
import os

import pymysql
from flask import Flask, abort, render_template, request

from database import FOREVER, Database

app = Flask(__name__)
PAGE_SIZE = int(os.environ.get("PAGE_SIZE") or "25")


@app.route("/")
def index():
    """The departments."""
    with Database() as database:
        departments = database.departments()
    return render_template("index.html", departments=departments)


@app.route("/employees")
def employees():
    """One page of those whose name has what was typed in it."""
    name = request.args.get("q", "").strip()
    department = request.args.get("department", "")
    page = request.args.get("page", "1")
    page = int(page) if page.isdigit() and 0 < int(page) < 10 ** 7 else 1
    with Database() as database:
        count, people = database.people(name, department, page, PAGE_SIZE)
    pages = max(1, -(-count // PAGE_SIZE))
    return render_template(
        "employees.html", people=people, count=count, q=name, department=department, page=page, pages=pages
    )


@app.route("/employees/<int:number>")
def employee(number):
    """One of them."""
    with Database() as database:
        person = database.person(number)
    if not person:
        abort(404)
    return render_template("employee.html", person=person)


@app.route("/healthz")
def healthz():
    """Whether the app is there. The database has a health of its own: restarting us would not help it."""
    return "ok\n", 200, {"Content-Type": "text/plain"}


@app.errorhandler(pymysql.MySQLError)
def database_is_away(error):
    """It may come back, and the next request will find it."""
    logging.getLogger(__name__).error("no answer from the database: %s", error.args[-1])
    return render_template("away.html"), 503, {"Retry-After": "2"}


@app.template_filter("until")
def until(day):
    """The end of a period, as people say it."""
    return "today" if str(day) == FOREVER else day


@app.template_filter("money")
def money(amount):
    """With thousands apart."""
    return "{:,.0f}".format(amount)
