package admin_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/keypost/keypost/admin"
	"github.com/keypost/keypost/delivery"
	"github.com/keypost/keypost/ingest"
	"github.com/keypost/keypost/ingest/channel"
	"github.com/keypost/keypost/keygen"
	"github.com/keypost/keypost/store/storetest"
)

func TestMain(m *testing.M) { os.Exit(storetest.Main(m)) }

// newConfig is a shop with one product whose codes are random, and one whose codes
// come out of a pool.
func newConfig(t *testing.T, database string) admin.Config {
	t.Helper()
	templates, err := delivery.LoadTemplates("", nil)
	if err != nil {
		t.Fatal(err)
	}
	products := []admin.Product{
		{Product: ingest.Product{ID: "demo", Limit: 2, Codes: ingest.Codes{Compute: keygen.Random{}}}, Name: "Demo", Generator: "random"},
		{Product: ingest.Product{ID: "boxed", Limit: 1, Codes: ingest.Codes{Pool: "boxed"}}, Name: "Boxed", Generator: "pool", Pool: &admin.ProductPool{Name: "boxed", Low: 2}},
	}
	c := admin.Config{
		Database: database, MasterFile: filepath.Join(t.TempDir(), "master.key"), Products: products,
		Mail:     delivery.MailConfig{Templates: templates, Products: map[string]string{"demo": "Demo"}},
		Settings: func() []channel.Finding { return nil },
		Checks:   func(context.Context) []channel.Finding { return nil },
	}
	for _, p := range products {
		c.Catalog.Products = append(c.Catalog.Products, p.Product)
	}
	return c
}

// opened is a new store with its operations.
func opened(t *testing.T, database string) *admin.Admin {
	t.Helper()
	c := newConfig(t, database)
	if _, err := admin.CreateDatabase(t.Context(), c); err != nil {
		t.Fatal(err)
	}
	a, err := admin.Open(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { a.Close() })
	return a
}

func each(t *testing.T, test func(t *testing.T, a *admin.Admin)) {
	t.Run("sqlite", func(t *testing.T) { test(t, opened(t, "sqlite:"+filepath.Join(t.TempDir(), "k.db"))) })
	t.Run("mariadb", func(t *testing.T) { test(t, opened(t, storetest.MariaDB(t))) })
}

const actor = "a test"

// A vendor's day, called from a program of its own.
func TestADayOfOperations(t *testing.T) {
	each(t, func(t *testing.T, a *admin.Admin) {
		ctx := t.Context()
		gift := "gift-1"
		issued, err := a.IssueCodes(ctx, actor, admin.Issue{Product: "demo", Name: "Ada Lovelace", Email: "ada@example.com", Quantity: 1, Type: "single", Transaction: &gift})
		if err != nil || issued.Order.Status != admin.Issued || len(issued.Order.Licenses) != 1 {
			t.Fatalf("issue: %+v, %v", issued, err)
		}
		name := admin.LicenseName{Code: issued.Order.Licenses[0]}
		limit, note := 5, "a friend"
		l, err := a.EditLicense(ctx, actor, name, admin.LicenseEdit{Limit: &limit, Note: &note})
		if err != nil || l.Limit != 5 || l.Note != note {
			t.Errorf("edit: %+v, %v", l, err)
		}
		if l, err = a.SuspendLicense(ctx, actor, name); err != nil || l.Status != admin.Suspended || len(l.Reasons) == 0 {
			t.Errorf("suspend: %+v, %v", l, err)
		}
		if l, err = a.RestoreLicense(ctx, actor, name); err != nil || l.Status != admin.Active {
			t.Errorf("restore: %+v, %v", l, err)
		}
		order := admin.OrderName{Store: "manual", Transaction: gift}
		if _, to, err := a.ResendCodes(ctx, actor, order); err != nil || to != admin.ToBuyer {
			t.Errorf("resend: to %q, %v", to, err)
		}
		if list, err := a.Outbox(ctx, admin.NoticeFilter{Kind: "codes"}); err != nil || len(list) != 1 || list[0].Order == nil {
			t.Errorf("outbox: %+v, %v", list, err)
		}
		if done, err := a.LoadPool(ctx, actor, "boxed", strings.NewReader("A-1\n# none\nA-2\nA-1\n"), "a text"); err != nil || done.Added != 2 {
			t.Errorf("pool: %+v, %v", done, err)
		}
		if pools, err := a.Pools(ctx); err != nil || len(pools) != 1 || pools[0].Free != 2 || pools[0].Low {
			t.Errorf("pools: %+v, %v", pools, err)
		}
		var table bytes.Buffer
		if done, err := a.ExportCSV(ctx, &table, "", ','); err != nil || done.Licenses != 1 || !strings.Contains(table.String(), "Ada Lovelace") {
			t.Errorf("export: %+v, %v\n%s", done, err, &table)
		}
		if done, err := a.ImportCSV(ctx, actor, &table, admin.CSVImport{}); err != nil || done.Known != 1 {
			t.Errorf("import: %+v, %v", done, err)
		}
		if c, err := a.Customer(ctx, "ADA@example.com"); err != nil || len(c.Orders) != 1 || c.Name != "Ada Lovelace" {
			t.Errorf("customer: %+v, %v", c, err)
		}
		if would, err := a.Forgettable(ctx, "ada@example.com"); err != nil || would.Orders != 1 {
			t.Errorf("forgettable: %+v, %v", would, err)
		}
		if done, err := a.ForgetCustomer(ctx, actor, "ada@example.com"); err != nil || done.Orders != 1 {
			t.Errorf("forget: %+v, %v", done, err)
		}
		if o, err := a.RefundOrder(ctx, actor, order); err != nil || !o.Refunded {
			t.Errorf("refund: %+v, %v", o, err)
		}
		if keys, err := a.RotateKeys(ctx, actor); err != nil || len(keys) != 3 {
			t.Errorf("keys: %+v, %v", keys, err)
		}
		if audit, err := a.VerifyAudit(ctx, ""); err != nil || audit.Unsealed == 0 {
			t.Errorf("audit: %+v, %v", audit, err)
		}
		list, err := admin.Check(ctx, a.Config)
		if err != nil || len(list) < 5 {
			t.Errorf("check: %+v, %v", list, err)
		}
	})
}

// An error has a code that stays, and says what to do with operations in braces.
func TestErrors(t *testing.T) {
	a := opened(t, "sqlite:"+filepath.Join(t.TempDir(), "k.db"))
	ctx := t.Context()
	line := 0
	for _, c := range []struct {
		what string
		do   func() error
		code admin.Code
		text string
	}{
		{"no such order", func() error {
			_, err := a.Order(ctx, admin.OrderName{Store: "kagi", Transaction: "T"})
			return err
		}, admin.NotFound, "{order list}"},
		{"line 0", func() error {
			_, err := a.Order(ctx, admin.OrderName{Store: "kagi", Transaction: "T", Line: &line})
			return err
		}, admin.Invalid, "from 1"},
		{"no such license", func() error { _, err := a.License(ctx, admin.LicenseName{Code: "NOTHING"}); return err }, admin.NotFound, "{license list}"},
		{"no code", func() error { _, err := a.RevokeLicense(ctx, actor, admin.LicenseName{Code: " - "}); return err }, admin.Invalid, "is empty"},
		{"an unknown product", func() error {
			_, err := a.IssueCodes(ctx, actor, admin.Issue{Product: "x", Quantity: 1, Type: "single"})
			return err
		}, admin.NotFound, "not in the config"},
		{"no copies", func() error {
			_, err := a.IssueCodes(ctx, actor, admin.Issue{Product: "demo", Type: "single"})
			return err
		}, admin.Invalid, "1 to 250"},
		{"no pool", func() error { _, err := a.LoadPool(ctx, actor, "demo", strings.NewReader("A\n"), "x"); return err }, admin.State, `kind = "pool"`},
		{"nobody", func() error { _, err := a.ForgetCustomer(ctx, actor, "nobody@example.com"); return err }, admin.NotFound, "nobody@example.com"},
		{"no restore", func() error { return a.ConfirmRestore(ctx, actor) }, admin.State, "nothing is paused"},
		{"made before", func() error { _, err := admin.CreateDatabase(ctx, a.Config); return err }, admin.Exists, "already exists"},
		{"not made", func() error {
			_, err := admin.Open(ctx, newConfig(t, "sqlite:"+filepath.Join(t.TempDir(), "none.db")))
			return err
		}, admin.Unavailable, "{db create}"},
	} {
		err := c.do()
		if err == nil || admin.CodeOf(err) != c.code || !strings.Contains(err.Error(), c.text) {
			t.Errorf("%s: %s %v; want %s and %q", c.what, admin.CodeOf(err), err, c.code, c.text)
		}
	}
	if got := admin.Word("see {order list} or {check}", func(operation string) string { return "<" + operation + ">" }); got != "see <order list> or <check>" || admin.Word("{name} and {order approve kagi T1}", func(string) string { return "x" }) != "{name} and x" {
		t.Error(got)
	}
	if admin.CodeOf(errors.New("x")) != admin.Internal {
		t.Error("an unknown error has a code of its own")
	}
}

// The JSON of an order and of a license is the contract's: these keys are there,
// and none is renamed.
func TestContract(t *testing.T) {
	a := opened(t, "sqlite:"+filepath.Join(t.TempDir(), "k.db"))
	issued, err := a.IssueCodes(t.Context(), actor, admin.Issue{Product: "demo", Quantity: 1, Type: "single"})
	if err != nil {
		t.Fatal(err)
	}
	l, err := a.License(t.Context(), admin.LicenseName{Code: issued.Order.Licenses[0]})
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		of   any
		keys []string
	}{
		{issued.Order, []string{"store", "transaction", "line", "product", "quantity", "status", "reason", "test", "licenses"}},
		{l, []string{"code", "product", "status", "type", "test", "limit", "used", "order"}},
	} {
		b, err := json.Marshal(c.of)
		if err != nil {
			t.Fatal(err)
		}
		var got map[string]any
		if err := json.Unmarshal(b, &got); err != nil {
			t.Fatal(err)
		}
		var missing []string
		for _, key := range c.keys {
			if _, ok := got[key]; !ok {
				missing = append(missing, key)
			}
		}
		if diff := cmp.Diff([]string(nil), missing); diff != "" {
			t.Errorf("missing in %s: %s", b, diff)
		}
	}
}
