package store

import (
	"context"

	"github.com/keypost/keypost/store/queries"
)

// act is write for what a person does: it leaves a row in the audit log, ids
// and no personal data. The row comes first, and its id is made before: a try
// that finds it there was applied though it came back as an error, and is done.
func (db *DB) act(ctx context.Context, actor, action, subject string, fn func(context.Context, *tx) error) error {
	id := NewID()
	return db.write(ctx, func(ctx context.Context, t *tx) error {
		err := t.audit(ctx, id, actor, action, subject)
		if db.dialect.duplicate(err) {
			return nil
		}
		if err != nil {
			return err
		}
		return fn(ctx, t)
	})
}

func (t *tx) audit(ctx context.Context, id, actor, action, subject string) error {
	return t.InsertAudit(ctx, queries.InsertAuditParams{ID: id, Actor: actor, Action: action, Subject: subject, CreatedAt: t.now})
}
