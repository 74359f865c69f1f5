//go:build profile

package main

import (
	"log"
	"os"
	"os/signal"
	"runtime/pprof"
	"syscall"
)

// A daemon that is built with -tags profile (cmd/bench does) writes its CPU
// profile to the file that KEYPOST_PROFILE names, from its start to SIGUSR1.
func init() {
	name := os.Getenv("KEYPOST_PROFILE")
	if name == "" {
		return
	}
	file, err := os.Create(name + ".part")
	if err != nil {
		log.Fatal(err)
	}
	if err := pprof.StartCPUProfile(file); err != nil {
		log.Fatal(err)
	}
	end := make(chan os.Signal, 1)
	signal.Notify(end, syscall.SIGUSR1)
	go func() {
		<-end
		pprof.StopCPUProfile()
		if err := os.Rename(name+".part", name); err != nil {
			log.Fatal(err)
		}
	}()
}
