package config

import (
	"context"
	"fmt"

	"github.com/keypost/keypost/ingest/channel"
)

// settings are keypost check's lines about the config itself.
func (c *Config) settings() []channel.Finding {
	name := c.File
	if name == "" {
		name = "no config file: the built-in demo"
	}
	return []channel.Finding{
		{Subject: "config", Result: channel.OK, Detail: fmt.Sprintf("%s, products: %d, channels: %d", name, len(c.Products), len(c.Channels))},
		c.Server.reportProxy(),
	}
}

// findings are its lines about channels, mail and webhooks, and what they connect
// to.
func (c *Config) findings(ctx context.Context) (list []channel.Finding) {
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
