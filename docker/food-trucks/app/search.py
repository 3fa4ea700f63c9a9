"""The few things that the app asks of Elasticsearch, over plain HTTP.

Written for its versions 1.7 and 2.x, whose clients need nothing but JSON; Python's own library suffices, from 3.5.
"""

import json
import os
from http.client import HTTPException
from urllib.error import HTTPError
from urllib.request import Request, urlopen

SERVER = os.environ.get("SEARCH_URL", "http://127.0.0.1:9200")
INDEX = "trucks"


class Away(Exception):
    """The search server does not answer, or not yet with what was asked for."""


def ask(method, path, body=None, timeout=5, text=None):
    """Its answer. `body` is sent as JSON, `text` as it is. Raises Away, or HTTPError for what it refuses."""
    data = text.encode() if text is not None else json.dumps(body).encode() if body is not None else None
    request = Request(SERVER + path, data, {"Content-Type": "application/json"}, method=method)
    try:
        with urlopen(request, timeout=timeout) as answer:
            return json.loads(answer.read().decode() or "{}")
    except HTTPError as error:
        if error.code == 503:
            raise Away("the search server is not ready yet (HTTP 503)")
        raise
    except (OSError, HTTPException, ValueError) as error:
        raise Away("the search server at {} does not answer: {}".format(SERVER, error))


def find(words, kind, near, count):
    """Trucks, best or nearest first: (how many in all, the first ones, how many of each kind)."""
    query = {"match_all": {}}
    if words:
        fields = ["name^3", "dishes^2", "kind.words^2", "street"]
        # All words if they fit somewhere, else the ones that are nearly right.
        query = {"multi_match": {"query": words, "fields": fields, "fuzziness": "AUTO", "prefix_length": 1}}
    body = {
        "size": count,
        "query": query,
        "aggs": {"kinds": {"terms": {"field": "kind", "size": 20, "order": {"_term": "asc"}}}},
        "sort": ["_score", {"id": "asc"}],
    }
    if kind:
        body["post_filter"] = {"term": {"kind": kind}}
    if near:
        body["sort"] = [{"_geo_distance": {"location": {"lat": near[0], "lon": near[1]}, "unit": "m"}}]
    try:
        found = ask("POST", "/" + INDEX + "/_search", body)
    except HTTPError as error:
        if error.code == 404:
            raise Away("the search server has no trucks: `minisup restart load` brings them")
        raise
    kinds = {bucket["key"]: bucket["doc_count"] for bucket in found["aggregations"]["kinds"]["buckets"]}
    return found["hits"]["total"], [hit["_source"] for hit in found["hits"]["hits"]], kinds
