package distro

import "testing"

func TestMemoryThatCannotBeReadIsUnknown(t *testing.T) {
	for _, meminfo := range []string{"MemTotal: many kB\n", "MemTotal:\n", "MemFree: 1 kB\n"} {
		if f := detect(t, files{"proc/meminfo": meminfo}); f.RAM != 0 {
			t.Errorf("%q: got %d", meminfo, f.RAM)
		}
	}
}
