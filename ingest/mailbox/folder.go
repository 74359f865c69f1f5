package mailbox

import (
	"context"
	"slices"
	"strings"

	"github.com/emersion/go-imap/v2"
	"github.com/emersion/go-imap/v2/imapclient"
)

// capabilities asks for them by itself: what go-imap remembers can be from
// before the log-in.
func (s *session) capabilities(ctx context.Context) error {
	return s.do(ctx, "ask for capabilities", brief, func(c *imapclient.Client) (err error) {
		if s.caps, err = c.Capability().Wait(); err == nil && s.caps == nil {
			s.caps = imap.CapSet{} // answered to an earlier question: see below
		}
		if len(s.caps) == 0 {
			s.caps = c.Caps()
		}
		return err
	})
}

// names finds out how folders are called here: what separates the levels, and
// what all of the account's folders begin with ("INBOX." at some).
func (s *session) names(ctx context.Context) error {
	s.delimiter = "/"
	if s.caps.Has(imap.CapNamespace) {
		err := s.do(ctx, "ask for namespaces", brief, func(c *imapclient.Client) error {
			data, err := c.Namespace().Wait()
			if err == nil && len(data.Personal) > 0 {
				s.prefix, s.delimiter = data.Personal[0].Prefix, delimiter(data.Personal[0].Delim)
			}
			return err
		})
		if err == nil || said(err) == nil {
			return err
		}
	}
	// RFC 3501, 6.3.8: an empty name asks for the delimiter.
	err := s.do(ctx, "ask for the delimiter", brief, func(c *imapclient.Client) error {
		list, err := c.List("", "", nil).Collect()
		if err == nil && len(list) > 0 {
			s.delimiter = delimiter(list[0].Delim)
		}
		return err
	})
	if said(err) != nil {
		return nil
	}
	return err
}

func delimiter(r rune) string {
	if r == 0 { // no levels at all
		return "-"
	}
	return string(r)
}

// folder is a configured name as the server calls it.
func (s *session) folder(name string) string {
	if strings.EqualFold(name, "INBOX") {
		return "INBOX"
	}
	name = strings.ReplaceAll(name, "/", s.delimiter)
	if strings.HasPrefix(name, s.prefix) {
		return name
	}
	return s.prefix + name
}

func (s *session) selectFolder(ctx context.Context) error {
	return s.do(ctx, "open the folder "+s.config.Folder, brief, func(c *imapclient.Client) error {
		data, err := c.Select(s.folder(s.config.Folder), nil).Wait()
		if err != nil {
			return err
		}
		s.validity, s.uidNext = data.UIDValidity, uint32(data.UIDNext)
		s.keywords = func(k string) bool {
			return slices.ContainsFunc(data.PermanentFlags, func(f imap.Flag) bool {
				return f == imap.FlagWildcard || strings.EqualFold(string(f), k)
			})
		}
		return nil
	})
}

// noop lets the server tell what is new.
func (s *session) noop(ctx context.Context) error {
	return s.do(ctx, "ask for news", brief, func(c *imapclient.Client) error { return c.Noop().Wait() })
}
