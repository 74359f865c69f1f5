package activation_test

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/keypost/keypost/activation"
	"github.com/keypost/keypost/activation/client"
	"github.com/keypost/keypost/keygen"
	"github.com/keypost/keypost/store"
)

// A rig is a real license server on a real store, over real HTTP, with a clock
// of the test's, and a machine whose clock may be wrong.
type rig struct {
	t    *testing.T
	db   *store.DB
	ring *activation.Keyring
	url  string

	mu    sync.Mutex
	clock time.Time
	skew  time.Duration // of the machine's clock
	fault http.HandlerFunc
	calls []string
}

const (
	leaseTerm = 100 * time.Hour
	machine1  = "my-first-machine"
)

func newRig(t *testing.T) *rig {
	t.Helper()
	r := &rig{t: t, clock: time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)}
	db, err := store.Open(t.Context(), "sqlite:"+t.TempDir()+"/k.db", store.Options{Create: true, Now: r.now})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	r.db = db
	if r.ring, err = activation.NewKeyring(db, make([]byte, activation.MasterSize)); err != nil {
		t.Fatal(err)
	}
	if err := r.ring.MakeFirst(t.Context()); err != nil {
		t.Fatal(err)
	}
	seats := activation.New(db, r.ring, 100, activation.Config{Issuer: "https://keys.example.com", Products: []activation.Product{
		{ID: "demo", Lease: leaseTerm, Malformed: keygen.Random{}.Malformed},
		{ID: "bare"},
	}, Now: r.now})
	mux := http.NewServeMux()
	mux.Handle("POST /v1/activate", seats.Activate())
	mux.Handle("POST /v1/validate", seats.Validate())
	mux.Handle("POST /v1/deactivate", seats.Deactivate())
	web := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) {
		r.mu.Lock()
		r.calls = append(r.calls, strings.TrimPrefix(q.URL.Path, "/v1/"))
		fault := r.fault
		r.mu.Unlock()
		if fault != nil {
			fault(w, q)
			return
		}
		mux.ServeHTTP(w, q)
	}))
	t.Cleanup(web.Close)
	r.url = web.URL
	return r
}

func (r *rig) now() time.Time {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.clock
}

func (r *rig) pass(d time.Duration) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.clock = r.clock.Add(d)
}

// wrong sets the machine's clock off by so much.
func (r *rig) wrong(d time.Duration) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.skew = d
}

func (r *rig) machineNow() time.Time {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.clock.Add(r.skew)
}

// breaks makes the server answer by a fault; nil: it is well again.
func (r *rig) breaks(fault http.HandlerFunc) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.fault = fault
}

// called returns the calls since it was asked last.
func (r *rig) called() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	calls := strings.Join(r.calls, " ")
	r.calls = nil
	return calls
}

// answers is a fault: a fixed answer.
func answers(status int, contentType, body string, header ...string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", contentType)
		for i := 0; i < len(header); i += 2 {
			w.Header().Set(header[i], header[i+1])
		}
		w.WriteHeader(status)
		_, _ = w.Write([]byte(body))
	}
}

// down is a fault: the connection breaks.
func down(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }

// issue makes an order with one license for two machines.
func (r *rig) issue(change ...func(*store.Order)) store.License {
	r.t.Helper()
	n := store.NewOrder{Order: store.Order{
		ID: store.NewID(), Channel: "kagi", Store: "kagi", Transaction: store.NewID(), Product: "demo", LicenseType: "single", Quantity: 1, Limit: 2,
	}}
	n.Order.Fold = n.Order.Transaction
	for _, f := range change {
		f(&n.Order)
	}
	n.Message.ID = store.NewID()
	codes, err := keygen.Random{}.Generate(r.t.Context(), keygen.Request{Quantity: 1})
	if err != nil {
		r.t.Fatal(err)
	}
	n.Outcome.Codes = []store.NewLicense{{ID: store.NewID(), Code: codes[0]}}
	o, _, err := r.db.AddOrder(r.t.Context(), n)
	if err != nil {
		r.t.Fatal(err)
	}
	return o.Licenses[0]
}

// keys are the current and the next key, as a vendor ships them.
func (r *rig) keys() (list []string) {
	r.t.Helper()
	keys, err := r.db.SigningKeys(r.t.Context())
	if err != nil {
		r.t.Fatal(err)
	}
	for _, slot := range []string{store.SlotCurrent, store.SlotNext} {
		for _, key := range keys {
			if key.Slot == slot {
				list = append(list, activation.NewJWK(key).X)
			}
		}
	}
	return list
}

// client is a program on the first machine, unless it is changed.
func (r *rig) client(change ...func(*client.Options)) *client.Client {
	r.t.Helper()
	o := client.Options{
		URL: r.url, Product: "demo", Fingerprint: machine1, Keys: r.keys(), Now: r.machineNow,
		Interval: 10 * time.Hour, Grace: 20 * time.Hour,
	}
	for _, f := range change {
		f(&o)
	}
	c, err := client.New(o)
	if err != nil {
		r.t.Fatal(err)
	}
	return c
}

func on(machine string) func(*client.Options) {
	return func(o *client.Options) { o.Fingerprint = machine }
}

func keeping(s client.Storage) func(*client.Options) {
	return func(o *client.Options) { o.Storage = s }
}

// bare is a program whose product has no leases.
func bare(o *client.Options) { o.Product, o.Keys = "bare", nil }

// ofBare makes an order one of that product.
func ofBare(o *store.Order) { o.Product = "bare" }

// A kept state is one that a test can look at, and change.
type kept struct {
	mu   sync.Mutex
	b    []byte
	fail error
}

func (k *kept) Load() ([]byte, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.b, nil
}

func (k *kept) Save(b []byte) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.fail == nil {
		k.b = b
	}
	return k.fail
}
