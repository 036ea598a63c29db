// Movein takes a fresh Linux install to your own home in one command; the same
// command, run again, repairs it.
package main

import (
	"os"

	"movein/bootstrap/cli"
)

func main() { os.Exit(cli.Main(os.Args[1:], cli.Std())) }
