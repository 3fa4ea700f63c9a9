#!/bin/sh
# As many nginx workers as the container may use processors, not as many as the machine has.
#
#   NGINX_ENTRYPOINT_WORKER_PROCESSES_AUTOTUNE   set: worker_processes in nginx.conf is rewritten
#   NGINX_CONF                                   which file (/etc/nginx/nginx.conf)
#   CGROUP_ROOT                                  where cgroups are mounted (/sys/fs/cgroup)
#
# The least of: the processors that are there and that this process may use (nproc: cpuset and affinity), and
# the quota of the cgroup, v2 (cpu.max) or v1 (cpu.cfs_quota_us), rounded up.
set -eu

[ -n "${NGINX_ENTRYPOINT_WORKER_PROCESSES_AUTOTUNE:-}" ] || exit 0
conf=${NGINX_CONF:-/etc/nginx/nginx.conf}
root=${CGROUP_ROOT:-/sys/fs/cgroup}

# The processors of a quota and its period, rounded up; nothing where there is none.
quota() {
    case $1$2 in
    *[!0-9]* | '') return 0 ;;
    esac
    if [ "$1" -gt 0 ] && [ "$2" -gt 0 ]; then
        echo $((($1 + $2 - 1) / $2))
    fi
}

# How many numbers are in a list such as 0-3,8.
count() {
    total=0
    old=$IFS
    IFS=,
    for part in $1; do
        case $part in
        *-*) total=$((total + ${part#*-} - ${part%-*} + 1)) ;;
        *[0-9]*) total=$((total + 1)) ;;
        esac
    done
    IFS=$old
    [ "$total" -eq 0 ] || echo "$total"
}

limits() {
    nproc 2>/dev/null || getconf _NPROCESSORS_ONLN
    if [ -r "$root/cpu.max" ]; then
        read -r most period <"$root/cpu.max"
        quota "$most" "${period:-100000}"
    fi
    if [ -r "$root/cpuset.cpus.effective" ]; then
        count "$(cat "$root/cpuset.cpus.effective")"
    fi
    if [ -r "$root/cpu/cpu.cfs_quota_us" ] && [ -r "$root/cpu/cpu.cfs_period_us" ]; then
        quota "$(cat "$root/cpu/cpu.cfs_quota_us")" "$(cat "$root/cpu/cpu.cfs_period_us")"
    fi
    if [ -r "$root/cpuset/cpuset.effective_cpus" ]; then
        count "$(cat "$root/cpuset/cpuset.effective_cpus")"
    elif [ -r "$root/cpuset/cpuset.cpus" ]; then
        count "$(cat "$root/cpuset/cpuset.cpus")"
    fi
}

workers=$(limits | sort -n | head -n 1)
if ! grep -Eq '^[[:space:]]*worker_processes[[:space:]]' "$conf"; then
    echo "$conf has no worker_processes: left as it is" >&2
    exit 0
fi
new=$(mktemp "$conf.XXXXXX") || {
    echo "cannot write beside $conf: worker_processes stays" >&2
    exit 1
}
trap 'rm -f "$new"' EXIT
# What it replaces keeps its owner and permissions.
cp -p "$conf" "$new"
sed "s/^\([[:space:]]*\)worker_processes[[:space:]][^;]*;/\1worker_processes $workers;/" "$conf" >"$new"
if cmp -s "$conf" "$new"; then
    echo "worker_processes is $workers already"
    exit 0
fi
mv "$new" "$conf"
echo "worker_processes $workers"
