#!/bin/sh
# Waits until servers answer, so that what needs them is not started in vain.
#
#   WAIT_FOR            what to wait for, separated by spaces or commas, one after the other:
#                         tcp://db:5432              a connection is accepted
#                         http://search:9200/        a GET is answered with a status from 200 to 399
#                         unix:///run/mysqld.sock    a connection to a unix socket is accepted
#                       Unset or empty: this script does nothing.
#   WAIT_FOR_TIMEOUT    seconds for all of them together (60)
#
# One line when it begins to wait, one whenever the answer is another one, one when it is there. The
# pause between two questions grows from a fifth of a second to 5 seconds. Exit code 1 when the time is up.
set -eu

[ -n "${WAIT_FOR:-}" ] || exit 0
minisup=${MINISUP:-minisup}
limit=${WAIT_FOR_TIMEOUT:-60}

case $limit in
'' | *[!0-9]*)
    echo "WAIT_FOR_TIMEOUT must be a number of seconds, not \"$limit\"" >&2
    exit 2
    ;;
esac

# Without a path, as 9200 of an address: what the probe is asked with.
ask() {
    case $1 in
    tcp://*)
        address=${1#tcp://}
        set -- tcp --address "${address%%/*}"
        ;;
    unix://*)
        set -- unix --address "unix:${1#unix://}"
        ;;
    http://*)
        address=${1#http://}
        path=/
        case $address in
        */*)
            path=/${address#*/}
            address=${address%%/*}
            ;;
        esac
        case $address in
        *:*[0-9]) ;;
        *) address=$address:80 ;;
        esac
        set -- http --address "$address" --path "$path"
        ;;
    *)
        echo "WAIT_FOR: \"$1\" begins with none of tcp://, http://, unix://" >&2
        exit 2
        ;;
    esac
    "$minisup" probe "$@" --timeout 3s
}

now() {
    date +%s
}

# Not every sleep knows fractions.
pause() {
    sleep "$1" 2>/dev/null || sleep 1
}

if ! command -v "$minisup" >/dev/null; then
    echo "cannot wait: there is no $minisup in PATH; set MINISUP to where it is" >&2
    exit 1
fi
began=$(now)
# Words, on purpose: and no patterns.
set -f
for target in $(printf '%s' "$WAIT_FOR" | tr ',' ' '); do
    before=
    step=0.2
    while :; do
        if answer=$(ask "$target"); then
            break
        elif [ $? -eq 2 ]; then
            exit 2
        fi
        if [ "$answer" != "$before" ]; then
            echo "waiting for $target: $answer"
            before=$answer
        fi
        # Whole seconds: one more than the limit is at least the limit.
        waited=$(($(now) - began))
        if [ "$waited" -gt "$limit" ]; then
            echo "gave up waiting for $target after $limit s; it last said: $answer" >&2
            exit 1
        fi
        pause "$step"
        case $step in
        0.2) step=0.5 ;;
        0.5) step=1 ;;
        1) step=2 ;;
        *) step=5 ;;
        esac
        # The last question comes when the time is up, not after it.
        left=$((limit - ($(now) - began)))
        case $step in
        [125]) [ "$step" -le "$left" ] || step=$((left > 0 ? left : 1)) ;;
        esac
    done
    [ -z "$before" ] || echo "$target is there after $(($(now) - began)) s"
done
