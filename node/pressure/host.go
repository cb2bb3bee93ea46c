package pressure

import (
	"bytes"
	"math"
	"os"
	"path"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
)

// InodesFree is the share of free inodes of the file system that a folder is on,
// in hundredths of a percent. File systems without a number of inodes have none
// to run out of: Unknown.
func InodesFree(dir string) int64 {
	var st syscall.Statfs_t
	if err := syscall.Statfs(dir, &st); err != nil || st.Files == 0 {
		return Unknown
	}
	return int64(float64(st.Ffree) / float64(st.Files) * 100_00)
}

// MemoryUsed is the process's resident memory as a share of what it may use: the
// tightest limit of its cgroups, or the machine's memory. In hundredths of a
// percent; Unknown where /proc does not say.
func MemoryUsed() int64 { return memoryUsed("/") }

func memoryUsed(root string) int64 {
	used := resident(root)
	limit := memoryLimit(root)
	if used < 0 || limit <= 0 {
		return Unknown
	}
	return int64(float64(used) / float64(limit) * 100_00)
}

func resident(root string) int64 {
	b, err := os.ReadFile(filepath.Join(root, "proc/self/statm"))
	f := strings.Fields(string(b))
	if err != nil || len(f) < 2 {
		return Unknown
	}
	pages, err := strconv.ParseInt(f[1], 10, 64)
	if err != nil {
		return Unknown
	}
	return pages * int64(os.Getpagesize())
}

// memoryLimit is in octets; 0 if nobody knows.
func memoryLimit(root string) int64 {
	limit := int64(math.MaxInt64)
	b, _ := os.ReadFile(filepath.Join(root, "proc/meminfo"))
	for line := range strings.Lines(string(b)) {
		if f := strings.Fields(line); len(f) == 3 && f[0] == "MemTotal:" {
			if kb, err := strconv.ParseInt(f[1], 10, 64); err == nil {
				limit = kb << 10
			}
		}
	}
	b, _ = os.ReadFile(filepath.Join(root, "proc/self/cgroup"))
	for line := range strings.Lines(string(b)) {
		if dir, ok := strings.CutPrefix(strings.TrimSpace(line), "0::"); ok { // cgroup 2
			for ; ; dir = path.Dir(dir) {
				if n := number(filepath.Join(root, "sys/fs/cgroup", dir, "memory.max")); n > 0 {
					limit = min(limit, n)
				}
				if dir == "/" || dir == "." {
					break
				}
			}
		}
	}
	if limit == math.MaxInt64 {
		return 0
	}
	return limit
}

// number reads a file that holds one; 0 for anything else ("max").
func number(name string) int64 {
	b, err := os.ReadFile(name)
	if err != nil {
		return 0
	}
	n, err := strconv.ParseInt(string(bytes.TrimSpace(b)), 10, 64)
	if err != nil {
		return 0
	}
	return n
}
