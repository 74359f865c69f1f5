package main

import (
	"fmt"

	"github.com/keypost/keypost/ingest"
	"github.com/keypost/keypost/store"
)

// A filter is what a list was narrowed by; "": not by that.
type filter struct{ product, store, channel, webhook string }

// noteUnknown says of a list without rows whether its filter names what nothing
// has: a mistyped name must not look like "there is none yet".
func (a *app) noteUnknown(conf *config, db *store.DB, rows int, f filter) error {
	if rows > 0 {
		return nil
	}
	stores := map[string]bool{"": true, ingest.Manual: true, ingest.Import: true, ingest.Adopted: true}
	channels, webhooks, products := map[string]bool{"": true}, map[string]bool{"": true}, map[string]bool{"": true}
	for _, ch := range conf.Channels {
		stores[ch.Store], channels[ch.Name] = true, true
	}
	for _, w := range conf.Webhooks {
		webhooks[w.Name] = true
	}
	for _, p := range conf.Products {
		products[p.ID] = true
	}
	if !products[f.product] {
		sold, err := db.HasLicenses(a, f.product)
		if err != nil {
			return err
		}
		if !sold {
			a.note(fmt.Sprintf("No product has the id %q.", f.product))
		}
	}
	if !stores[f.store] {
		a.note(fmt.Sprintf("No channel of the config has the store %q.", f.store))
	}
	if !channels[f.channel] {
		a.note(fmt.Sprintf("No channel of the config has the name %q.", f.channel))
	}
	if !webhooks[f.webhook] {
		a.note(fmt.Sprintf("No webhook of the config has the name %q.", f.webhook))
	}
	return nil
}
