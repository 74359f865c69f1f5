package intake

import (
	"cmp"
	"context"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"slices"
	"strings"
	"time"

	"golang.org/x/time/rate"

	"github.com/keypost/keypost/ingest"
	"github.com/keypost/keypost/ingest/authentic"
	"github.com/keypost/keypost/ingest/channel"
	"github.com/keypost/keypost/ingest/mailbox"
	"github.com/keypost/keypost/ingest/tfyp"
	"github.com/keypost/keypost/store"
)

// Kind is a mailbox with notification mails, among the kinds of channel.
var Kind = channel.Kind{Name: "imap", New: func() channel.Settings { return &Settings{} }}

// Settings are a channel's keys of this kind.
type Settings struct {
	Address      string            `toml:"address"`
	User         string            `toml:"user"`
	Password     string            `toml:"password"`
	PasswordFile string            `toml:"password_file"`
	TokenFile    string            `toml:"token_file"`
	TLS          string            `toml:"tls"`
	CAFile       string            `toml:"ca_file"`
	Folder       string            `toml:"folder"`
	Processed    string            `toml:"processed"`
	Held         string            `toml:"held"`
	Failed       string            `toml:"failed"`
	Poll         *channel.Duration `toml:"poll"`
	Profile      string            `toml:"profile"`
	Profiles     []string          `toml:"profiles"`
	Recipients   []string          `toml:"recipients"`
	Merchant     string            `toml:"merchant"`
	Trust        []Trust           `toml:"trust"`
	DNS          string            `toml:"dns"`

	common   *channel.Common
	profiles []*tfyp.Profile
	mailbox  mailbox.Config
}

// Trust is whose signatures count: see [authentic.Trust].
type Trust struct {
	DKIM       string `toml:"dkim"`
	AuthservID string `toml:"authserv_id"`
}

// DefaultProfile reads the mails of a mailbox that names none.
const DefaultProfile = "tfyp"

const mailsAtOnce = 16 // judged and taken at the same time

// Complete fills in defaults and checks the keys.
func (k *Settings) Complete(s *channel.Setup) error {
	k.common = s.Common
	if err := k.completeProfiles(s); err != nil {
		return err
	}
	if err := k.policy().Validate(); err != nil {
		return s.Errorf("trust", "%v", err)
	}
	if k.DNS != "" {
		if _, _, err := net.SplitHostPort(k.DNS); err != nil {
			return s.Errorf("dns", "%q is not host:port, such as 127.0.0.1:53", k.DNS)
		}
	}
	if err := k.completeMailbox(s); err != nil {
		return err
	}
	if _, err := mailbox.New(k.mailbox, nil, nil); err != nil {
		at := "address"
		if e, ok := errors.AsType[*mailbox.ConfigError](err); ok && e.Key != "size" {
			at = e.Key
		}
		return s.Errorf(at, "%v", err)
	}
	return nil
}

func (k *Settings) completeProfiles(s *channel.Setup) error {
	list := k.Profiles
	switch {
	case k.Profile != "" && len(list) > 0:
		return s.Errorf("profiles", "profile is set too: keep one of them")
	case k.Profile != "":
		list = []string{k.Profile}
	case len(list) == 0:
		list = []string{DefaultProfile}
	}
	for _, name := range list {
		if _, ok := tfyp.Builtin(name); !ok {
			name = s.Path(name)
		}
		p, err := LoadProfile(name)
		if err != nil {
			return s.Errorf("profile", "%v", err)
		}
		if s.Store == "" && p.Store == "" {
			return s.Errorf("store", "the profile %s does not name a store: set store here or in the profile", p.Name)
		}
		if why := channel.BadStore(cmp.Or(s.Store, p.Store)); why != "" {
			return s.Errorf("profile", "%s: store: %s", p.Name, why)
		}
		k.profiles = append(k.profiles, p)
	}
	return nil
}

// LoadProfile reads a profile from a file, or finds a built-in one. Of a name
// that is neither the error is [store.ErrNotFound].
func LoadProfile(name string) (*tfyp.Profile, error) {
	if p, ok := tfyp.Builtin(name); ok {
		return p, nil
	}
	text, err := os.ReadFile(name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("profile %s %w: there is no such file, and the built-in profiles are: %s", name, store.ErrNotFound, strings.Join(tfyp.Builtins(), ", "))
	}
	if err != nil {
		return nil, err
	}
	return tfyp.ParseProfile(name, text)
}

// completeMailbox makes the connection's part. Secrets in files are read at each
// log-in.
func (k *Settings) completeMailbox(s *channel.Setup) error {
	m := &k.mailbox
	*m = mailbox.Config{
		Name: s.Name, Address: k.Address, User: k.User, TLS: k.TLS, Folder: k.Folder,
		Processed: k.Processed, Held: k.Held, Failed: k.Failed, AtOnce: mailsAtOnce, MaxSize: tfyp.MaxMail,
	}
	if k.Address == "" {
		return s.Errorf("address", "it is missing: set the IMAP server, imap.example.com:993")
	}
	given := 0
	for _, secret := range []string{k.Password, k.PasswordFile, k.TokenFile} {
		if secret != "" {
			given++
		}
	}
	switch {
	case given != 1:
		return s.Errorf("password", "set exactly one of password, password_file and token_file")
	case k.Password != "":
		m.Password = func() (string, error) { return k.Password, nil }
	case k.PasswordFile != "":
		m.Password = func() (string, error) { return channel.ReadSecret(s.Path(k.PasswordFile)) }
	default:
		m.Token = func() (string, error) { return channel.ReadSecret(s.Path(k.TokenFile)) }
	}
	for at, secret := range map[string]func() (string, error){"password_file": m.Password, "token_file": m.Token} {
		if secret == nil {
			continue
		}
		if _, err := secret(); err != nil {
			return s.Errorf(at, "%v", err)
		}
	}
	if k.Poll != nil {
		m.Poll = k.Poll.Duration
	}
	if k.CAFile != "" {
		pem, err := os.ReadFile(s.Path(k.CAFile))
		if err != nil {
			return s.Errorf("ca_file", "%v", err)
		}
		if m.RootCAs = x509.NewCertPool(); !m.RootCAs.AppendCertsFromPEM(pem) {
			return s.Errorf("ca_file", "the file has no PEM certificate")
		}
	}
	return nil
}

// policy is what the mailbox's vendor trusts.
func (k *Settings) policy() authentic.Policy {
	p := authentic.Policy{Recipients: k.Recipients, Merchant: k.Merchant}
	for _, t := range k.Trust {
		p.Trust = append(p.Trust, authentic.Trust{DKIM: t.DKIM, AuthservID: t.AuthservID})
	}
	return p
}

// Desk sets what the order desk needs to know.
func (k *Settings) Desk(c *ingest.Channel) { c.ByMail = true }

// Own are the vendor's own addresses: mails of all buyers name them.
func (k *Settings) Own() []string { return append([]string{k.User}, k.Recipients...) }

// Folders are those that the channel's mails may lie in.
func (k *Settings) Folders() []string {
	list := []string{cmp.Or(k.Folder, "INBOX")}
	for _, f := range []string{k.Processed, k.Held, k.Failed} {
		if f != "" && f[0] != '$' && !slices.Contains(list, f) {
			list = append(list, f)
		}
	}
	return list
}

// Report says which mails are read, and whom they must be of.
func (k *Settings) Report() channel.Finding {
	var names []string
	result, warnings := channel.OK, ""
	for _, p := range k.profiles {
		names = append(names, p.Name)
		for _, w := range p.Warnings() {
			result, warnings = channel.Warning, warnings+"; the profile "+p.Name+": "+w
		}
	}
	var domains []string
	for _, t := range k.Trust {
		by := "verified here"
		if t.AuthservID != "" {
			by = "verified by " + t.AuthservID
		}
		domains = append(domains, fmt.Sprintf("%s (%s)", t.DKIM, by))
	}
	return channel.Finding{Subject: "channel " + k.common.Name, Result: result, Detail: fmt.Sprintf("mails of %s in %s, read by %s, signed by %s; orders of %s",
		k.User, k.Address, strings.Join(names, ", "), strings.Join(domains, ", "), strings.Join(k.stores(), ", ")) + warnings}
}

// stores are those that the channel's mails are of: its own, or its profiles'.
func (k *Settings) stores() (list []string) {
	if k.common.Store != "" {
		return []string{k.common.Store}
	}
	for _, p := range k.profiles {
		if !slices.Contains(list, p.Store) {
			list = append(list, p.Store)
		}
	}
	return list
}

// Probe logs in, and asks the DNS.
func (k *Settings) Probe(ctx context.Context) []channel.Finding {
	list := []channel.Finding{k.probeMailbox(ctx)}
	if f := k.probeKeys(ctx); f.Detail != "" {
		list = append(list, f)
	}
	return list
}

// probeKeys asks the DNS for something below each domain whose signatures are
// verified here: that there is nothing is an answer, too. Without one every mail
// of that domain waits.
func (k *Settings) probeKeys(ctx context.Context) channel.Finding {
	f := channel.Finding{Subject: "dns of " + k.common.Name, Result: channel.OK}
	lookup, of := NewResolver(k.DNS), k.nameServer()
	var domains []string
	for _, t := range k.Trust {
		if t.AuthservID != "" || slices.Contains(domains, t.DKIM) {
			continue
		}
		_, err := lookup(ctx, "_domainkey."+t.DKIM)
		if e, ok := errors.AsType[*net.DNSError](err); err != nil && !(ok && e.IsNotFound) {
			f.Result = channel.Failed
			f.Detail = fmt.Sprintf("there is no answer for %s, and without it mails wait. Fix %s, set dns to another server, or let your mail server check signatures (authserv_id): %v", t.DKIM, of, err)
			return f
		}
		domains = append(domains, t.DKIM)
	}
	if len(domains) > 0 {
		f.Detail = fmt.Sprintf("it answers for %s (asked %s)", strings.Join(domains, ", "), of)
	}
	return f
}

// nameServer says whom the channel's resolver asks.
func (k *Settings) nameServer() string {
	if k.DNS != "" {
		return "the name server that dns names (" + k.DNS + ")"
	}
	return "the system's name server (/etc/resolv.conf)"
}

// probeTime is more than a log-in takes; a server that waits for TLS where we do
// not, or the other way round, says nothing for minutes.
const probeTime = 10 * time.Second

func (k *Settings) probeMailbox(ctx context.Context) channel.Finding {
	f := channel.Finding{Subject: "mailbox " + k.common.Name, Result: channel.OK, Detail: "logged in"}
	ctx, cancel := context.WithTimeout(ctx, probeTime)
	defer cancel()
	found, err := k.mailbox.Check(ctx)
	if err != nil {
		f.Result, f.Detail = channel.Failed, err.Error()+k.tlsHint(err)
		return f
	}
	if !found.Idle {
		f.Detail += fmt.Sprintf("; the server does not announce new mail (IDLE), so Keypost asks every %s", cmp.Or(k.mailbox.Poll, mailbox.DefaultPoll))
	}
	if k.Processed+k.Held+k.Failed != "" && !found.Moves && !found.Keywords {
		f.Result, f.Detail = channel.Warning, f.Detail+"; the server can neither move nor mark messages: they stay where they are"
	}
	return f
}

// tlsHint says what else the port may want, going by how a log-in failed.
func (k *Settings) tlsHint(err error) string {
	const hint = ": this port may need tls = %q"
	if _, ok := errors.AsType[tls.RecordHeaderError](err); ok {
		return fmt.Sprintf(hint, mailbox.StartTLS)
	}
	if dial, ok := errors.AsType[*net.OpError](err); ok && dial.Op == "dial" || !errors.Is(err, context.DeadlineExceeded) {
		return ""
	}
	said := fmt.Sprintf(": %s did not answer within %s", k.Address, probeTime)
	if k.TLS == mailbox.StartTLS || k.TLS == mailbox.NoTLS {
		said += fmt.Sprintf(hint, mailbox.TLS)
	}
	return said
}

// Reader makes findings of the channel's mails.
func (k *Settings) Reader() Reader {
	return Reader{Store: k.common.Store, Profiles: k.profiles, Policy: k.policy(), Resolver: NewResolver(k.DNS)}
}

// Recognise reads a mail by the channel's profiles. Whether it is authentic is not
// asked, so that no name server is needed.
func (k *Settings) Recognise(raw []byte) Finding {
	return Reader{Store: k.common.Store, Profiles: k.profiles}.Recognise(raw)
}

// keptMails bounds the mails that are refused and kept: 100 at once, and 100 an hour.
func keptMails() *rate.Limiter { return rate.NewLimiter(rate.Every(36*time.Second), 100) }

// Watch watches the mailbox until ctx ends.
func (k *Settings) Watch(ctx context.Context, h channel.Host) error {
	in := &Intake{Reader: k.Reader(), Channel: k.common.Name, Desk: h.Desk, Licenses: h.DB, Keep: keptMails(), Bounce: h.Bounced}
	config := k.mailbox
	config.State = h.State
	w, err := mailbox.New(config, prompt{in, h.Taken}, newPlaces(h.DB, k))
	if err != nil {
		return err
	}
	return w.Run(ctx)
}

// A prompt handler reports at once that a message was taken: no reply carries
// the code to the buyer.
type prompt struct {
	mailbox.Handler
	taken func()
}

func (p prompt) Handle(ctx context.Context, list []mailbox.Message) ([]mailbox.Verdict, error) {
	verdicts, err := p.Handler.Handle(ctx, list)
	if slices.ContainsFunc(verdicts, func(v mailbox.Verdict) bool { return v.Filing == mailbox.Processed }) {
		p.taken()
	}
	return verdicts, err
}

// places keeps where a mailbox is read on: of this folder of this account, for
// in another one the same numbers mean other messages.
type places struct {
	db              *store.DB
	channel, folder string
}

func newPlaces(db *store.DB, k *Settings) places {
	account := sha256.Sum256([]byte(k.Address + "\x00" + k.User))
	return places{db, k.common.Name, fmt.Sprintf("%x %s", account[:8], cmp.Or(k.Folder, "INBOX"))}
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
