package embed

import _ "embed" // for the keys

// KnownHosts has the ssh keys of public git servers, as lines of a known_hosts file.
//
//go:embed known_hosts
var KnownHosts string
