// Unlock does what "keepassxc-cli show -s -a Password --no-password -k KEY-FILE VAULT ENTRY"
// does, to be measured beside it.
package main

import (
	"context"
	"fmt"
	"os"

	"movein/bootstrap/host/kdbx"
)

func main() {
	if err := show(os.Args[1], os.Args[2], os.Args[3]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func show(keyFile, vault, path string) error {
	key, err := os.ReadFile(keyFile)
	if err != nil {
		return err
	}
	file, err := os.ReadFile(vault)
	if err != nil {
		return err
	}
	v, err := kdbx.Open(context.Background(), file, kdbx.Credentials{KeyFile: key}, kdbx.Limits{})
	if err != nil {
		return err
	}
	e, err := v.Lookup(path)
	if err != nil {
		return err
	}
	password, err := e.Field("Password")
	fmt.Println(password.Reveal())
	return err
}
