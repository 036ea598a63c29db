package distro

import "strings"

// A mount is a line of /proc/self/mountinfo.
type mount struct {
	point         string // as the kernel escapes it
	readOnly      bool   // this mount, on purpose
	superReadOnly bool   // the file system, which the kernel also does after an error
	source        string
	superOptions  string
}

// parseMountInfo reads the format of /proc/PID/mountinfo as proc_pid_mountinfo(5)
// has it:
//
//	36 35 98:0 /mnt1 /mnt2 rw,noatime master:1 - ext3 /dev/root rw,errors=continue
//
// The source may be empty. Lines of another form are ignored.
func parseMountInfo(text string) []mount {
	var mounts []mount
	for line := range strings.Lines(text) {
		left, right, _ := strings.Cut(strings.TrimRight(line, "\n"), " - ")
		fields, super := strings.Split(left, " "), strings.Split(right, " ")
		if len(fields) < 6 || len(super) < 3 {
			continue
		}
		mounts = append(mounts, mount{
			point:         fields[4],
			readOnly:      hasOption(fields[5], "ro"),
			superReadOnly: hasOption(super[2], "ro"),
			source:        super[1],
			superOptions:  super[2],
		})
	}
	return mounts
}

// hasOption reports whether option is in the comma-separated options.
func hasOption(options, option string) bool {
	for o := range strings.SplitSeq(options, ",") {
		if o == option {
			return true
		}
	}
	return false
}

// rootMount is what is mounted on / last, which hides what was before.
func rootMount(mounts []mount) mount {
	var root mount
	for _, m := range mounts {
		if m.point == "/" {
			root = m
		}
	}
	return root
}

// isMountPoint reports whether something is mounted on one of the points.
func isMountPoint(mounts []mount, points ...string) bool {
	for _, m := range mounts {
		for _, point := range points {
			if m.point == point {
				return true
			}
		}
	}
	return false
}
