#!/bin/sh
# nginx's templates become its configuration, with the variables of the environment in them.
#
#   NGINX_ENVSUBST_TEMPLATE_DIR            where templates are (/etc/nginx/templates); none there: nothing
#   NGINX_ENVSUBST_TEMPLATE_SUFFIX         what their names end with (.template)
#   NGINX_ENVSUBST_OUTPUT_DIR              where outputs go (/etc/nginx/conf.d); folders are kept
#   NGINX_ENVSUBST_STREAM_TEMPLATE_SUFFIX  the same for what belongs into `stream { }` (.stream-template)
#   NGINX_ENVSUBST_STREAM_OUTPUT_DIR       (/etc/nginx/stream-conf.d)
#   NGINX_ENVSUBST_FILTER                  a regular expression: only variables with such names
#   NGINX_CONF                             which file gets its `stream { }` (/etc/nginx/nginx.conf)
#
# As in nginx's image, but: ${X:-default} and ${X:?message} are known, outputs appear at once and whole,
# and what cannot be written is an error that stops the start.
set -eu

minisup=${MINISUP:-minisup}
templates=${NGINX_ENVSUBST_TEMPLATE_DIR:-/etc/nginx/templates}
suffix=${NGINX_ENVSUBST_TEMPLATE_SUFFIX:-.template}
output=${NGINX_ENVSUBST_OUTPUT_DIR:-/etc/nginx/conf.d}
stream_suffix=${NGINX_ENVSUBST_STREAM_TEMPLATE_SUFFIX:-.stream-template}
stream_output=${NGINX_ENVSUBST_STREAM_OUTPUT_DIR:-/etc/nginx/stream-conf.d}
filter=${NGINX_ENVSUBST_FILTER:-}
conf=${NGINX_CONF:-/etc/nginx/nginx.conf}

[ -d "$templates" ] || exit 0

# Whether there is any with this ending, in whatever folder.
any() {
    [ -n "$(find "$templates" -follow -type f -name "*$1" -print 2>/dev/null | head -n 1)" ]
}

render() {
    "$minisup" render "$templates" --suffix "$1" --to "$2" --only-matching "$filter"
}

if any "$suffix"; then
    render "$suffix" "$output"
fi
if any "$stream_suffix"; then
    render "$stream_suffix" "$stream_output"
    if ! grep -Eq '^[[:space:]]*stream[[:space:]]*(\{|$)' "$conf"; then
        if [ ! -w "$conf" ]; then
            echo "$conf has no stream { } and cannot be written: add one that includes $stream_output/*.conf" >&2
            exit 1
        fi
        printf '\nstream {\n    include %s/*.conf;\n}\n' "$stream_output" >>"$conf"
        echo "$conf: added stream { include $stream_output/*.conf; }"
    fi
fi
