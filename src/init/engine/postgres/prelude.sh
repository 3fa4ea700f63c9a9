# What sourced scripts of PostgreSQL's image may call. For any POSIX shell.

# Runs psql with these arguments as the superuser, in POSTGRES_DB unless that is empty.
docker_process_sql() {
    PGUSER="$POSTGRES_USER" PGDATABASE="$POSTGRES_DB" \
        psql -v ON_ERROR_STOP=1 --no-password --no-psqlrc "$@"
}

# file_env VAR [DEFAULT]: VAR from itself, from the file that VAR_FILE names, or the default.
file_env() {
    eval "minisup_value=\${$1:-} minisup_file=\${$1_FILE:-}"
    if [ -n "$minisup_value" ] && [ -n "$minisup_file" ]; then
        echo "error: both $1 and $1_FILE are set (but are exclusive)" >&2
        exit 1
    fi
    if [ -n "$minisup_file" ]; then
        minisup_value=$(cat "$minisup_file") || exit 1
    fi
    [ -n "$minisup_value" ] || minisup_value=${2:-}
    export "$1=$minisup_value"
    unset "$1_FILE" minisup_value minisup_file
}

# The temporary server is not the script's: whoever stops it stops the first start.
docker_temp_server_stop() {
    echo "error: the temporary server cannot be stopped by a script; 'pg_ctl reload' makes it read its configuration" >&2
    return 1
}
docker_temp_server_start() { docker_temp_server_stop; }

# "${psql[@]}", as older scripts say it.
if [ -n "${BASH_VERSION:-}" ]; then
    eval 'psql=(docker_process_sql)'
fi
