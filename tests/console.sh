# Sourced before the commands of a page of the docs: what a reader has, and a test has not.
#
# ROOT is the project, TOY a small network of the name that the page exports, EXPORTED where the first
# page that exports it leaves it for the others, since that takes long. Servers listen where nobody
# else does, and nothing is installed. What trains, measures or shows a page only tells whether it
# knows the options.

set -euo pipefail
servers=()
trap '[ ${#servers[@]} -eq 0 ] || { kill "${servers[@]}"; wait; } 2>/dev/null' EXIT

fail() { echo "$*" >&2; exit 1; }

diffir() {
  case $1 in
    serve) start "$@" ;;
    export) # one kind: tests/export makes all
      if [ $# = 4 ] && [ "$4" = onnx ]; then
        if [ -f "$EXPORTED" ]; then
          cp "$EXPORTED" "$2.onnx"
        else
          command diffir "${@/%sr-x4-lite/$TOY}"
          cp "$2.onnx" "$EXPORTED.$$" && mv "$EXPORTED.$$" "$EXPORTED" # whole, as others look for it
        fi
      else
        options_exist "command diffir export" "$@"
      fi ;;
    app | train) options_exist "command diffir $1" "$@" ;;
    *) command diffir "$@" ;;
  esac
}

# start WORD...: a server until the page ends
start() {
  port=$(command python -c 'import socket as s; a = s.socket(); a.bind(("", 0)); print(a.getsockname()[1])')
  command diffir "$@" --port "$port" > server.log 2>&1 &
  servers+=($!)
  until command curl -sf -o /dev/null "127.0.0.1:$port/readyz"; do
    kill -0 $! || { cat server.log >&2; fail "$* ended"; }
    sleep 0.2
  done
}

# options_exist COMMAND WORD...
options_exist() {
  local word help
  help=$(COLUMNS=200 $1 --help); shift
  for word in "$@"; do
    [[ $word != --* ]] || grep -qe "$word" <<< "$help" || fail "no option $word"
  done
}

python() {
  case $1 in
    benchmarks/*) options_exist "command python $ROOT/$1" "$@" ;;
    examples/*) [ -f "$ROOT/$1" ] ;;
    *) command python "$@" ;;
  esac
}

# Servers' names lead to the last one started, and the ID of a job is that of the last one
curl() {
  local words=() word
  for word in "$@"; do
    word=${word/#localhost:8000/127.0.0.1:$port}
    word=${word/#server:8000/127.0.0.1:$port}
    words+=("${word/\/jobs\/ID/\/jobs\/${job-}}")
  done
  case "${words[*]}" in
    *-F*/v1/jobs)
      job=$(command curl -sf "${words[@]}" | command python -c 'import json, sys; print(json.load(sys.stdin)["id"])')
      ;;
    */result*) until command curl -sf "${words[@]}"; do sleep 0.2; done ;;
    *) command curl -sf "${words[@]}" ;;
  esac
}

pip() {
  for word in "$@"; do
    [[ ! $word =~ \[(.*)\] ]] || grep -q "^${BASH_REMATCH[1]} = \[" "$ROOT/pyproject.toml" || fail "no extra in $word"
  done
}
