package client

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// A Storage keeps a program's state, one for each product. A client calls it
// by one goroutine at a time. What is kept is no secret of the vendor's, but it
// has the user's code in it.
type Storage interface {
	// Load returns what was saved last; nil, nil when nothing was.
	Load() ([]byte, error)
	// Save keeps the state durably, whole or not at all.
	Save([]byte) error
}

const stateVersion = 1

// A state is what a client remembers. Where leases are signed, only what the
// lease says of the license is believed.
type state struct {
	Version int    `json:"version"`
	Product string `json:"product"`
	Machine string `json:"machine"` // hash of the fingerprint
	Code    string `json:"code,omitempty"`
	Lease   string `json:"lease,omitempty"`
	LeaseID string `json:"lease_id,omitempty"` // the last one's, also when it is gone

	Activation string    `json:"activation,omitempty"`
	Type       string    `json:"type,omitempty"`
	Limit      int       `json:"limit,omitempty"`
	Used       int       `json:"used,omitempty"`
	Test       bool      `json:"test,omitempty"`
	ExpiresAt  time.Time `json:"expires_at,omitzero"`

	Refused *Problem      `json:"refused,omitempty"` // the server's last word
	Contact time.Time     `json:"contact,omitzero"`  // when the server last said yes
	Seen    time.Time     `json:"seen,omitzero"`     // the latest time seen
	Tries   int           `json:"tries,omitempty"`   // that failed since then
	Tried   time.Time     `json:"tried,omitzero"`    // the last of them
	Wait    time.Duration `json:"wait,omitempty"`    // after it
	Asked   time.Duration `json:"asked,omitempty"`   // by the server's Retry-After
}

// load reads the state. One that is broken, newer than this program or another
// product's is none.
func (c *Client) load() (state, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.read()
}

// change reads, changes and writes the state in one step.
func (c *Client) change(f func(*state)) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	st, err := c.read()
	if err != nil {
		return err
	}
	f(&st)
	return c.write(st)
}

func (c *Client) read() (state, error) {
	b, err := c.storage.Load()
	if err != nil {
		return state{}, fmt.Errorf("keypost: the license state cannot be read: %w", err)
	}
	var st state
	if json.Unmarshal(b, &st) != nil || st.Version != stateVersion || st.Product != c.product {
		return state{}, nil
	}
	return st, nil
}

func (c *Client) write(st state) error {
	st.Version, st.Product = stateVersion, c.product
	b, err := json.Marshal(st)
	if err == nil {
		err = c.storage.Save(b)
	}
	if err != nil {
		return fmt.Errorf("keypost: the license state cannot be written: %w", err)
	}
	return nil
}

// sameCode compares codes as the server finds them: case, spaces and dashes do
// not count.
func sameCode(a, b string) bool {
	fold := strings.NewReplacer(" ", "", "-", "")
	return strings.EqualFold(fold.Replace(a), fold.Replace(b))
}

// memory is the storage of a program that keeps nothing.
type memory struct{ b []byte }

func (m *memory) Load() ([]byte, error) { return m.b, nil }

func (m *memory) Save(b []byte) error { m.b = b; return nil }

// FileStorage keeps the state in a file that its user alone can read. It makes
// the folder, and writes the file whole or not at all.
func FileStorage(path string) Storage { return file(path) }

type file string

const maxState = 1 << 20 // bytes

func (f file) Load() ([]byte, error) {
	r, err := os.Open(string(f))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	defer r.Close()
	return io.ReadAll(io.LimitReader(r, maxState))
}

func (f file) Save(b []byte) (err error) {
	folder := filepath.Dir(string(f))
	if err := os.MkdirAll(folder, 0o700); err != nil {
		return err
	}
	w, err := os.CreateTemp(folder, ".keypost-*") // 0600
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			os.Remove(w.Name())
		}
	}()
	_, err = w.Write(b)
	if err = errors.Join(err, w.Sync(), w.Close()); err != nil {
		return err
	}
	return os.Rename(w.Name(), string(f))
}
