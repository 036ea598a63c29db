package embed_test

import "syscall"

// newSession starts a process without a controlling terminal.
var newSession = &syscall.SysProcAttr{Setsid: true}
