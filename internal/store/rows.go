package store

import (
	"github.com/keyturn/keyturn/internal/domain"
)

// Instance is the one row that every write transaction locks, checks and moves on.
type Instance struct {
	ID        string
	CreatedAt int64
	Epoch     int64
	LogSize   int64
	LogRoot   [32]byte
	FeedSeq   int64
}

// Org is an organisation.
type Org struct {
	ID        domain.OrgID `db:"id,key"`
	Slug      domain.Slug  `db:"slug"`
	Name      domain.Label `db:"name"`
	CreatedAt int64        `db:"created_at"`
}

// Project holds environments.
type Project struct {
	ID        domain.ProjectID `db:"id,key"`
	Org       domain.OrgID     `db:"org_id"`
	Slug      domain.Slug      `db:"slug"`
	Name      domain.Label     `db:"name"`
	CreatedAt int64            `db:"created_at"`
	DeletedAt int64            `db:"deleted_at"`
	PurgedAt  int64            `db:"purged_at"`

	Description string `db:"description,late"`
	Protected   bool   `db:"protected,late"` // it is not deleted before that is lifted
}

// Environment is a line of commits; Revision is the number of the last one.
type Environment struct {
	ID        domain.EnvID     `db:"id,key"`
	Org       domain.OrgID     `db:"org_id"`
	Project   domain.ProjectID `db:"project_id"`
	Slug      domain.Slug      `db:"slug"`
	Name      domain.Label     `db:"name"`
	Position  int64            `db:"position"`
	Revision  int64            `db:"revision"`
	CreatedAt int64            `db:"created_at"`
	DeletedAt int64            `db:"deleted_at"`
	PurgedAt  int64            `db:"purged_at"`
}

// Commit is one atomic change of an environment.
type Commit struct {
	ID         domain.CommitID      `db:"id,key"`
	Org        domain.OrgID         `db:"org_id"`
	Project    domain.ProjectID     `db:"project_id"`
	Env        domain.EnvID         `db:"env_id"`
	Revision   int64                `db:"revision"`
	AuthorKind domain.PrincipalKind `db:"author_kind"`
	AuthorID   string               `db:"author_id"`
	AuthorName string               `db:"author_name"`
	At         int64                `db:"at"`
	Message    string               `db:"message"`
	Cause      string               `db:"cause"`
	Changes    int64                `db:"changes"`
}

// Import shows the secrets of another folder in this one, by ids, so that renames need no rewrite.
type Import struct {
	Project domain.ProjectID `json:"project"`
	Env     domain.EnvID     `json:"env"`
	Folder  domain.FolderID  `json:"folder"`
}

// FolderSettings is what a folder carries beside its path.
type FolderSettings struct {
	Imports  []Import            `json:"imports,omitzero"`
	Required []domain.SecretName `json:"required,omitzero"`
	Note     string              `json:"note,omitzero"` // what it is for, in a sentence
	// Document is what the folder has as a document of the Vault view beside its versions; nil: nothing of its own.
	Document *DocumentSettings `json:"document,omitzero"`
}

// DocumentSettings are those of one document. Times are unix milliseconds.
type DocumentSettings struct {
	MaxVersions int64 `json:"max_versions,omitzero"`
	CASRequired bool  `json:"cas_required,omitzero"`
	// DeleteAfter is how long a version stays, in milliseconds: 0 leaves it to the mount, less than 0 is for ever.
	DeleteAfter int64             `json:"delete_after,omitzero"`
	Custom      map[string]string `json:"custom,omitzero"`
	CreatedAt   int64             `json:"created_at,omitzero"`
	UpdatedAt   int64             `json:"updated_at,omitzero"`
}

// Folder is one folder in its current state.
type Folder struct {
	ID       domain.FolderID  `db:"id,key"`
	Org      domain.OrgID     `db:"org_id"`
	Project  domain.ProjectID `db:"project_id"`
	Env      domain.EnvID     `db:"env_id"`
	Path     domain.Path      `db:"path"`
	Revision int64            `db:"revision,logkey"`
	Version  int64            `db:"version,volatile"`
	Deleted  int64            `db:"deleted"`
	Settings FolderSettings   `db:"settings,json"`
}

// Secret is one state of a secret: the current one, or one that was replaced. Value, comment and digest are volatile for
// the row digest: the ciphertexts are bound to secret and version by their associated data, and key rotations change them.
type Secret struct {
	ID       domain.SecretID   `db:"id,key"`
	Org      domain.OrgID      `db:"org_id"`
	Project  domain.ProjectID  `db:"project_id"`
	Env      domain.EnvID      `db:"env_id"`
	Folder   domain.FolderID   `db:"folder_id"`
	Name     domain.SecretName `db:"name"`
	Revision int64             `db:"revision,logkey"`
	Version  int64             `db:"version"`
	Deleted  int64             `db:"deleted"`
	At       int64             `db:"at"`
	Attrs    domain.Attributes `db:"attrs,json"`
	Comment  []byte            `db:"comment,volatile"`
	Value    []byte            `db:"value,volatile"`
	Digest   []byte            `db:"digest,volatile"`
}

// Reference is an edge between two secrets.
type Reference struct {
	From    domain.SecretID  `db:"from_id,key"`
	To      domain.SecretID  `db:"to_id,key"`
	Org     domain.OrgID     `db:"org_id"`
	Project domain.ProjectID `db:"project_id"`
}

// Personal is one user's own value for a secret.
type Personal struct {
	ID      string           `db:"id,key"`
	Secret  domain.SecretID  `db:"secret_id"`
	User    domain.UserID    `db:"user_id"`
	Org     domain.OrgID     `db:"org_id"`
	Project domain.ProjectID `db:"project_id"`
	Version int64            `db:"version"`
	At      int64            `db:"at"`
	Value   []byte           `db:"value,volatile"`
}

// Person is a human user.
type Person struct {
	ID        domain.UserID `db:"id,key"`
	Org       domain.OrgID  `db:"org_id"`
	Email     domain.Email  `db:"email"`
	Name      domain.Label  `db:"name"`
	Password  string        `db:"password"`
	CreatedAt int64         `db:"created_at"`
	Disabled  bool          `db:"disabled"`

	PasswordAt int64 `db:"password_at,late"` // when the password was last set
	ErasedAt   int64 `db:"erased_at,late"`   // name and address were replaced, 0 = never
}

// Identity is a machine.
type Identity struct {
	ID        domain.IdentityID `db:"id,key"`
	Org       domain.OrgID      `db:"org_id"`
	Name      domain.Label      `db:"name"`
	TokenTTL  int64             `db:"token_ttl"`
	CreatedAt int64             `db:"created_at"`
	Disabled  bool              `db:"disabled"`

	MaxTTL    int64    `db:"max_ttl,late"`       // how far its access tokens can be renewed, 0 = not at all
	TokenUses int64    `db:"token_uses,late"`    // how often one may be used, 0 = any
	Networks  []string `db:"networks,late,json"` // CIDR where client secrets and their tokens may come from; nil = anywhere

	Metadata  []Metadata `db:"metadata,late,json"`
	Protected bool       `db:"protected,late"`  // it is not deleted before that is lifted
	Member    bool       `db:"member,late"`     // of the organisation, which is no right by itself
	SecretsAt int64      `db:"secrets_at,late"` // since when it was told that it may have client secrets, 0 = was not
	ChangedAt int64      `db:"changed_at,late"`
	DeletedAt int64      `db:"deleted_at,late"` // 0 = never
}

// Metadata is a fact that somebody keeps about a machine. It decides nothing.
type Metadata struct {
	Key   string `json:"key"`
	Value string `json:"value"`
}

// ClientSecret proves a machine identity; only its hash is kept.
type ClientSecret struct {
	ID        string            `db:"id,key"`
	Org       domain.OrgID      `db:"org_id"`
	Identity  domain.IdentityID `db:"identity_id"`
	Hash      []byte            `db:"hash"`
	Name      string            `db:"name"`
	CreatedAt int64             `db:"created_at"`
	ExpiresAt int64             `db:"expires_at"`
	RevokedAt int64             `db:"revoked_at"`

	Uses       int64 `db:"uses,late"` // how often it may log in, 0 = any
	Used       int64 `db:"used,volatile"`
	LastUsedAt int64 `db:"last_used_at,volatile"`

	Networks      []string          `db:"networks,late,json"`       // CIDR where it may log in from; nil = anywhere the identity may
	TokenNetworks []string          `db:"token_networks,late,json"` // CIDR where its tokens may come from; nil = as the identity
	Metadata      map[string]string `db:"metadata,late,json"`       // shown with its logins
}

// Token is a bearer token or session; only its hash is kept.
type Token struct {
	ID            domain.TokenID       `db:"id,key"`
	Org           domain.OrgID         `db:"org_id"`
	Hash          []byte               `db:"hash"`
	Kind          domain.TokenKind     `db:"kind"`
	Name          string               `db:"name"`
	PrincipalKind domain.PrincipalKind `db:"principal_kind"`
	PrincipalID   string               `db:"principal_id"`
	Scopes        []domain.Scope       `db:"scopes,json"`
	CreatedAt     int64                `db:"created_at"`
	ExpiresAt     int64                `db:"expires_at"`
	RevokedAt     int64                `db:"revoked_at"`

	Method     string            `db:"method,late"`          // of the login that made it
	AuthAt     int64             `db:"auth_at,late"`         // when a credential was last shown
	MFAAt      int64             `db:"mfa_at,late"`          // when a second factor was last shown, 0 = never
	Idle       int64             `db:"idle_ms,late"`         // it ends when it was not used for so long, 0 = does not
	RenewUntil int64             `db:"renew_until,late"`     // no renewal reaches further, 0 = none is possible
	Uses       int64             `db:"uses,late"`            // how often it may be used at all, 0 = any
	Networks   []string          `db:"networks,late,json"`   // CIDR; nil = from anywhere
	Attributes map[string]string `db:"attributes,late,json"` // what the login proved about its holder
	Parent     domain.TokenID    `db:"parent,late"`
	Address    string            `db:"address,late"`
	Agent      string            `db:"agent,late"`
	Owner      domain.UserID     `db:"owner,late"` // who answers for an API key

	Display     string            `db:"display,late"`         // what Vault clients see, "" = made of method and name
	Path        string            `db:"path,late"`            // the route that made it, such as auth/approle/login
	Meta        map[string]string `db:"meta,late,json"`       // what its maker noted; decides nothing
	Policies    []domain.Role     `db:"policies,late,json"`   // the only roles that count and domain.DefaultPolicy; nil = all of its holder
	TTL         int64             `db:"ttl_ms,late"`          // what it was made for, 0 = from CreatedAt to ExpiresAt
	Period      int64             `db:"period_ms,late"`       // what every renewal gives, 0 = not periodic
	ExplicitMax int64             `db:"explicit_max_ms,late"` // as it was asked for; RenewUntil is what counts
	RenewedAt   int64             `db:"renewed_at,late"`
	Orphan      bool              `db:"orphan,late"`     // made by Parent and does not end with it
	Batch       bool              `db:"batch,late"`      // has no accessor and is not renewed
	Family      domain.TokenID    `db:"family,late"`     // root of the tokens that end with it; "" = ends with no other
	TokenRole   string            `db:"token_role,late"` // name of the [TokenRole] that made it

	LastUsedAt int64 `db:"last_used_at,volatile"` // coarse
	Used       int64 `db:"used,volatile"`         // counted where Uses is set
}

// Grant is a role given to a principal somewhere. The role is the name of a built-in one or the id of a custom one.
type Grant struct {
	ID            string               `db:"id,key"`
	Org           domain.OrgID         `db:"org_id"`
	PrincipalKind domain.PrincipalKind `db:"principal_kind"`
	PrincipalID   string               `db:"principal_id"`
	Project       domain.ProjectID     `db:"project_id"`
	Env           domain.EnvID         `db:"env_id"`
	Path          domain.Pattern       `db:"path,late"` // "" = every folder
	Role          domain.Role          `db:"role"`
	CreatedAt     int64                `db:"created_at"`
	ExpiresAt     int64                `db:"expires_at,late"`
	Reason        string               `db:"reason,late"`
	Cause         string               `db:"cause,late"` // "" = somebody's hand; else what gave it, and may take it away
}

// Group holds users, machines and other groups; what it was given, they have.
type Group struct {
	ID         domain.GroupID `db:"id,key"`
	Org        domain.OrgID   `db:"org_id"`
	Name       string         `db:"name"`
	ExternalID string         `db:"external_id"` // of a directory that manages it
	CreatedAt  int64          `db:"created_at"`
}

// GroupMember is one place in a group.
type GroupMember struct {
	Group domain.GroupID       `db:"group_id,key"`
	ID    string               `db:"member_id,key"`
	Kind  domain.PrincipalKind `db:"member_kind"` // user, identity or group
	Org   domain.OrgID         `db:"org_id"`
	Cause string               `db:"cause"` // "hand", or the connection that put it there
}

// KeySlot is one wrapping of the instance key, in the form of a row.
type KeySlot struct {
	ID          string `db:"id,key"`
	Kind        string `db:"kind"`
	Fingerprint string `db:"fingerprint"`
	Key         string `db:"key_id"`
	Wrapped     []byte `db:"wrapped"`
	Check       []byte `db:"key_check"`
	CreatedAt   int64  `db:"created_at"`
	Source      string `db:"source"`
	Kept        []byte `db:"kept"`
	Public      []byte `db:"public"`
	Proof       []byte `db:"proof"`
	ProvedAt    int64  `db:"proved_at,volatile"`
}

// KeyTurn is one turn of one key, running or over.
type KeyTurn struct {
	ID        string           `db:"id,key"`
	Layer     string           `db:"layer"`
	Project   domain.ProjectID `db:"project_id"`
	Old       string           `db:"old_key"`
	New       string           `db:"new_key"`
	Stage     string           `db:"stage"`
	Cause     string           `db:"cause"`
	ActorKind string           `db:"actor_kind"`
	ActorID   string           `db:"actor_id"`
	ActorName string           `db:"actor_name"`
	KeepOld   bool             `db:"keep_old"`
	StartedAt int64            `db:"started_at"`
	DueAt     int64            `db:"due_at"`
	EndedAt   int64            `db:"ended_at"`
	Paused    bool             `db:"paused"`
	Rate      int64            `db:"rate"`
	Done      int64            `db:"done,volatile"`
	Total     int64            `db:"total,volatile"`
	Problem   string           `db:"problem,volatile"`
	Census    string           `db:"census"`
	Handover  string           `db:"handover"`
	Trace     string           `db:"trace"`
}

// KeyGeneration is one life of a key, in the form of a row.
type KeyGeneration struct {
	ID            string           `db:"id,key"`
	Layer         string           `db:"layer"`
	Project       domain.ProjectID `db:"project_id"`
	Generation    int64            `db:"generation"`
	State         string           `db:"state"`
	Wrapped       []byte           `db:"wrapped,volatile"`
	WrappedBy     string           `db:"wrapped_by,volatile"`
	CreatedAt     int64            `db:"created_at"`
	SealsReserved int64            `db:"seals_reserved,volatile"`
	Public        []byte           `db:"public"`
}

// Idempotent is a write that was applied under a key of the client's choice.
type Idempotent struct {
	ID      string `db:"id,key"`
	Request []byte `db:"request"`
	Answer  []byte `db:"answer"`
	At      int64  `db:"at"`
}

// FeedKind says what changed.
type FeedKind string

// The kinds of changes that other servers and listeners hear of.
const (
	FeedCommit   FeedKind = "commit"   // an environment has a new revision
	FeedPersonal FeedKind = "personal" // somebody's own value
	FeedProject  FeedKind = "project"  // projects, environments: names, deletion
	FeedAccess   FeedKind = "access"   // users, identities, tokens, grants
	FeedKeys     FeedKind = "keys"     // keys
	FeedWatching FeedKind = "watching" // streams of the log, canaries
	FeedTransit  FeedKind = "transit"  // keys of the encryption service
	FeedLost     FeedKind = "lost"     // never stored: changes were missed, forget whatever is cached
)

// Feed is one change.
type Feed struct {
	Seq      int64            `db:"seq,key"`
	Kind     FeedKind         `db:"kind"`
	Project  domain.ProjectID `db:"project_id"`
	Env      domain.EnvID     `db:"env_id"`
	Revision int64            `db:"revision"`
	At       int64            `db:"at"`
}

// The tables. "true" means that a row decides something, so that each write of one leaves its digest in the log.
var (
	orgs           = newTable[Org]("org", true)
	projects       = newTable[Project]("project", true)
	environments   = newTable[Environment]("environment", true)
	commits        = newTable[Commit]("commits", true)
	folders        = newTable[Folder]("folder", true)
	folderHistory  = newHistory[Folder]("folder_history")
	secretRows     = newTable[Secret]("secret", true)
	secretHistory  = newHistory[Secret]("secret_history")
	references     = newTable[Reference]("secret_ref", false)
	personals      = newTable[Personal]("personal", true)
	persons        = newTable[Person]("person", true)
	identities     = newTable[Identity]("identity", true)
	clientSecrets  = newTable[ClientSecret]("client_secret", true)
	tokens         = newTable[Token]("token", true)
	grants         = newTable[Grant]("role_grant", true)
	groups         = newTable[Group]("user_group", true)
	groupMembers   = newTable[GroupMember]("group_member", true)
	keySlots       = newTable[KeySlot]("key_slot", true)
	keyGenerations = newTable[KeyGeneration]("key_generation", true)
	keyTurns       = newTable[KeyTurn]("key_turn", true)
	idempotents    = newTable[Idempotent]("idempotency", false)
	feedRows       = newTable[Feed]("feed", false)
)
