#!/bin/sh
# Start the built server on its own data under .run/.
set -eu
cd "$(dirname "$0")/.."
exec bin/keyturn server --dev --data .run
