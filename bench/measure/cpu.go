package measure

import (
	"bytes"
	"fmt"
	"os"
	"strconv"
	"time"
)

// tick is the unit of CPU time in /proc/PID/stat: USER_HZ, which Linux fixes
// at 100 per second for programs (proc(5), sysconf(_SC_CLK_TCK)).
const tick = 10 * time.Millisecond

// ProcessCPU is the user and system time that a process has used so far, with
// a grain of 10 ms. It reads Linux's /proc; elsewhere it is an error.
func ProcessCPU(pid int) (time.Duration, error) {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0, err
	}
	return parseStat(b)
}

// parseStat takes fields 14 and 15 of a stat line. The second field is the
// program's name in brackets and may itself hold spaces and brackets, so
// counting starts behind the last closing one.
func parseStat(line []byte) (time.Duration, error) {
	_, rest, ok := bytes.Cut(line[max(bytes.LastIndexByte(line, ')'), 0):], []byte(") "))
	fields := bytes.Fields(rest)
	if !ok || len(fields) < 13 {
		return 0, fmt.Errorf("stat line has too few fields")
	}
	var total time.Duration
	for _, f := range fields[11:13] {
		n, err := strconv.ParseInt(string(f), 10, 64)
		if err != nil {
			return 0, fmt.Errorf("stat line: cpu time is not a number")
		}
		total += time.Duration(n) * tick
	}
	return total, nil
}

// ResidentMemory is VmRSS of a process in bytes, from /proc/PID/status.
func ResidentMemory(pid int) (int64, error) {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0, err
	}
	return parseMemory(b, "VmRSS:")
}

// PeakMemory is the most that was resident of a process since its start, or since [ForgetPeak], in bytes: VmHWM from
// /proc/PID/status.
func PeakMemory(pid int) (int64, error) {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0, err
	}
	return parseMemory(b, "VmHWM:")
}

// ForgetPeak makes [PeakMemory] begin anew at what is resident now (proc(5), /proc/PID/clear_refs, value 5).
func ForgetPeak(pid int) error {
	return os.WriteFile(fmt.Sprintf("/proc/%d/clear_refs", pid), []byte("5"), 0)
}

func parseMemory(status []byte, name string) (int64, error) {
	for line := range bytes.Lines(status) {
		rest, ok := bytes.CutPrefix(line, []byte(name))
		if !ok {
			continue
		}
		kib, err := strconv.ParseInt(string(bytes.TrimSpace(bytes.TrimSuffix(bytes.TrimSpace(rest), []byte("kB")))), 10, 64)
		if err != nil {
			return 0, fmt.Errorf("%s is not a number of kB", name)
		}
		return kib << 10, nil
	}
	return 0, fmt.Errorf("status holds no line %s", name)
}
