package doctor

import (
	"fmt"
	"net"
	"net/url"
	"strings"

	"github.com/keyturn/keyturn/api"
)

// Facts is what the server knows of itself. The checks below are pure functions of it.
type Facts struct {
	Mode           string   // development or production
	RootKeyFrom    string   // in words
	RootKeyBeside  bool     // the root key lies in the data folder
	Slots          int      // key slots: ways to unlock
	SlotsProved    int      // of them, those whose root key opened something within a year
	RootTurns      int      // changes of the root key that wait for the old slot to be removed
	KeysOverdue    []string // layers that should have turned
	KeyProblems    []string // what keeps turns from going on
	LastCensus     string   // when a count last said that nothing is left, in words; "" for never
	Listen         string
	TLS            bool
	MetricsToken   bool
	Database       string // address of PostgreSQL, "" for SQLite; only host and sslmode are looked at
	Placeholders   []string
	Reused         int // places that share a value with another environment
	Overdue        int
	NoCadence      int // sensitive secrets without a rotation cadence
	NoOwner        int // sensitive secrets without an owner
	Sensitive      int
	LogSize        int64
	LogSound       bool
	LogProblem     string
	EternalSecrets int // client secrets that never expire
	Backup         Backup
	AlertChannels  int   // places where alerts are sent
	DeadAlerts     int64 // messages that could not be sent
}

// The checklists that the checks come from.
const (
	seedKeys   = "key management checklist"
	seedTeam   = "secrets security checklist"
	seedDeploy = "production operations checklist"
)

// Server runs the checks that concern the instance.
func Server(f Facts) []api.Check {
	checks := []api.Check{
		one("mode", "production mode is set", seedKeys, f.Mode == "production", fail, "mode is "+f.Mode, "start with KEYTURN_MODE=production and a root key of your own"),
		one("root-key-place", "the root key lies away from the data", seedKeys, !f.RootKeyBeside, fail, "the root key comes "+f.RootKeyFrom,
			"move it to a place that a copy of the data folder does not hold, and set KEYTURN_ROOT_KEY_FILE"),
		one("root-key-slots", "there is more than one way to unlock", seedKeys, f.Slots > 1, fail, count(f.Slots, "key slot"),
			"make a recovery kit and keep it offline: keyturn keys recovery create"),
		one("root-key-proved", "every way to unlock was proved within a year", seedKeys, f.SlotsProved >= f.Slots, warn, fmt.Sprintf("%d of %d were", f.SlotsProved, f.Slots),
			"keyturn keys slot test ID, for each that keyturn keys slots shows without a date"),
		one("root-key-turn", "no change of the root key is left half done", seedKeys, f.RootTurns == 0, warn, count(f.RootTurns, "change")+" under way",
			"keyturn keys slot remove ID takes the old root key away, or the new one back"),
		one("keys-due", "keys turn on schedule", seedDeploy, len(f.KeysOverdue) == 0, warn, said(len(f.KeysOverdue) == 0, "nothing is overdue", "overdue: "+strings.Join(f.KeysOverdue, ", ")),
			"keyturn keys rotate LAYER"),
		one("keys-turning", "turns of keys go on", seedKeys, len(f.KeyProblems) == 0, fail, said(len(f.KeyProblems) == 0, "no turn is held up", strings.Join(f.KeyProblems, "; ")),
			"keyturn keys status"),
		listen(f),
		one("metrics-token", "/metrics asks for a token", seedKeys, f.MetricsToken || loopback(f.Listen), fail, said(f.MetricsToken, "a token is set", "no token is set; only this machine is answered"),
			"set KEYTURN_METRICS_TOKEN"),
		database(f),
		one("placeholders", "no secret is a placeholder", seedKeys, len(f.Placeholders) == 0, fail, named(f.Placeholders, "placeholder"), "give them real values: keyturn schema --check shows which"),
		one("reuse", "secrets differ per environment", seedTeam, f.Reused == 0, fail, count(f.Reused, "place")+" share a value with another", "see: keyturn reuse"),
		one("overdue", "nothing is overdue for rotation", seedTeam, f.Overdue == 0, warn, count(f.Overdue, "secret")+" overdue", "see: keyturn due"),
		one("cadence", "every sensitive secret has a rotation cadence", seedDeploy, f.NoCadence == 0, warn, fmt.Sprintf("%d of %d have none", f.NoCadence, f.Sensitive), "keyturn set NAME --rotate-every 90d"),
		one("owner", "every sensitive secret has an owner", seedDeploy, f.NoOwner == 0, warn, fmt.Sprintf("%d of %d have none", f.NoOwner, f.Sensitive), "keyturn set NAME --owner OWNER"),
		one("audit", "an access trail exists and verifies", seedTeam, f.LogSound && f.LogSize > 0, fail, said(f.LogSound, fmt.Sprintf("%d entries, all verified", f.LogSize), f.LogProblem), "keyturn audit verify"),
		one("client-secrets", "machine credentials expire", seedTeam, f.EternalSecrets == 0, warn, count(f.EternalSecrets, "client secret")+" never expire", "make new ones with --ttl and revoke these"),
		{ID: "encrypted-at-rest", Title: "values are encrypted at rest with per-value nonces", Outcome: pass, Source: seedTeam, Evidence: "AES-256-GCM envelopes bound to their place; the database never sees a value"},
		rotation(f),
		one("alerts", "somebody is told when something happens", seedDeploy, f.AlertChannels > 0, warn, count(f.AlertChannels, "channel")+" for alerts", "keyturn alert channels add --help"),
		one("alerts-sent", "messages of alerts arrive", seedDeploy, f.DeadAlerts == 0, warn, count(int(f.DeadAlerts), "message")+" given up", "keyturn alert deliveries --dead"),
		recoveryKit(f.Backup), backupMade(f.Backup), backupAway(f.Backup), drilled(f.Backup),
	}
	return checks
}

// rotation tells what the last turn has proved.
func rotation(f Facts) api.Check {
	c := api.Check{ID: "rotation-loses-nothing", Title: "keys can be rotated without losing data", Outcome: pass, Source: seedKeys,
		Evidence: "every layer turns while the server serves; no key was old enough yet"}
	if f.LastCensus != "" {
		c.Evidence = "the last census of " + f.LastCensus + " found nothing under the old key"
	}
	return c
}

// Outcomes of checks.
const (
	pass    = "pass"
	warn    = "warn"
	fail    = "fail"
	unknown = "unknown"
)

func one(id, title, source string, ok bool, otherwise, evidence, fix string) api.Check {
	c := api.Check{ID: id, Title: title, Source: source, Outcome: pass, Evidence: evidence}
	if !ok {
		c.Outcome, c.Fix = otherwise, fix
	}
	return c
}

func count(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}

func said(ok bool, yes, no string) string {
	if ok {
		return yes
	}
	return no
}

// named shows a few names, never values.
func named(names []string, what string) string {
	if len(names) <= 5 {
		return strings.TrimSpace(count(len(names), what) + " " + strings.Join(names, ", "))
	}
	return count(len(names), what) + ", first " + strings.Join(names[:5], ", ")
}

func loopback(listen string) bool {
	host, _, err := net.SplitHostPort(listen)
	return err == nil && (host == "localhost" || net.ParseIP(host).IsLoopback())
}

func listen(f Facts) api.Check {
	return one("tls", "the network sees only TLS", seedKeys, f.TLS || loopback(f.Listen), fail,
		said(f.TLS, "TLS is on", said(loopback(f.Listen), "plain HTTP, to this machine only", "plain HTTP on "+f.Listen)),
		"set KEYTURN_TLS_CERT and KEYTURN_TLS_KEY, or listen on 127.0.0.1 behind a proxy that does TLS")
}

// database looks at the address only for host and sslmode.
func database(f Facts) api.Check {
	c := api.Check{ID: "database-tls", Title: "the connection to the database is encrypted", Source: seedKeys, Outcome: pass, Evidence: "the database is embedded"}
	if f.Database == "" {
		return c
	}
	host, mode := "", ""
	if u, err := url.Parse(f.Database); err == nil && u.Host != "" {
		host, mode = u.Hostname(), u.Query().Get("sslmode")
	} else {
		for part := range strings.FieldsSeq(f.Database) {
			if v, ok := strings.CutPrefix(part, "host="); ok {
				host = v
			}
			if v, ok := strings.CutPrefix(part, "sslmode="); ok {
				mode = v
			}
		}
	}
	c.Evidence = "sslmode is " + said(mode != "", mode, "not set")
	local := host == "localhost" || net.ParseIP(host).IsLoopback() || strings.HasPrefix(host, "/")
	switch {
	case mode == "require" || mode == "verify-ca" || mode == "verify-full":
	case local:
		c.Evidence += ", and the database is on this machine"
	default:
		c.Outcome, c.Fix = fail, "add sslmode=verify-full to KEYTURN_DATABASE_URL"
	}
	return c
}
