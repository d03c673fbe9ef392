package cli

import "testing"

func TestASideIsAnEnvironmentARevisionOrBoth(t *testing.T) {
	for _, c := range []struct{ env, in, want string }{
		{"dev", "prod", "prod"},
		{"dev", "prod@12", "prod@12"},
		{"dev", "@12", "dev@12"},
		{"dev", "prod@012", "prod@12"},
		{"", "prod", "prod"},
		{"dev", "01890000-0000-7000-8000-000000000000@3", "01890000-0000-7000-8000-000000000000@3"},
	} {
		if got, err := parseSide(c.env, c.in); err != nil || got != c.want {
			t.Errorf("%q in %q: %q, %v; want %q", c.in, c.env, got, err, c.want)
		}
	}
	for _, c := range []struct{ env, in string }{
		{"dev", ""}, {"", ""}, {"", "@3"}, {"dev", "@"}, {"dev", "prod@"}, {"dev", "prod@0"}, {"dev", "prod@-1"}, {"dev", "prod@x"},
		{"dev", "prod@1@2"}, {"dev", "Prod"}, {"dev", "a/b"}, {"dev", "a b@1"}, {"dev", "prod@99999999999999999999"},
	} {
		if got, err := parseSide(c.env, c.in); err == nil {
			t.Errorf("%q in %q was taken as %q", c.in, c.env, got)
		}
	}
}

func FuzzASideIsOneThatTheServerTakes(f *testing.F) {
	f.Add("dev", "@1")
	f.Add("", "prod@3")
	f.Fuzz(func(t *testing.T, env, in string) {
		got, err := parseSide(env, in)
		if err != nil {
			return
		}
		if again, err := parseSide("", got); err != nil || again != got {
			t.Fatalf("%q in %q became %q, which reads as %q, %v", in, env, got, again, err)
		}
	})
}
