package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/textproto"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// connections is how many callers there are at once, on both sides of a ratio.
const connections = 64

// answerTimeout ends a run that hangs.
const answerTimeout = 30 * time.Second

// A side is one side of a ratio: it does n calls as fast as it can, with all
// connections at once, and says how long they took.
type side func(ctx context.Context, n int) (time.Duration, error)

// all does n pieces of work by connections workers and stops at the first error.
func all(ctx context.Context, n int, do func(worker, i int) error) (time.Duration, error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var next atomic.Int64
	var wg sync.WaitGroup
	begin := time.Now()
	for w := range connections {
		wg.Go(func() {
			for ctx.Err() == nil {
				i := int(next.Add(1)) - 1
				if i >= n {
					return
				}
				if err := do(w, i); err != nil {
					cancel(err)
				}
			}
		})
	}
	wg.Wait()
	return time.Since(begin), context.Cause(ctx)
}

// A load is callers of one HTTP server, each on a connection that it keeps.
// They speak just so much HTTP/1.1 that every answer's status is seen: what the
// load takes of the machine, the servers do not have.
type load struct {
	conns [connections]struct {
		net.Conn
		in *bufio.Reader
	}
}

func newLoad(addr string) (*load, error) {
	l := &load{}
	for i := range l.conns {
		conn, err := net.Dial("tcp", addr)
		if err != nil {
			l.close()
			return nil, err
		}
		l.conns[i].Conn, l.conns[i].in = conn, bufio.NewReader(conn)
	}
	return l, nil
}

func (l *load) close() {
	for _, c := range l.conns {
		if c.Conn != nil {
			c.Close()
		}
	}
}

// side makes calls of requests that are written before the clock starts; first
// is the number of the next one.
func (l *load) side(request func(i int) []byte, good string) side {
	first := 0
	return func(ctx context.Context, n int) (time.Duration, error) {
		requests := make([][]byte, n)
		for i := range requests {
			requests[i] = request(first + i)
		}
		first += n
		return all(ctx, n, func(worker, i int) error { return l.call(worker, requests[i], good) })
	}
}

// call sends a request and reads its answer, which must have status 200 and
// begin with good.
func (l *load) call(worker int, request []byte, good string) error {
	c := &l.conns[worker]
	if err := c.SetDeadline(time.Now().Add(answerTimeout)); err != nil {
		return err
	}
	if _, err := c.Write(request); err != nil {
		return err
	}
	status, err := c.in.ReadSlice('\n')
	if err != nil {
		return err
	}
	ok := bytes.HasPrefix(status, []byte("HTTP/1.1 200 "))
	first := string(status)
	length := -1
	for {
		line, err := c.in.ReadSlice('\n')
		if err != nil {
			return err
		}
		if len(line) <= 2 {
			break
		}
		if v, found := bytes.CutPrefix(line, []byte("Content-Length: ")); found {
			if length, err = strconv.Atoi(textproto.TrimString(string(v))); err != nil {
				return err
			}
		}
	}
	if length < 0 {
		return errors.New("an answer without a length")
	}
	if ok && length <= c.in.Size() {
		body, err := c.in.Peek(length)
		if err != nil {
			return err
		}
		if bytes.HasPrefix(body, []byte(good)) {
			_, err = c.in.Discard(length)
			return err
		}
	}
	body := make([]byte, length)
	if _, err := io.ReadFull(c.in, body); err != nil {
		return err
	}
	return fmt.Errorf("an answer that was not wanted: %s\n%s", strings.TrimSpace(first), body)
}

// post writes a request.
func post(path, contentType, body string) []byte {
	return fmt.Appendf(nil, "POST %s HTTP/1.1\r\nHost: bench\r\nContent-Type: %s\r\nContent-Length: %d\r\n\r\n%s", path, contentType, len(body), body)
}
