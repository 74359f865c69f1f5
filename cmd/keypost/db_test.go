package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/keypost/keypost/admin"
	"github.com/keypost/keypost/cmd/keypost/config"

	"github.com/keypost/keypost/store/storetest"
)

// A backup is written while the daemon runs, and put into a new database of
// either kind, where everything goes on as before.
func TestBackupAndRestore(t *testing.T) {
	eachDatabase(t, func(t *testing.T, s *site) {
		stop := s.serve()
		codes := s.post("--quantity", "2")
		if problem := s.activate(codes[0], "machine-1"); problem != "" {
			t.Fatal(problem)
		}
		s.must(0, "license", "suspend", codes[1])
		file := filepath.Join(t.TempDir(), "backup.db")
		if out := s.must(0, "db", "backup", file); !strings.Contains(out, "Keep with it: ") || !strings.Contains(out, "license        2") {
			t.Errorf("backup:\n%s", out)
		}
		if info, err := os.Stat(file); err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("the backup is %v, %v", info, err)
		}
		if out := s.must(1, "db", "backup", file); !strings.Contains(out, "was not changed") {
			t.Errorf("a second backup:\n%s", out)
		}
		if list, err := os.ReadDir(filepath.Dir(file)); err != nil || len(list) != 1 {
			t.Errorf("beside the backup: %v, %v", list, err)
		}
		later := s.post("--transaction", "LATER")
		if out := s.must(1, "db", "restore", file); !strings.Contains(out, "not empty") {
			t.Errorf("restore into a database in use:\n%s", out)
		}
		if err := stop(); err != nil {
			t.Fatal(err)
		}
		// With another master key it says so.
		wrong := &site{t: t, config: filepath.Join(filepath.Dir(s.config), "wrong.toml")}
		wrong.write(siteConfig + "[database]\nurl = \"sqlite:wrong/keypost.db\"\n")
		if out := wrong.must(1, "db", "restore", file); !strings.Contains(out, "master key") || !strings.Contains(out, "cannot start") {
			t.Errorf("restored without the master key:\n%s", out)
		}
		for name, database := range map[string]string{"sqlite": "sqlite:restored/keypost.db", "mariadb": storetest.MariaDB(t)} {
			t.Run("into "+name, func(t *testing.T) {
				key := "data/keypost.key"
				if strings.Contains(t.Name(), "/mariadb/") {
					key = "master.key"
				}
				r := &site{t: t, config: filepath.Join(filepath.Dir(s.config), name+".toml")}
				r.write(siteConfig + fmt.Sprintf("[database]\nurl = %q\n[keys]\nmaster_file = %q\n", database, key))
				if out := r.must(0, "db", "restore", file); !strings.Contains(out, "To resume them: keypost db restore --confirm") {
					t.Errorf("restore:\n%s", out)
				}
				r.serve()
				if again := r.post("--quantity", "2"); !slices.Equal(again, codes) {
					t.Errorf("codes %v, restored %v", codes, again)
				}
				if problem := r.activate(codes[0], "machine-1"); problem != "" {
					t.Error(problem)
				}
				var l admin.License
				if r.read(0, &l, "license", "show", codes[0]); l.Used != 1 {
					t.Errorf("machines: %d", l.Used)
				}
				if problem := r.activate(codes[1], "machine-1"); problem != "code_suspended" {
					t.Error(problem)
				}
				r.must(3, "license", "show", later[0])
				if out := r.must(0, "check"); !strings.Contains(out, "the outbox and the pools are paused") {
					t.Errorf("check:\n%s", out)
				}
				r.must(0, "db", "restore", "--confirm")
				if out := r.must(1, "db", "restore", "--confirm"); !strings.Contains(out, "nothing is paused") {
					t.Errorf("a second confirmation:\n%s", out)
				}
				r.must(0, "db", "verify")
				r.must(0, "audit", "verify")
			})
		}
	})
}

// Moving from the embedded database to MariaDB and back: nothing is lost on the
// way, and a running daemon is not moved by mistake.
func TestMove(t *testing.T) {
	s := newSite(t)
	folder := filepath.Dir(s.config)
	stop := s.serve()
	codes := s.post()
	embedded := "sqlite:" + filepath.Join(folder, "data", "keypost.db")
	url := filepath.Join(folder, "mysql-url")
	mysql := storetest.MariaDB(t)
	if err := os.WriteFile(url, []byte(mysql+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if out := s.must(1, "db", "copy", embedded, "@"+url); !strings.Contains(out, "a daemon is using") {
		t.Errorf("copied from under a daemon:\n%s", out)
	}
	if err := stop(); err != nil {
		t.Fatal(err)
	}
	var tables []struct {
		Table string
		Rows  int64
	}
	s.read(0, &tables, "db", "copy", embedded, "@"+url)
	if len(tables) < 14 {
		t.Errorf("tables: %+v", tables)
	}
	if out := s.must(1, "db", "copy", embedded, "@"+url); !strings.Contains(out, "not empty") || strings.Contains(out, "p%40ss") {
		t.Errorf("copied twice:\n%s", out)
	}
	s.must(2, "db", "copy", "postgres://x", "@"+url)
	s.must(2, "db", "backup", "")
	s.must(2, "audit", "verify", "--head", "zz")
	s.must(2, "db", "copy", embedded, "@"+filepath.Join(folder, "missing"))

	s.write(siteConfig + "[database]\nurl_file = \"mysql-url\"\n[keys]\nmaster_file = \"data/keypost.key\"\n")
	stop = s.serve()
	if again := s.post(); !slices.Equal(codes, again) {
		t.Errorf("codes %v, moved %v", codes, again)
	}
	if problem := s.activate(codes[0], "machine-1"); problem != "" {
		t.Error(problem)
	}
	if err := stop(); err != nil {
		t.Fatal(err)
	}
	s.must(0, "db", "copy", mysql, "sqlite:"+filepath.Join(folder, "back.db"))
	s.write(siteConfig + "[database]\nurl = \"sqlite:back.db\"\n[keys]\nmaster_file = \"data/keypost.key\"\n")
	s.serve()
	if problem := s.activate(codes[0], "machine-1"); problem != "" {
		t.Error(problem)
	}
	var l admin.License
	if s.read(0, &l, "license", "show", codes[0]); l.Used != 1 {
		t.Errorf("machines: %d", l.Used)
	}
	s.must(0, "db", "verify")
}

// README's way from the embedded store to MySQL, in its order, as printed: with
// a shop that has sold something, and with one that was just made.
func TestReadmeMySQL(t *testing.T) {
	section := regexp.MustCompile("(?s)## Your own MySQL.*?```sql\n(.*?)```.*?```sh\n(.*?)```.*?```toml\n(.*?)```").FindStringSubmatch(pages(t)["../../README.md"])
	if section == nil {
		t.Fatal("the README has no such section")
	}
	server := storetest.Shared(t)
	for _, sold := range []bool{true, false} {
		t.Run(fmt.Sprint("sold ", sold), func(t *testing.T) {
			binary := program(t)
			folder := t.TempDir()
			s := &site{t: t, config: filepath.Join(folder, config.Name)}
			s.must(0, "init")
			s.write(replaceOnce(t, s.text(), `listen = "127.0.0.1:8080"`, `listen = "127.0.0.1:0"`))
			var codes []string
			if sold {
				stop := s.serve()
				codes = s.post()
				if problem := s.activate(codes[0], "machine-1"); problem != "" {
					t.Fatal(problem)
				}
				if err := stop(); err != nil {
					t.Fatal(err)
				}
			}
			for statement := range strings.SplitSeq(strings.TrimSpace(section[1]), "\n") {
				if err := server.Exec(t.Context(), statement); err != nil {
					t.Fatal(err)
				}
			}
			t.Cleanup(func() {
				for _, statement := range []string{"DROP DATABASE keypost", "DROP USER 'keypost'@'127.0.0.1'"} {
					if err := server.Exec(context.Background(), statement); err != nil {
						t.Error(err)
					}
				}
			})
			cmd := exec.Command("sh", "-ec", replaceOnce(t, section[2], "127.0.0.1:3306", server.Addr()))
			cmd.Dir, cmd.Env = folder, append(os.Environ(), "PATH="+filepath.Dir(binary)+":"+os.Getenv("PATH"))
			out, err := cmd.CombinedOutput()
			if err != nil || !strings.Contains(string(out), "Everything was copied to") || !strings.Contains(string(out), filepath.Join(folder, "data", "keypost.key")) {
				t.Fatalf("%v\n%s", err, out)
			}
			s.write(replaceOnce(t, s.text(), "[database]\nurl = \"sqlite:data/keypost.db\"\n", section[3]))
			if out := s.must(0, "check"); !strings.Contains(out, "database: mysql://keypost:xxxxx@") {
				t.Errorf("check:\n%s", out)
			}
			s.serve()
			again := s.post()
			if sold && !slices.Equal(codes, again) {
				t.Errorf("codes %v, moved %v", codes, again)
			}
			if problem := s.activate(again[0], "machine-1"); problem != "" {
				t.Error(problem)
			}
			s.must(0, "db", "verify")
		})
	}
}

// An old daemon's claim that nobody raises is no running daemon.
func TestMoveAfterAKill(t *testing.T) {
	s := newSite(t)
	p := s.start(program(t))
	s.url = p.url
	s.post()
	if err := p.cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = p.cmd.Wait()
	folder := filepath.Dir(s.config)
	s.must(0, "db", "copy", "sqlite:"+filepath.Join(folder, "data", "keypost.db"), "sqlite:"+filepath.Join(folder, "new.db"))
}

// What people do is sealed by the daemon; a change to it shows.
func TestAuditVerify(t *testing.T) {
	s := newSite(t)
	stop := s.serve()
	code := s.post()[0]
	sealed := s.log.expect("audit log sealed")
	s.must(0, "license", "suspend", code)
	<-sealed
	var r admin.Audit
	s.read(0, &r, "audit", "verify")
	if r.Seals != 1 || r.Rows != 1 || len(r.Head) != 32 || !strings.Contains(s.log.String(), "head="+r.Head) {
		t.Errorf("audit = %+v", r)
	}
	s.must(0, "audit", "verify", "--head", r.Head)
	if out := s.must(1, "audit", "verify", "--head", strings.Repeat("0", 32)); !strings.Contains(out, "cut off") {
		t.Errorf("another head:\n%s", out)
	}
	if err := stop(); err != nil {
		t.Fatal(err)
	}
	// Another key from now on: the old seals still verify.
	s.write(siteConfig + "[keys]\naudit_file = \"audit.key\"\n")
	for _, command := range []string{"serve", "check"} {
		if out := s.must(1, command); !strings.Contains(out, "keypost db create") {
			t.Errorf("%s before the key is made:\n%s", command, out)
		}
	}
	s.must(0, "db", "create")
	if out := s.must(1, "db", "create"); !strings.Contains(out, "already exists") {
		t.Errorf("db create again:\n%s", out)
	}
	stop = s.serve()
	s.must(0, "license", "restore", code)
	for s.read(0, &r, "audit", "verify"); r.Seals < 2; s.read(0, &r, "audit", "verify") {
		if err := context.Cause(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	s.must(0, "check")
	if err := stop(); err != nil {
		t.Fatal(err)
	}
	// Gone, it is not made up anew; without it in the config, its seals are strange.
	key := filepath.Join(filepath.Dir(s.config), "audit.key")
	if err := os.Rename(key, key+".away"); err != nil {
		t.Fatal(err)
	}
	for _, command := range [][]string{{"check"}, {"serve"}, {"audit", "verify"}} {
		if out := s.must(1, command...); !strings.Contains(out, "restore it") {
			t.Errorf("%v without the audit key:\n%s", command, out)
		}
	}
	s.write(siteConfig)
	s.must(1, "audit", "verify")
	if out := s.must(1, "check"); !strings.Contains(out, "with a different key") {
		t.Errorf("check with another key:\n%s", out)
	}
}

func TestDBMigrate(t *testing.T) {
	s := newSite(t)
	if out := s.must(1, "db", "migrate"); !strings.Contains(out, "keypost db create") {
		t.Errorf("no database:\n%s", out)
	}
	s.serve()
	if out := s.must(0, "db", "migrate"); !strings.Contains(out, "already") {
		t.Errorf("up to date:\n%s", out)
	}
	var v struct{ From, To int64 }
	if s.read(0, &v, "db", "migrate"); v.From != v.To || v.To < 6 {
		t.Errorf("%+v", v)
	}
}
