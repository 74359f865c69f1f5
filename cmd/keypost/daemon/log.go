package daemon

import (
	"bytes"
	"io"
	"sync"
	"time"
)

// logDelay is how long a line about a request may wait for others: to write each
// by itself costs a busy daemon more than to make it. A kill loses that much.
const logDelay = 100 * time.Millisecond

// A LogWriter gathers the lines about requests. Every other line is written at
// once, after those that wait.
type LogWriter struct {
	To io.Writer

	mu      sync.Mutex
	waiting []byte
}

// requestLine is what a line about a request has and no other.
var requestLine = []byte(" level=INFO msg=request ")

// Write takes one line, as slog's handlers write them.
func (w *LogWriter) Write(line []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(w.waiting) == 0 {
		if !bytes.Contains(line, requestLine) {
			return w.To.Write(line)
		}
		time.AfterFunc(logDelay, w.Flush)
	}
	w.waiting = append(w.waiting, line...)
	if len(w.waiting) > 32<<10 || !bytes.Contains(line, requestLine) {
		return len(line), w.writeAll()
	}
	return len(line), nil
}

// Flush writes what waits.
func (w *LogWriter) Flush() {
	w.mu.Lock()
	defer w.mu.Unlock()
	_ = w.writeAll() // there is nowhere to say so
}

func (w *LogWriter) writeAll() error {
	if len(w.waiting) == 0 {
		return nil
	}
	_, err := w.To.Write(w.waiting)
	w.waiting = w.waiting[:0]
	return err
}
