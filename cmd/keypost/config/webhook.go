package config

import (
	"errors"
	"fmt"
	"net/netip"
	"net/url"
	"slices"
	"strings"

	"github.com/keypost/keypost/delivery"
	"github.com/keypost/keypost/ingest/channel"
	"github.com/keypost/keypost/store"
)

// Webhook is a [[webhook]].
type Webhook struct {
	Name       string   `toml:"name"`
	URL        string   `toml:"url"`
	Secret     string   `toml:"secret"`
	SecretFile string   `toml:"secret_file"`
	Secrets    []string `toml:"secrets"`
	Events     []string `toml:"events"`
	Private    bool     `toml:"private"`

	host    string
	inClear bool // on a network, and not encrypted
	secrets []delivery.Secret
}

func (c *Config) completeWebhook(i int, taken map[string]bool) (err error) {
	w := &c.Webhooks[i]
	key := func(name string) string { return fmt.Sprintf("webhook[%d].%s", i, name) }
	if !channel.IsID(w.Name) {
		return c.errorf(key("name"), "%q: %s", w.Name, channel.IDHint)
	}
	if taken[w.Name] {
		return c.errorf(key("name"), "%q is taken: give this webhook another name", w.Name)
	}
	taken[w.Name] = true
	if err := c.webhookURL(key("url"), w); err != nil {
		return err
	}
	for _, e := range w.Events {
		if !slices.Contains(store.Events, store.Event(e)) {
			return c.errorf(key("events"), "%q is not an event: they are %s", e, eventNames())
		}
	}
	return c.webhookSecrets(key, w)
}

func eventNames() string {
	var list []string
	for _, e := range store.Events {
		list = append(list, string(e))
	}
	return strings.Join(list, ", ")
}

func (c *Config) webhookURL(key string, w *Webhook) (err error) {
	if w.host, w.inClear, err = callable(w.URL, w.Private); err != nil {
		return c.errorf(key, "%v", err)
	}
	return nil
}

// callable judges a URL that we are to call; inClear: it leads over a network,
// and is not encrypted. No error tells the URL: there may be a secret in it.
func callable(text string, private bool) (host string, inClear bool, err error) {
	u, err := url.Parse(text)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Hostname() == "" || u.Fragment != "" || u.User != nil {
		return "", false, errors.New("it must be a URL like https://crm.example.com/keypost (without user, password and #)")
	}
	host = u.Hostname()
	addr, err := netip.ParseAddr(host)
	inClear = u.Scheme == "http" && host != "localhost" && !addr.IsLoopback()
	switch {
	case private:
		return host, inClear, nil
	case u.Scheme == "http":
		return "", false, errors.New("names and codes would be sent unencrypted: use https, or private = true for a receiver in your own network")
	case host == "localhost" || err == nil && !public(addr):
		return "", false, fmt.Errorf("%s is not on the public internet: private = true allows it", host)
	}
	return host, inClear, nil
}

func (c *Config) webhookSecrets(key func(string) string, w *Webhook) (err error) {
	if w.Secret, err = c.secret(key("secret"), w.Secret, w.SecretFile); err != nil {
		return err
	}
	at, list := key("secrets"), w.Secrets
	if w.Secret != "" {
		if len(list) > 0 {
			return c.errorf(at, "secret is set too: keep one of them")
		}
		at, list = key("secret"), []string{w.Secret}
	}
	if len(list) == 0 {
		return c.errorf(key("secret"), "it is missing: set whsec_ followed by the output of openssl rand -base64 32")
	}
	for _, text := range list {
		s, err := delivery.ParseSecret(text)
		if err != nil {
			return c.errorf(at, "%v: use whsec_ followed by the output of openssl rand -base64 32", err)
		}
		w.secrets = append(w.secrets, s)
	}
	return nil
}

// endpoint is the sender's part of a webhook.
func (w Webhook) endpoint() delivery.Endpoint {
	return delivery.Endpoint{Name: w.Name, URL: w.URL, Secrets: w.secrets, Client: caller(w.Private)}
}

// subscribers is the store's part of the webhooks: who is told what.
func (c *Config) subscribers() (list []store.Subscriber) {
	for _, w := range c.Webhooks {
		s := store.Subscriber{Name: w.Name}
		for _, e := range w.Events {
			s.Events = append(s.Events, store.Event(e))
		}
		list = append(list, s)
	}
	return list
}

// report is check's line: it calls nobody.
func (w Webhook) report() channel.Finding {
	events := fmt.Sprintf("all events except %s", store.EventOrderImported)
	if len(w.Events) > 0 {
		events = strings.Join(w.Events, ", ")
	}
	f := channel.Finding{Subject: "webhook " + w.Name, Result: channel.OK, Detail: fmt.Sprintf("to %s: %s", w.host, events)}
	if w.inClear {
		f.Result, f.Detail = channel.Warning, f.Detail+". Names and codes are sent unencrypted: use https"
	}
	return f
}
