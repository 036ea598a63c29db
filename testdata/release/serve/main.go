// Serve serves a directory over HTTP on the loopback, as a place of releases: serve DIR
// ADDRESS, where ADDRESS is a file that is told host and port.
package main

import (
	"fmt"
	"net"
	"net/http"
	"os"
)

func main() {
	if len(os.Args) != 3 {
		fmt.Fprintln(os.Stderr, "usage: serve DIR ADDRESS")
		os.Exit(64)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err == nil {
		err = os.WriteFile(os.Args[2], []byte(l.Addr().String()), 0o644)
	}
	if err == nil {
		err = http.Serve(l, http.FileServer(http.Dir(os.Args[1]))) //nolint:gosec // of a test: no limits
	}
	fmt.Fprintln(os.Stderr, "serve:", err)
	os.Exit(1)
}
