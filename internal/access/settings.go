package access

import (
	"context"
	"strconv"
	"time"

	"github.com/keyturn/keyturn/internal/domain"
	"github.com/keyturn/keyturn/internal/fault"
	"github.com/keyturn/keyturn/internal/guard"
	"github.com/keyturn/keyturn/internal/store"
)

// Settings are what an organisation has decided for its people.
type Settings struct {
	MFARequired bool
	// MFASince is when it began to be required, unix milliseconds.
	MFASince int64
	// MFAGrace is how long somebody without a second factor may go on, from then or from when he came.
	MFAGrace time.Duration
	// Fresh is how long after a proof a session may do dangerous things.
	Fresh time.Duration
	// Idle ends a session that was not used for so long, SessionMax every session.
	Idle, SessionMax time.Duration
}

// The defaults follow NIST SP 800-63B-4, AAL2: a session ends after a day or a few, and sooner when nobody uses it; we allow
// a working week to people who come back each day.
const (
	defaultFresh = 15 * time.Minute
	defaultIdle  = 12 * time.Hour
)

// Bounds of the settings.
const (
	minFresh    = time.Minute         // less, and a person is asked at every step
	maxFresh    = 24 * time.Hour      // more is no proof of who sits there
	minIdle     = 5 * time.Minute     // last uses are known to all servers a minute or two later
	maxSession  = 30 * 24 * time.Hour // people come back within a month
	maxMFAGrace = 90 * 24 * time.Hour
)

// The names of the rows.
const (
	settingMFA        = "mfa" // required or optional
	settingMFASince   = "mfa.since"
	settingMFAGrace   = "mfa.grace"
	settingFresh      = "session.fresh"
	settingIdle       = "session.idle"
	settingSessionMax = "session.max"
)

func settingsOf(ctx context.Context, q store.Queries, org domain.OrgID) (Settings, error) {
	out := Settings{Fresh: defaultFresh, Idle: defaultIdle, SessionMax: SessionTTL}
	rows, err := q.OrgSettings(ctx, org)
	if err != nil {
		return out, err
	}
	for _, row := range rows {
		n, err := strconv.ParseInt(row.Value, 10, 64)
		ms := time.Duration(n) * time.Millisecond
		switch row.Name {
		case settingMFA:
			out.MFARequired, err = row.Value == "required", nil
		case settingMFASince:
			out.MFASince = n
		case settingMFAGrace:
			out.MFAGrace = ms
		case settingFresh:
			out.Fresh = ms
		case settingIdle:
			out.Idle = ms
		case settingSessionMax:
			out.SessionMax = ms
		default:
			continue // of another topic
		}
		if err != nil {
			return out, fault.Wrap(fault.Internal, err, "the setting %s of an organisation is damaged", row.Name)
		}
	}
	return out, nil
}

// Settings tells what the organisation has decided.
func (s *Service) Settings(ctx context.Context) (Settings, error) {
	var out Settings
	err := s.ask(ctx, "settings", func(org domain.OrgID) (err error) {
		out, err = settingsOf(ctx, s.db.Queries, org)
		return err
	})
	return out, err
}

// SettingsChange is what shall be different; nil leaves as it is.
type SettingsChange struct {
	MFARequired                       *bool
	MFAGrace, Fresh, Idle, SessionMax *time.Duration
}

// ChangeSettings decides anew. Whoever asks for second factors must have one, so that no organisation locks itself out.
func (s *Service) ChangeSettings(ctx context.Context, in SettingsChange) (Settings, error) {
	for _, bound := range []struct {
		value    *time.Duration
		min, max time.Duration
		where    string
	}{{in.MFAGrace, 0, maxMFAGrace, "/mfa_grace"}, {in.Fresh, minFresh, maxFresh, "/reauth_after"}, {in.Idle, minIdle, maxSession, "/session_idle"}, {in.SessionMax, minIdle, maxSession, "/session_max"}} {
		if bound.value != nil && (*bound.value < bound.min || *bound.value > bound.max) {
			return Settings{}, fault.New(fault.Invalid, "the setting is out of range").WithField(bound.where, "want %v to %v", bound.min, bound.max)
		}
	}
	var out Settings
	err := s.manage(ctx, map[string]string{"settings": "change"}, func(tx *store.Tx, p guard.Permit) error {
		now, err := settingsOf(ctx, tx.Queries, p.Org())
		if err != nil {
			return err
		}
		var rows []*store.OrgSetting
		put := func(name, value string) {
			p.Note(name, value)
			rows = append(rows, &store.OrgSetting{Org: p.Org(), Name: name, Value: value, At: tx.Now()})
		}
		if in.MFARequired != nil && *in.MFARequired != now.MFARequired {
			if *in.MFARequired && p.Principal().Kind == domain.User && !p.Principal().Factor {
				return fault.New(fault.Conflict, "you have no second factor yourself, and would be the first to be kept out").WithHint("keyturn mfa enroll").WithReason(fault.ReasonEnrol)
			}
			put(settingMFA, map[bool]string{true: "required", false: "optional"}[*in.MFARequired])
			put(settingMFASince, strconv.FormatInt(tx.Now(), 10))
		}
		for name, value := range map[string]*time.Duration{settingMFAGrace: in.MFAGrace, settingFresh: in.Fresh, settingIdle: in.Idle, settingSessionMax: in.SessionMax} {
			if value != nil {
				put(name, strconv.FormatInt(value.Milliseconds(), 10))
			}
		}
		if len(rows) > 0 {
			if err := tx.PutOrgSettings(ctx, rows...); err != nil {
				return err
			}
		}
		out, err = settingsOf(ctx, tx.Queries, p.Org())
		return err
	})
	return out, err
}
