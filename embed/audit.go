package embed

import _ "embed" // for the directive

//go:embed audit.txt
var auditTable string

// AuditTable returns what of a NixOS configuration is the system's and what is the
// user's. The format is described at its head; steps/audit reads it.
func AuditTable() string { return auditTable }
