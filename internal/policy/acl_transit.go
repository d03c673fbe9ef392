package policy

import (
	"slices"
	"strings"

	"github.com/keyturn/keyturn/internal/domain"
)

// The rights on keys of the encryption service, by the names of their actions.
const (
	toReadKeys  right = "transit.read"
	toEncrypt   right = "transit.encrypt"
	toDecrypt   right = "transit.decrypt"
	toSign      right = "transit.sign"
	toVerify    right = "transit.verify"
	toHMAC      right = "transit.hmac"
	toManage    right = "transit.manage"
	toTakeKeys  right = "transit.export"
	transitKeys       = "keys"
)

// transitRights are in the order in which rules name them.
var transitRights = []right{toReadKeys, toEncrypt, toDecrypt, toSign, toVerify, toHMAC, toManage, toTakeKeys}

// transitUse are the operations, each a class of its own, whose paths go on with the name of a key. To rewrap and to make data keys
// is a part of the right to encrypt, as it gives ciphertexts.
var transitUse = map[string]*class{
	"encrypt": {name: "encrypt", gives: map[Capability]right{CanUpdate: toEncrypt}},
	"decrypt": {name: "decrypt", gives: map[Capability]right{CanUpdate: toDecrypt}},
	"sign":    {name: "sign", gives: map[Capability]right{CanUpdate: toSign}},
	"verify":  {name: "verify", gives: map[Capability]right{CanUpdate: toVerify}},
	"hmac":    {name: "hmac", gives: map[Capability]right{CanUpdate: toHMAC}},
	"rewrap":  {name: "rewrap", needs: map[Capability]right{CanUpdate: toEncrypt}},
	"datakey": {name: "datakey", needs: map[Capability]right{CanUpdate: toEncrypt}},
	"keys":    {name: transitKeys, gives: map[Capability]right{CanRead: toReadKeys}},
}

var (
	// transitAll are the keys as a whole: making, rotating, configuring and deleting them is one right.
	transitAll = &class{name: transitKeys, gives: map[Capability]right{CanDelete: toManage}}
	// transitOut is key material that leaves the server.
	transitOut = &class{name: "export", gives: map[Capability]right{CanRead: toTakeKeys}}
)

// transitOpen are operations without a key, which everybody may use who has a token.
var transitOpen = []string{"random", "hash"}

// transit takes in what a path says of keys: those of the organisation, or those of a project.
func (t *translation) transit(p *ACLPath, mount string, project domain.ProjectID, rest string) error {
	some := func(all ...Capability) bool { return slices.ContainsFunc(all, p.can) }
	makes := some(CanCreate, CanUpdate, CanDelete)
	every := p.can(CanCreate) && p.can(CanUpdate) && p.can(CanDelete)
	add := func(c *class, names []string, tier int) {
		t.entries = append(t.entries, entry{p, mount, c, region{project: project, folders: "/", names: names}, tier})
	}
	word, after, _ := strings.Cut(rest, "/")
	switch {
	case rest == "*":
		if makes != every {
			return aclRefused(p.Line, "of all that the service does, a part is given by one path for each operation", "write "+mount+"/encrypt/*, "+mount+"/decrypt/* and so on, or create, read, update and delete")
		}
		for _, name := range []string{"encrypt", "decrypt", "sign", "verify", "hmac", "rewrap", "datakey", "keys"} {
			add(transitUse[name], nil, tierPattern)
		}
		if every || p.can(CanDeny) {
			add(transitAll, nil, tierPattern)
			add(transitOut, nil, tierPattern)
		}
		return nil
	case slices.Contains(transitOpen, strings.TrimSuffix(word, "*")):
		if p.can(CanDeny) {
			return aclRefused(p.Line, "this is open to everybody who has a token and cannot be denied", "take the path out")
		}
		return nil
	case word == transitKeys && strings.Trim(after, "/") == "":
		if some(CanRead, CanCreate, CanUpdate, CanDelete, CanPatch, CanDeny) {
			return aclRefused(p.Line, "the list of keys shows those that one may read", "write list alone, and "+mount+"/keys/NAME for a key")
		}
		return nil
	case transitUse[word] == nil:
		return aclRefused(p.Line, "no path gives this operation of the encryption service by itself", "give who needs it a role with transit.manage or transit.export")
	}
	names, ok := transitNames(word, after)
	if !ok {
		return aclRefused(p.Line, "the path names no key", "write "+mount+"/"+word+"/NAME, or "+mount+"/"+word+"/* for all keys")
	}
	c, tier := transitUse[word], tierExact
	if strings.ContainsAny(p.Path, "+*") {
		tier = tierPattern
	}
	if word == transitKeys && (makes || p.can(CanDeny)) {
		if makes && (!every || after != "*") {
			return aclRefused(p.Line, "making, rotating, configuring and deleting keys is one right here, on all of them", "write "+mount+"/keys/* with create, update and delete, or read and list only")
		}
		add(transitAll, names, tier)
	}
	if word != transitKeys && len(p.Capabilities) > 0 && !some(CanUpdate, CanDeny) {
		return aclRefused(p.Line, "keys are used with update", "write update, or take the path out")
	}
	add(c, names, tier)
	return nil
}

// transitNames gives the names of keys that the rest of a path stands for; none for all of them.
func transitNames(word, rest string) (names []string, ok bool) {
	if word == "datakey" && rest != "*" { // datakey/plaintext/NAME
		kind, after, _ := strings.Cut(rest, "/")
		if kind != "plaintext" && kind != "wrapped" && kind != "+" {
			return nil, false
		}
		rest = after
	}
	if rest == "*" || rest == "+" {
		return nil, true
	}
	rest = strings.TrimSuffix(rest, "/*") // what follows a key is the algorithm, which the body may name as well
	if !globOf(rest, "_-.", true) || strings.ContainsAny(rest, "?") || strings.Contains(strings.TrimSuffix(rest, "*"), "*") {
		return nil, false
	}
	return []string{rest}, true
}
