package httpapi

import (
	"net/http"
	"strings"
)

// OperationID names a route for generated clients: verb and noun, such as listSecrets or restoreProject. It follows from
// method and path, so a row of the table needs no name of its own.
func (r *Route) OperationID() string {
	if r.Path == newestDrill {
		return "drillNewestBackup" // the rules below would give it the name of a drill of one backup
	}
	var nouns []string
	verb, last := "", ""
	parts := strings.Split(strings.Trim(r.Path, "/"), "/")
	for i, part := range parts {
		switch {
		case strings.HasPrefix(part, "{"):
			last = part
			if n := len(nouns); n > 0 {
				nouns[n-1] = singular(nouns[n-1])
			}
			continue
		case i == len(parts)-1 && r.Method == http.MethodPost && !plural(part):
			verb = part // POST .../restore
		default:
			nouns = append(nouns, part)
		}
		last = part
	}
	for len(nouns) > 1 && (nouns[0] == "project" || nouns[0] == "env") {
		nouns = nouns[1:] // where it lies is said by the parameters
	}
	if len(nouns) > 1 && nouns[0] == "keys" {
		nouns[0] = "key" // turns of a key, slots of a key
	}
	n := len(nouns) - 1
	many := plural(last) && r.Method == http.MethodGet
	switch {
	case verb != "" && n >= 0:
		nouns[n] = singular(nouns[n])
	case verb != "":
	case many:
		verb = "list"
	case r.Method == http.MethodPost:
		verb, nouns[n] = "create", singular(nouns[n])
	default:
		verb = map[string]string{http.MethodGet: "get", http.MethodPut: "set", http.MethodPatch: "update", http.MethodDelete: "delete"}[r.Method]
	}
	if strings.Contains(verb, "-") {
		verb = camel([]string{verb})
		verb = strings.ToLower(verb[:1]) + verb[1:]
	}
	return verb + camel(nouns)
}

// plural knows the nouns of the table; "status" is none, and "dismiss" is a verb.
func plural(s string) bool {
	return strings.HasSuffix(s, "s") && !strings.HasSuffix(s, "us") && s != "dismiss"
}

func singular(s string) string {
	if stem, ok := strings.CutSuffix(s, "ies"); ok {
		return stem + "y"
	}
	if plural(s) && !strings.HasSuffix(s, "ss") { // "glass" and "address" are whole
		return strings.TrimSuffix(s, "s")
	}
	return s
}

func camel(words []string) string {
	var b strings.Builder
	for _, w := range words {
		for part := range strings.SplitSeq(w, "-") {
			b.WriteString(strings.ToUpper(part[:1]) + part[1:])
		}
	}
	return b.String()
}

func lower(method string) string { return strings.ToLower(method) }
