package login_test

import (
	"net"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/keyturn/keyturn/internal/fault"
	"github.com/keyturn/keyturn/internal/login"
	"github.com/keyturn/keyturn/internal/outbound"
	"github.com/keyturn/keyturn/internal/sensitive"
	"github.com/keyturn/keyturn/internal/testldap"
)

func dialer(t *testing.T) login.Dial {
	t.Helper()
	rules, err := outbound.ParseRules("127.0.0.0/8")
	if err != nil {
		t.Fatal(err)
	}
	return rules.DialContext
}

var directoryPassword = sensitive.FromString(testldap.Password)

func directory(t *testing.T, settings string, more ...string) (*testldap.Server, login.LDAP) {
	t.Helper()
	entries := append([]string{
		testldap.Person("ann", "ann@example.test", "Ann Example"), testldap.Person("bob", "bob@example.test", "Bob"),
		testldap.Person("twin1", "twin@example.test", "Twin"), testldap.Person("twin2", "twin@example.test", "Twin"),
		testldap.Group("eng", "ann", "bob"), testldap.Group("admins", "ann"), testldap.Group("others", "bob"),
	}, more...)
	s := testldap.Start(t, settings, entries...)
	return s, login.LDAP{URL: s.URL, CA: s.CA, BindDN: testldap.Root, BaseDN: testldap.People, GroupBase: testldap.Groups}
}

func TestPeopleLogInWithThePasswordOfADirectory(t *testing.T) {
	s, l := directory(t, "")
	encrypted := l
	encrypted.URL = s.TLS
	var subject string
	for name, l := range map[string]login.LDAP{"StartTLS": l, "ldaps": encrypted} {
		if err := l.Test(t.Context(), dialer(t), directoryPassword); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		for _, account := range []string{"ann", " ANN ", "ann@example.test", "ａｎｎ"} {
			who, err := l.Login(t.Context(), dialer(t), directoryPassword, account, directoryPassword)
			if err != nil {
				t.Fatalf("%s, %q: %v", name, account, err)
			}
			if len(who.Subject) != 36 || who.Email != "ann@example.test" || who.Name != "Ann Example" || !slices.Equal(who.Groups, []string{"admins", "eng"}) {
				t.Errorf("%s: %+v", name, who)
			}
			if subject == "" {
				subject = who.Subject
			}
			if who.Subject != subject {
				t.Errorf("%s: the subject is %s and then %s", name, subject, who.Subject)
			}
		}
	}
}

func TestWhatIsNoPasswordOfADirectoryIsRefused(t *testing.T) {
	_, l := directory(t, "")
	for name, try := range map[string][2]string{
		"a wrong password":            {"ann", "wrong test-value"},
		"no password":                 {"ann", ""}, // which a directory takes for a bind as nobody
		"a long password":             {"ann", strings.Repeat("x", 2000)},
		"nobody":                      {"nobody", testldap.Password},
		"the name of two":             {"twin@example.test", testldap.Password},
		"anybody":                     {"*", testldap.Password},
		"anybody that begins so":      {"an*", testldap.Password},
		"an open end":                 {"ann)(uid=*", testldap.Password},
		"an always true filter":       {"*)(|(objectClass=*", testldap.Password},
		"a filter that ends":          {"ann))(|(uid=bob", testldap.Password},
		"a backslash":                 {`ann\`, testldap.Password},
		"an escaped star":             {`\2a`, testldap.Password},
		"a name in place of the name": {"{dn}", testldap.Password},
		"a distinguished name":        {"uid=ann," + testldap.People, testldap.Password},
		"quotes and ors":              {"' or '1'='1", testldap.Password},
	} {
		who, err := l.Login(t.Context(), dialer(t), directoryPassword, try[0], sensitive.FromString(try[1]))
		if fault.KindOf(err) != fault.Unauthenticated {
			t.Errorf("%s: %+v, %v", name, who, err)
		}
		if err != nil && try[1] != "" && strings.Contains(err.Error(), try[1]) {
			t.Errorf("%s: the failure holds the password", name)
		}
	}
	for name, account := range map[string]string{"an empty name": "", "a zero byte": "ann\x00", "what cannot be seen": "an\u200bn", "a long name": strings.Repeat("a", 300), "no text": "ann\xff"} {
		if _, err := l.Login(t.Context(), dialer(t), directoryPassword, account, directoryPassword); fault.KindOf(err) != fault.Invalid {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestAGroupThatIsNamedLikeAFilterStaysAName(t *testing.T) {
	_, l := directory(t, "", "dn: uid=*\\2Cstar,"+testldap.People+"\nobjectClass: inetOrgPerson\nuid: *,star\nmail: star@example.test\ncn: Star\nsn: Star\nuserPassword: "+testldap.Password+"\n")
	who, err := l.Login(t.Context(), dialer(t), directoryPassword, "star@example.test", directoryPassword)
	if err != nil || len(who.Groups) != 0 {
		t.Errorf("%+v, %v", who, err)
	}
}

func TestADirectoryIsNotAskedInClear(t *testing.T) {
	s, l := directory(t, "")
	other, _ := directory(t, "")
	for name, change := range map[string]func(*login.LDAP){
		"StartTLS with a certificate of somebody else": func(l *login.LDAP) { l.CA = other.CA },
		"StartTLS with the roots of the system":        func(l *login.LDAP) { l.CA = "" },
		"ldaps with a certificate of somebody else":    func(l *login.LDAP) { l.CA, l.URL = other.CA, s.TLS },
		"a certificate for another name":               func(l *login.LDAP) { l.URL = strings.Replace(s.TLS, "127.0.0.1", "localhost", 1) },
	} {
		l := l
		change(&l)
		if _, err := l.Login(t.Context(), dialer(t), directoryPassword, "ann", directoryPassword); fault.KindOf(err) != fault.Unavailable {
			t.Errorf("%s: %v", name, err)
		}
	}
	// A directory, or somebody on the way, that does not do StartTLS.
	seen := make(chan []byte, 10)
	bare := listen(t, func(c net.Conn) {
		b := make([]byte, 4096)
		for {
			n, err := c.Read(b)
			if err != nil {
				return
			}
			seen <- slices.Clone(b[:n])
			// ExtendedResponse, message 1: protocolError
			_, _ = c.Write([]byte{0x30, 0x0c, 0x02, 0x01, 0x01, 0x78, 0x07, 0x0a, 0x01, 0x02, 0x04, 0x00, 0x04, 0x00})
		}
	})
	l.URL = "ldap://" + bare
	if _, err := l.Login(t.Context(), dialer(t), directoryPassword, "ann", directoryPassword); fault.KindOf(err) != fault.Unavailable {
		t.Errorf("%v", err)
	}
	close(seen)
	for b := range seen {
		if strings.Contains(string(b), testldap.Password) {
			t.Error("a password was sent in clear")
		}
	}
}

func listen(t *testing.T, serve func(net.Conn)) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() { defer c.Close(); serve(c) }()
		}
	}()
	return l.Addr().String()
}

func TestReferralsAreNotFollowed(t *testing.T) {
	var asked atomic.Int64
	trap := listen(t, func(net.Conn) { asked.Add(1) })
	ref := "dn: ou=elsewhere," + testldap.People + "\nobjectClass: referral\nobjectClass: extensibleObject\nou: elsewhere\nref: ldap://" + trap + "/" + testldap.People + "\n"
	_, l := directory(t, "referral ldap://"+trap+"/", ref)
	if _, err := l.Login(t.Context(), dialer(t), directoryPassword, "carol", directoryPassword); fault.KindOf(err) != fault.Unauthenticated {
		t.Errorf("%v", err)
	}
	if who, err := l.Login(t.Context(), dialer(t), directoryPassword, "ann", directoryPassword); err != nil || who.Email != "ann@example.test" {
		t.Errorf("%+v, %v", who, err)
	}
	l.BaseDN = "ou=people,dc=other,dc=test"
	if _, err := l.Login(t.Context(), dialer(t), directoryPassword, "ann", directoryPassword); err == nil {
		t.Error("a base elsewhere is found")
	}
	if n := asked.Load(); n != 0 {
		t.Errorf("the server that the directory points to was called %d times", n)
	}
}

func TestADirectoryThatTalksWithoutEndIsLeft(t *testing.T) {
	endless := listen(t, func(c net.Conn) {
		_, _ = c.Write([]byte{0x30, 0x84, 0x7f, 0xff, 0xff, 0xff})
		b := make([]byte, 64<<10)
		for {
			if _, err := c.Write(b); err != nil {
				return
			}
		}
	})
	l := login.LDAP{URL: "ldap://" + endless, Plain: true, BaseDN: testldap.People}
	if _, err := l.Login(t.Context(), dialer(t), sensitive.Value{}, "ann", directoryPassword); fault.KindOf(err) != fault.Unavailable {
		t.Errorf("%v", err)
	}
}

func TestADirectoryInsideIsNotReached(t *testing.T) {
	_, l := directory(t, "")
	if _, err := l.Login(t.Context(), outbound.Rules{}.DialContext, directoryPassword, "ann", directoryPassword); fault.KindOf(err) != fault.Denied {
		t.Errorf("%v", err)
	}
}

func TestSettingsOfADirectoryAreChecked(t *testing.T) {
	good := login.LDAP{URL: "ldaps://ldap.example.test", BaseDN: testldap.People}
	if err := good.Check(); err != nil {
		t.Fatal(err)
	}
	for name, change := range map[string]func(*login.LDAP){
		"no address":        func(l *login.LDAP) { l.URL = "" },
		"a web address":     func(l *login.LDAP) { l.URL = "https://ldap.example.test" },
		"a user in it":      func(l *login.LDAP) { l.URL = "ldap://me:test-value@ldap.example.test" },
		"a base in it":      func(l *login.LDAP) { l.URL = "ldap://ldap.example.test/dc=x??sub" },
		"no base":           func(l *login.LDAP) { l.BaseDN = "" },
		"a base of words":   func(l *login.LDAP) { l.BaseDN = "people" },
		"half a filter":     func(l *login.LDAP) { l.Filter = "(uid={account}" },
		"a constant filter": func(l *login.LDAP) { l.Filter = "(uid=admin)" },
		"half a group":      func(l *login.LDAP) { l.GroupFilter = "(member={dn}" },
		"roots of words":    func(l *login.LDAP) { l.CA = "test-value" },
	} {
		l := good
		change(&l)
		if err := l.Check(); fault.KindOf(err) != fault.Invalid {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func FuzzAccount(f *testing.F) {
	for _, s := range []string{"ann", " ANN  B ", "ａｎｎ", "*)(uid=*", "ﬃ", "İ"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		once, err := login.Account(s)
		if err != nil {
			return
		}
		if again, err := login.Account(once); err != nil || again != once {
			t.Errorf("%q becomes %q and then %q, %v", s, once, again, err)
		}
	})
}
