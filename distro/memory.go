package distro

import (
	"strconv"
	"strings"
)

// memory is the size of the host's memory in bytes: MemTotal of proc_meminfo(5),
// whose kB are 1024 bytes. It is 0 if unknown.
func memory(t *tree) int64 {
	for line := range strings.Lines(t.read("proc/meminfo")) {
		fields := strings.Fields(line)
		if len(fields) < 2 || fields[0] != "MemTotal:" {
			continue
		}
		kib, err := strconv.ParseInt(fields[1], 10, 64)
		if err != nil {
			return 0
		}
		return kib * 1024
	}
	return 0
}
