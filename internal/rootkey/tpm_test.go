//go:build unix

package rootkey_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"os"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-tpm/tpm2"
	"github.com/google/go-tpm/tpm2/transport"

	"github.com/keyturn/keyturn/internal/fault"
	"github.com/keyturn/keyturn/internal/rootkey"
	"github.com/keyturn/keyturn/internal/rootkey/rootkeytest"
	"github.com/keyturn/keyturn/internal/sensitive"
)

func TestATPMKeepsTheContract(t *testing.T) {
	address, _ := rootkeytest.StartTPM(t, t.TempDir())
	rootkeytest.Wrapper(t, wrapper(t, "tpm://"+address))
}

func TestWhatATPMSealedSurvivesItsRestartAndOpensNowhereElse(t *testing.T) {
	state := t.TempDir()
	address, stop := rootkeytest.StartTPM(t, state)
	root := newRoot(t)
	kept, err := wrapper(t, "tpm://"+address).Wrap(t.Context(), home, root)
	if err != nil {
		t.Fatal(err)
	}
	stop()
	if _, err := wrapper(t, "tpm://"+address).Unwrap(t.Context(), home, kept); !errors.Is(err, fault.Unavailable) {
		t.Error("the TPM is gone:", err)
	}
	address, _ = rootkeytest.StartTPM(t, state)
	if got, err := wrapper(t, "tpm://"+address).Unwrap(t.Context(), home, kept); err != nil || !got.Equal(root) {
		t.Error("after a restart:", err)
	}
	other, _ := rootkeytest.StartTPM(t, t.TempDir())
	if got, err := wrapper(t, "tpm://"+other).Unwrap(t.Context(), home, kept); !errors.Is(err, fault.Invalid) || !got.Empty() ||
		!strings.Contains(fault.As(err).Message, "not sealed by the TPM") {
		t.Error("another TPM:", err)
	}
}

// A counter that rises would lock the TPM for everybody on the machine.
func TestNothingRaisesTheDictionaryAttackCounter(t *testing.T) {
	address, _ := rootkeytest.StartTPM(t, t.TempDir())
	w := wrapper(t, "tpm://"+address)
	kept, err := w.Wrap(t.Context(), home, newRoot(t))
	if err != nil {
		t.Fatal(err)
	}
	for i := range 40 { // the default of a TPM is to lock after 32
		damaged := bytes.Clone(kept)
		damaged[len(damaged)-1-i] ^= 1
		if _, err := w.Unwrap(t.Context(), home, damaged); !errors.Is(err, fault.Invalid) {
			t.Fatal(err)
		}
		if _, err := w.Unwrap(t.Context(), rootkey.Binding{Slot: strconv.Itoa(i)}, kept); !errors.Is(err, fault.Invalid) {
			t.Fatal(err)
		}
	}
	conn, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	rsp, err := tpm2.GetCapability{Capability: tpm2.TPMCapTPMProperties, Property: uint32(tpm2.TPMPTLockoutCounter), PropertyCount: 1}.
		Execute(transport.FromReadWriter(conn))
	if err != nil {
		t.Fatal(err)
	}
	properties, err := rsp.CapabilityData.Data.TPMProperties()
	if err != nil || len(properties.TPMProperty) != 1 || properties.TPMProperty[0].Value != 0 {
		t.Error(properties, err)
	}
}

// tap stands between the server and a TPM, as a wire on the bus does, and hands each response to change.
func tap(t *testing.T, to string, change func(sent, received []byte) []byte) (address string, heard func() []byte) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var mu sync.Mutex
	var all bytes.Buffer
	var wg sync.WaitGroup
	serve := func(near, far net.Conn) {
		defer func() { _, _ = near.Close(), far.Close() }()
		for {
			sent, err := message(near)
			if err != nil {
				return
			}
			if _, err := far.Write(sent); err != nil {
				return
			}
			received, err := message(far)
			if err != nil {
				return
			}
			mu.Lock()
			all.Write(sent)
			all.Write(received)
			mu.Unlock()
			if _, err := near.Write(change(sent, received)); err != nil {
				return
			}
		}
	}
	wg.Go(func() {
		for {
			near, err := l.Accept()
			if err != nil {
				return
			}
			far, err := net.Dial("tcp", to)
			if err != nil {
				_ = near.Close()
				return
			}
			serve(near, far) // one after the other, as the server comes
		}
	})
	t.Cleanup(func() {
		_ = l.Close()
		wg.Wait()
	})
	return l.Addr().String(), func() []byte {
		mu.Lock()
		defer mu.Unlock()
		return bytes.Clone(all.Bytes())
	}
}

// message reads one command or response: tag, size, and the rest.
func message(r io.Reader) ([]byte, error) {
	head := make([]byte, 6)
	if _, err := io.ReadFull(r, head); err != nil {
		return nil, err
	}
	rest := make([]byte, binary.BigEndian.Uint32(head[2:])-6)
	_, err := io.ReadFull(r, rest)
	return append(head, rest...), err
}

func TestWhoListensOnTheBusLearnsNothing(t *testing.T) {
	address, _ := rootkeytest.StartTPM(t, t.TempDir())
	tapped, heard := tap(t, address, func(_, received []byte) []byte { return received })
	w := wrapper(t, "tpm://"+tapped)
	root := newRoot(t)
	kept, err := w.Wrap(t.Context(), home, root)
	if err != nil {
		t.Fatal(err)
	}
	if got, err := w.Unwrap(t.Context(), home, kept); err != nil || !got.Equal(root) {
		t.Fatal(err)
	}
	wire := heard()
	if len(wire) < 1000 {
		t.Fatalf("only %d bytes were heard", len(wire))
	}
	digest := home.Digest()
	for name, secret := range map[string][]byte{"the root key": root.Reveal(), "its first half": root.Reveal()[:16], "the binding's digest": digest[:]} {
		if bytes.Contains(wire, secret) {
			t.Errorf("%s is on the wire", name)
		}
	}
}

// Who answers in the TPM's place has no key by the name that the slot keeps, and without that key cannot make an answer.
func TestWhoAnswersInTheTPMsPlaceIsFound(t *testing.T) {
	address, _ := rootkeytest.StartTPM(t, t.TempDir())
	other, _ := rootkeytest.StartTPM(t, t.TempDir())
	kept, err := wrapper(t, "tpm://"+address).Wrap(t.Context(), home, newRoot(t))
	if err != nil {
		t.Fatal(err)
	}
	tapped, _ := tap(t, other, func(_, received []byte) []byte { return received })
	if _, err := wrapper(t, "tpm://"+tapped).Unwrap(t.Context(), home, kept); !errors.Is(err, fault.Invalid) {
		t.Error("another TPM:", err)
	}
	for name, code := range map[string]uint32{"load": 0x157, "unseal": 0x15e} { // TPM_CC_Load, TPM_CC_Unseal
		tapped, _ := tap(t, address, func(sent, received []byte) []byte {
			if binary.BigEndian.Uint32(sent[6:]) == code && len(received) > 20 {
				received[20] ^= 1 // in the first parameter
			}
			return received
		})
		if got, err := wrapper(t, "tpm://"+tapped).Unwrap(t.Context(), home, kept); err == nil || !got.Empty() {
			t.Errorf("a changed answer to %s is believed", name)
		}
	}
}

func TestATPMThatTalksNonsense(t *testing.T) {
	for name, answer := range map[string]string{
		"nothing": "", "cut off": "\x80\x01\x00\x00\x01\x00\x00\x00\x00\x00", "too long": "\x80\x01\xff\xff\xff\xff\x00\x00\x00\x00",
		"too short": "\x80\x01\x00\x00\x00\x01\x00\x00\x00\x00", "garbage": strings.Repeat("planted", 100), "success without content": "\x80\x01\x00\x00\x00\x0a\x00\x00\x00\x00",
	} {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		done := make(chan struct{})
		go func() {
			defer close(done)
			conn, err := l.Accept()
			if err != nil {
				return
			}
			_, _ = message(conn)
			_, _ = conn.Write([]byte(answer))
			_ = conn.Close()
		}()
		if _, err := wrapper(t, "tpm://"+l.Addr().String()).Wrap(t.Context(), home, newRoot(t)); !errors.Is(err, fault.Unavailable) {
			t.Errorf("%s: %v", name, err)
		}
		_ = l.Close()
		<-done
	}
}

func TestATPMThatHangsIsNotWaitedFor(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	ctx, cancel := context.WithCancel(t.Context())
	w := wrapper(t, "tpm://"+l.Addr().String())
	done := make(chan error, 1)
	go func() {
		_, err := w.Wrap(ctx, home, sensitive.New(make([]byte, rootkey.Size)))
		done <- err
	}()
	conn, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	if _, err := message(conn); err != nil {
		t.Fatal(err)
	}
	cancel()
	if err := <-done; !errors.Is(err, fault.Unavailable) {
		t.Error(err)
	}
}

func TestADeviceThatIsNotThere(t *testing.T) {
	if _, err := os.Stat("/dev/tpm99"); !errors.Is(err, os.ErrNotExist) {
		t.Fatal("this machine has a hundred TPMs")
	}
	if _, err := wrapper(t, "tpm:///dev/tpm99").Wrap(t.Context(), home, newRoot(t)); !errors.Is(err, fault.Unavailable) {
		t.Error(err)
	}
}

func FuzzTPMKept(f *testing.F) {
	f.Add([]byte{1, 0, 1, 'a', 0, 1, 'b', 0, 1, 'c'})
	f.Fuzz(func(t *testing.T, kept []byte) {
		if again, err := rootkey.RereadTPMKept(kept); err == nil && !bytes.Equal(again, kept) {
			t.Fatal("it is written in another way")
		} else if err != nil && !errors.Is(err, fault.Invalid) {
			t.Fatal(err)
		}
	})
}
