# What scripts that are sourced expect of the entrypoint of the MySQL and MariaDB images.

mysql_log() {
	_minisup_level=$1
	shift
	if [ $# -eq 0 ]; then set -- "$(cat)"; fi
	printf '%s [%s] [Entrypoint]: %s\n' "$(date '+%Y-%m-%d %H:%M:%S%z')" "$_minisup_level" "$*"
}

mysql_note() {
	mysql_log Note "$@"
}

mysql_warn() {
	mysql_log Warn "$@" >&2
}

mysql_error() {
	mysql_log ERROR "$@" >&2
	exit 1
}

# SQL on stdin, as root: docker_process_sql [--dont-use-mysql-root-password] [OPTION…]
docker_process_sql() {
	_minisup_password=
	if [ "${1-}" = --dont-use-mysql-root-password ]; then
		_minisup_password=--skip-password
		shift
	fi
	"$MINISUP_CLIENT" --defaults-extra-file="$MINISUP_CLIENT_OPTIONS" \
		--protocol=socket --user=root --host=localhost --socket="$SOCKET" \
		$_minisup_password ${MYSQL_DATABASE:+--database="$MYSQL_DATABASE"} "$@"
}

# The text of a string literal, for between single quotes.
docker_sql_escape_string_literal() {
	printf '%s' "$1" | sed -e 's/\\/\\\\/g' -e "s/'/\\\\'/g" -e ':a' -e '$!{N;ba' -e '}' -e 's/\n/\\n/g'
}

# "${mysql[@]}", as older scripts say it.
if [ -n "${BASH_VERSION:-}" ]; then
	eval 'mysql=(docker_process_sql)'
fi
