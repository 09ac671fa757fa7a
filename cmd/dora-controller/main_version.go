package main

import "github.com/dora-controller/dora-controller/internal/cli"

// version is set when the binary is linked; see the Makefile. The linker can only set a variable that nothing initialises.
var version string

func buildVersion() string { return cli.Version(version) }
