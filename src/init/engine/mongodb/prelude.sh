# What sourced scripts of MongoDB's image may call: the shell and the tools, led to the temporary server's socket.
# For any POSIX shell.

# mongosh [OPTIONS] [DATABASE|URI] [FILES]: a database's name becomes an address, an address stays.
minisup_mongo() {
    minisup_words='' minisup_value='' minisup_place=''
    for minisup_word in "$@"; do
        shift
        if [ -n "$minisup_value" ]; then
            case "$minisup_value" in
            --host | --port | -h) minisup_value='' ; continue ;;
            esac
            minisup_value=''
            set -- "$@" "$minisup_word"
            continue
        fi
        case "$minisup_word" in
        --host=* | --port=*) continue ;;
        --host | --port | -h) minisup_value=$minisup_word ; continue ;;
        --eval | -u | -p | --username | --password | -f | --file | --authenticationDatabase | --authenticationMechanism | --apiVersion | --json | --retryWrites)
            minisup_value=$minisup_word ;;
        -*) ;;
        *://*) minisup_place=given ;;
        *.js | *.mongodb | */*) ;;
        *)
            if [ -z "$minisup_place" ]; then
                minisup_place=given
                minisup_word="$MINISUP_MONGO_URI/$minisup_word"
            fi
            ;;
        esac
        set -- "$@" "$minisup_word"
    done
    [ -n "$minisup_place" ] || set -- "$MINISUP_MONGO_URI/test" "$@"
    "$MINISUP_MONGO_SHELL" "$@"
}
mongosh() { minisup_mongo "$@"; }
mongo() { minisup_mongo "$@"; }

# mongoimport and the like: unless they are told where.
minisup_tool() {
    minisup_tool_name=$1
    shift
    case " $* " in
    *" --uri"* | *" mongodb://"* | *" mongodb+srv://"*) command "$minisup_tool_name" "$@" ;;
    *) command "$minisup_tool_name" --uri "$MINISUP_MONGO_URI/" "$@" ;;
    esac
}
mongoimport() { minisup_tool mongoimport "$@"; }
mongoexport() { minisup_tool mongoexport "$@"; }
mongorestore() { minisup_tool mongorestore "$@"; }
mongodump() { minisup_tool mongodump "$@"; }
mongofiles() { minisup_tool mongofiles "$@"; }

# "${mongo[@]}" DATABASE FILE
if [ -n "${BASH_VERSION:-}" ]; then
    eval 'mongo=(minisup_mongo --quiet)'
fi

# A literal of JavaScript; of texts without ends of lines.
_js_escape() {
    printf '"%s"' "$(printf '%s' "$1" | sed -e 's/\\/\\\\/g' -e 's/"/\\"/g')"
}
