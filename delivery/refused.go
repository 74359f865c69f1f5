package delivery

import (
	"context"
	"net/url"
	"regexp"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/keypost/keypost/store"
)

const (
	maxRefusedShown = 5
	maxParameters   = 100
	maxValue        = 500 // characters
)

// refused is what the mail about refused posts tells.
type refused struct {
	Channel, Reason string
	More            bool   // they are those after the first one, which was told at once
	Count           int    // of all that were kept
	Hour            string // when they came
	Messages        []refusedMessage
}

type refusedMessage struct {
	Received string
	Posted   []Field
}

// writeRefused tells of posts that were refused: of the first one of an hour,
// or of the others.
func (m *Mailer) writeRefused(ctx context.Context, c *MailConfig, n store.Notice) (*letter, error) {
	channel, reason, _ := strings.Cut(n.Subject, " ")
	hour := store.MadeAt(n.ID)
	until := hour.Add(time.Hour)
	r := refused{Channel: channel, Reason: oneLine(reason), More: n.Kind == store.NoticeRefusedMore, Hour: hour.Format("2006-01-02 15:04") + until.Format("-15:04 UTC")}
	list, err := m.store.Refused(ctx, channel, reason, hour, until, maxRefusedShown+1)
	if err != nil {
		return nil, err
	}
	counts, err := m.store.CountRefused(ctx, hour, until)
	if err != nil {
		return nil, err
	}
	for _, count := range counts {
		if count.Of == channel && count.Reason == reason {
			r.Count = count.N
		}
	}
	if first := list[:min(1, len(list))]; !r.More {
		list = first
	} else if list, r.Count = list[len(first):], r.Count-1; r.Count < 1 {
		return nil, nil
	}
	for _, msg := range list {
		r.Messages = append(r.Messages, refusedMessage{store.MadeAt(msg.ID).Format("15:04:05 UTC"), parameters(msg.Raw)})
	}
	rendered, err := renderVendor("vendor_refused.txt", r)
	return m.letter(c, n, c.Vendor, rendered), err
}

// secretName: a parameter whose value nobody needs to see.
var secretName = regexp.MustCompile(`(?i)passw|secret|token|signature|authori[sz]ation|api.?key`)

// parameters are what a post had, in its order, one line each, with secrets
// masked; what is no form is one field without a name.
func parameters(raw []byte) (list []Field) {
	text := string(raw)
	form := strings.Contains(text, "=") && !strings.ContainsAny(text, " \n{")
	if !form {
		for line := range strings.Lines(text) {
			list = append(list, Field{"", shortened(line)})
		}
	} else {
		for pair := range strings.SplitSeq(text, "&") {
			name, value, _ := strings.Cut(pair, "=")
			list = append(list, Field{shortened(unescaped(name)), shortened(unescaped(value))})
		}
	}
	return masked(list)
}

// masked hides secrets, and what is too much.
func masked(list []Field) []Field {
	for i, f := range list {
		if secretName.MatchString(f.Name) && f.Value != "" {
			list[i].Value = "***"
		}
	}
	if n := len(list); n > maxParameters {
		list = append(list[:maxParameters], Field{"", "and " + decimal(n-maxParameters) + " more"})
	}
	return list
}

func unescaped(text string) string {
	if plain, err := url.QueryUnescape(text); err == nil {
		return strings.ToValidUTF8(plain, "?")
	}
	return text
}

func shortened(text string) string {
	text = oneLine(text)
	if utf8.RuneCountInString(text) > maxValue {
		text = string([]rune(text)[:maxValue]) + "…"
	}
	return text
}

func decimal(n int) string { return strconv.Itoa(n) }
