# Drives consul-template, whose path is the first argument. VAULT_ADDR and VAULT_TOKEN are the server and a token with all
# rights; the mount secret is KV v2. Each operation prints one line: its name, a tab and "ok" or what was wrong.
set -u
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

write() {
	curl -sS -f -o "$work/answer" -H "X-Vault-Token: $VAULT_TOKEN" -X POST "$VAULT_ADDR/v1/secret/data/template" -d "{\"data\":{\"password\":\"$1\",\"port\":5432}}"
}

# render NAME WANT TEMPLATE
render() {
	printf '%s' "$3" >"$work/in.ctmpl"
	if timeout 60 "$program" -once -vault-renew-token=false -template "$work/in.ctmpl:$work/out" >"$work/log" 2>&1 && [ "$(cat "$work/out")" = "$2" ]; then
		printf '%s\tok\n' "$1"
	else
		printf '%s\t%s %s\n' "$1" "$(tr '\n\t' '  ' <"$work/log" | tail -c 300)" "$(cat "$work/out" 2>/dev/null)"
	fi
}

program=$1
write "test-value"
render "render a secret" "test-value:5432" '{{ with secret "secret/data/template" }}{{ .Data.data.password }}:{{ .Data.data.port }}{{ end }}'
render "render by its short path" "test-value" '{{ with secret "secret/template" }}{{ .Data.data.password }}{{ end }}'
render "list secrets" "template" '{{ range secrets "secret/metadata/" }}{{ if eq . "template" }}{{ . }}{{ end }}{{ end }}'
write "test-value two"
render "render after a change" "test-value two" '{{ with secret "secret/data/template" }}{{ .Data.data.password }}{{ end }}'
render "render an old version" "test-value" '{{ with secret "secret/data/template?version=1" }}{{ .Data.data.password }}{{ end }}'
