package main

import (
	"context"
	"database/sql"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"runtime"
	"strings"
	"time"

	"github.com/gorilla/mux"

	"github.com/keypost/keypost/activation"
	"github.com/keypost/keypost/store"
)

// What this program does when the environment says so, in the place of measuring.
const (
	emptyServer = "KEYPOST_BENCH_EMPTY"  // be the server that does nothing
	floorServer = "KEYPOST_BENCH_FLOOR"  // be the plain server on this database
	floorMaster = "KEYPOST_BENCH_MASTER" // with the master key in this file
)

// servers tells whether the environment makes this program a server, and runs it.
func servers(out io.Writer) (is bool, err error) {
	switch {
	case os.Getenv(emptyServer) != "":
		return true, serve(out, func(http.ResponseWriter, *http.Request, question) (any, error) {
			return json.RawMessage(`{"valid":true}`), nil
		})
	case os.Getenv(floorServer) != "":
		f, err := newFloor(os.Getenv(floorServer), os.Getenv(floorMaster))
		if err != nil {
			return true, err
		}
		return true, serve(out, f.validate)
	}
	return false, nil
}

// A question is the body of a call.
type question struct {
	Product     string `json:"product"`
	Code        string `json:"code"`
	Fingerprint string `json:"fingerprint"`
	Machine     struct {
		Name       string `json:"name"`
		Platform   string `json:"platform"`
		AppVersion string `json:"app_version"`
	} `json:"machine"`
	Renew bool `json:"renew"`
}

// serve answers validate on a free port: the same router as Keypost's, the same
// JSON read and written.
func serve(out io.Writer, answer func(http.ResponseWriter, *http.Request, question) (any, error)) error {
	r := mux.NewRouter().SkipClean(true)
	r.HandleFunc("/v1/validate", func(w http.ResponseWriter, r *http.Request) {
		var q question
		if err := json.NewDecoder(r.Body).Decode(&q); err != nil || q.Code == "" {
			http.Error(w, "bad request", http.StatusBadRequest)
			return
		}
		v, err := answer(w, r, q)
		if err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
			return
		}
		b, err := json.Marshal(v)
		if err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		_, _ = w.Write(append(b, '\n'))
	}).Methods(http.MethodPost)
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	fmt.Fprintf(out, "http://%s\n", listener.Addr())
	s := &http.Server{Handler: r, ReadHeaderTimeout: 10 * time.Second}
	return s.Serve(listener)
}

// A floor is the least that answers validate from a database: one SELECT by a
// prepared statement, and for a renewal one UPDATE of one row.
type floor struct {
	keys         *activation.Keyring
	find, update *sql.Stmt
}

// The statements are those of store/queries.
const (
	findSeat = `SELECT license.id, license.type, license.status, license.test, license.seat_max, license.used, license.expires_at,
 activation.id AS activation_id, activation.lease_id, activation.lease_issued_at, activation.lease_expires_at, activation.created_at
 FROM license LEFT JOIN activation ON activation.license_id = license.id AND activation.fp_mac = ?
 WHERE license.product = ? AND license.code_hash = ?`
	renewLease = `UPDATE activation SET lease_id = ?, lease_issued_at = ?, lease_expires_at = ? WHERE id = ? AND lease_id = ?`
)

// mariadbReads is how many connections the daemon reads by.
const mariadbReads = 16

func newFloor(database, master string) (*floor, error) {
	text, err := os.ReadFile(master)
	if err != nil {
		return nil, err
	}
	key, err := base64.StdEncoding.DecodeString(string(text))
	if err != nil {
		return nil, err
	}
	f := &floor{}
	if f.keys, err = activation.NewKeyring(nil, key); err != nil {
		return nil, err
	}
	writer, err := openPlain(database)
	if err != nil {
		return nil, err
	}
	reader := writer.DB
	if path, lite := strings.CutPrefix(database, "sqlite:"); lite {
		// As the daemon reads: so many connections, the file mapped, as large a cache.
		pragmas := url.Values{"_pragma": {"busy_timeout(5000)", "query_only(1)", "mmap_size(2147418112)", "cache_size(-8000)"}}
		if reader, err = sql.Open("sqlite", "file:"+path+"?"+pragmas.Encode()); err != nil {
			return nil, err
		}
		connections := max(4, 2*runtime.NumCPU())
		reader.SetMaxOpenConns(connections)
		reader.SetMaxIdleConns(connections)
	} else {
		reader.SetMaxOpenConns(mariadbReads)
		reader.SetMaxIdleConns(mariadbReads)
	}
	if f.find, err = reader.Prepare(findSeat); err != nil {
		return nil, err
	}
	f.update, err = writer.Prepare(renewLease)
	return f, err
}

// seatAnswer is the answer of validate, without a lease.
type seatAnswer struct {
	Activation struct {
		ID        string    `json:"id"`
		CreatedAt time.Time `json:"created_at"`
	} `json:"activation"`
	License struct {
		Product   string     `json:"product"`
		Type      string     `json:"type"`
		Limit     int        `json:"limit"`
		Used      int        `json:"used"`
		ExpiresAt *time.Time `json:"expires_at"`
		Test      bool       `json:"test"`
	} `json:"license"`
}

func (f *floor) validate(_ http.ResponseWriter, _ *http.Request, q question) (any, error) {
	var a seatAnswer
	var license, status string
	var lease sql.NullString
	var expires, issued, leaseExpires, created sql.NullInt64
	hash := codeHash(q.Code)
	// Not the request's context: SQLite's driver watches one that can end, which costs
	// more than the read, and the daemon does not do so either.
	ctx := context.Background()
	err := f.find.QueryRowContext(ctx, f.keys.MAC(q.Fingerprint), q.Product, hash[:]).Scan(&license, &a.License.Type, &status, &a.License.Test,
		&a.License.Limit, &a.License.Used, &expires, &a.Activation.ID, &lease, &issued, &leaseExpires, &created)
	if err != nil {
		return nil, err
	}
	if status != store.Active {
		return nil, errors.New("the license is not active")
	}
	a.License.Product, a.Activation.CreatedAt = q.Product, time.UnixMicro(created.Int64).UTC()
	if q.Renew {
		now := time.Now()
		_, err = f.update.ExecContext(ctx, store.NewID(), now.UnixMicro(), now.Add(term).UnixMicro(), a.Activation.ID, lease.String)
	}
	return a, err
}
