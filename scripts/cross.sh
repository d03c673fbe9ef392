#!/bin/sh
# Build for every system that releases are made for: scripts/cross.sh FOLDER
set -eu
folder=$1
mkdir -p "$folder"
here=$(dirname "$0")
for os in linux darwin windows; do
	for arch in amd64 arm64; do
		suffix=
		[ "$os" != windows ] || suffix=.exe
		echo "  $os/$arch"
		GOOS=$os GOARCH=$arch "$here/build.sh" "$folder/keyturn-$os-$arch$suffix"
	done
done
