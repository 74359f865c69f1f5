package krps

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/url"
	"strings"
	"time"
)

// A Play is an order that is posted as Kagi does, to try a channel. What is not
// given is as in the specification's example order. The tags are the command
// line's flags.
type Play struct {
	Transaction *string           `help:"The transaction id." placeholder:"ID"`
	Product     *string           `help:"The product's name at the store."`
	Quantity    *string           `help:"How many copies."`
	Type        *string           `help:"The license type."`
	Price       *string           `help:"What one copy cost: 149.000."`
	Date        *string           `help:"When it was processed: 2000-12-31."`
	Name        *string           `help:"The purchaser's name."`
	Email       *string           `help:"The purchaser's e-mail address."`
	Seed        *string           `help:"The customer seed."`
	Test        bool              `help:"A test order."`
	Set         map[string]string `help:"Any parameter of the specification's Table 4: --set ACG:Request=Information. May be repeated." placeholder:"NAME=VALUE" mapsep:"none"`
	Secret      *string           `help:"The shared secret (default: that of the config's channel of this name, else the specification's)."`
	Digest      *string           `help:"The cipher (default: that of the channel, else md5)."`
	Basic       string            `help:"The realm's user:password." placeholder:"USER:PASSWORD"`
}

// CheckBasic tells whether --basic can be used.
func (c Play) CheckBasic() error {
	if user, password, _ := strings.Cut(c.Basic, ":"); c.Basic != "" && (user == "" || password == "") {
		return errors.New("--basic must be user:password")
	}
	return nil
}

// Body is the form to post, signed as the channel is, and the user:password of
// its realm. Without settings (nil) it is signed with the specification's secret.
func (c Play) Body(k *Settings) (body, basic string, err error) {
	if err := c.CheckBasic(); err != nil {
		return "", "", err
	}
	secret, cipher, basic := ExampleSecret, "md5", c.Basic
	fields := Example()
	if k != nil {
		secret, cipher = k.Secrets[0], k.Cipher
		if basic == "" {
			basic = k.Guard.Basic
		}
		if k.UserName != "" {
			fields["ACG:UserName"] = k.UserName
		}
	}
	if c.Secret != nil {
		secret = *c.Secret
	}
	if c.Digest != nil {
		cipher = *c.Digest
	}
	digest, err := ParseDigest(cipher)
	if err != nil {
		return "", "", err
	}
	if err := c.apply(fields); err != nil {
		return "", "", err
	}
	if _, set := c.Set["ACG:Password"]; !set {
		digest.Sign(fields, secret)
	}
	return Encode(fields), basic, nil
}

// Changes tells whether a field of the example order was given.
func (c Play) Changes() bool {
	for _, v := range c.fields() {
		if v != nil {
			return true
		}
	}
	return c.Test || len(c.Set) > 0 || c.Secret != nil || c.Digest != nil
}

func (c Play) fields() map[string]*string {
	return map[string]*string{
		"ACG:TransactionID": c.Transaction, "ACG:ProductName": c.Product, "ACG:QuantityOrdered": c.Quantity, "ACG:LicenseType": c.Type,
		"ACG:UnitPayment": c.Price, "ACG:DateProcessed": c.Date, "ACG:PurchaserName": c.Name, "ACG:PurchaserEmail": c.Email,
		"ACG:CustomerSeed": c.Seed,
	}
}

func (c Play) apply(fields map[string]string) error {
	for name, v := range c.fields() {
		if v != nil {
			fields[name] = *v
		}
	}
	if c.Test {
		fields["ACG:Flags"] = "Test=1"
	}
	for name := range c.Set {
		if !IsParameter(name) {
			return fmt.Errorf("--set %s: no parameter of Table 4 has this name, like ACG:Note", name)
		}
	}
	maps.Copy(fields, c.Set)
	return nil
}

// Send posts a body and reads the answer, and how the order stands where the
// answer is Keypost's. It takes no proxy and follows no redirect:
// a post that arrives elsewhere would be an order lost.
func Send(ctx context.Context, to *url.URL, body, basic string) (Answer, string, error) {
	client := http.Client{
		Timeout:       time.Minute,
		Transport:     &http.Transport{},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, to.String(), strings.NewReader(body))
	if err != nil {
		return Answer{}, "", err
	}
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	if user, password, ok := strings.Cut(basic, ":"); ok {
		r.SetBasicAuth(user, password)
	}
	resp, err := client.Do(r)
	if err != nil {
		return Answer{}, "", fmt.Errorf("%w (is keypost serve running there?)", err)
	}
	defer resp.Body.Close()
	reply, err := io.ReadAll(io.LimitReader(resp.Body, 1<<20))
	if err != nil {
		return Answer{}, "", err
	}
	answer, err := ParseReply(reply)
	if err != nil && resp.StatusCode == http.StatusNotFound {
		return answer, "", fmt.Errorf("there is no channel at %s: the last part of the URL is a [[channel]]'s name", to)
	}
	if err != nil {
		return answer, "", fmt.Errorf("HTTP %s, and the answer is not KRPS: %w", resp.Status, err)
	}
	return answer, resp.Header.Get(StatusHeader), nil
}
