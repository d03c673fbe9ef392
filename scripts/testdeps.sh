#!/bin/sh
# Install from Debian what the tests need and this machine lacks. Quick and silent when nothing is missing.
#
#   PostgreSQL 15+  the second store; the tests start servers of their own, no system service is needed
#   gcc, libc6-dev  the race detector
#   git, bash       repositories to scan, scripts to run
#   strace          on Linux, to make a system call of a running server fail
#   softhsm2        an HSM in software; opensc makes the keys in it
#   swtpm           a TPM 2.0 in software
#   chromium        a browser for the pages of the console
#   prometheus-alertmanager  where alerts go
#   slapd           a directory, for logins by LDAP; ldap-utils looks into it
#   nodejs, npm     an OpenID provider, for single sign-on; its package is pinned by internal/testoidc/package-lock.json
#   python3-hvac    a client of the Vault dialect; curl sets it up
#   jq              with curl, the examples of the guide to documents
#   rsyslog         a syslog server that reads what streams of the audit log send
set -eu

have() { command -v "$1" >/dev/null 2>&1; }

# 15 is what bookworm has and the oldest that the product supports.
have_postgres() {
	for server in /usr/lib/postgresql/*/bin/postgres "$(command -v postgres || true)"; do
		[ -x "$server" ] || continue
		major=$("$server" --version | sed -n 's/.*(PostgreSQL) \([0-9]*\).*/\1/p')
		[ "${major:-0}" -ge 15 ] && return 0
	done
	return 1
}

# A compiler without the C library's headers is no compiler.
have_cc() {
	printf '#include <stdlib.h>\nint main(void) { return 0; }\n' | ${CC:-gcc} -x c -o /dev/null - 2>/dev/null
}

# missing prints the Debian packages that are needed; nothing when all is there.
missing() {
	have_postgres || echo postgresql
	have_cc || echo gcc libc6-dev
	have git || echo git
	have bash || echo bash
	[ "$(uname -s)" != Linux ] || have strace || echo strace
	have softhsm2-util || echo softhsm2
	have pkcs11-tool || echo opensc
	have swtpm || echo swtpm
	have chromium || have chromium-browser || have google-chrome || echo chromium
	have prometheus-alertmanager || echo prometheus-alertmanager
	have slapd || [ -x /usr/sbin/slapd ] || echo slapd
	have ldapsearch || echo ldap-utils
	/usr/bin/python3 -c 'import hvac' 2>/dev/null || echo python3-hvac
	have curl || echo curl
	have jq || echo jq
	have node || echo nodejs
	have npm || echo npm
	have rsyslogd || [ -x /usr/sbin/rsyslogd ] || echo rsyslog
}

packages=$(missing | tr '\n' ' ')
[ -n "$packages" ] || exit 0

give_up() {
	echo "testdeps: $1" >&2
	echo "testdeps: the tests need these Debian packages or their like: $packages" >&2
	exit 1
}

have apt-get || give_up "there is no apt-get here to install with"
if [ "$(id -u)" -eq 0 ]; then
	as_root=
elif have sudo && sudo -n true 2>/dev/null; then
	as_root="sudo -n"
else
	give_up "no right to install; run as root: apt-get install --no-install-recommends $packages"
fi

# Debian starts the services that it installs unless a policy forbids it (invoke-rc.d(8)); 101 means "not allowed". A policy
# that is already there stays as it is.
policy=/usr/sbin/policy-rc.d
if [ ! -e "$policy" ]; then
	trap '$as_root rm -f "$policy"' EXIT
	trap 'exit 130' INT TERM
	printf '#!/bin/sh\nexit 101\n' | $as_root tee "$policy" >/dev/null
	$as_root chmod 755 "$policy"
fi

apt() {
	$as_root env DEBIAN_FRONTEND=noninteractive apt-get -q -y -o DPkg::Lock::Timeout=300 "$@"
}

echo "testdeps: installing $packages" >&2
apt update >&2 || echo "testdeps: the package lists could not be refreshed; trying with those that are here" >&2
# shellcheck disable=SC2086 # the list is meant to be split
apt install --no-install-recommends $packages >&2 || true

packages=$(missing | tr '\n' ' ')
[ -z "$packages" ] || give_up "the installation failed"
