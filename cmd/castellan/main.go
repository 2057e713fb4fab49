// Command castellan inspects and hardens Proxmox VE and Debian hosts. See internal/cli for the verbs.
package main

import (
	"os"

	"github.com/castellan-project/castellan/internal/cli"
)

func main() { os.Exit(cli.Main(os.Args[1:], os.Stdin, os.Stdout, os.Stderr)) }
