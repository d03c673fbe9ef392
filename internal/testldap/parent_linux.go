package testldap

import (
	"os/exec"
	"syscall"
)

// endWithParent makes the kernel end the server when the thread that started it is gone, so that a killed test binary leaves
// none behind.
func endWithParent(cmd *exec.Cmd) { cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL} }
