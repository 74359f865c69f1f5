package store

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/keypost/keypost/store/storetest"
)

func TestOpenSetsUpOnlyWhenTold(t *testing.T) {
	file := filepath.Join(t.TempDir(), "new", "keypost.db")
	if _, err := Open(t.Context(), "sqlite:"+file, Options{}); !errors.Is(err, ErrNoDatabase) {
		t.Fatalf("no file: %v", err)
	}
	if _, err := os.Stat(file); err == nil {
		t.Fatal("a look made the file")
	}
	if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(t.Context(), "sqlite:"+file, Options{}); !errors.Is(err, ErrNoDatabase) {
		t.Fatalf("an empty file: %v", err)
	}
	db := mustOpen(t, "sqlite:"+file, Options{Create: true})
	if err := db.Check(t.Context()); err != nil {
		t.Error(err)
	}
	info, err := os.Stat(file)
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the database's mode is %v, %v", info.Mode(), err)
	}
}

func TestOpenRefusesOtherSchemas(t *testing.T) {
	source := "sqlite:" + filepath.Join(t.TempDir(), "k.db")
	db := mustOpen(t, source, Options{Create: true})
	for _, c := range []struct{ change, want string }{
		{"INSERT INTO goose_db_version (version_id, is_applied) VALUES (999, 1)", "run a newer keypost"},
		{"DELETE FROM goose_db_version WHERE version_id > 0", "not set up yet"},
	} {
		if _, err := db.writer.ExecContext(t.Context(), c.change); err != nil {
			t.Fatal(err)
		}
		_, err := Open(t.Context(), source, Options{})
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("after %s: %v, want %q", c.change, err, c.want)
		}
	}
}

func TestOpenRefusesOtherURLs(t *testing.T) {
	for _, source := range []string{
		"", "sqlite:", "postgres://u:secret@h/db", "keypost.db", "mysql:", "mysql://u:secret@/db", "mysql://u:secret@h", "mysql://h/db",
		"mysql://u:secret@127.0.0.1:1/db", "mysql:u:secret@h/db", "mysql:/u:secret@h/db", "mysql:///u:secret@h", "mysql://u:secret@h/db/x", "mysql://u:secret@h:port/db",
	} {
		_, err := Open(t.Context(), source, Options{Create: true})
		if err == nil || strings.Contains(err.Error(), "secret") {
			t.Errorf("Open(%q): %v", source, err)
		}
	}
}

// Several processes may start at once on a new database.
func TestOpenRace(t *testing.T) {
	source := "sqlite:" + filepath.Join(t.TempDir(), "k.db")
	for _, source := range []string{source, storetest.MariaDB(t)} {
		parallel(16, func(int) {
			db, err := Open(context.Background(), source, Options{Create: true})
			if err != nil {
				t.Error(err)
				return
			}
			defer db.Close()
			if err := db.Check(context.Background()); err != nil {
				t.Error(err)
			}
		})
	}
}

// A server that may forget what it has committed is found out.
func TestCheckFindsLossOnMariaDB(t *testing.T) {
	server, err := storetest.Start()
	if errors.Is(err, exec.ErrNotFound) {
		storetest.LeaveOut(t, "MariaDB is missing: make test installs it")
	}
	if err != nil {
		t.Fatal(err)
	}
	defer server.Stop()
	source, err := server.NewDatabase(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	db := mustOpen(t, source, Options{Create: true})
	if err := server.Exec(t.Context(), "SET GLOBAL innodb_flush_log_at_trx_commit = 2"); err != nil {
		t.Fatal(err)
	}
	if err := db.Check(t.Context()); err == nil || !strings.Contains(err.Error(), "innodb_flush_log_at_trx_commit = 1") {
		t.Errorf("check: %v", err)
	}
	// A server that was killed and came back is used on.
	mustAdd(t, db, newOrder("T", "k", "CODE"))
	server.Kill()
	if _, err := db.FindLicense(t.Context(), "demo", "CODE"); !errors.Is(err, ErrUnavailable) {
		t.Errorf("without the server: %v", err)
	}
	if err := server.Run(); err != nil {
		t.Fatal(err)
	}
	if _, err := db.FindLicense(t.Context(), "demo", "CODE"); err != nil {
		t.Errorf("the server is back: %v", err)
	}
}

func TestUnavailable(t *testing.T) {
	db := mustOpen(t, "sqlite:"+filepath.Join(t.TempDir(), "k.db"), Options{Create: true})
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	_, _, err := db.AddOrder(t.Context(), newOrder("T", "k", "C"))
	if !errors.Is(err, ErrUnavailable) {
		t.Errorf("AddOrder on a closed database: %v", err)
	}
	if _, err := db.FindLicense(t.Context(), "p", "c"); !errors.Is(err, ErrUnavailable) {
		t.Errorf("FindLicense: %v", err)
	}
	if err := db.Ping(t.Context()); !errors.Is(err, ErrUnavailable) {
		t.Errorf("Ping: %v", err)
	}
}

func TestNormalCode(t *testing.T) {
	for _, code := range []string{"ab c-d", "ABCD", " a-b–c\u00a0d\t", "--AB--CD--"} {
		if got := NormalCode(code); got != "ABCD" {
			t.Errorf("NormalCode(%q) = %q", code, got)
		}
	}
}

func TestNetworkFolder(t *testing.T) {
	const mounts = `22 1 8:1 / / rw,relatime shared:1 - ext4 /dev/sda1 rw
30 22 0:40 / /srv/share rw shared:2 - nfs4 host:/share rw
31 30 8:2 / /srv/share/local rw - xfs /dev/sdb1 rw
32 22 0:41 / /mnt/two\\040words rw - fuse.sshfs me@host: rw
33 22 0:42 / /home/me/local rw - fuse.mergerfs a:b rw
nonsense
`
	for path, want := range map[string]string{
		"/var/lib/keypost.db":           "",
		"/srv/share/keypost.db":         "nfs4",
		"/srv/shared/keypost.db":        "",
		"/srv/share/local/x/keypost.db": "",
		"/mnt/two words/keypost.db":     "fuse.sshfs",
		"/home/me/local/keypost.db":     "",
	} {
		if got := networkFolder(strings.ReplaceAll(mounts, `\\`, `\`), path); got != want {
			t.Errorf("%s is on %q, want %q", path, got, want)
		}
	}
	if got := networkFolder("", "/keypost.db"); got != "" {
		t.Errorf("without mounts: %q", got)
	}
}

// A machine whose clock is not the database's is found out.
func TestCheckFindsClockSkew(t *testing.T) {
	source := storetest.MariaDB(t)
	mustOpen(t, source, Options{Create: true})
	for _, c := range []struct {
		skew time.Duration
		want string
	}{{0, ""}, {time.Minute, "ahead of"}, {-time.Minute, "behind"}} {
		db := mustOpen(t, source, Options{Now: func() time.Time { return time.Now().Add(c.skew) }})
		err := db.Check(t.Context())
		if c.want == "" && err != nil || c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)) {
			t.Errorf("skew %s: %v", c.skew, err)
		}
	}
}

// A place for a new database is looked at before anything is made there.
func TestCheckNew(t *testing.T) {
	folder := t.TempDir()
	for path, good := range map[string]bool{"k.db": true, "a/b/k.db": true, "file/k.db": false} {
		if err := os.WriteFile(filepath.Join(folder, "file"), nil, 0o600); err != nil {
			t.Fatal(err)
		}
		if err := CheckNew(t.Context(), "sqlite:"+filepath.Join(folder, path)); (err == nil) != good {
			t.Errorf("%s: %v", path, err)
		}
	}
	if left, err := os.ReadDir(folder); err != nil || len(left) != 1 {
		t.Errorf("left behind: %v, %v", left, err)
	}
	if err := CheckNew(t.Context(), storetest.MariaDB(t)); err != nil {
		t.Errorf("a good server: %v", err)
	}
}

// A URL names one host, or the nodes of a cluster.
func TestMySQLHosts(t *testing.T) {
	for in, want := range map[string]string{
		"//u:p@h/db":                             "h:3306",
		"//u:p@h:1,h:2/db":                       "h:1 h:2",
		"//u:p@a,b:33,c/db":                      "a:3306 b:33 c:3306",
		"//u:p@[2001:db8::1]:1,[::1],10.0.0.1/d": "[2001:db8::1]:1 [::1]:3306 10.0.0.1:3306",
		"//u:p%40%2F@h,i:1/db":                   "h:3306 i:1",
	} {
		u, err := readMySQLURL(in)
		if got := strings.Join(u.hosts, " "); err != nil || got != want {
			t.Errorf("%s: %q, %v; want %q", in, got, err, want)
		}
	}
	for in, want := range map[string]string{
		"//u:secret@h,/db":          "is no host:port",
		"//u:secret@,h/db":          "is no host:port",
		"//u:secret@h h/db":         "is no host:port",
		"//u:secret@h:x,i/db":       "is no host:port",
		"//u:secret@h?a=b,i/db":     "is no host:port",
		"//u:secret@2001:db8::1/db": "brackets",
		"//u:secret@h:70000,i/db":   "no port from 1",
		"//u:secret@h,h:3306/db":    "twice",
		"//u:sec/ret@h,i/db":        "must be mysql://",
		"//u:sec?ret@h,i/db":        "must be mysql://",
		"//h,i/db":                  "must be mysql://",
		"//u:secret@h,i/db/x":       "must be mysql://",
		"//u:secret@h,i":            "must be mysql://",
	} {
		_, err := readMySQLURL(in)
		if err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "sec") {
			t.Errorf("%s: %v; want %q", in, err, want)
		}
	}
	if got, want := Name("mysql://u:secret@h:1,[::1]/db"), "mysql://u:xxxxx@h:1,[::1]:3306/db"; got != want {
		t.Errorf("Name = %s, want %s", got, want)
	}
}
