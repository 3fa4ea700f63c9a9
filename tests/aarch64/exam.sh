#!/bin/sh
# exam: run by minisup, which is process 1 of a machine of 64-bit ARM. A line for each question, and at the end
# TERM to process 1.
export MINISUP_SOCKET=/run/minisup.sock

# is WHAT EXPECTED FOUND
is() {
    if [ "$2" = "$3" ]; then echo "exam: passed: $1"; else echo "exam: FAILED: $1: $3, not $2"; fi
}

# The last one that is said: the first is process 1.
pid_of() { minisup status "$1" --json | sed -n 's/.*"pid": \([0-9]*\).*/\1/p' | tail -n 1; }
zombies() { cat /proc/[0-9]*/stat 2>/dev/null | sed 's/.*) //' | grep -c '^Z'; }

# until_so SECONDS COMMAND...: asks once a second
until_so() {
    left=$1
    shift
    until "$@" >/dev/null 2>&1; do
        [ "$left" -gt 0 ] || return 1
        left=$((left - 1))
        sleep 1
    done
}

is "it is this machine's" "aarch64 /bin/minisup" "$(uname -m) $(readlink /proc/1/exe)"
is "the page of a service that is ready" "#!/bin/sh" "$(wget -q -O - http://127.0.0.1:8080/mounts.sh | head -n 1)"

before=$(pid_of app)
kill -KILL "$before"
is_another() { [ "$(pid_of app)" != "$before" ] && minisup wait app:ready --timeout 1s; }
until_so 60 is_another
is "a killed service is back" yes "$(is_another >/dev/null && echo yes)"

i=0
while [ $i -lt 2000 ]; do
    (true &)
    i=$((i + 1))
done
none() { [ "$(zombies)" = 0 ]; }
until_so 60 none
is "of 2,000 orphans no zombie is left" 0 "$(zombies)"

wrong=
for code in 0 1 2 42 77 125 126 127 128 143 255; do
    unshare -p -f minisup exec -- sh -c "exit $code"
    [ $? = $code ] || wrong="$wrong $code"
done
is "exec passes exit codes on" "" "$wrong"
wrong=
for signal in HUP:129 INT:130 ABRT:134 KILL:137 USR1:138 SEGV:139 USR2:140 PIPE:141 ALRM:142 TERM:143; do
    unshare -p -f minisup exec -- sh -c "kill -${signal%:*} \$\$"
    [ $? = "${signal#*:}" ] || wrong="$wrong $signal"
done
is "exec passes deadly signals on" "" "$wrong"
unshare -p -f minisup exec -- /no/such 2>/tmp/why
is "what cannot be launched is 127" 127 $?
is "and the reason is said" "no such file or directory" "$(sed -n 's/.*: \(no such.*\)/\1/p' /tmp/why)"

cat >/tmp/nested.toml <<X
[supervisor]
control_socket = "/tmp/nested.sock"
[service.steady]
command = ["/bin/sleep", "1000"]
[service.stubborn]
command = ["/bin/sh", "-c", "trap '' TERM; while :; do sleep 1; done"]
stop = { grace_period = "2s" }
X
unshare -p -f minisup --config /tmp/nested.toml &
nested=$!
until_so 60 minisup health --socket /tmp/nested.sock
minisup restart steady --socket /tmp/nested.sock
is "restart" 0 $?
minisup shutdown --socket /tmp/nested.sock
wait $nested
is "a service that had to be killed is the exit code" 137 $?

kill -TERM 1
