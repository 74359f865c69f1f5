package mailbox_test

import (
	"bytes"
	"context"
	"encoding/base64"
	"errors"
	"log/slog"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/keypost/keypost/ingest/mailbox"
)

// run watches for some (false) time and returns the log.
func run(t *testing.T, f *fake, d *desk, c mailbox.Config, forSoLong time.Duration) string {
	t.Helper()
	var log bytes.Buffer
	c.Log = slog.New(slog.NewTextHandler(&log, nil))
	ctx, cancel := context.WithTimeout(t.Context(), forSoLong)
	defer cancel()
	if err := watcher(t, c, d, &kept{}).Run(ctx); err == nil {
		t.Error("it ended by itself")
	}
	synctest.Wait()
	return log.String()
}

// A connection that breaks is made again, with pauses that grow, and the log
// says so once.
func TestReconnect(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &fake{caps: "IDLE", uids: upTo(1)}
		start, last := time.Now(), time.Duration(0)
		f.hook = func(c *fakeConn, _, command string) bool {
			if strings.HasPrefix(command, "SELECT") && time.Since(start) < time.Hour {
				last = time.Since(start)
				_ = c.Close()
				return true
			}
			return false
		}
		d := &desk{judge: leave}
		log := run(t, f, d, f.piped(), 2*time.Hour)
		if n := f.got("SELECT"); n < 25 || n > 100 { // 2 min and jitter: an hour has 20 to 60
			t.Errorf("%d connections", n)
		}
		if last < 50*time.Minute || len(d.uids()) != 1 {
			t.Errorf("last try after %s, handed over %v", last, d.uids())
		}
		if n := strings.Count(log, "\n"); n != 2 || !strings.Contains(log, "open the folder INBOX: the connection was cut") || !strings.Contains(log, "by=idle") {
			t.Errorf("%d lines: %s", n, log)
		}
	})
}

// Who is refused rests longer, reads the password again, and says what to do;
// a server that quotes the secret is not quoted.
func TestRefused(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &fake{uids: upTo(1)}
		f.hook = func(c *fakeConn, tag, command string) bool {
			secret, _ := base64.StdEncoding.DecodeString(command[strings.LastIndex(command, " ")+1:])
			if strings.HasPrefix(command, "AUTHENTICATE") && !strings.Contains(string(secret), "second") {
				c.say("%s NO [AUTHENTICATIONFAILED] wrong: first-secret\x1b", tag)
				return true
			}
			return false
		}
		c, d := f.piped(), &desk{judge: leave}
		start := time.Now()
		c.Password = func() (string, error) {
			if time.Since(start) > time.Hour {
				return "second-secret", nil
			}
			return "first-secret", nil
		}
		log := run(t, f, d, c, 2*time.Hour)
		if n := f.got("AUTHENTICATE"); n < 6 || n > 14 {
			t.Errorf("%d log-ins", n)
		}
		if len(d.uids()) != 1 {
			t.Errorf("handed over: %v", d.uids())
		}
		if n := strings.Count(log, "\n"); n != 2 || !strings.Contains(log, "check the password") || strings.Contains(log, "first-secret") || strings.Contains(log, "\x1b") {
			t.Errorf("%d lines: %s", n, log)
		}
	})
}

// IDLE is reissued, and what was never announced is found by the timer.
func TestUnannounced(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &fake{caps: "IDLE"}
		c, d := f.piped(), &desk{judge: leave}
		c.Poll = mailbox.MaxPoll
		start := time.Now()
		f.hook = func(_ *fakeConn, _, command string) bool {
			if command == "IDLE" && time.Since(start) < time.Hour {
				f.have(upTo(uint32(f.got("IDLE"))))
			}
			return false
		}
		run(t, f, d, c, time.Hour)
		if n := f.got("IDLE"); n != 3 || len(d.uids()) != 2 {
			t.Errorf("IDLE %d times, handed over %v", n, d.uids())
		}
	})
}

// A server that falls silent is given up, whatever it was asked.
func TestSilence(t *testing.T) {
	for _, at := range []string{"CAPABILITY", "SELECT", "BODY.PEEK[]", "NOOP", "IDLE"} {
		synctest.Test(t, func(t *testing.T) {
			f := &fake{caps: "IDLE", uids: upTo(1)}
			var silent atomic.Int32
			f.hook = func(_ *fakeConn, _, command string) bool {
				return strings.Contains(command, at) && silent.Add(1) == 1
			}
			d := &desk{judge: leave}
			log := run(t, f, d, f.piped(), 30*time.Minute)
			if !strings.Contains(log, "the server does not answer in time") || len(d.uids()) == 0 || f.conns != 2 {
				t.Errorf("%s: %d connections, handed over %v: %s", at, f.conns, d.uids(), log)
			}
		})
	}
}

// A server that drips its answers is given up, too.
func TestDrip(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &fake{uids: upTo(1)}
		f.hook = func(c *fakeConn, _, command string) bool {
			if !strings.Contains(command, "BODY.PEEK[]") {
				return false
			}
			c.say("* 1 FETCH (UID 1 BODY[] {100000}")
			for c.w.Flush() == nil {
				time.Sleep(30 * time.Second)
				_, _ = c.w.WriteString("x")
			}
			return true
		}
		start := time.Now()
		err := watcher(t, f.piped(), &desk{}, &kept{}).Pass(t.Context())
		if err == nil || time.Since(start) > time.Hour {
			t.Errorf("%v after %s", err, time.Since(start))
		}
		time.Sleep(time.Minute) // for the server to notice
	})
}

// A server that tells of news all the time, and has none, is not asked all the
// time.
func TestFalseNews(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &fake{caps: "IDLE", uids: upTo(1)}
		f.hook = func(c *fakeConn, tag, command string) bool {
			if command != "IDLE" {
				return false
			}
			c.say("+ idling")
			c.say("* 1 EXISTS")
			_ = c.w.Flush()
			_, _ = c.r.ReadString('\n')
			c.say("%s OK done", tag)
			return true
		}
		run(t, f, &desk{judge: leave}, f.piped(), time.Hour)
		if n := f.got("NOOP"); n < 10 || n > 200 {
			t.Errorf("asked %d times in an hour", n)
		}
	})
}

// What was set aside comes again while the mailbox is watched.
func TestAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &fake{caps: "IDLE", uids: upTo(3)}
		start := time.Now()
		d := &desk{judge: func(m mailbox.Message) (mailbox.Filing, error) {
			if m.UID == 2 && time.Since(start) < time.Hour {
				return 0, errLater
			}
			return mailbox.Leave, nil
		}}
		run(t, f, d, f.piped(), 3*time.Hour)
		if n := len(d.uids()) - 2; n < 7 || n > 12 { // 0:30, 1:30, 3:30, 7:30, 15:30, 31:30, 61:30
			t.Errorf("handed over %d times", n)
		}
	})
}

// More than can be remembered cannot be judged yet: the newest wait, and
// nothing is lost.
func TestTooManyLater(t *testing.T) {
	if testing.Short() {
		t.Skip("slow with the race detector")
	}
	synctest.Test(t, func(t *testing.T) {
		const count = 10_500
		f := &fake{caps: "IDLE", uids: upTo(count), uidNext: count + 1}
		start := time.Now()
		done := map[uint32]bool{}
		d := &desk{judge: func(m mailbox.Message) (mailbox.Filing, error) {
			since := time.Since(start)
			if since < time.Hour || m.UID > 10_000 && since < 4*time.Hour {
				return 0, errLater
			}
			if m.UID <= 10_000 && since > 4*time.Hour {
				t.Errorf("%d waited for newer ones", m.UID)
			}
			done[m.UID] = true
			return mailbox.Leave, nil
		}}
		log := run(t, f, d, f.piped(), 6*time.Hour)
		if len(done) != count {
			t.Errorf("judged %d in the end: %s", len(done), log)
		}
		if !strings.Contains(log, "wait to be tried again") {
			t.Errorf("log: %s", log)
		}
	})
}

// One that can never be handled does not end the watch when it is tried alone.
func TestHandlerFailsForEver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &fake{caps: "IDLE", uids: upTo(2), uidNext: 3}
		tries := 0
		d := &desk{judge: func(m mailbox.Message) (mailbox.Filing, error) {
			if m.UID == 1 {
				tries++
				return 0, errors.New("its row cannot be written")
			}
			return mailbox.Leave, nil
		}}
		log := run(t, f, d, f.piped(), 3*time.Hour)
		if tries < 5 || tries > 20 || strings.Contains(log, "not watched") || !strings.Contains(log, "its row cannot be written") {
			t.Errorf("%d tries: %s", tries, log)
		}
	})
}

// Messages are handled at the same time, as many as the config says.
func TestAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &fake{uids: upTo(20)}
		c := f.piped()
		c.AtOnce = 4
		start := time.Now()
		d := &desk{judge: func(mailbox.Message) (mailbox.Filing, error) {
			time.Sleep(time.Second)
			return mailbox.Leave, nil
		}}
		pass(t, watcher(t, c, d, &kept{}))
		if took := time.Since(start); took != 5*time.Second || len(d.uids()) != 20 {
			t.Errorf("%d after %s", len(d.uids()), took)
		}
	})
}
