#!/usr/bin/env python3
"""A stand-in for mongod and mongosh, which Debian does not have.

This is NOT MongoDB. It is called by these names in tests, writes down every call (arguments, the file it was
given, the environment, the JavaScript) into `calls` beside itself, and behaves as the real ones do at the
points on which a first start rests:

- mongod refuses unknown options, options given twice, a dbpath that is not there, a data directory that
  somebody else uses, and roles of a cluster without a replica set; it makes the files by which data is known;
  it listens where --bind_ip says (paths are sockets) and always on PREFIX/mongodb-PORT.sock, only when it is
  ready, and ends cleanly by TERM.
- mongosh connects to a URI, to 127.0.0.1:27017 without one; a script that throws ends it with 1 and a message.
  Of JavaScript it knows createUser, insertOne, print, throw and quit, one to a line but for createUser.

What was done to the database is in `standin.json` of the data directory. A file `dies` beside the stand-in makes
mongod end with its content as the last words.
"""

import fcntl
import json
import os
import re
import signal
import socket
import sys
from urllib.parse import unquote

HERE = os.path.dirname(os.path.abspath(sys.argv[0]))

WITH_VALUE = {
    "--config", "--dbpath", "--bind_ip", "--port", "--unixSocketPrefix", "--logpath", "--pidfilepath", "--keyFile",
    "--replSet", "--tlsMode", "--tlsCertificateKeyFile", "--setParameter", "--wiredTigerCacheSizeGB", "-f",
}
ALONE = {"--auth", "--bind_ip_all", "--configsvr", "--shardsvr", "--quiet", "--fork", "--logappend", "--directoryperdb"}


def write_down(**call):
    call["argv"] = sys.argv
    call["environment"] = dict(os.environ)
    call["uid"] = os.getuid()
    with open(os.path.join(HERE, "calls"), "a") as file:
        file.write(json.dumps(call) + "\n")


def end(code, words):
    print(words, file=sys.stderr, flush=True)
    sys.exit(code)


def options():
    given, words = {}, iter(sys.argv[1:])
    for word in words:
        name, has_value, value = word.partition("=")
        if name in WITH_VALUE:
            value = value if has_value else next(words, None)
            if value is None:
                end(2, f"Error parsing command line: the required argument for option '{name}' is missing")
        elif name not in ALONE:
            end(2, f"Error parsing command line: unrecognised option '{name}'")
        if name in given and name != "--setParameter":
            end(2, f"Error parsing command line: Multiple occurrences of option \"{name}\"")
        given[name] = value
    return given


def mongod():
    if "--version" in sys.argv:
        print("db version v7.0.14\nBuild Info: {}")
        return
    given = options()
    file = given.get("--config")
    write_down(server=True, file=open(file).read() if file else None)
    dies = os.path.join(HERE, "dies")
    if os.path.exists(dies):
        end(14, open(dies).read())
    if ("--configsvr" in given or "--shardsvr" in given) and "--replSet" not in given:
        end(2, "BadValue: Cannot start a configsvr as a standalone server. Please use the option --replSet")
    data = given.get("--dbpath", "/data/db")
    if not os.path.isdir(data):
        end(100, f"NonExistentPath: Data directory {data} not found. Create the missing directory")
    lock = open(os.path.join(data, "mongod.lock"), "w")
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        end(100, "DBPathInUse: Unable to lock the lock file. Another mongod instance is already running")
    lock.write(str(os.getpid()))
    lock.flush()
    os.makedirs(os.path.join(data, "journal"), exist_ok=True)
    for name in ["WiredTiger", "storage.bson"]:
        open(os.path.join(data, name), "a").close()
    port = given.get("--port", "27017")
    places = given.get("--bind_ip", "127.0.0.1").split(",")
    if "--unixSocketPrefix" in given or given.get("--bind_ip") is None:
        places.append(os.path.join(given.get("--unixSocketPrefix", "/tmp"), f"mongodb-{port}.sock"))
    listening = []
    for place in places:
        if "/" in place:
            made = socket.socket(socket.AF_UNIX)
            made.bind(place)
        else:
            made = socket.create_server((place, int(port)))
        made.listen()
        listening.append(made)

    def stop(*_):
        for place in places:
            if "/" in place:
                os.unlink(place)
        lock.truncate(0)
        write_down(stopped=True)
        os._exit(0)

    signal.signal(signal.SIGTERM, stop)
    import select
    while True:
        for ready in select.select(listening, [], [])[0]:
            serve(ready.accept()[0], data)


def serve(client, data):
    """One connection: a line of JSON that asks, a line that answers. One that says nothing wanted to know whether
    somebody is there."""
    line = client.makefile("r").readline()
    if not line:
        return client.close()
    asked = json.loads(line)
    path = os.path.join(data, "standin.json")
    held = json.load(open(path)) if os.path.exists(path) else {"users": [], "documents": []}
    answer = run(asked, held)
    with open(path, "w") as file:
        json.dump(held, file)
    client.sendall((json.dumps(answer) + "\n").encode())
    client.close()


def run(asked, held):
    said, text = [], asked["text"]
    user = re.search(r'db\.getSiblingDB\("(\w+)"\)\.createUser\(\{\s*user: ', text)
    if user:
        name, at = json.JSONDecoder().raw_decode(text, user.end())
        password = re.compile(r",\s*pwd: ").match(text, at)
        password, at = json.JSONDecoder().raw_decode(text, password.end())
        role = re.compile(r',\s*roles: \[\{ role: "root", db: "admin" \}\]\s*\}\);\s*$').match(text, at)
        if not role:
            return {"code": 1, "said": [], "error": "SyntaxError: Unexpected token"}
        held["users"].append({"db": user.group(1), "user": name, "password": password})
        return {"code": 0, "said": [], "error": None}
    for number, line in enumerate(text.splitlines(), 1):
        line = line.strip()
        if not line or line.startswith("//"):
            continue
        insert = re.fullmatch(r"db\.(\w+)\.insertOne\((.*)\);?", line)
        throw = re.fullmatch(r'throw new Error\("(.*)"\);?', line)
        shown = re.fullmatch(r"print\((.*)\);?", line)
        if insert:
            held["documents"].append([asked["database"], insert.group(1), insert.group(2)])
        elif shown:
            said.append(asked["database"] if shown.group(1) == "db" else json.loads(shown.group(1)))
        elif throw:
            error = f"Error: {throw.group(1)}\n    at Object.<anonymous> ({asked['file']}:{number}:7)"
            return {"code": 1, "said": said, "error": error}
        elif not re.fullmatch(r"quit\(0\);?", line):
            error = f"SyntaxError: Unexpected token\n    at {asked['file']}:{number}:1"
            return {"code": 1, "said": said, "error": error}
    return {"code": 0, "said": said, "error": None}


def mongosh():
    words, uri, database, files, evaluated = iter(sys.argv[1:]), None, None, [], None
    for word in words:
        if word == "--eval":
            evaluated = next(words)
        elif word.startswith("mongodb://"):
            uri = word
        elif word.startswith("-"):
            if word not in ("--quiet", "--norc"):
                end(1, f"Error parsing command line: unrecognized option: {word}")
        elif word.endswith(".js") or "/" in word:
            files.append(word)
        else:
            database = word
    write_down(shell=True, files={file: open(file).read() for file in files if file != "/dev/stdin"})
    if uri is None:
        end(1, "MongoNetworkError: connect ECONNREFUSED 127.0.0.1:27017")
    host, _, database = uri[len("mongodb://"):].partition("/")
    texts = [(file, open(file).read()) for file in files]
    if evaluated is not None:
        texts = [("@(shell)", evaluated)]
    elif not texts:
        texts = [("@(shell)", sys.stdin.read())]
    for file, text in texts:
        server = socket.socket(socket.AF_UNIX)
        try:
            server.connect(unquote(host))
        except OSError as error:
            end(1, f"MongoNetworkError: {error}")
        asked = {"database": unquote(database) or "test", "file": file, "text": text}
        server.sendall((json.dumps(asked) + "\n").encode())
        answer = json.loads(server.makefile("r").readline())
        for line in answer["said"]:
            print(line, flush=True)
        if answer["code"]:
            end(answer["code"], answer["error"])


if os.path.basename(sys.argv[0]) == "mongod":
    mongod()
else:
    mongosh()
