package testpg

import "syscall"

// endWithParent makes the kernel end the server at once when the thread that started it is gone, so that a killed or timed
// out test binary leaves no server behind.
func endWithParent(attributes *syscall.SysProcAttr) { attributes.Pdeathsig = immediateShutdown }
