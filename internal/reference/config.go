package reference

import (
	"github.com/keyturn/keyturn/internal/config"
)

func writeConfig(p *page) error {
	p.line("A server is set by environment variables; some have a flag of `keyturn server` too. A flag wins over its variable.\n")
	p.line("Where a setting is secret, the variable with `_FILE` at its end names a file that holds the value instead; one line end at its end is")
	p.line("taken off. Nothing shows the value of a secret setting.")
	p.heading(2, "The root key")
	p.line("The root key unlocks everything and lies outside the database. Give it in one of these ways, not in both. There is no flag for it,")
	p.line("since other users of the machine can read command lines.\n")
	p.settings(config.RootKeySettings())
	p.heading(2, "The server")
	p.settings(config.Settings())
	p.heading(2, "The command line")
	p.line("Commands other than `keyturn server` read these. A flag wins over its variable, and the variable over `.keyturn.json`, which")
	p.line("`keyturn init` writes and which is looked for in the working folder and above it (`.infisical.json` is read too).\n")
	var rows [][]string
	for _, v := range clientVariables {
		rows = append(rows, []string{code(v.name), code(v.flag), v.means})
	}
	p.table([]string{"variable", "flag", "what it says"}, rows)
	return nil
}

func (p *page) settings(all []config.Setting) {
	var rows [][]string
	for _, s := range all {
		flag, secret := "", ""
		if s.Flag != "" {
			flag = "--" + s.Flag
		}
		if s.Secret {
			secret = "yes"
		}
		rows = append(rows, []string{code(s.Env), code(flag), code(s.Default), secret, s.Means})
	}
	p.table([]string{"variable", "flag", "default", "secret", "what it says"}, rows)
}

// clientVariables are read by the command line, one here and one there. A test looks for all of them in the source.
var clientVariables = [...]struct{ name, flag, means string }{
	{"KEYTURN_SERVER", "--server", "address of the server, default `http://127.0.0.1:8420`"},
	{"KEYTURN_TOKEN", "--token", "token; better here than in the flag, which other users of the machine can see"},
	{"KEYTURN_PROJECT", "--project", "project, slug or id"},
	{"KEYTURN_ENV", "--env", "environment, slug or id"},
	{"KEYTURN_PATH", "--path", "folder, default `/`"},
	{"KEYTURN_CA_FILE", "", "file with a certificate (PEM) to trust beside those of the system"},
	{"KEYTURN_CLIENT_ID", "--client-id", "with `keyturn login`: which machine logs in"},
	{"KEYTURN_CLIENT_SECRET", "", "with `keyturn login`: the client secret of that machine"},
	{"KEYTURN_IDENTITY", "--identity", "with `keyturn login`: id of a machine that logs in by one of its methods"},
	{"KEYTURN_LOGIN_METHOD", "--method", "name of that method"},
	{"KEYTURN_LOGIN_FROM", "--from", "where its credential comes from; found out otherwise"},
	{"KEYTURN_JWT_FILE", "--jwt-file", "file with a JWT for it"},
	{"KEYTURN_ID_TOKEN", "", "the JWT of a GitLab job (`id_tokens`)"},
	{"KEYTURN_AUDIENCE", "--audience", "what a token is asked for; the server's address otherwise"},
	{"KEYTURN_SERVER_ID", "--server-id", "server id of an aws method; the server's host name otherwise"},
	{"KEYTURN_CLIENT_CERT", "--tls-cert", "client certificate of a tls method (PEM)"},
	{"KEYTURN_CLIENT_KEY", "--tls-key", "its key (PEM)"},
	{"XDG_CONFIG_HOME", "", "where the files of `keyturn login` and the remembered checkpoints lie"},
	{"XDG_CACHE_HOME", "", "where the sealed copies of `keyturn run` lie"},
	{"NO_COLOR", "", "any value: no colours (no-color.org)"},
}
