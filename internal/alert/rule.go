package alert

import (
	"slices"
	"time"

	"github.com/keyturn/keyturn/internal/alert/channel"
	"github.com/keyturn/keyturn/internal/fault"
	"github.com/keyturn/keyturn/internal/store"
)

// Rule is one thing worth telling, with how it stands after what somebody changed of it.
type Rule struct {
	ID       string
	Means    string // one sentence for people
	Severity channel.Severity
	Enabled  bool
	// Threshold is how many within Within make an event; 0 where one is enough.
	Threshold int64
	Within    time.Duration
	// Gather is how long a first event waits for more before it is told.
	Gather time.Duration
	// Quiet is how long what happens again is counted before it is told again.
	Quiet time.Duration
	// State marks rules about how something stands, which is asked for by a timer, and not about entries of the log.
	State bool
	// Changed is true when somebody changed it.
	Changed bool
}

// The rules.
const (
	BulkExport     = "bulk-export"
	FailedLogins   = "failed-logins"
	FirstRead      = "first-read"
	FirstSecret    = "first-read-secret"
	NewNetwork     = "new-network"
	BreakGlassItem = "break-glass-item"
	BreakGlass     = "break-glass"
	RevokedToken   = "revoked-token"
	CanaryTouched  = "canary-touched"
	LogDamaged     = "audit-damaged"
	EnvelopeBroken = "damaged-envelope"
	Overdue        = "overdue-rotation"
	LastSlot       = "last-way-in"
	BackupFailed   = "backup-failed"
	DrillFailed    = "drill-failed"
	Frozen         = "freeze"
	GrantInProd    = "prod-access"
	KeysChanged    = "unlock-keys"
	FollowerLag    = "follower-lag"
	WatchChanged   = "watching-changed"
)

const day = 24 * time.Hour

// defaults are the rules as the program has them.
func defaults() []Rule {
	const (
		soon  = 30 * time.Second // time enough for a script to show what it is about, short enough for a person
		later = 5 * time.Minute
	)
	return []Rule{
		{ID: CanaryTouched, Means: "somebody used a decoy", Severity: channel.Critical, Quiet: 5 * time.Minute},
		{ID: BreakGlass, Means: "a step of break-glass was taken", Severity: channel.Critical, Quiet: time.Minute},
		{ID: BreakGlassItem, Means: "a secret with the tag break-glass was read", Severity: channel.Critical, Quiet: 10 * time.Minute},
		{ID: LogDamaged, Means: "the audit log does not verify", Severity: channel.Critical, Quiet: day, State: true},
		{ID: EnvelopeBroken, Means: "a stored value does not open in its place: it was altered or moved", Severity: channel.Critical, Quiet: time.Hour, State: true},
		{ID: Frozen, Means: "a project or the server was frozen, stopped or thawed", Severity: channel.Critical, Quiet: time.Minute},
		{ID: KeysChanged, Means: "a way to unlock the server was added, removed or tried", Severity: channel.Critical, Quiet: time.Minute},
		{ID: BulkExport, Means: "one principal read many different values in a short time", Severity: channel.Critical, Threshold: 500, Within: 10 * time.Minute, Quiet: time.Hour},
		{ID: FailedLogins, Means: "many logins of one account or from one address failed", Severity: channel.Warning, Threshold: 10, Within: 10 * time.Minute, Gather: soon, Quiet: time.Hour},
		{ID: RevokedToken, Means: "a token was used after it was revoked", Severity: channel.Warning, Gather: soon, Quiet: time.Hour},
		{ID: FirstRead, Means: "a principal read values of a project for the first time", Severity: channel.Info, Gather: later, Quiet: day},
		{ID: FirstSecret, Means: "a principal read a secret for the first time", Severity: channel.Info, Gather: later, Quiet: day},
		{ID: NewNetwork, Means: "a known principal read values from a network where it never was before", Severity: channel.Warning, Gather: soon, Quiet: day},
		{ID: GrantInProd, Means: "roles that reach production, or roles and groups themselves, were changed", Severity: channel.Warning, Gather: soon, Quiet: 10 * time.Minute},
		{ID: Overdue, Means: "secrets are overdue for rotation", Severity: channel.Warning, Quiet: 7 * day, State: true},
		{ID: LastSlot, Means: "there is only one way left to unlock the server", Severity: channel.Warning, Quiet: 7 * day, State: true},
		{ID: BackupFailed, Means: "backups fail, or the newest is older than it should be", Severity: channel.Warning, Quiet: day, State: true},
		{ID: DrillFailed, Means: "the last drill failed, or is longer ago than it should be", Severity: channel.Warning, Quiet: day, State: true},
		{ID: FollowerLag, Means: "a follower of the log, such as a stream or these alerts, fails or is behind", Severity: channel.Warning, Within: 10 * time.Minute, Quiet: day, State: true},
		{ID: WatchChanged, Means: "rules or channels of alerts, or streams of the log, were changed", Severity: channel.Warning, Quiet: 5 * time.Minute},
	}
}

// off are the rules that are disabled until somebody wants them: they say more than most want to hear.
var off = []string{FirstSecret}

// Bounds of what can be set of a rule.
const (
	maxThreshold = 1_000_000
	minPeriod    = time.Second
	maxPeriod    = 90 * day
)

// Rules gives all rules with what was changed of them. What a newer program wrote of rules that this one does not have is left
// out.
func Rules(changed []store.AlertRule) []Rule {
	out := defaults()
	for i := range out {
		r := &out[i]
		r.Enabled = !slices.Contains(off, r.ID)
		for _, c := range changed {
			if c.ID == r.ID {
				r.apply(c.Settings)
			}
		}
	}
	return out
}

func (r *Rule) apply(s store.AlertSettings) {
	r.Changed = true
	if s.Enabled != nil {
		r.Enabled = *s.Enabled
	}
	if s.Severity != nil {
		r.Severity = channel.Severity(*s.Severity)
	}
	if s.Threshold != nil {
		r.Threshold = *s.Threshold
	}
	if s.Within != nil {
		r.Within = time.Duration(*s.Within) * time.Millisecond
	}
	if s.Quiet != nil {
		r.Quiet = time.Duration(*s.Quiet) * time.Millisecond
	}
	if r.Severity == channel.Critical {
		r.Gather = 0
	}
}

// checkSettings refuses what a rule cannot be set to.
func checkSettings(id string, s store.AlertSettings) error {
	all := defaults()
	i := slices.IndexFunc(all, func(r Rule) bool { return r.ID == id })
	if i < 0 {
		return fault.New(fault.NotFound, "no such rule").WithHint("keyturn alert rules shows them")
	}
	if s.Severity != nil && !slices.Contains(channel.Severities(), channel.Severity(*s.Severity)) {
		return fault.New(fault.Invalid, "a severity is critical, warning or info").WithField("/severity", "unknown")
	}
	if s.Threshold != nil && (all[i].Threshold == 0 || *s.Threshold < 1 || *s.Threshold > maxThreshold) {
		return fault.New(fault.Invalid, "the threshold of %s cannot be set so: want 1 to %d, for a rule that has one", id, maxThreshold).WithField("/threshold", "out of range")
	}
	for name, v := range map[string]*int64{"within": s.Within, "quiet": s.Quiet} {
		if v == nil {
			continue
		}
		if d := time.Duration(*v) * time.Millisecond; d < minPeriod || d > maxPeriod || name == "within" && all[i].Within == 0 {
			return fault.New(fault.Invalid, "%s of %s cannot be set so: want 1s to 90d, for a rule that has it", name, id).WithField("/"+name, "out of range")
		}
	}
	return nil
}
