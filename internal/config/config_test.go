package config_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/keyturn/keyturn/internal/config"
	"github.com/keyturn/keyturn/internal/fault"
)

func load(env, flags, files map[string]string) (config.Config, error) {
	return config.Load(func(name string) string { return env[name] },
		func(name string) (string, bool) { v, ok := flags[name]; return v, ok },
		func(name string) ([]byte, error) {
			if text, ok := files[name]; ok {
				return []byte(text), nil
			}
			return nil, errors.New("no such file")
		})
}

func TestDefaultsAreThoseOfTheTable(t *testing.T) {
	c, err := load(nil, nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	if c.Mode != config.Development || c.Listen != "127.0.0.1:8420" || c.CacheBytes != 32<<20 || c.OfflineMaxAge != 24*time.Hour || c.LogLevel != "info" {
		t.Errorf("defaults are %+v", c)
	}
}

func TestFlagsWinOverVariablesAndSecretsMayLieInFiles(t *testing.T) {
	c, err := load(map[string]string{"KEYTURN_LISTEN": "a:1", "KEYTURN_MODE": "production", "KEYTURN_METRICS_TOKEN_FILE": "/run/t", "KEYTURN_OFFLINE_MAX_AGE": "0"},
		map[string]string{"listen": "b:2"}, map[string]string{"/run/t": "a test-value\r\n"})
	if err != nil {
		t.Fatal(err)
	}
	if c.Listen != "b:2" || c.Mode != config.Production || c.MetricsToken != "a test-value" || c.OfflineMaxAge != 0 {
		t.Error("a setting was not taken as it should be")
	}
}

func TestBadSettingsAreNamedAndNeverRepeated(t *testing.T) {
	const planted = "planted-test-value"
	for name, env := range map[string]map[string]string{
		"KEYTURN_MODE":               {"KEYTURN_MODE": planted},
		"KEYTURN_CACHE_MB":           {"KEYTURN_CACHE_MB": planted},
		"KEYTURN_OFFLINE_MAX_AGE":    {"KEYTURN_OFFLINE_MAX_AGE": planted},
		"KEYTURN_LOG_LEVEL":          {"KEYTURN_LOG_LEVEL": planted},
		"KEYTURN_DATABASE_URL":       {"KEYTURN_DATABASE_URL": "mysql://" + planted},
		"KEYTURN_READY_TOKEN_FILE":   {"KEYTURN_READY_TOKEN_FILE": "/" + planted},
		"certificate and its key":    {"KEYTURN_TLS_CERT": "/" + planted},
		"KEYTURN_METRICS_TOKEN_FILE": {"KEYTURN_METRICS_TOKEN_FILE": "/none"},
	} {
		_, err := load(env, nil, nil)
		if !errors.Is(err, fault.Invalid) {
			t.Errorf("%s: got %v", name, err)
			continue
		}
		if f := fault.As(err); !strings.Contains(f.Message, name) || strings.Contains(f.Message+f.Hint, planted) {
			t.Errorf("%s: the message is %q", name, f.Message)
		}
	}
}
