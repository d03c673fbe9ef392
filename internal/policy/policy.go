// Package policy decides: (principal, action, resource) to allowed or refused, with the reason. It is pure and knows
// neither database nor clock. Deny wins, and what no rule allows is refused.
package policy

import (
	"slices"

	"github.com/keyturn/keyturn/internal/domain"
)

// Action is one thing that somebody may do. Reading a value and seeing a name are different rights.
type Action string

// The actions on secrets. They are the only ones that a scoped token can have.
const (
	SecretList   Action = "secret.list"   // see names, attributes and history without values
	SecretRead   Action = "secret.read"   // see values
	SecretWrite  Action = "secret.write"  // commit new values, names, attributes, folders
	SecretDelete Action = "secret.delete" // delete and restore
)

// The actions on what holds secrets, and on the instance.
const (
	SecretPurge   Action = "secret.purge"   // destroy values that were deleted
	ChangeReview  Action = "change.review"  // approve, reject and comment on changes that wait
	ProjectRead   Action = "project.read"   // know that it is there
	ProjectCreate Action = "project.create" // in the organisation
	ProjectUpdate Action = "project.update" // rename, environments, schema
	ProjectDelete Action = "project.delete" // delete and restore
	ProjectPurge  Action = "project.purge"  // destroy
	ProjectFreeze Action = "project.freeze" // freeze, kill and thaw a project

	AccessRead      Action = "access.read"      // list users, identities, tokens, grants
	AccessManage    Action = "access.manage"    // change them
	AccessRequest   Action = "access.request"   // ask for a role, for oneself
	DirectoryManage Action = "directory.manage" // keep people and groups by SCIM: directories
	TokenCreate     Action = "token.create"     // for oneself, never more than one has
	TokenRevoke     Action = "token.revoke"     // one's own

	TransitRead    Action = "transit.read"    // see keys of the encryption service and their public halves
	TransitEncrypt Action = "transit.encrypt" // encrypt, rewrap, make data keys
	TransitDecrypt Action = "transit.decrypt" // decrypt
	TransitSign    Action = "transit.sign"    // sign
	TransitVerify  Action = "transit.verify"  // verify signatures and authentication codes
	TransitHMAC    Action = "transit.hmac"    // make authentication codes
	TransitManage  Action = "transit.manage"  // make, rotate, configure, trim and delete keys
	TransitExport  Action = "transit.export"  // take key material out, where the key allows it, and put it back

	AuditRead   Action = "audit.read"   // the log and its proofs
	AuditIndex  Action = "audit.index"  // make the log's index: the server itself
	AuditManage Action = "audit.manage" // where the log is sent on and archived, canaries
	AlertRead   Action = "alert.read"   // rules, channels, what happened and what was sent
	AlertManage Action = "alert.manage" // change rules and channels, test, send again

	InstanceRead   Action = "instance.read"   // status, doctor, keys
	InstanceFreeze Action = "instance.freeze" // the same for everything
	KeysManage     Action = "keys.manage"     // turn keys, add and remove slots
	KeysTurn       Action = "keys.turn"       // a turn at work: the server itself
	KeysUnlock     Action = "keys.unlock"     // something was entered while the server was sealed
	BackupManage   Action = "backup.manage"   // make, verify and drill backups

	BreakPrepare Action = "breakglass.prepare" // a credential for emergencies
	BreakBegin   Action = "breakglass.begin"   // ask its custodians for their shares
	BreakShare   Action = "breakglass.share"   // enter one
	BreakOpen    Action = "breakglass.open"    // take the session
	BreakRead    Action = "breakglass.read"    // see values in it; policy is asked for secret.read
	BreakClose   Action = "breakglass.close"   // end it
	BreakReport  Action = "breakglass.report"  // what was done in it

	SessionLogin     Action = "session.login"     // anonymous
	SessionEnd       Action = "session.end"       // one's own
	SelfRead         Action = "self.read"         // who am I
	SetUp            Action = "instance.setup"    // anonymous, once
	InviteAccept     Action = "invite.accept"     // anonymous: whoever has the link
	PasskeyChallenge Action = "passkey.challenge" // anonymous
	SelfManage       Action = "self.manage"       // one's own password, address, name and second factors
	SelfProve        Action = "self.prove"        // show again who one is, to do dangerous things
	CubbyholeUse     Action = "cubbyhole.use"     // what one's own token keeps
)

// Actions lists every action with what it means, for the reference page.
var Actions = []struct {
	Action Action
	Means  string
}{
	{SecretList, "see names, attributes and history, without values"},
	{SecretRead, "see values"},
	{SecretWrite, "commit new values, names, attributes, folders"},
	{SecretDelete, "delete and restore secrets and folders"},
	{SecretPurge, "destroy deleted values for good"},
	{ChangeReview, "comment on changes that wait; approve or reject them where the environment lets one"},
	{ProjectRead, "see that a project and its environments exist"},
	{ProjectCreate, "create projects"},
	{ProjectUpdate, "rename projects, create and change environments"},
	{ProjectDelete, "delete and restore projects and environments"},
	{ProjectPurge, "destroy deleted projects and environments for good"},
	{AccessRead, "list users, identities, tokens and grants"},
	{AccessManage, "create and change users, identities and grants, revoke anybody's tokens"},
	{DirectoryManage, "keep people and groups by SCIM (directories with a token of their own)"},
	{AccessRequest, "ask for a role for a time"},
	{TokenCreate, "make tokens that may do no more than oneself"},
	{TokenRevoke, "revoke one's own tokens"},
	{TransitRead, "see keys of the encryption service, their versions and public keys"},
	{TransitEncrypt, "encrypt with keys of the encryption service, rewrap, make data keys"},
	{TransitDecrypt, "decrypt with keys of the encryption service"},
	{TransitSign, "sign with keys of the encryption service"},
	{TransitVerify, "verify signatures and authentication codes of the encryption service"},
	{TransitHMAC, "make authentication codes with keys of the encryption service"},
	{TransitManage, "make, rotate, configure, trim and delete keys of the encryption service"},
	{TransitExport, "export, back up and restore keys of the encryption service, where a key allows it"},
	{AuditRead, "read and verify the audit log"},
	{AuditIndex, "index the log for searches (the server itself)"},
	{AuditManage, "send the audit log on, archive it, set canaries"},
	{AlertRead, "see rules and channels of alerts, what happened and what was sent"},
	{AlertManage, "change rules and channels of alerts, test them, send again"},
	{InstanceRead, "see status, keys and the doctor's findings"},
	{KeysManage, "turn keys, add, test and remove key slots"},
	{KeysTurn, "work on a turn of a key (the server itself)"},
	{KeysUnlock, "enter what unlocks a sealed server (whoever holds it)"},
	{BackupManage, "make, list, verify and drill backups of the whole instance"},
	{SessionLogin, "log in (nobody yet)"},
	{SessionEnd, "log out"},
	{BreakPrepare, "prepare a break-glass credential"},
	{BreakBegin, "begin to open a break-glass credential (its custodians)"},
	{BreakShare, "enter a share of a break-glass credential (its custodians)"},
	{BreakOpen, "take the session of an opened break-glass credential (who began it)"},
	{BreakRead, "see values under a break-glass credential (recorded in place of secret.read)"},
	{BreakClose, "close a break-glass credential (who began it, its custodians)"},
	{BreakReport, "read the report of a break-glass opening (who began it, its custodians)"},
	{ProjectFreeze, "freeze a project, stop all reads of it, and lift that again"},
	{InstanceFreeze, "the same for everything on the server"},
	{SelfRead, "see who one is"},
	{SelfManage, "change one's own name, password, address and second factors"},
	{SelfProve, "prove again who one is, before dangerous acts"},
	{CubbyholeUse, "keep values that only the token which is shown opens, and that end with it"},
	{InviteAccept, "use an invitation or another link that works once (whoever has it)"},
	{PasskeyChallenge, "ask for a challenge to log in with a passkey (nobody yet)"},
	{SetUp, "create the first admin, once (nobody yet)"},
}

// Resource is what an action is about. Empty fields mean "not inside one".
type Resource struct {
	Org     domain.OrgID
	Project domain.ProjectID
	Env     domain.EnvID
	EnvSlug domain.Slug // of Env; rules speak of environments by slug
	Path    domain.Path
	// Name and Tags are of the secret; without a name the question is about the folder itself.
	Name domain.SecretName
	Tags []domain.Tag
}

// Decision is the answer and why.
type Decision struct {
	Allowed bool
	Reason  string // for the audit log: the grant and rule that decided
}

// anonymous is what a caller without a credential may try; set-up and login check their own proofs.
var anonymous = []Action{SessionLogin, SetUp, InviteAccept, PasskeyChallenge}

// self is what everybody may do with what is his own, whatever his roles.
var self = []Action{SelfRead, SessionEnd, TokenRevoke, SelfManage, SelfProve, CubbyholeUse}

// asking is what everybody may try whose token has no scopes: what comes of it others decide, or what he proves.
var asking = []Action{AccessRequest, BreakBegin, BreakShare, BreakOpen, BreakClose, BreakReport}

// emergency is all that a break-glass session may do, whatever its role: it changes neither access nor itself.
var emergency = []Action{SecretList, SecretRead, SecretWrite, SecretDelete, ProjectRead, SelfRead, SessionEnd}

var verbs = map[Action]domain.Verb{
	SecretList: domain.VerbList, SecretRead: domain.VerbRead, SecretWrite: domain.VerbWrite, SecretDelete: domain.VerbDelete,
}

// Decide is [DecideAt] when nothing is known of the moment: what holds only for a time or under a condition gives nothing.
func Decide(p *domain.Principal, action Action, r Resource) Decision {
	return DecideAt(p, action, r, Facts{})
}

// inScope tells whether the token that was shown reaches so far. Every pattern covers some folder, so somewhere leaves
// the paths out.
func inScope(p *domain.Principal, action Action, r Resource, somewhere bool) bool {
	if p.Scopes == nil || slices.Contains(self, action) {
		return true
	}
	verb, ok := verbs[action]
	for _, s := range p.Scopes {
		if s.Project != r.Project {
			continue
		}
		if action == ProjectRead && (r.Env == "" || s.Env == "" || s.Env == r.Env) {
			return true
		}
		if ok && (s.Env == "" || s.Env == r.Env) && r.Env != "" && (somewhere || s.Path.Match(r.Path)) && slices.Contains(s.Verbs, verb) {
			return true
		}
	}
	return false
}
