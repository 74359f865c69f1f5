package store

import (
	"errors"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestEditLicense(t *testing.T) {
	each(t, func(t *testing.T, db, other *DB) {
		ctx := t.Context()
		db.Subscribe([]Subscriber{{Name: "crm"}})
		o := mustAdd(t, db, newOrder("T", "k", "A"))
		l := o.Licenses[0]
		for _, m := range []string{"one", "two"} {
			if _, _, err := db.Activate(ctx, machine(l, m), l); err != nil {
				t.Fatal(err)
			}
		}
		one, four, site, note, end := 1, 4, "site", "for the school", time.Date(2030, 1, 2, 3, 4, 5, 0, time.UTC)
		if _, err := db.EditLicense(ctx, l.ID, LicenseEdit{Limit: &one}, "test"); !errors.Is(err, ErrLimit) {
			t.Errorf("a limit below the machines: %v", err)
		}
		if _, err := db.EditLicense(ctx, NewID(), LicenseEdit{Limit: &one}, "test"); !errors.Is(err, ErrNotFound) {
			t.Errorf("nothing is edited: %v", err)
		}
		events := func() (n int) {
			list, err := db.Outbox(ctx, NoticeFilter{Kind: string(EventLicenseEdited)})
			if err != nil {
				t.Fatal(err)
			}
			return len(list)
		}
		got, err := db.EditLicense(ctx, l.ID, LicenseEdit{Note: &note}, "test")
		if err != nil || got.Note != note || got.Limit != 3 || got.Used != 2 || events() != 0 {
			t.Errorf("a note = %+v, %v, %d events", got, err, events())
		}
		got, err = db.EditLicense(ctx, l.ID, LicenseEdit{Limit: &four, Type: &site, ExpiresAt: &end}, "test")
		if err != nil || got.Note != note || got.Limit != 4 || got.Type != site || !got.ExpiresAt.Equal(end) || events() != 1 {
			t.Errorf("edited = %+v, %v, %d events", got, err, events())
		}
		got, err = other.EditLicense(ctx, l.ID, LicenseEdit{NoExpiry: true}, "test")
		if err != nil || got.ExpiresAt != nil || got.Type != site {
			t.Errorf("without an end = %+v, %v", got, err)
		}
		if got, err := db.ReplaceLicense(ctx, l.ID, NewLicense{ID: NewID(), Code: "B"}, "test"); err != nil || got.Note != note || got.Limit != 4 {
			t.Errorf("replaced = %+v, %v", got, err)
		}
		if diff := cmp.Diff([]string{"license.edit", "license.edit", "license.edit", "license.replace"}, audited(t, db)); diff != "" {
			t.Error(diff)
		}
		sound(t, db)
	})
}

// The limit of a shared license is what its orders brought.
func TestEditSharedLicense(t *testing.T) {
	each(t, func(t *testing.T, db, _ *DB) {
		var l License
		for _, txn := range []string{"S1", "S2"} {
			n := newOrder(txn, txn, "SHARED")
			n.Outcome.Codes[0].Share = true
			l = mustAdd(t, db, n).Licenses[0]
		}
		nine, note := 9, "two buyers"
		if _, err := db.EditLicense(t.Context(), l.ID, LicenseEdit{Limit: &nine}, "test"); !errors.Is(err, ErrShared) {
			t.Errorf("%v", err)
		}
		if got, err := db.EditLicense(t.Context(), l.ID, LicenseEdit{Note: &note}, "test"); err != nil || got.Note != note || got.Limit != 6 {
			t.Errorf("%+v, %v", got, err)
		}
		sound(t, db)
	})
}

func TestReleaseActivation(t *testing.T) {
	each(t, func(t *testing.T, db, other *DB) {
		ctx := t.Context()
		o := mustAdd(t, db, newOrder("T", "k", "A", "B"))
		l := o.Licenses[0]
		first, _, err := db.Activate(ctx, machine(l, "one"), l)
		if err != nil {
			t.Fatal(err)
		}
		if _, _, err := db.Activate(ctx, machine(l, "two"), l); err != nil {
			t.Fatal(err)
		}
		if _, err := db.ReleaseActivation(ctx, o.Licenses[1].ID, first.ID, "test"); !errors.Is(err, ErrNotFound) {
			t.Errorf("a machine of another license: %v", err)
		}
		freed := make(chan error, 2)
		parallel(2, func(i int) {
			_, err := []*DB{db, other}[i].ReleaseActivation(ctx, l.ID, first.ID, "test")
			freed <- err
		})
		if a, b := <-freed, <-freed; (a == nil) == (b == nil) {
			t.Errorf("released twice at once: %v, %v", a, b)
		}
		got, err := db.License(ctx, l.ID)
		if err != nil || got.Used != 1 {
			t.Errorf("%+v, %v", got, err)
		}
		if diff := cmp.Diff([]string{"license.release"}, audited(t, db)); diff != "" {
			t.Error(diff)
		}
		sound(t, db)
	})
}

func TestSetLanguage(t *testing.T) {
	each(t, func(t *testing.T, db, _ *DB) {
		o := mustAdd(t, db, newOrder("T", "k", "A"))
		if err := db.SetLanguage(t.Context(), o.ID, "pt-BR", "test"); err != nil {
			t.Fatal(err)
		}
		if got, err := db.Order(t.Context(), o.ID); err != nil || got.Language != "pt-BR" || got.Name != "Fred" {
			t.Errorf("%+v, %v", got, err)
		}
		if err := db.SetLanguage(t.Context(), NewID(), "de", "test"); !errors.Is(err, ErrNotFound) {
			t.Errorf("nobody's: %v", err)
		}
	})
}
