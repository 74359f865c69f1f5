package store

import (
	"context"
	"database/sql/driver"
)

// A write's first statement begins its transaction: these connections have
// autocommit off, which saves the round trip of a START TRANSACTION. Nothing but
// transactions may run on them, since any other statement would begin one that
// nobody ends. Connections that wait for other nodes' commits (see [Sure]) are
// none of these: it is their START TRANSACTION that waits.

// An implicit connector makes connections whose transactions begin by
// themselves.
type implicit struct{ driver.Connector }

func (c implicit) Connect(ctx context.Context) (driver.Conn, error) {
	conn, err := c.Connector.Connect(ctx)
	if err != nil {
		return nil, err
	}
	if _, err := conn.(mysqlConn).ExecContext(ctx, "SET SESSION autocommit = 0", nil); err != nil {
		conn.Close()
		return nil, err
	}
	return implicitConn{conn.(mysqlConn)}, nil
}

// An implicitConn begins a transaction without a word to the server.
type implicitConn struct{ mysqlConn }

func (c implicitConn) BeginTx(ctx context.Context, o driver.TxOptions) (driver.Tx, error) {
	if o != (driver.TxOptions{}) {
		return c.mysqlConn.BeginTx(ctx, o)
	}
	return implicitTx{c.mysqlConn}, nil
}

// An implicitTx is the transaction that the connection is in.
type implicitTx struct{ conn mysqlConn }

func (t implicitTx) Commit() error { return t.end("COMMIT") }

func (t implicitTx) Rollback() error { return t.end("ROLLBACK") }

func (t implicitTx) end(how string) error {
	_, err := t.conn.ExecContext(context.Background(), how, nil)
	return err
}
