#!/bin/sh
# Builds Keyturn and its benchmark peers and runs the benchmark.
#
#   scripts/bench.sh            full run, writes bench/RESULTS.md
#   scripts/bench.sh -quick     one short round, prints only
#   scripts/bench.sh -only keys only the steps with that in their name, prints only
#
# Other flags go to the driver: see bin/bench/bench -h.
# KEYTURN_BENCH_VAULT=off leaves the Vault helper out.
set -eu

cd "$(dirname "$0")/.."
root=$PWD
bin=$root/bin/bench

say() { printf 'bench: %s\n' "$*" >&2; }

if ! command -v go >/dev/null 2>&1; then
	say 'Go is missing: install Go 1.26 or newer'
	exit 1
fi
mkdir -p "$bin"

say 'building the floor, the load generator and the driver'
if ! (cd bench && nice -n 10 go build -trimpath -o "$bin/" . ./floor ./hammer); then
	say 'the benchmark itself does not build (see above); its modules must be fetched once'
	exit 1
fi

if [ -d cmd/keyturn ] && [ -n "$(find cmd/keyturn -name '*.go' -print -quit)" ]; then
	say 'building Keyturn'
	# A product that does not build must not be measured from an old binary.
	rm -f "$bin/keyturn"
	CGO_ENABLED=0 nice -n 10 go build -trimpath -ldflags='-s -w' -o "$bin/keyturn" ./cmd/keyturn ||
		say 'Keyturn does not build (see above): its rows will be missing'
else
	say 'cmd/keyturn has no source yet: its rows will be missing'
fi

say 'building the benchmarks of backups and of the audit log'
for package in backup audit; do
	rm -f "$bin/$package.test"
	CGO_ENABLED=0 nice -n 10 go test -c -trimpath -o "$bin/$package.test" "./internal/$package" ||
		say "the benchmarks of internal/$package do not build (see above): their rows will be missing"
done

vault=$bin/vaultpeer
if [ "${KEYTURN_BENCH_VAULT:-on}" = off ]; then
	say 'the Vault helper is left out (KEYTURN_BENCH_VAULT=off)'
	vault=$bin/none
elif [ -x "$vault" ] && [ -z "$(find bench/vaultpeer -newer "$vault" -type f -print -quit)" ]; then
	say 'the Vault helper is up to date'
else
	say 'building the Vault helper (some minutes, once)'
	if ! (cd bench/vaultpeer && nice -n 10 go build -p 1 -trimpath -ldflags='-s -w -checklinkname=0' -o "$vault" .); then
		say 'the Vault helper does not build (see above): its rows will be missing'
		rm -f "$vault"
	fi
fi

command -v taskset >/dev/null 2>&1 || say 'taskset is missing (package util-linux): servers and load share the CPUs, figures will wander'

# A full run also turns the key of a million values, which takes minutes.
out=$root/bench/RESULTS.md
million=-million
for arg in "$@"; do
	case $arg in
	-quick | --quick | -only | --only | -only=* | --only=*) out= million=-million=false ;;
	-out | --out | -out=* | --out=*) out= ;;
	esac
done

exec "$bin/bench" "$million" -backup-test "$bin/backup.test" -audit-test "$bin/audit.test" -keyturn "$bin/keyturn" -floor "$bin/floor" -hammer "$bin/hammer" \
	-vault "$vault" -out "$out" "$@"
