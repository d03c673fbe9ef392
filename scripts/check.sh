#!/usr/bin/env bash
# Everything that can be said about the source without running it. Stops at the first complaint.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

GO=${GO:-go}
export GO VERSION=${VERSION:-dev}
work=$(mktemp -d)
trap 'chmod -R u+w "$work"; rm -rf "$work"' EXIT

step() { printf '== %s\n' "$*"; }
tool() { "$GO" tool -modfile=tools/go.mod "$@"; }

step gofmt
unformatted=$("$("$GO" env GOROOT)/bin/gofmt" -l .)
if [ -n "$unformatted" ]; then
	printf 'not formatted; run gofmt -w on:\n%s\n' "$unformatted"
	exit 1
fi

step go vet
"$GO" vet ./...
"$GO" vet -tags soak ./...
(cd cmd/keyturn-pkcs11 && CGO_ENABLED=1 "$GO" vet ./...)

step staticcheck
tool staticcheck ./...

step import shape
"$GO" test -count=1 ./internal/shape

step cross compile
scripts/cross.sh "$work/cross"

# A second build from another folder, with an empty build cache, must give the same bytes: only then is nothing of this
# machine or of an earlier build in it.
step reproducible build
scripts/build.sh "$work/first"
mkdir "$work/copy"
git -c safe.directory='*' ls-files -z --cached --others --exclude-standard |
	while IFS= read -r -d '' file; do [ ! -e "$file" ] || printf '%s\0' "$file"; done |
	tar --null -T - -cf - | tar -C "$work/copy" -xf -
GOCACHE=$work/cache "$work/copy/scripts/build.sh" "$work/second"
if ! cmp "$work/first" "$work/second"; then
	echo "two builds of the same source differ"
	exit 1
fi

# Only a report that its database is out of reach is forgiven; findings and every other error are not.
step govulncheck
if tool govulncheck ./... >"$work/vulnerabilities" 2>&1; then
	cat "$work/vulnerabilities"
elif grep -q 'fetching vulnerabilities:' "$work/vulnerabilities"; then
	echo "govulncheck could not reach its database (https://vuln.go.dev), so KNOWN VULNERABILITIES WERE NOT CHECKED:"
	cat "$work/vulnerabilities"
else
	cat "$work/vulnerabilities"
	exit 1
fi

step "all checks passed"
