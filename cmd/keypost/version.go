package main

import (
	"fmt"
	"runtime"
	"runtime/debug"
)

// version is set by the Makefile from git.
var version = "devel"

type versionCommand struct {
	jsonFlag
}

func (versionCommand) Help() string { return "Example: keypost version --json" }

func (c versionCommand) Run(a *app) error {
	sqlite := ""
	if info, ok := debug.ReadBuildInfo(); ok {
		for _, m := range info.Deps {
			if m.Path == "modernc.org/sqlite" {
				sqlite = m.Version
			}
		}
	}
	if c.JSON {
		return printJSON(a.out, map[string]string{"version": version, "go": runtime.Version(), "platform": runtime.GOOS + "/" + runtime.GOARCH, "sqlite": sqlite})
	}
	fmt.Fprintln(a.out, versionLine())
	return nil
}

func versionLine() string {
	return fmt.Sprintf("keypost %s (%s, %s/%s)", version, runtime.Version(), runtime.GOOS, runtime.GOARCH)
}
