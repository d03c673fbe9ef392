#!/usr/bin/env bash
# Build, start the server, and do both again after every change of the source. Ctrl-C ends it.
# A build that fails leaves the running server alone.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

mkdir -p bin
stamp=bin/.dev-stamp
server=

stop() {
	if [ -n "$server" ]; then
		kill "$server" 2>/dev/null || true
		wait "$server" 2>/dev/null || true
		server=
	fi
}
trap 'stop; rm -f "$stamp"' EXIT
trap 'exit 130' INT TERM

changed() {
	[ ! -e "$stamp" ] || [ -n "$(find api client cmd internal go.mod -type f -newer "$stamp" -not -name '*_test.go' -print -quit)" ]
}

while :; do
	if changed; then
		touch "$stamp" # before the build, so that a change during it counts
		if scripts/build.sh bin/keyturn; then
			stop
			scripts/run.sh &
			server=$!
		fi
	fi
	sleep 1
done
