"""Puts trucks.json into the search server, once: the oneshot `load`.

The index is named after what is in it, and becomes `trucks` when it is complete. So a second run finds its work
done, one that was killed halfway is begun again, and new data replaces old without a moment without any.
"""

import hashlib
import json
import os
import sys
from urllib.error import HTTPError

import search

HERE = os.path.dirname(os.path.abspath(__file__))

TRUCK = {"properties": {
    "id": {"type": "integer"},
    "name": {"type": "string", "analyzer": "english"},
    "kind": {"type": "string", "index": "not_analyzed",
             "fields": {"words": {"type": "string", "analyzer": "english"}}},
    "dishes": {"type": "string", "analyzer": "english"},
    "street": {"type": "string"},
    "hours": {"type": "string", "index": "no"},
    "location": {"type": "geo_point"},
}}


def asked(method, path, *body, **more):
    """The answer, or None where there is no such thing."""
    try:
        return search.ask(method, path, *body, timeout=30, **more)
    except HTTPError as error:
        if error.code == 404:
            return None
        raise RuntimeError("{} {}: {}".format(method, path, error.read().decode()))


def main():
    """Says in one line what was found or done."""
    with open(os.path.join(HERE, "trucks.json"), encoding="utf-8") as file:
        text = file.read()
    trucks = json.loads(text)
    index = "{}-{}".format(search.INDEX, hashlib.sha256((text + json.dumps(TRUCK, sort_keys=True)).encode()).hexdigest()[:12])
    before = sorted(asked("GET", "/_alias/" + search.INDEX) or {})
    if before == [index]:
        print("the search server has these {} trucks already".format(len(trucks)))
        return
    asked("DELETE", "/" + index)
    asked("PUT", "/" + index, {"settings": {"number_of_shards": 1, "number_of_replicas": 0}, "mappings": {"truck": TRUCK}})
    lines = []
    for truck in trucks:
        lines += [json.dumps({"index": {"_id": truck["id"]}}), json.dumps(truck)]
    answer = asked("POST", "/" + index + "/truck/_bulk", text="\n".join(lines) + "\n")
    asked("POST", "/" + index + "/_refresh")
    count = asked("GET", "/" + index + "/_count")["count"]
    if answer["errors"] or count != len(trucks):
        raise RuntimeError("only {} of {} trucks were taken".format(count, len(trucks)))
    actions = [{"remove": {"index": old, "alias": search.INDEX}} for old in before]
    asked("POST", "/_aliases", {"actions": actions + [{"add": {"index": index, "alias": search.INDEX}}]})
    for old in before:
        asked("DELETE", "/" + old)
    print("the search server has got {} trucks".format(count))


if __name__ == "__main__":
    try:
        main()
    except (search.Away, RuntimeError) as error:
        sys.exit("cannot load trucks: {}".format(error))
