package delivery

import (
	"context"
	"errors"
)

// perConnection is how many mails go over one connection. Exim leaves further
// ones to its next queue run, half an hour later perhaps
// (smtp_accept_queue_per_connection).
const perConnection = 10

// A line is the way to the mail server: one connection after another.
type line struct {
	server  MailServer
	session *session // nil: none is open
}

func (l *line) close() {
	if l.session != nil {
		l.session.close()
		l.session = nil
	}
}

// send hands a letter in. Servers close a connection on which they took so many
// mails, or that was silent: that is nobody's fault, and another is opened at
// once. broken and the error are those of [session.send].
func (l *line) send(ctx context.Context, m letter) (broken bool, err error) {
	if l.session != nil && l.session.taken >= perConnection {
		l.close()
	}
	for {
		if l.session == nil {
			if l.session, err = l.server.connect(ctx); err != nil {
				return true, err
			}
		}
		used := l.session.taken > 0
		broken, err = l.session.send(m)
		if broken {
			l.close()
		}
		if _, ok := errors.AsType[trouble](err); !ok || !broken || !used {
			return broken, err
		}
	}
}
