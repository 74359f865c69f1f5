package main

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/keypost/keypost/admin"
	"github.com/keypost/keypost/cmd/keypost/config"
	"github.com/keypost/keypost/krps"

	"github.com/keypost/keypost/activation/client"
	"github.com/keypost/keypost/ingest"
	"github.com/keypost/keypost/store"
	"github.com/keypost/keypost/store/storetest"
)

// Two real daemons on one database.

func twoDaemons(t *testing.T, s *site) (urls [2]string) {
	binary := program(t)
	for i := range urls {
		urls[i] = s.start(binary).url
	}
	s.url = urls[0]
	return urls
}

// onMariaDB runs a test on a site whose database several daemons may share.
func onMariaDB(t *testing.T, test func(t *testing.T, s *site)) {
	s := newSite(t)
	s.write(siteConfig + fmt.Sprintf("[database]\nurl = %q\n[keys]\nmaster_file = \"master.key\"\n", storetest.MariaDB(t)))
	test(t, s)
}

// A second daemon on an embedded database is refused, and told which process has
// it; one that takes the place of a killed one is not.
func TestTwoDaemonsOneFile(t *testing.T) {
	binary := program(t)
	s := newSite(t)
	first := s.start(binary)
	out, err := exec.Command(binary, "serve", "--config", s.config).CombinedOutput()
	if err == nil || !strings.Contains(string(out), fmt.Sprintf("a daemon serves it already (process %d)", first.cmd.Process.Pid)) {
		t.Errorf("a second one: %v\n%s", err, out)
	}
	if err := first.cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = first.cmd.Wait()
	s.url = s.start(binary).url
	s.post()
}

// The same order to both at once is one order with one answer, to the byte.
func TestTwoDaemonsOneOrder(t *testing.T) {
	onMariaDB(t, func(t *testing.T, s *site) {
		urls := twoDaemons(t, s)
		for round := range 5 {
			quantity, txn := "2", fmt.Sprint("BOTH", round)
			c := postKRPS{Play: krps.Play{Quantity: &quantity, Transaction: &txn}}
			body, _, err := c.body(&app{Context: t.Context(), file: s.config}, "kagi")
			if err != nil {
				t.Fatal(err)
			}
			var mu sync.Mutex
			answers := map[string]int{}
			var all sync.WaitGroup
			for i := range 16 {
				all.Go(func() {
					resp, err := http.Post(urls[i%2]+"/in/kagi", "application/x-www-form-urlencoded", strings.NewReader(body))
					if err != nil {
						t.Error(err)
						return
					}
					defer resp.Body.Close()
					b, err := io.ReadAll(resp.Body)
					if err != nil || resp.StatusCode != http.StatusOK {
						t.Errorf("%s, %v", resp.Status, err)
					}
					mu.Lock()
					defer mu.Unlock()
					answers[string(b)]++
				})
			}
			all.Wait()
			if len(answers) != 1 {
				t.Errorf("one order has %d answers: %v", len(answers), answers)
			}
			for a := range answers {
				if strings.Count(a, "regNumber=") != 2 {
					t.Errorf("answer %q", a)
				}
			}
		}
		var orders []admin.Order
		if s.read(0, &orders, "order", "list"); len(orders) != 5 {
			t.Errorf("%d orders of 5", len(orders))
		}
		s.must(0, "db", "verify")
	})
}

// 64 machines race for the 3 seats of a code, each by the shipped client.
func TestTwoDaemonsThreeSeats(t *testing.T) {
	onMariaDB(t, func(t *testing.T, s *site) {
		s.write(strings.Replace(s.text(), "limit = 2", "limit = 3", 1))
		urls := twoDaemons(t, s)
		code := s.post()[0]
		var mu sync.Mutex
		got := map[string]int{}
		var all sync.WaitGroup
		for i := range 64 {
			all.Go(func() {
				on := &site{t: t, config: s.config, url: urls[i%2]}
				_, err := on.software(fmt.Sprintf("machine-%d", i), nil).Activate(t.Context(), code)
				result := "seat"
				if p, ok := errors.AsType[*client.Problem](err); ok {
					result = p.Code
				} else if err != nil {
					t.Error(err)
				}
				mu.Lock()
				defer mu.Unlock()
				got[result]++
			})
		}
		all.Wait()
		if got["seat"] != 3 || got["limit_reached"] != 61 {
			t.Errorf("64 machines: %v", got)
		}
		var l admin.License
		if s.read(0, &l, "license", "show", code); l.Used != 3 {
			t.Errorf("%d seats are taken", l.Used)
		}
		s.must(0, "db", "verify")
	})
}

// What a dead daemon had reserved, the next one finishes.
func TestSweeperFinishesTheOrdersOfTheDead(t *testing.T) {
	eachDatabase(t, func(t *testing.T, s *site) {
		if err := s.serve()(); err != nil { // sets the database up
			t.Fatal(err)
		}
		c, err := config.Load(s.config)
		if err != nil {
			t.Fatal(err)
		}
		db, err := store.Open(t.Context(), c.Database.URL, store.Options{})
		if err != nil {
			t.Fatal(err)
		}
		defer db.Close()
		id := store.NewID()
		o, _, err := db.AddOrder(t.Context(), store.NewOrder{
			Order: store.Order{
				ID: id, Channel: "kagi", Store: "kagi", Transaction: "DEAD", Fold: ingest.Fold("DEAD"), StoreProduct: "Product_Name",
				Product: "demo", LicenseType: "single", Quantity: 2, Limit: 2,
			},
			Keys:    []store.Key{{1}},
			Message: store.Message{ID: store.NewID(), Channel: "kagi", Verdict: store.VerdictAccepted, OrderID: id},
			Outcome: store.Outcome{Reserve: &store.Reservation{Token: store.NewID(), Until: time.Now().Add(-time.Second)}},
		})
		if err != nil || o.Status != store.Reserved {
			t.Fatalf("%+v, %v", o, err)
		}
		s.serve()
		for o.Status == store.Reserved {
			if o, err = db.Order(t.Context(), id); err != nil {
				t.Fatal(err)
			}
		}
		if o.Status != store.Issued || len(o.Licenses) != 2 {
			t.Errorf("%+v", o)
		}
	})
}

// Of two daemons one watches the mailbox; when it is killed the other takes over
// within the claim's term and takes in what came meanwhile, once.
func TestTwoDaemonsOneMailbox(t *testing.T) {
	binary := program(t)
	s := newSite(t)
	s.write(siteConfig + fmt.Sprintf("[database]\nurl = %q\n[keys]\nmaster_file = \"master.key\"\n", storetest.MariaDB(t)))
	m := newMailed(t, s, "")
	const watches = "the mailbox is watched"
	first := s.start(binary)
	until := func(p *process) {
		t.Helper()
		said := p.stderr.expect(watches)
		if strings.Contains(p.stderr.String(), watches) {
			return
		}
		select {
		case <-said:
		case <-time.After(time.Minute):
			t.Fatalf("it does not watch within a minute:\n%s", p.stderr)
		}
	}
	until(first)
	second := s.start(binary)
	for n := range 3 {
		m.deliver(sale(n+1).Text(), true)
		m.filed("Done", n+1)
	}
	if strings.Contains(second.stderr.String(), watches) {
		t.Errorf("both watch:\n%s", second.stderr)
	}
	if err := first.cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	m.deliver(sale(4).Text(), true)
	until(second)
	m.filed("Done", 4)
	var orders []admin.Order
	if s.read(0, &orders, "order", "list"); len(orders) != 4 {
		t.Errorf("%d orders of 4", len(orders))
	}
	s.must(0, "db", "verify")
}
