package server_test

import (
	"fmt"
	"sync"
	"testing"

	"github.com/keyturn/keyturn/api"
	"github.com/keyturn/keyturn/keyturntest"
)

// BenchmarkDirectoryOfTenThousand asks a server for people of a directory that keeps ten thousand here.
func BenchmarkDirectoryOfTenThousand(b *testing.B) {
	s := keyturntest.Start(b)
	w := newWorld(s)
	made := send[api.NewToken](b, w.admin, "POST", "/scim/tokens", api.SCIMTokenRequest{Connection: "okta", TTL: "1h"})
	d := scimClient{w.admin.with(made.Token)}
	var group sync.WaitGroup
	for worker := range 16 {
		group.Go(func() {
			for i := worker; i < 10_000; i += 16 {
				d.user(b, fmt.Sprintf("user%d@example.test", i))
			}
		})
	}
	group.Wait()
	for name, path := range map[string]string{
		"first page of 100":     "/Users?count=100",
		"last page of 100":      "/Users?startIndex=9901&count=100",
		"page of 500":           "/Users?startIndex=5001&count=500",
		"userName":              "/Users" + query("filter", `userName eq "USER7777@example.test"`),
		"externalId and active": "/Users" + query("filter", `externalId eq "x-user7777@example.test" and active eq true`),
		"active":                "/Users" + query("filter", `active eq true`),
	} {
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				d.call(b, "GET", path, nil, 200)
			}
		})
	}
}
