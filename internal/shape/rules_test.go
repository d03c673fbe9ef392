package shape

// module is the path that users import; all paths in the tables are relative to it.
const module = "github.com/keyturn/keyturn"

// floors is the picture, from the ground up. Rooms in one row stand side by side. A package belongs to the longest name
// here that it equals or lies under. It may import rooms of lower floors and its own room; nothing imports upwards, and
// neighbours do not import each other. A package of internal that is on no floor fails: draw it first.
var floors = [...][]string{
	{"internal/sensitive", "internal/fault", "internal/crashpoint", "api"},
	{"internal/domain"},
	{"internal/scan", "internal/dbuser", "internal/runner", "internal/term", "internal/config", "internal/format", "internal/rootkey", "internal/bucket", "internal/outbound", "client"},
	{"internal/login", "internal/migrate"},
	{"internal/policy", "internal/keyring", "internal/audit", "internal/store"},
	{"internal/guard", "internal/job"},
	{"internal/keys", "internal/follow"},
	{"internal/secrets", "internal/access", "internal/backup", "internal/doctor", "internal/evidence", "internal/stream", "internal/canary", "internal/consumer", "internal/breakglass", "internal/transit"},
	{"internal/rotate", "internal/lease", "internal/sync", "internal/alert"},
	{"internal/incident"},
	{"internal/httpkit"},
	{"internal/httpapi", "internal/web", "internal/compat/infisical", "internal/compat/vault", "internal/compat/scim"},
	{"internal/server"},
	{"internal/cli", "keyturntest"},
	{"cmd/keyturn"},
}

// beside lists the rooms that are no part of the house: test kits, which only tests and each other import. Packages whose
// name ends in "test", such as a contract suite beside its interface, are kits as well.
var beside = [...]string{"internal/testpg", "internal/testoidc", "internal/testsaml", "internal/testldap", "internal/testvault", "internal/clients", "internal/shape", "internal/proof", "internal/reference", "keyturntest"}

// inside is everything that only makes sense in a process with a database: what the offline half must not need.
var inside = []string{
	"internal/policy", "internal/keyring", "internal/audit", "internal/store", "internal/guard", "internal/job", "internal/keys", "internal/follow",
	"internal/secrets", "internal/access", "internal/backup", "internal/doctor", "internal/stream", "internal/canary", "internal/consumer", "internal/breakglass", "internal/transit", "internal/rotate", "internal/lease",
	"internal/sync", "internal/alert", "internal/incident", "internal/httpkit", "internal/httpapi", "internal/web",
	"internal/compat", "internal/server",
}

var surfaces = []string{"internal/httpapi", "internal/web", "internal/compat"}

// rule is one sentence about imports. A name stands for the package and all below it.
type rule struct {
	of     []string // whom it binds; empty means every package of the module
	but    []string // who is free of it
	only   []string // the only packages of the module that they may import; nil means no such limit
	std    bool     // they import nothing from other modules
	never  []string // packages that they never import
	reason string
}

var rules = [...]rule{
	{
		of: []string{"internal/sensitive", "internal/fault", "internal/crashpoint", "api"}, only: []string{}, std: true,
		reason: "everything stands on the ground, so the ground stands on the standard library only",
	},
	{
		of: []string{"internal/domain"}, only: []string{"internal/sensitive", "internal/fault"},
		reason: "the rules of the nouns are pure: no storage, no HTTP, no clock",
	},
	{
		of:   []string{"internal/policy", "internal/keyring", "internal/audit", "internal/store"},
		only: []string{"internal/domain", "internal/sensitive", "internal/fault"},
		reason: "the pillars know domain and not each other, so that each can be read, tested and replaced alone; " +
			"what one needs from another it states as a small interface",
	},
	{
		but:   []string{"internal/keys", "internal/secrets", "internal/transit", "internal/access", "internal/backup", "internal/server", "internal/doctor", "internal/cli"},
		never: []string{"internal/keyring"},
		reason: "few places may open values: secrets, transit, access and backup; keys turns the keyring, server builds it, doctor inspects it; " +
			"the command line makes root keys and checks a census without a server",
	},
	{
		of: surfaces, never: []string{"internal/store", "internal/keyring", "internal/policy"},
		reason: "surfaces speak HTTP and hold no rules; they reach data through the services, which pass the door",
	},
	{
		of:     []string{"internal/rotate/drivers", "internal/lease/drivers", "internal/sync/targets", "internal/alert/channel"},
		never:  []string{"internal/store", "internal/guard", "internal/keyring", "internal/policy", "internal/audit"},
		reason: "a driver owns what is peculiar to its system; schedule, state, audit and limits belong to its engine",
	},
	{
		of:     []string{"internal/scan", "internal/runner", "internal/term", "internal/format", "internal/dbuser", "internal/rootkey", "internal/bucket", "internal/outbound", "internal/login", "internal/migrate", "client"},
		never:  inside,
		reason: "these work without a server and make the command line useful offline; users compile client into their programs",
	},
	{
		of: []string{"internal/migrate"}, only: []string{"internal/domain", "internal/fault", "internal/format", "internal/sensitive"},
		reason: "what is read from other managers is a plan and no more; who writes it speaks to a server, and that is cli through client",
	},
	{
		of: []string{"internal/config"}, never: inside,
		reason: "settings are read before anything is built, and the command line explains them without a server",
	},
	{
		of: []string{"internal/cli"},
		only: []string{
			"api", "client", "internal/audit", "internal/backup", "internal/bucket", "internal/config", "internal/crashpoint", "internal/doctor", "internal/domain",
			"internal/fault", "internal/format", "internal/keyring", "internal/migrate", "internal/rootkey", "internal/runner", "internal/scan", "internal/sensitive", "internal/server", "internal/term",
		},
		reason: "commands reach the server through client; only server, bootstrap, backup, restore and the offline checks " +
			"(audit verify, doctor) touch the inside; domain is pure, and its parsers say what is wrong before anything is sent; bucket " +
			"reads backups from their places, crashpoint proves that half a backup never has its name",
	},
	{
		of: []string{"cmd/keyturn"}, only: []string{"internal/cli"}, std: true,
		reason: "main is a dozen lines; tests start the program through cli",
	},
	{
		of: []string{"examples"}, only: []string{"api", "client"},
		reason: "examples show what a user can write, and users cannot import internal packages",
	},
}

// exceptions are the imports that a rule or a floor forbids and that are right all the same. Each covers exactly one
// package, not what lies below it.
var exceptions = [...]struct{ from, to, reason string }{
	{"internal/store", "internal/audit", "the chunk, tile and batch records that store keeps are audit's types"},
	{"internal/store", "internal/keyring", "the slot, key and generation rows that store keeps are keyring's types"},
	{"internal/store/storetest", "internal/audit", "the contract suite makes audit records to keep"},
	{"internal/store/storetest", "internal/keyring", "the contract suite makes key rows to keep"},
}

// combination says that few may hold all of these packages at once.
var combination = struct {
	of, by []string
	reason string
}{
	of: []string{"internal/policy", "internal/audit", "internal/store"},
	by: []string{"internal/guard", "internal/keys", "internal/evidence", "internal/backup", "internal/server"},
	reason: "deciding, recording and storing meet at the one door, guard; evidence compares log and data; keys and backup sign " +
		"what they say of the data with the log's key; server builds them",
}

// printers may write to standard output: the command line's data and its terminal manners.
var printers = []string{"internal/cli", "internal/term"}

// maxLines is where a file surely holds two ideas; most have 80 to 300 lines.
const maxLines = 700
