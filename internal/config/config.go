// Package config is everything that can be set, in one table: names, defaults, what they mean. Flags win over environment
// variables; the reference page is made from the same table.
package config

import (
	"net"
	"net/url"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/keyturn/keyturn/internal/fault"
)

// Mode says how careful the server is.
type Mode string

// The modes.
const (
	// Development invents a root key, and lets this machine create the first admin.
	Development Mode = "development"
	// Production refuses both.
	Production Mode = "production"
)

// Config is how one server runs.
type Config struct {
	Mode          Mode
	Listen        string
	PublicURL     string // what people open in their browsers, without a path; "" when nobody said
	Data          string
	Database      string // PostgreSQL address; "" for SQLite in Data. It may hold a password: never print it.
	TLSCert       string
	TLSKey        string
	MetricsToken  string
	ReadyToken    string
	CacheBytes    int64
	OfflineMaxAge time.Duration
	LogLevel      string
	WaitSealed    bool   // a start without a root key waits for people to enter one
	KeySchedule   string // when keys turn by themselves, see package keys
	KeyOverlap    string // how long two signing keys are valid together

	BackupTo         string // address of the place, "" for the default of the store
	BackupEvery      string // these three as package backup reads them; "" is never, and keeping all
	BackupKeep       string
	BackupDrillEvery string
	ArchiveTo        string   // where old entries of the log go, "" for a folder in Data, or nowhere with PostgreSQL
	StreamFolder     string   // where streams of the log write files, "" for a folder in Data
	Dialects         []string // foreign APIs that are served
	OutboundAllow    string   // networks inside that the server may call
	TrustedProxies   string   // networks of proxies whose X-Forwarded-For is believed

	SkipUpgradeCopy bool // bring the schema forward without a backup before
}

// Setting is one row of the table.
type Setting struct {
	Env     string
	Flag    string // "" when there is none
	Default string
	Secret  bool // never shown; KEYTURN_X_FILE is read instead when set
	Means   string
	set     func(*Config, string) error
}

// Settings is the table.
func Settings() []Setting {
	return []Setting{
		{"KEYTURN_MODE", "", "development", false, "\"development\" invents a root key when none is given and lets this machine create the first admin; \"production\" does neither", func(c *Config, v string) error {
			c.Mode = Mode(v)
			if c.Mode != Development && c.Mode != Production {
				return fault.New(fault.Invalid, "want development or production")
			}
			return nil
		}},
		{"KEYTURN_LISTEN", "listen", "127.0.0.1:8420", false, "address and port to serve on", func(c *Config, v string) error { c.Listen = v; return nil }},
		{"KEYTURN_PUBLIC_URL", "", "", false, "address that people open in their browsers, such as https://keyturn.example.com: passkeys are bound to its host name, links in messages begin with it, and it is the issuer of identity tokens. In development mode http://localhost and the port of KEYTURN_LISTEN when it is not set", setPublicURL},
		{"KEYTURN_DATA", "data", "keyturn-data", false, "folder of the embedded database and, in development mode, of the root key", func(c *Config, v string) (err error) {
			c.Data, err = filepath.Abs(v)
			return err
		}},
		{"KEYTURN_DATABASE_URL", "database", "", true, "PostgreSQL 15 or newer instead of the embedded database: postgres://user:password@host:5432/name?sslmode=verify-full", func(c *Config, v string) error {
			c.Database = v
			if v != "" && !strings.Contains(v, "=") {
				if u, err := url.Parse(v); err != nil || u.Scheme != "postgres" && u.Scheme != "postgresql" {
					return fault.New(fault.Invalid, "want postgres://user:password@host:5432/name")
				}
			}
			return nil
		}},
		{"KEYTURN_TLS_CERT", "tls-cert", "", false, "file with the certificate chain (PEM); read again when it changes", func(c *Config, v string) error { c.TLSCert = v; return nil }},
		{"KEYTURN_TLS_KEY", "tls-key", "", false, "file with the certificate's key (PEM); read again when it changes", func(c *Config, v string) error { c.TLSKey = v; return nil }},
		{"KEYTURN_METRICS_TOKEN", "", "", true, "bearer token that /metrics asks for; without it /metrics answers to this machine only", func(c *Config, v string) error { c.MetricsToken = v; return nil }},
		{"KEYTURN_READY_TOKEN", "", "", true, "bearer token that /readyz asks for before it names dependencies", func(c *Config, v string) error { c.ReadyToken = v; return nil }},
		{"KEYTURN_CACHE_MB", "", "32", false, "memory for sealed values at hand, in MiB", func(c *Config, v string) error {
			n, err := strconv.ParseInt(v, 10, 32)
			if err != nil || n < 1 {
				return fault.New(fault.Invalid, "want a number of MiB from 1")
			}
			c.CacheBytes = n << 20
			return nil
		}},
		{"KEYTURN_OFFLINE_MAX_AGE", "", "24h", false, "how long clients may serve from their sealed copy when the server cannot be reached; 0 forbids it", func(c *Config, v string) error {
			d, err := time.ParseDuration(v)
			if err != nil || d < 0 {
				return fault.New(fault.Invalid, "want a duration such as 24h, or 0")
			}
			c.OfflineMaxAge = d
			return nil
		}},
		{"KEYTURN_WHEN_SEALED", "", "refuse", false, "what a start does when no source gives the root key: \"refuse\" ends it, \"wait\" serves nothing but keyturn unlock, by which people enter a passphrase, shares, a recovery identity or a root key, and asks the sources again", func(c *Config, v string) error {
			c.WaitSealed = v == "wait"
			if v != "wait" && v != "refuse" {
				return fault.New(fault.Invalid, "want refuse or wait")
			}
			return nil
		}},
		{"KEYTURN_KEY_SCHEDULE", "", "root=365d,instance=365d,project=90d,index=365d,log=365d,tokens=365d", false, "how old keys may become before they turn by themselves: LAYER=90d, or LAYER=never; layers that are left out keep their default. The root key is a person's to turn; its date is told by keyturn doctor", func(c *Config, v string) error { c.KeySchedule = v; return nil }},
		{"KEYTURN_KEY_OVERLAP", "", "log=30d,tokens=90d", false, "how long the key before stays valid beside a new key of the log or of tokens", func(c *Config, v string) error { c.KeyOverlap = v; return nil }},
		{"KEYTURN_BACKUP_TO", "", "", false, "where backups go: a folder, file:///folder or s3://BUCKET/PREFIX?region=...; credentials of S3 come from AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY. Without it, the folder backups in the data folder, and with PostgreSQL nowhere", func(c *Config, v string) error { c.BackupTo = v; return nil }},
		{"KEYTURN_BACKUP_EVERY", "", "24h", false, "how often the server makes a sealed backup: a period such as 24h or 1d, or never. Without a recovery kit (keyturn keys recovery create) none can be made", func(c *Config, v string) error { c.BackupEvery = v; return nil }},
		{"KEYTURN_BACKUP_KEEP", "", "7d,5w,12m", false, "which backups stay: of each of the last so many hours (h), days (d), weeks (w), months (m) and years (y) that have one, the newest; or all. The newest of all and the newest that was verified stay always", func(c *Config, v string) error { c.BackupKeep = v; return nil }},
		{"KEYTURN_BACKUP_DRILL_EVERY", "", "7d", false, "how often the newest backup is restored into a throw-away instance and everything in it opened: a period, or never. A drill follows the first backup too", func(c *Config, v string) error { c.BackupDrillEvery = v; return nil }},
		{"KEYTURN_BACKUP_BEFORE_UPGRADE", "", "make", false, "\"make\" writes a backup before a newer program brings the schema forward and refuses the start when it cannot; \"skip\" goes on without one", func(c *Config, v string) error {
			c.SkipUpgradeCopy = v == "skip"
			if v != "make" && v != "skip" {
				return fault.New(fault.Invalid, "want make or skip")
			}
			return nil
		}},
		{"KEYTURN_OUTBOUND_ALLOW", "", "", false, "networks inside that the server may call for webhooks, single sign-on, key sets and mail, separated by commas: 10.1.0.0/16. Public addresses are always allowed, all others never", func(c *Config, v string) error { c.OutboundAllow = v; return nil }},
		{"KEYTURN_TRUSTED_PROXIES", "", "", false, "networks of the proxies in front of the server, separated by commas: only from them is X-Forwarded-For believed, and of it the right-most address that is no such proxy. Without it a client is whoever connects", func(c *Config, v string) error { c.TrustedProxies = v; return nil }},
		{"KEYTURN_AUDIT_ARCHIVE_TO", "", "", false, "where keyturn audit archive puts old entries of the audit log: a folder, file:///folder or s3://BUCKET/PREFIX?region=..., as for backups. Without it, the folder audit-archive in the data folder, and with PostgreSQL nowhere", func(c *Config, v string) error { c.ArchiveTo = v; return nil }},
		{"KEYTURN_STREAM_FOLDER", "", "", false, "the one folder in which streams of the audit log may write files; without it, the folder streams in the data folder", func(c *Config, v string) error { c.StreamFolder = v; return nil }},
		{"KEYTURN_DIALECTS", "", "infisical,vault", false, "foreign APIs that are served beside the native one, separated by commas: infisical below /api, vault below /v1; none for neither", setDialects},
		{"KEYTURN_LOG_LEVEL", "", "info", false, "debug, info, warn or error", func(c *Config, v string) error {
			c.LogLevel = v
			if !strings.Contains(" debug info warn error ", " "+v+" ") {
				return fault.New(fault.Invalid, "want debug, info, warn or error")
			}
			return nil
		}},
	}
}

// dialects are the foreign APIs that can be served.
var dialects = []string{"infisical", "vault"}

func setDialects(c *Config, v string) error {
	c.Dialects = nil
	if v == "none" {
		return nil
	}
	for name := range strings.SplitSeq(v, ",") {
		if name = strings.TrimSpace(name); !slices.Contains(dialects, name) {
			return fault.New(fault.Invalid, "want %s, or none", strings.Join(dialects, ", "))
		}
		c.Dialects = append(c.Dialects, name)
	}
	return nil
}

// setPublicURL takes an origin: https, or http on this machine.
func setPublicURL(c *Config, v string) error {
	if v == "" {
		return nil
	}
	u, err := url.Parse(v)
	if err != nil || u.Host == "" || u.User != nil || u.RawQuery != "" || u.Fragment != "" || u.Path != "" && u.Path != "/" {
		return fault.New(fault.Invalid, "want https://HOST or https://HOST:PORT")
	}
	here := u.Hostname() == "localhost" || net.ParseIP(u.Hostname()).IsLoopback()
	if u.Scheme != "https" && (u.Scheme != "http" || !here) {
		return fault.New(fault.Invalid, "want https: browsers refuse passkeys and secure cookies of anything else, except http://localhost")
	}
	c.PublicURL = u.Scheme + "://" + strings.ToLower(u.Host)
	return nil
}

// RootKeySettings are read by the keyring itself; they stand here for the reference page.
func RootKeySettings() []Setting {
	return []Setting{
		{Env: "KEYTURN_ROOT_KEY", Secret: true, Means: "the root key: 64 hex characters (openssl rand -hex 32)"},
		{Env: "KEYTURN_ROOT_KEY_FILE", Means: "file that holds the root key; read again each time the key is needed"},
		{Env: "KEYTURN_ROOT_SOURCES", Means: "more places where root keys come from, one URI to a line: file:, env:, credential:, command:, awskms:, gcpkms:, azurekv:, transit:, pkcs11:, tpm:. The first that opens a key slot is used"},
		{Env: "KEYTURN_ROOT_SOURCES_FILE", Means: "file that holds them; read again each time, so that a source can be added while the server runs"},
	}
}

// Load reads environment and flags. flag gives a flag's value and whether it was set; readFile serves KEYTURN_X_FILE.
func Load(getenv func(string) string, flag func(string) (string, bool), readFile func(string) ([]byte, error)) (Config, error) {
	var c Config
	for _, s := range Settings() {
		v, where := s.Default, s.Env
		if e := getenv(s.Env); e != "" {
			v = e
		} else if name := getenv(s.Env + "_FILE"); s.Secret && name != "" {
			where = s.Env + "_FILE"
			b, err := readFile(name)
			if err != nil {
				return c, fault.Wrap(fault.Invalid, err, "%s cannot be read", where)
			}
			v = strings.TrimRight(string(b), "\r\n")
		}
		if s.Flag != "" {
			if f, ok := flag(s.Flag); ok {
				v, where = f, "--"+s.Flag
			}
		}
		if err := s.set(&c, v); err != nil {
			return c, fault.New(fault.Invalid, "%s is not valid: %s", where, err)
		}
	}
	if c.PublicURL == "" && c.Mode == Development {
		if _, port, err := net.SplitHostPort(c.Listen); err == nil {
			c.PublicURL = "http://localhost:" + port
			if c.TLSCert != "" {
				c.PublicURL = "https://localhost:" + port
			}
		}
	}
	if (c.TLSCert == "") != (c.TLSKey == "") {
		return c, fault.New(fault.Invalid, "TLS needs both a certificate and its key").WithHint("set KEYTURN_TLS_CERT and KEYTURN_TLS_KEY")
	}
	return c, nil
}
