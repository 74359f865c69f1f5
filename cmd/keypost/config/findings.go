package config

import (
	"context"
	"fmt"

	"github.com/keypost/keypost/ingest/channel"
)

// findings are keypost check's lines about the config and what it connects to,
// but for the database.
func (c *Config) findings(ctx context.Context) []channel.Finding {
	name := c.File
	if name == "" {
		name = "no config file: the built-in demo"
	}
	list := []channel.Finding{
		{Subject: "config", Result: channel.OK, Detail: fmt.Sprintf("%s, products: %d, channels: %d", name, len(c.Products), len(c.Channels))},
		c.Server.reportProxy(),
	}
	for _, ch := range c.Channels {
		list = append(list, ch.Report())
		if p, ok := ch.Settings.(channel.Prober); ok {
			list = append(list, p.Probe(ctx)...)
		}
	}
	list = append(list, c.probeMail(ctx))
	for _, w := range c.Webhooks {
		list = append(list, w.report())
	}
	return list
}
