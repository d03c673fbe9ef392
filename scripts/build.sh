#!/bin/sh
# Build the program: scripts/build.sh OUTPUT
#
# The same source and the same Go give the same bytes on every machine: no paths (-trimpath), no build id, no state of the
# working tree (-buildvcs=false; the version is passed in instead), no C compiler. GOOS and GOARCH choose another system.
set -eu
output=$1
case $output in /*) ;; *) output=$PWD/$output ;; esac
cd "$(dirname "$0")/.."
CGO_ENABLED=0 exec "${GO:-go}" build -trimpath -buildvcs=false \
	-ldflags "-s -w -buildid= -X main.version=${VERSION:-dev}" \
	-o "$output" ./cmd/keyturn
