package daemon

import (
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// Lines about requests wait for each other; all others are written at once, and
// the order stays.
func TestLogWriter(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var out strings.Builder
		w := &LogWriter{To: &out}
		log := slog.New(slog.NewTextHandler(w, nil))
		written := func() string {
			w.mu.Lock()
			defer w.mu.Unlock()
			return out.String()
		}
		want := func(lines ...string) {
			t.Helper()
			var got []string
			for line := range strings.Lines(written()) {
				_, message, _ := strings.Cut(line, "msg=")
				got = append(got, strings.TrimSpace(message))
			}
			if strings.Join(got, "|") != strings.Join(lines, "|") {
				t.Errorf("the log is %q, want %q", got, lines)
			}
		}
		log.Info("first")
		want("first")
		log.Info("request", "status", 200)
		want("first")
		log.Error("request", "status", 500) // no line about a request, whatever its message
		want("first", "request status=200", "request status=500")
		log.Info("request", "status", 201)
		time.Sleep(logDelay)
		synctest.Wait()
		want("first", "request status=200", "request status=500", "request status=201")
		log.Info("request", "status", 202)
		w.Flush()
		want("first", "request status=200", "request status=500", "request status=201", "request status=202")
		before := len(written())
		for range 1000 {
			log.Info("request", "status", 200)
		}
		if len(written()) == before {
			t.Error("lines wait however many they are")
		}
		time.Sleep(time.Second)
	})
}
