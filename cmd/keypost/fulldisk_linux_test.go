package main

import (
	"errors"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/keypost/keypost/store/storetest"
)

// smallDisk is set in the process that has a mount namespace of its own.
const smallDisk = "KEYPOST_TEST_SMALL_DISK"

// On a disk that is full, machines that are activated go on, and orders and new
// activations are told to come again; /readyz, check and the log say what is wrong.
// A daemon that was killed starts again there, and takes writes as soon as there
// is room. The test runs once more by itself in a process with its own mounts.
func TestFullDisk(t *testing.T) {
	binary := program(t)
	if os.Getenv(smallDisk) != "" {
		testFullDisk(t, binary)
		return
	}
	self := exec.Command(os.Args[0], "-test.run=^TestFullDisk$", "-test.v")
	self.Env = append(os.Environ(), smallDisk+"=1")
	self.SysProcAttr = &syscall.SysProcAttr{Unshareflags: syscall.CLONE_NEWNS}
	if os.Getuid() != 0 {
		self.SysProcAttr = &syscall.SysProcAttr{
			Cloneflags:  syscall.CLONE_NEWNS | syscall.CLONE_NEWUSER,
			UidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getuid(), Size: 1}},
			GidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getgid(), Size: 1}},
		}
	}
	out, err := self.CombinedOutput()
	if errors.Is(err, syscall.EPERM) || errors.Is(err, syscall.ENOSPC) || strings.Contains(string(out), "left out:") {
		storetest.LeaveOut(t, "a small disk needs root, or user namespaces")
	}
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
}

func testFullDisk(t *testing.T, binary string) {
	folder := t.TempDir()
	if err := syscall.Mount("none", folder, "tmpfs", 0, "size=4m"); err != nil {
		storetest.LeaveOut(t, "a small disk cannot be mounted: "+err.Error())
	}
	t.Cleanup(func() { _ = syscall.Unmount(folder, syscall.MNT_DETACH) })
	s := &site{t: t, config: filepath.Join(folder, "keypost.toml")}
	s.write(siteConfig)
	s.create()
	p := start(t, folder, binary, "--config", s.config)
	s.url = p.url
	code := s.post()[0]
	activate := func(machine string, want int) {
		t.Helper()
		s.call("/v1/activate", url.Values{"product": {"demo"}, "code": {code}, "fingerprint": {machine}}, want)
	}
	validates := func() {
		t.Helper()
		s.call("/v1/validate", url.Values{"product": {"demo"}, "code": {code}, "fingerprint": {"machine-1"}}, http.StatusOK)
	}
	activate("machine-1", http.StatusOK)
	room := fill(t, folder)
	activate("machine-2", http.StatusServiceUnavailable)
	s.must(1, "post", "krps", s.url+"/in/kagi", "--transaction", "T2")
	full := func() {
		t.Helper()
		validates()
		s.call("/healthz", nil, http.StatusOK)
		if body := s.call("/readyz", nil, http.StatusServiceUnavailable); !strings.Contains(body, "the disk is full") {
			t.Errorf("/readyz: %s", body)
		}
		if out := s.must(1, "check"); !strings.Contains(out, "failed  database: the database cannot be written, since the disk is full") || !strings.Contains(out, "warning disk: 0 MiB") {
			t.Errorf("check:\n%s", out)
		}
		if n := strings.Count(p.stderr.String(), "level=ERROR msg=\"the database cannot be written"); n != 1 {
			t.Errorf("the log tells of it %d times:\n%s", n, p.stderr)
		}
	}
	full()
	if err := p.cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = p.cmd.Wait()
	p = start(t, folder, binary, "--config", s.config)
	s.url = p.url
	full()
	again := p.stderr.expect("the database can be written again")
	room()
	<-again
	s.call("/readyz", nil, http.StatusOK)
	activate("machine-2", http.StatusOK)
	s.must(0, "post", "krps", s.url+"/in/kagi", "--transaction", "T2")
	s.must(0, "db", "verify")
}

// fill leaves no room on a disk, until room is called.
func fill(t *testing.T, folder string) (room func()) {
	t.Helper()
	filler := filepath.Join(folder, "filler")
	f, err := os.Create(filler)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for err == nil {
		_, err = f.Write(make([]byte, 4096))
	}
	if !errors.Is(err, syscall.ENOSPC) {
		t.Fatal(err)
	}
	return func() {
		if err := os.Remove(filler); err != nil {
			t.Fatal(err)
		}
	}
}
