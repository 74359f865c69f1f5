package main

import (
	"cmp"
	"context"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"golang.org/x/time/rate"

	"github.com/keypost/keypost/delivery"
	"github.com/keypost/keypost/ingest/authentic"
	"github.com/keypost/keypost/ingest/intake"
	"github.com/keypost/keypost/ingest/mailbox"
	"github.com/keypost/keypost/ingest/tfyp"
	"github.com/keypost/keypost/store"
)

// imapConfig is a channel whose orders come by mail.
type imapConfig struct {
	Address      string        `toml:"address"`
	User         string        `toml:"user"`
	Password     string        `toml:"password"`
	PasswordFile string        `toml:"password_file"`
	TokenFile    string        `toml:"token_file"`
	TLS          string        `toml:"tls"`
	CAFile       string        `toml:"ca_file"`
	Folder       string        `toml:"folder"`
	Processed    string        `toml:"processed"`
	Held         string        `toml:"held"`
	Failed       string        `toml:"failed"`
	Poll         *duration     `toml:"poll"`
	Profile      string        `toml:"profile"`
	Profiles     []string      `toml:"profiles"`
	Recipients   []string      `toml:"recipients"`
	Merchant     string        `toml:"merchant"`
	Trust        []trustConfig `toml:"trust"`
	DNS          string        `toml:"dns"`

	profiles []*tfyp.Profile
	mailbox  mailbox.Config
}

type trustConfig struct {
	DKIM       string `toml:"dkim"`
	AuthservID string `toml:"authserv_id"`
}

var imapKeys = []string{
	"address", "user", "password", "password_file", "token_file", "tls", "ca_file", "folder", "processed", "held", "failed", "poll",
	"profile", "profiles", "recipients", "merchant", "trust", "dns",
}

const (
	defaultProfile = "tfyp"
	mailsAtOnce    = 16               // judged and taken in at the same time
	mailboxTerm    = 10 * time.Second // how long a dead daemon's mailbox is watched by nobody
)

func checkIMAP(c *config, key func(string) string, ch *channelConfig) (err error) {
	if err := c.checkProfiles(key, ch); err != nil {
		return err
	}
	if err := ch.policy().Validate(); err != nil {
		return c.errorf(key("trust"), "%v", err)
	}
	if ch.DNS != "" {
		if _, _, err := net.SplitHostPort(ch.DNS); err != nil {
			return c.errorf(key("dns"), "%q is not host:port, such as 127.0.0.1:53", ch.DNS)
		}
	}
	if ch.mailbox, err = c.imap(key, ch); err != nil {
		return err
	}
	if _, err := mailbox.New(ch.mailbox, nil, nil); err != nil {
		at := "address"
		if e, ok := errors.AsType[*mailbox.ConfigError](err); ok && slices.Contains(imapKeys, e.Key) {
			at = e.Key
		}
		return c.errorf(key(at), "%v", err)
	}
	return nil
}

func (c *config) checkProfiles(key func(string) string, ch *channelConfig) error {
	list := ch.Profiles
	switch {
	case ch.Profile != "" && len(list) > 0:
		return c.errorf(key("profiles"), "profile is there too: keep one of them")
	case ch.Profile != "":
		list = []string{ch.Profile}
	case len(list) == 0:
		list = []string{defaultProfile}
	}
	for _, name := range list {
		if _, ok := tfyp.Builtin(name); !ok {
			name = c.path(name)
		}
		p, err := loadProfile(name)
		if err != nil {
			return c.errorf(key("profile"), "%v", err)
		}
		if ch.Store == "" && p.Store == "" {
			return c.errorf(key("store"), "the profile %s does not say whose orders these are: set store here, or in the profile", p.Name)
		}
		if why := badStore(cmp.Or(ch.Store, p.Store)); why != "" {
			return c.errorf(key("profile"), "%s: store: %s", p.Name, why)
		}
		ch.profiles = append(ch.profiles, p)
	}
	return nil
}

// policy is what the mailbox's vendor trusts.
func (ch channelConfig) policy() authentic.Policy {
	p := authentic.Policy{Recipients: ch.Recipients, Merchant: ch.Merchant}
	for _, t := range ch.Trust {
		p.Trust = append(p.Trust, authentic.Trust{DKIM: t.DKIM, AuthservID: t.AuthservID})
	}
	return p
}

// imap is the connection's part. Secrets in files are read at each log-in.
func (c *config) imap(key func(string) string, ch *channelConfig) (m mailbox.Config, err error) {
	m = mailbox.Config{
		Name: ch.Name, Address: ch.Address, User: ch.User, TLS: ch.TLS, Folder: ch.Folder,
		Processed: ch.Processed, Held: ch.Held, Failed: ch.Failed, AtOnce: mailsAtOnce, MaxSize: tfyp.MaxMail,
	}
	if ch.Address == "" {
		return m, c.errorf(key("address"), "it is missing: set the IMAP server, imap.example.com:993")
	}
	given := 0
	for _, s := range []string{ch.Password, ch.PasswordFile, ch.TokenFile} {
		if s != "" {
			given++
		}
	}
	switch {
	case given != 1:
		return m, c.errorf(key("password"), "give one of password, password_file and token_file")
	case ch.Password != "":
		m.Password = func() (string, error) { return ch.Password, nil }
	case ch.PasswordFile != "":
		m.Password = func() (string, error) { return readSecret(c.path(ch.PasswordFile)) }
	default:
		m.Token = func() (string, error) { return readSecret(c.path(ch.TokenFile)) }
	}
	for at, secret := range map[string]func() (string, error){"password_file": m.Password, "token_file": m.Token} {
		if secret == nil {
			continue
		}
		if _, err := secret(); err != nil {
			return m, c.errorf(key(at), "%v", err)
		}
	}
	if ch.Poll != nil {
		m.Poll = time.Duration(*ch.Poll)
	}
	if ch.CAFile != "" {
		pem, err := os.ReadFile(c.path(ch.CAFile))
		if err != nil {
			return m, c.errorf(key("ca_file"), "%v", err)
		}
		if m.RootCAs = x509.NewCertPool(); !m.RootCAs.AppendCertsFromPEM(pem) {
			return m, c.errorf(key("ca_file"), "it has no certificate in PEM")
		}
	}
	return m, nil
}

func imapFinding(ch channelConfig) finding {
	var names []string
	result, warnings := "ok", ""
	for _, p := range ch.profiles {
		names = append(names, p.Name)
		for _, w := range p.Warnings() {
			result, warnings = "warning", warnings+"; the profile "+p.Name+": "+w
		}
	}
	var domains []string
	for _, t := range ch.Trust {
		by := "verified here"
		if t.AuthservID != "" {
			by = "by the word of " + t.AuthservID
		}
		domains = append(domains, fmt.Sprintf("%s (%s)", t.DKIM, by))
	}
	return finding{"channel " + ch.Name, result, fmt.Sprintf("mails of %s in %s, read by %s, signed by %s; orders of %s",
		ch.User, ch.Address, strings.Join(names, ", "), strings.Join(domains, ", "), strings.Join(ch.stores(), ", ")) + warnings}
}

// stores are those that the channel's mails are of: its own, or its profiles'.
func (ch channelConfig) stores() (list []string) {
	if ch.Store != "" {
		return []string{ch.Store}
	}
	for _, p := range ch.profiles {
		if !slices.Contains(list, p.Store) {
			list = append(list, p.Store)
		}
	}
	return list
}

func tryIMAP(ctx context.Context, ch channelConfig) []finding {
	list := []finding{checkMailbox(ctx, ch)}
	if f := checkKeys(ctx, ch); f.Detail != "" {
		list = append(list, f)
	}
	return list
}

// checkKeys asks the DNS for something below each domain whose signatures are
// verified here: that there is nothing is an answer, too. Without one every mail
// of that domain waits.
func checkKeys(ctx context.Context, ch channelConfig) finding {
	f := finding{"dns of " + ch.Name, "ok", ""}
	lookup, of := intake.NewResolver(ch.DNS), ch.nameServer()
	var domains []string
	for _, t := range ch.Trust {
		if t.AuthservID != "" || slices.Contains(domains, t.DKIM) {
			continue
		}
		_, err := lookup(ctx, "_domainkey."+t.DKIM)
		if e, ok := errors.AsType[*net.DNSError](err); err != nil && !(ok && e.IsNotFound) {
			return finding{f.Subject, "failed", fmt.Sprintf("it does not answer for %s, and without it mails wait: mend %s, or set dns to another, or let your mail server judge (authserv_id): %v", t.DKIM, of, err)}
		}
		domains = append(domains, t.DKIM)
	}
	if len(domains) > 0 {
		f.Detail = fmt.Sprintf("it answers for %s; asked: %s", strings.Join(domains, ", "), of)
	}
	return f
}

// nameServer says whom the channel's resolver asks.
func (ch channelConfig) nameServer() string {
	if ch.DNS != "" {
		return "the name server that dns names (" + ch.DNS + ")"
	}
	return "the system's name server (/etc/resolv.conf)"
}

// checkTime is more than a log-in takes; a server that waits for TLS where we do
// not, or the other way round, says nothing for minutes.
const checkTime = 10 * time.Second

// checkMailbox logs in.
func checkMailbox(ctx context.Context, ch channelConfig) finding {
	f := finding{"mailbox " + ch.Name, "ok", ""}
	ctx, cancel := context.WithTimeout(ctx, checkTime)
	defer cancel()
	found, err := ch.mailbox.Check(ctx)
	if err != nil {
		return finding{f.Subject, "failed", err.Error() + ch.tlsHint(err)}
	}
	f.Detail = "logged in"
	if !found.Idle {
		f.Detail += fmt.Sprintf("; the server does not tell of new mail by itself (IDLE): it is asked every %s", cmp.Or(ch.mailbox.Poll, mailbox.DefaultPoll))
	}
	if ch.Processed+ch.Held+ch.Failed != "" && !found.Moves && !found.Keywords {
		f.Result, f.Detail = "warning", f.Detail+"; the server can neither move messages nor mark them: they stay as they are"
	}
	return f
}

// tlsHint says what else the port may want, going by how a log-in failed.
func (ch channelConfig) tlsHint(err error) string {
	const hint = ": this port may want tls = %q"
	if _, ok := errors.AsType[tls.RecordHeaderError](err); ok {
		return fmt.Sprintf(hint, mailbox.StartTLS)
	}
	if dial, ok := errors.AsType[*net.OpError](err); ok && dial.Op == "dial" || !errors.Is(err, context.DeadlineExceeded) {
		return ""
	}
	said := fmt.Sprintf(": %s did not answer within %s", ch.Address, checkTime)
	if ch.TLS == mailbox.StartTLS || ch.TLS == mailbox.NoTLS {
		said += fmt.Sprintf(hint, mailbox.TLS)
	}
	return said
}

// keptMails bounds the mails that are refused and kept: 100 at once, and 100 an hour.
func keptMails() *rate.Limiter { return rate.NewLimiter(rate.Every(36*time.Second), 100) }

// reader makes findings of the channel's mails.
func (ch channelConfig) reader() intake.Reader {
	return intake.Reader{Store: ch.Store, Profiles: ch.profiles, Policy: ch.policy(), Resolver: intake.NewResolver(ch.DNS)}
}

// intake is what takes in a mailbox's mails.
func (d *daemon) intake(ch channelConfig) *intake.Intake {
	return &intake.Intake{Reader: ch.reader(), Channel: ch.Name, Desk: d.desk, Licenses: d.db, Keep: keptMails(), Bounce: d.bounced}
}

// A prompt handler has the outbox's mail sent at once when a message was taken
// in: no reply carries the code to the buyer.
type prompt struct {
	mailbox.Handler
	taken chan<- struct{}
}

func (p prompt) Handle(ctx context.Context, list []mailbox.Message) ([]mailbox.Verdict, error) {
	verdicts, err := p.Handler.Handle(ctx, list)
	if slices.ContainsFunc(verdicts, func(v mailbox.Verdict) bool { return v.Filing == mailbox.Processed }) {
		tell(p.taken)
	}
	return verdicts, err
}

// bounced takes in a report that a mail of ours did not arrive.
func (d *daemon) bounced(ctx context.Context, raw []byte) (known bool, err error) {
	id, why, ok := delivery.ReadBounce(raw)
	if !ok {
		return false, nil
	}
	err = d.db.NoticeBounced(ctx, id, why)
	if errors.Is(err, store.ErrNotFound) {
		return false, nil
	}
	return err == nil, err
}

// places keeps where a mailbox is read on: of this folder of this account, for
// in another one the same numbers mean other messages.
type places struct {
	db              *store.DB
	channel, folder string
}

func newPlaces(db *store.DB, ch channelConfig) places {
	account := sha256.Sum256([]byte(ch.Address + "\x00" + ch.User))
	return places{db, ch.Name, fmt.Sprintf("%x %s", account[:8], cmp.Or(ch.Folder, "INBOX"))}
}

func (p places) Place(ctx context.Context) (mailbox.Place, error) {
	got, err := p.db.Place(ctx, p.channel)
	if err != nil || got.Folder != p.folder {
		return mailbox.Place{}, err
	}
	return mailbox.Place{UIDValidity: got.UIDValidity, Next: got.Next}, nil
}

func (p places) SetPlace(ctx context.Context, to mailbox.Place) error {
	return p.db.SetPlace(ctx, p.channel, store.Place{Folder: p.folder, UIDValidity: to.UIDValidity, Next: to.Next})
}

// watchMailboxes watches the config's mailboxes until ctx ends, and begins anew
// with each new config.
func (d *daemon) watchMailboxes(ctx context.Context) {
	for ctx.Err() == nil {
		select {
		case <-d.changed: // by the config that is read now
		default:
		}
		c := d.config.Load()
		current, cancel := context.WithCancel(ctx)
		ended := make(chan struct{})
		go func() {
			defer close(ended)
			d.watchAll(current, c)
		}()
		select {
		case <-ctx.Done():
		case <-d.changed:
		}
		cancel()
		<-ended
	}
}

func (d *daemon) watchAll(ctx context.Context, c *config) {
	var all sync.WaitGroup
	for _, ch := range c.Channels {
		if ch.Kind == "imap" {
			all.Go(func() { d.watch(ctx, ch) })
		}
	}
	all.Wait()
}

// watch watches a mailbox while this daemon holds the claim on it: of several
// daemons one does, and another takes over from a dead one.
func (d *daemon) watch(ctx context.Context, ch channelConfig) {
	claim := d.db.NewClaim("mailbox "+ch.Name, mailboxTerm)
	defer release(ctx, claim)
	stop := func() {}
	watching := false
	each(ctx, mailboxTerm/5, func() {
		held, err := claim.Hold(ctx)
		logFault("claim a mailbox", err, "channel", ch.Name)
		switch {
		case held && !watching:
			stop = d.beginWatch(ctx, ch)
		case !held && watching:
			stop()
		}
		watching = held
	})
	if watching {
		stop() // before another daemon may begin
	}
}

// beginWatch begins to watch, until stop is called.
func (d *daemon) beginWatch(ctx context.Context, ch channelConfig) (stop func()) {
	ctx, cancel := context.WithCancel(ctx)
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		defer d.outages.note(ch.Name, nil, time.Now())
		ch.mailbox.State = func(err error) { d.outages.note(ch.Name, err, time.Now()) }
		w, err := mailbox.New(ch.mailbox, prompt{d.intake(ch), d.mailed}, newPlaces(d.db, ch))
		if err == nil {
			err = w.Run(ctx)
		}
		if err != nil && !errors.Is(err, context.Canceled) {
			slog.Error("watch a mailbox", "channel", ch.Name, "err", err)
		}
	}()
	return func() { cancel(); <-ended }
}
