//go:build !unix

package testpg

import (
	"errors"
	"os"
	"os/exec"
	"syscall"
)

type account struct{}

func serverAccount() (account, error) {
	return account{}, errors.New("tests against postgresql need a unix system")
}

func (account) own(string) error { return nil }

func (account) dress(*exec.Cmd) {}

func lockFolder(path string) (*os.File, error) {
	return os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
}

const (
	fastShutdown      = syscall.SIGINT
	immediateShutdown = syscall.SIGQUIT
)
