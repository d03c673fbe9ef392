package rootkey

import (
	"fmt"
	"net/url"
	"strings"
	"testing"

	"github.com/keyturn/keyturn/internal/fault"
)

var goodAddresses = []string{
	"awskms:///" + awsTestARN,
	"awskms:///" + awsTestARN + "?region=eu-central-1",
	"awskms:///1234abcd-12ab-34cd-56ef-1234567890ab?region=eu-central-1",
	"awskms:///mrk-1234abcd12ab34cd56ef1234567890ab?region=us-gov-west-1&endpoint=https://kms-fips.us-gov-west-1.amazonaws.com",
	"awskms:///arn:aws-cn:kms:cn-north-1:111122223333:key/1234abcd-12ab-34cd-56ef-1234567890ab",
	"awskms:///1234abcd-12ab-34cd-56ef-1234567890ab?region=eu-central-1&endpoint=http://127.0.0.1:4566",
	"gcpkms://projects/example-1/locations/global/keyRings/a_B-1/cryptoKeys/k",
	"gcpkms://projects/example.com:p-1/locations/europe-west3/keyRings/r/cryptoKeys/k",
	"azurekv://example.vault.azure.net/keys/root",
	"azurekv://example.vault.azure.net/keys/root/" + azureTestVersion,
	"azurekv://example.vault.usgovcloudapi.net/keys/root",
	"azurekv://example.managedhsm.azure.net/keys/root",
	"azurekv://127.0.0.1:8443/keys/root",
	"transit://bao.example.net:8200/transit/keys/root",
	"transit://bao.example.net/team/transit/keys/root.1?namespace=a/b&tls=off",
	"transit://[::1]:8200/transit/keys/root?tls=off",
}

var badAddresses = []string{
	"awskms:", "awskms:///", "awskms://" + awsTestARN, "awskms:///alias/planted?region=eu-central-1",
	"awskms:///arn:aws:kms:eu-central-1:111122223333:alias/planted",
	"awskms:///planted?region=eu-central-1",
	"awskms:///1234abcd-12ab-34cd-56ef-1234567890ab",
	"awskms:///1234abcd-12ab-34cd-56ef-1234567890ab?region=planted",
	"awskms:///1234abcd-12ab-34cd-56ef-1234567890ab?region=eu-central-1&region=eu-central-1",
	"awskms:///1234abcd-12ab-34cd-56ef-1234567890ab?region=us-iso-east-1",
	"awskms:///" + awsTestARN + "?region=us-east-1",
	"awskms:///" + awsTestARN + "?endpoint=http://kms.example.net",
	"awskms:///" + awsTestARN + "?endpoint=http://127.0.0.1.example.net",
	"awskms:///" + awsTestARN + "?endpoint=https://user:planted@kms.example.net",
	"awskms:///" + awsTestARN + "?endpoint=https://kms.example.net/planted",
	"awskms:///" + awsTestARN + "?endpoint=ftp://kms.example.net",
	"awskms:///" + awsTestARN + "?endpoint=",
	"awskms:///" + awsTestARN + "?secret=planted",
	"awskms:///" + awsTestARN + "#planted",
	"awskms:///" + awsTestARN + "?region=%zz",
	"gcpkms:", "gcpkms://", "gcpkms://projects/p/locations/l/keyRings/r/cryptoKeys/", "gcpkms:projects/p/locations/l/keyRings/r/cryptoKeys/k",
	"gcpkms://projects/p/locations/l/keyRings/r/cryptoKeys/k/cryptoKeyVersions/1",
	"gcpkms://projects/p/locations/l/keyRings/r/cryptoKeys/k?planted=1",
	"gcpkms://projects/../locations/l/keyRings/r/cryptoKeys/k",
	"gcpkms://projects/p/locations/l/keyRings/r/cryptoKeys/k:decrypt",
	"azurekv:", "azurekv://", "azurekv://example.vault.azure.net", "azurekv://example.vault.azure.net/keys/", "azurekv://example.vault.azure.net/secrets/root",
	"azurekv://evil.example.net/keys/root", "azurekv://.vault.azure.net/keys/root", "azurekv://a.b.vault.azure.net/keys/root",
	"azurekv://example.vault.azure.net.evil.example.net/keys/root", "azurekv://example.vault.azure.net:8443/keys/root",
	"azurekv://evil.example.net/keys/root?x=.vault.azure.net", "azurekv://planted@example.vault.azure.net/keys/root",
	"azurekv://example.vault.azure.net/keys/root/planted", "azurekv://example.vault.azure.net/keys/root/" + azureTestVersion + "/unwrapkey",
	"azurekv://example.vault.azure.net/keys/ro%6ft", "azurekv://example.vault.azure.net/keys/..",
	"transit:", "transit://", "transit:///transit/keys/root", "transit://bao.example.net/keys/root", "transit://bao.example.net/transit/keys/",
	"transit://bao.example.net/transit/encrypt/root", "transit://bao.example.net/transit/keys/root/export", "transit://bao.example.net/../keys/root",
	"transit://bao.example.net/transit/keys/..", "transit://bao.example.net/transit/keys/root?tls=on", "transit://bao.example.net/transit/keys/root?token=planted",
	"transit://root:planted@bao.example.net/transit/keys/root", "transit://bao.example.net:99999/transit/keys/root",
	"transit://bao.example.net/transit/keys/root?namespace=../planted", "transit://bao.example.net/a/b/c/d/e/keys/root",
}

func TestAddressesOfServices(t *testing.T) {
	for _, line := range goodAddresses {
		source, err := Parse(line, Environment{})
		if err != nil {
			t.Errorf("%s: %v (%s)", line, err, fault.As(err).Hint)
			continue
		}
		if _, ok := source.(Wrapper); !ok || source.Name() != line {
			t.Errorf("%s is called %s", line, source.Name())
		}
	}
	for _, line := range badAddresses {
		_, err := Parse(line, Environment{})
		if fault.KindOf(err) != fault.Invalid {
			t.Errorf("%s: %v", line, err)
			continue
		}
		if f := fault.As(err); strings.Contains(f.Error()+f.Hint, "planted") || f.Hint == "" {
			t.Errorf("%s: the error repeats the text or gives no form: %v", line, err)
		}
	}
}

func TestEndpointsOfRegions(t *testing.T) {
	for region, want := range map[string]string{
		"eu-central-1": "https://kms.eu-central-1.amazonaws.com", "us-gov-west-1": "https://kms.us-gov-west-1.amazonaws.com",
		"cn-north-1": "https://kms.cn-north-1.amazonaws.com.cn", "eusc-de-east-1": "https://kms.eusc-de-east-1.amazonaws.eu",
		"us-isob-east-1": "",
	} {
		if got, ok := awsEndpoint(region); got != want || ok != (want != "") {
			t.Errorf("%s: %s", region, got)
		}
	}
}

// Whatever stands in the configuration: parsing neither panics nor repeats it, and what it accepts leads to a host that the
// line names or that belongs to the vendor, by TLS unless the line or the host says otherwise.
func FuzzServiceAddress(f *testing.F) {
	for _, line := range append(goodAddresses, badAddresses...) {
		f.Add(line)
	}
	f.Fuzz(func(t *testing.T, line string) {
		source, err := Parse(line, Environment{})
		if err != nil {
			if k := fault.KindOf(err); k != fault.Invalid && k != fault.Unsupported {
				t.Fatal(k)
			}
			return
		}
		w, ok := source.(wrapped)
		if !ok {
			return
		}
		if again, err := Parse(source.Name(), Environment{}); err != nil || fmt.Sprint(again.Name()) != source.Name() {
			t.Fatalf("the name %q does not name it again: %v", source.Name(), err)
		}
		var base string
		switch s := w.service.(type) {
		case awsKMS:
			base = s.endpoint
		case azureVault:
			base = s.base
		case transit:
			base = s.base
		default:
			return
		}
		u, err := url.Parse(base)
		if err != nil || u.User != nil || u.Hostname() == "" {
			t.Fatalf("no place: %s", base)
		}
		if u.Scheme != "https" && !loopback(u.Hostname()) && !(w.kind == "transit" && strings.Contains(line, "tls=off")) {
			t.Fatalf("in clear to %s", base)
		}
	})
}
