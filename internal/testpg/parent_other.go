//go:build unix && !linux

package testpg

import "syscall"

// endWithParent does nothing: only Linux can tie a process to its parent. A server that outlives a killed test binary ends
// itself once the next test run has removed its folder.
func endWithParent(*syscall.SysProcAttr) {}
