package admin

import (
	"context"
	"fmt"

	"github.com/keypost/keypost/ingest"
)

// A Named is what a list was narrowed by; "": not by that.
type Named struct{ Product, Store, Channel, Webhook string }

// Unknown are sentences about names that nothing has: a mistyped name must not
// look like an empty list.
func (a *Admin) Unknown(ctx context.Context, n Named) (list []string, err error) {
	stores := map[string]bool{"": true, ingest.Manual: true, ingest.Import: true, ingest.Adopted: true}
	channels, webhooks := map[string]bool{"": true}, map[string]bool{"": true}
	for _, ch := range a.Channels {
		stores[ch.Store], channels[ch.Name] = true, true
	}
	for _, w := range a.Webhooks {
		webhooks[w.Name] = true
	}
	if _, err := a.product(n.Product); err != nil && n.Product != "" {
		sold, err := a.db.HasLicenses(ctx, n.Product)
		if err != nil {
			return nil, err
		}
		if !sold {
			list = append(list, fmt.Sprintf("No product has the id %q.", n.Product))
		}
	}
	if !stores[n.Store] {
		list = append(list, fmt.Sprintf("No channel in the config has the store %q.", n.Store))
	}
	if !channels[n.Channel] {
		list = append(list, fmt.Sprintf("No channel in the config has the name %q.", n.Channel))
	}
	if !webhooks[n.Webhook] {
		list = append(list, fmt.Sprintf("No webhook in the config has the name %q.", n.Webhook))
	}
	return list, nil
}
