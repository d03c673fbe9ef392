#!/usr/bin/env bash
# Run every fuzz target of the module for FUZZTIME each (default 10m), and name those that failed at the end.
# Arguments are packages; without any, all of them: FUZZTIME=30s scripts/fuzz.sh ./internal/domain
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

GO=${GO:-go}
FUZZTIME=${FUZZTIME:-10m}
[ $# -gt 0 ] || set -- ./...

# go test -list prints the targets of a package and then a line "ok <package> <time>".
listing=$("$GO" test -list '^Fuzz' "$@") || {
	printf '%s\n' "$listing"
	exit 1
}
targets=$(printf '%s\n' "$listing" | awk '/^Fuzz/ { names[++n] = $1 } /^ok/ { for (i = 1; i <= n; i++) print $2, names[i]; n = 0 }')
if [ -z "$targets" ]; then
	echo "no fuzz targets in $*"
	exit 0
fi

failed=()
while read -r package target; do
	printf '== %s %s for %s\n' "$package" "$target" "$FUZZTIME"
	# The go command must not read the list of targets from standard input.
	"$GO" test -run '^$' -fuzz "^$target\$" -fuzztime "$FUZZTIME" -timeout 0 "$package" </dev/null || failed+=("$package $target")
done <<<"$targets"

if [ ${#failed[@]} -gt 0 ]; then
	printf 'failed: %s\n' "${failed[@]}"
	exit 1
fi
printf 'all %d fuzz targets passed\n' "$(wc -l <<<"$targets")"
