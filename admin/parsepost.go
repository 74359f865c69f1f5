package admin

import (
	"github.com/keypost/keypost/ingest"
	"github.com/keypost/keypost/ingest/channel"
)

// ParsedPost is what would be taken of a post.
type ParsedPost struct {
	Verdict     string            `json:"verdict"` // issued, held, bad, information
	Reason      *string           `json:"reason"`
	Channel     string            `json:"channel"`
	Fields      map[string]string `json:"fields"`
	Store       string            `json:"store"`
	Transaction string            `json:"transaction"`
	Product     *string           `json:"product"`
	Quantity    int               `json:"quantity"`
	Name        string            `json:"name"`
	Email       string            `json:"email"`
	LicenseType string            `json:"license_type"`
	Price       string            `json:"price"`
	Test        bool              `json:"test"`
	Seeds       []string          `json:"seeds"`
	OEMSeeds    []string          `json:"oem_seeds"`

	Listed []channel.Field `json:"-"` // the fields in the protocol's order
}

// ParsePost shows what would be taken of a post to a channel of a kind; channel
// "": the first of that kind. It opens no database: whether the order came before,
// it does not know. With [State] the post would be refused; the result is there
// all the same.
func ParsePost(c Config, kind, name string, body []byte) (out ParsedPost, err error) {
	for _, ch := range c.Channels {
		parser, ok := ch.Settings.(channel.Parser)
		if !ok || ch.Kind != kind || name != "" && name != ch.Name {
			continue
		}
		return c.parsed(ch.Name, parser.Parse(body))
	}
	return out, notFound("the config has no channel %s of kind %s", name, kind)
}

func (c Config) parsed(name string, p channel.Post) (ParsedPost, error) {
	o := p.Order
	product, reason := c.Catalog.Judge(o)
	out := ParsedPost{
		Verdict: "issued", Reason: orNull(reason), Channel: name, Fields: map[string]string{}, Store: o.Store, Transaction: o.Transaction,
		Product: orNull(product.ID), Quantity: o.Quantity, Name: o.Name, Email: o.Email, LicenseType: o.LicenseType, Price: o.Price,
		Test: o.Test, Seeds: o.Seeds, OEMSeeds: p.OEMSeeds, Listed: p.Fields,
	}
	for _, f := range p.Fields {
		out.Fields[f.Name] = f.Value
	}
	switch {
	case p.Bad != nil:
		out.Verdict, out.Reason = "bad", orNull(p.Bad.Error())
		return out, because(State, p.Bad, "", "the post would be answered BAD")
	case p.Information:
		out.Verdict, out.Reason = "information", nil
	case reason != "":
		out.Verdict = "held"
	}
	return out, nil
}

// Explained says why the order would be held, and what to do; "": it would not.
func (p ParsedPost) Explained() string {
	switch p.Verdict {
	case "bad":
		return *p.Reason
	case "held":
		return explainOrder(*p.Reason)
	}
	return ""
}

// Seed cuts a seed into what was asked for and what was answered.
func Seed(item string) (key, value string) { return ingest.Seed(item) }
