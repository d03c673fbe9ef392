//go:build unix

package rootkeytest

import (
	"net"
	"os/exec"
	"strconv"
	"sync"
	"testing"
	"time"
)

// freePort gives a port of the loopback that nobody uses now.
func freePort(tb testing.TB) string {
	tb.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		tb.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	return strconv.Itoa(l.Addr().(*net.TCPAddr).Port)
}

// StartTPM starts swtpm, a TPM 2.0 in software, over a folder of state. It gives its address and a function that ends it.
func StartTPM(tb testing.TB, state string) (address string, stop func()) {
	tb.Helper()
	for range 5 { // another program may take the port in between
		port, control := freePort(tb), freePort(tb)
		cmd := exec.Command("swtpm", "socket", "--tpm2", "--tpmstate", "dir="+state, "--server", "type=tcp,port="+port+",bindaddr=127.0.0.1,disconnect=off",
			"--ctrl", "type=tcp,port="+control+",bindaddr=127.0.0.1", "--flags", "not-need-init,startup-clear")
		cmd.Stdout, cmd.Stderr = tb.Output(), tb.Output()
		if err := cmd.Start(); err != nil {
			tb.Fatal(err, "\nscripts/testdeps.sh installs what is missing")
		}
		ended := make(chan struct{})
		go func() {
			_ = cmd.Wait() // its end is what matters
			close(ended)
		}()
		stop = sync.OnceFunc(func() {
			_ = cmd.Process.Kill()
			<-ended
		})
		tb.Cleanup(stop)
		address = "127.0.0.1:" + port
		up := answers("127.0.0.1:"+control, ended)
		if up {
			return address, stop
		}
	}
	tb.Fatal("swtpm does not start")
	return "", nil
}

// answers waits until something listens at an address, or the process that should has ended.
func answers(address string, ended <-chan struct{}) bool {
	for {
		if conn, err := net.Dial("tcp", address); err == nil {
			_ = conn.Close()
			return true
		}
		select {
		case <-ended:
			return false
		case <-time.After(10 * time.Millisecond):
		}
	}
}
