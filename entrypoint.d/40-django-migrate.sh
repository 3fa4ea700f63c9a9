#!/bin/sh
# Migrates a Django database before the application starts.
#
#   DJANGO_MIGRATE        set: migrations are applied (python manage.py migrate --noinput)
#   DJANGO_MANAGE         where manage.py is (manage.py in the working directory)
#   DJANGO_PYTHON         which Python (python, else python3)
#   DJANGO_MIGRATE_LOCK   a file on a volume that all containers of the application share: one of them
#                         migrates, the others wait for it with flock(1) and then have nothing to do
#   DJANGO_DATABASE       which database, if there are several (default)
#
# Without a lock several containers that start at once may migrate at once; most databases then let one of
# them fail. Set the lock, or let one container migrate before the others are started.
# A database in the same container: `requires = ["db"]` in [scripts]. Elsewhere: WAIT_FOR.
set -eu

[ -n "${DJANGO_MIGRATE:-}" ] || exit 0
manage=${DJANGO_MANAGE:-manage.py}
python=${DJANGO_PYTHON:-python}
[ -n "${DJANGO_PYTHON:-}" ] || command -v python >/dev/null || python=python3

if [ ! -f "$manage" ]; then
    echo "there is no $manage in $(pwd): set DJANGO_MANAGE" >&2
    exit 1
fi
cd "$(dirname "$manage")"
set -- "$python" "$(basename "$manage")" migrate --noinput --database "${DJANGO_DATABASE:-default}"
lock=${DJANGO_MIGRATE_LOCK:-}
if [ -z "$lock" ]; then
    exec "$@"
fi
if ! command -v flock >/dev/null; then
    echo "DJANGO_MIGRATE_LOCK needs flock(1), of util-linux or busybox" >&2
    exit 1
fi
exec 9>>"$lock"
if ! flock -n 9; then
    echo "another container migrates: waiting for $lock"
    flock 9
fi
# The lock is held until this ends, whatever ends it.
"$@"
