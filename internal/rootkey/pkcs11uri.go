package rootkey

import (
	"net/url"
	"path/filepath"
	"strings"

	"github.com/keyturn/keyturn/internal/fault"
)

// pkcs11URI is the part of RFC 7512 that names a key: the token and the key by their labels, the module, the file of the PIN;
// and helper, an attribute of ours, which names the program that loads the module.
type pkcs11URI struct {
	token, object     string // CK_TOKEN_INFO.label and CKA_LABEL
	modulePath, pinAt string // absolute
	helper            string // plain name or absolute path
}

const (
	maxTokenLabel  = 32  // bytes: PKCS #11 pads labels of tokens to 32
	maxObjectLabel = 128 // bytes; the standard has no limit
)

// defaultHelper is the program of this repository that loads PKCS #11 modules.
const defaultHelper = "keyturn-pkcs11"

// parsePKCS11URI reads what stands behind "pkcs11:". Each attribute may stand there once.
func parsePKCS11URI(rest string) (pkcs11URI, error) {
	wrong := func(format string, args ...any) (pkcs11URI, error) {
		return pkcs11URI{}, fault.New(fault.Invalid, format, args...).
			WithHint("write pkcs11:token=LABEL;object=LABEL?module-path=/path/of/module.so&pin-source=/path/of/pin")
	}
	path, query, _ := strings.Cut(rest, "?")
	attributes := map[string]string{}
	for _, pair := range append(strings.Split(path, ";"), queryParts(query)...) {
		name, encoded, ok := strings.Cut(pair, "=")
		value, err := url.PathUnescape(encoded)
		if !ok || err != nil || strings.ContainsRune(value, 0) {
			return wrong("a PKCS #11 URI has an attribute that does not read")
		}
		if name == "pin-value" {
			return wrong("a PKCS #11 URI holds a PIN, which everybody would see")
		}
		if _, twice := attributes[name]; twice {
			return wrong("a PKCS #11 URI has an attribute twice")
		}
		attributes[name] = value
	}
	u := pkcs11URI{token: attributes["token"], object: attributes["object"], modulePath: attributes["module-path"], pinAt: attributes["pin-source"]}
	u.pinAt = strings.TrimPrefix(u.pinAt, "file:") // RFC 7512 section 2.4 shows both forms
	u.helper = defaultHelper
	if named, ok := attributes["helper"]; ok {
		u.helper = named
	}
	for _, known := range []string{"token", "object", "module-path", "pin-source", "helper"} {
		delete(attributes, known)
	}
	switch {
	case len(attributes) > 0:
		return wrong("a PKCS #11 URI has an attribute that is not known here")
	case u.token == "" || len(u.token) > maxTokenLabel:
		return wrong("a PKCS #11 URI needs the label of a token, of at most %d bytes", maxTokenLabel)
	case u.object == "" || len(u.object) > maxObjectLabel:
		return wrong("a PKCS #11 URI needs the label of a key as object, of at most %d bytes", maxObjectLabel)
	case !filepath.IsAbs(u.modulePath):
		return wrong("a PKCS #11 URI needs the absolute path of a module as module-path")
	case !filepath.IsAbs(u.pinAt):
		return wrong("a PKCS #11 URI needs the absolute path of a file with the PIN as pin-source")
	case u.helper == "" || !filepath.IsAbs(u.helper) && strings.ContainsAny(u.helper, `/\`):
		return wrong("the helper of a PKCS #11 URI is neither a plain name nor an absolute path")
	}
	return u, nil
}

func queryParts(query string) []string {
	if query == "" {
		return nil
	}
	return strings.Split(query, "&")
}

// String is the URI in one spelling, so that two ways to write it are seen to be the same.
func (u pkcs11URI) String() string {
	out := "pkcs11:token=" + pkcs11Escape(u.token) + ";object=" + pkcs11Escape(u.object) +
		"?module-path=" + pkcs11Escape(u.modulePath) + "&pin-source=" + pkcs11Escape(u.pinAt)
	if u.helper != defaultHelper {
		out += "&helper=" + pkcs11Escape(u.helper)
	}
	return out
}

// pkcs11Escape leaves what RFC 3986 calls unreserved, and the slash.
func pkcs11Escape(s string) string {
	return strings.NewReplacer("%2F", "/", "+", "%20").Replace(url.QueryEscape(s))
}
