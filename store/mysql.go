package store

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"slices"
	"strings"
	"time"

	"github.com/go-sql-driver/mysql"

	"github.com/keypost/keypost/store/queries"
)

var mysqlDialect = dialect{
	open:         openMySQL,
	goose:        "mysql",
	prepare:      "ALTER DATABASE CHARACTER SET utf8mb4 COLLATE utf8mb4_bin",
	table:        "SELECT 1 FROM information_schema.tables WHERE table_schema = DATABASE() AND table_name = ?",
	early:        true,
	snapshot:     sql.LevelRepeatableRead,
	versions:     "SELECT COUNT(*) FROM information_schema.tables WHERE table_schema = DATABASE() AND table_name = 'goose_db_version'",
	clustered:    isGalera,
	duplicate:    func(err error) bool { return mysqlCode(err) == 1062 },
	columnExists: func(err error) bool { return mysqlCode(err) == 1060 },
	transient: func(err error) bool {
		switch mysqlCode(err) {
		case 1213, // deadlock, or a conflict with another node's commit
			1205, // lock wait timeout
			1020, // the record has changed since it was read
			1040, // too many connections
			1203, // the same, for this user
			1047, // the node is not ready
			1053, // server shutdown in progress
			1180, // error during COMMIT: what a Galera node says when it loses the others
			1290, // the server is read-only: it is not the one to write to, or not yet
			1836, // the same
			1927, // the connection was killed
			2006, // the server has gone away
			2013: // lost connection during query
			return true
		}
		_, network := errors.AsType[net.Error](err)
		return network || errors.Is(err, driver.ErrBadConn) || errors.Is(err, mysql.ErrInvalidConn)
	},
	unwritable: func(err error) string {
		switch mysqlCode(err) {
		case 1290, // a server option forbids it: --read-only
			1792, // a transaction that only reads
			1836: // read-only mode
			return readOnly
		case 1021, // disk full
			1114: // the table is full
			return diskFull
		case 1026: // error writing a file
			return diskBroken
		}
		return ""
	},
	use:      " FORCE INDEX (%s)",
	tryBytes: 26, // as long as any owner
	takeSeat: takeSeatMySQL,
	check:    checkMySQL,
}

func mysqlCode(err error) uint16 {
	if e, ok := errors.AsType[*mysql.MySQLError](err); ok {
		return e.Number
	}
	return 0
}

// isOneOf tells whether an error is one of the server's errors.
func isOneOf(err error, codes ...uint16) bool {
	code := mysqlCode(err)
	return code != 0 && slices.Contains(codes, code)
}

// takeSeatMySQL: UPDATE has no RETURNING, and LAST_INSERT_ID(x) returns x with
// the server's answer.
func takeSeatMySQL(ctx context.Context, in queries.DBTX, license string, now int64) (used int64, err error) {
	r, err := in.ExecContext(ctx, strings.Replace(queries.TakeSeat, "used + 1", "LAST_INSERT_ID(used + 1)", 1), license, now)
	if err != nil {
		return 0, err
	}
	n, err := r.RowsAffected()
	if err := one(n, err, sql.ErrNoRows); err != nil {
		return 0, err
	}
	return r.LastInsertId()
}

// How many connections a daemon opens at the most.
const (
	mysqlReads        = 16 // and what is no transaction
	mysqlTransactions = 32
)

func openMySQL(where string, o opening) (p pools, err error) {
	u, err := readMySQLURL(where)
	if err != nil {
		return p, err
	}
	c := u.config()
	if o.slow {
		c.ReadTimeout = 0
	}
	var plain, sure driver.Connector
	if len(u.hosts) > 1 {
		if p.nodes, err = newNodes(c, u.hosts); err != nil {
			return p, err
		}
		plain, sure = nodesConnector{p.nodes, false}, nodesConnector{p.nodes, true}
	} else {
		c.Addr = u.hosts[0]
		if plain, err = mysql.NewConnector(c); err != nil {
			return p, err
		}
		if sure, err = mysql.NewConnector(sureConfig(c)); err != nil {
			return p, err
		}
		plain, sure = readCommitted{plain}, readCommitted{sure}
	}
	p.writer, p.transactions = mysqlPool(plain, mysqlReads), mysqlPool(implicit{plain}, mysqlTransactions)
	p.reader, p.sure = p.writer, mysqlPool(sure, sureConnections)
	return p, nil
}

// sureConfig is the config of connections on which reads see all nodes' commits.
func sureConfig(c *mysql.Config) *mysql.Config {
	c = c.Clone()
	c.Params["wsrep_sync_wait"] = "1"
	return c
}

func mysqlPool(c driver.Connector, connections int) *sql.DB {
	pool := sql.OpenDB(c)
	pool.SetMaxOpenConns(connections)
	pool.SetMaxIdleConns(connections)
	pool.SetConnMaxIdleTime(time.Minute)
	return pool
}

// isGalera tells whether a server is a node of a Galera cluster.
func isGalera(ctx context.Context, db *sql.DB) (clustered bool, err error) {
	conn, err := db.Conn(ctx)
	if err != nil {
		return false, err
	}
	defer conn.Close()
	err = conn.Raw(func(c any) error {
		s, err := stateOf(ctx, c.(driver.Conn))
		clustered = s.clustered
		return err
	})
	return clustered, err
}

// readCommitted: each statement sees what is committed, for an UPDATE that
// decides is followed by reads that must not look into the past. It is told
// once a connection, not once a transaction.
type readCommitted struct{ driver.Connector }

func (c readCommitted) Connect(ctx context.Context) (driver.Conn, error) {
	conn, err := c.Connector.Connect(ctx)
	if err != nil {
		return nil, err
	}
	_, err = conn.(driver.ExecerContext).ExecContext(ctx, "SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED", nil)
	if err != nil {
		conn.Close()
		return nil, err
	}
	return conn, nil
}

// config is how each of the hosts is connected to, without its address.
func (u mysqlURL) config() *mysql.Config {
	c := mysql.NewConfig()
	c.User = u.user.Username()
	c.Passwd, _ = u.user.Password()
	c.Net, c.DBName = "tcp", u.database
	c.Collation = "utf8mb4_bin"
	c.ClientFoundRows = true   // an UPDATE that changes nothing found its row all the same
	c.InterpolateParams = true // saves a round trip
	c.Timeout, c.ReadTimeout, c.WriteTimeout = 10*time.Second, 30*time.Second, 30*time.Second
	c.Logger = driverLog{}
	c.Params = map[string]string{
		"sql_mode":                 "'TRADITIONAL'", // refuse what does not fit
		"innodb_lock_wait_timeout": "5",             // seconds; then the whole transaction again
	}
	return c
}

// driverLog: what the driver complains of comes back as an error, too.
type driverLog struct{}

func (driverLog) Print(v ...any) { slog.Debug("mysql", "driver", fmt.Sprint(v...)) }

// maxSkew is how far clocks may be apart: reservations are of a few seconds.
const maxSkew = 2 * time.Second

// checkMySQL reads the settings that decide whether a commit survives a loss of
// power, and compares the clocks. The server's is the one that all daemons'
// are held against.
func checkMySQL(ctx context.Context, db *DB) error {
	if err := checkClock(ctx, db); err != nil {
		return err
	}
	for _, want := range []struct{ name, value, mend string }{
		{"innodb_flush_log_at_trx_commit", "1", "commits would not survive a loss of power: SET GLOBAL innodb_flush_log_at_trx_commit = 1, and in the server's config"},
		{"innodb_doublewrite", "ON", "a page torn by a loss of power would be lost: set it in the server's config"},
	} {
		var name, got string
		if err := db.writer.QueryRowContext(ctx, "SHOW GLOBAL VARIABLES WHERE Variable_name = ?", want.name).Scan(&name, &got); err != nil {
			return err
		}
		if got != want.value {
			return fmt.Errorf("%s is %s, not %s: %s", want.name, got, want.value, want.mend)
		}
	}
	return nil
}

func checkClock(ctx context.Context, db *DB) error {
	var micros float64
	begin := db.now()
	if err := db.writer.QueryRowContext(ctx, "SELECT UNIX_TIMESTAMP(NOW(6)) * 1000000").Scan(&micros); err != nil {
		return err
	}
	end := db.now()
	server := fromMicros(int64(micros))
	ahead, behind := begin.Sub(server), server.Sub(end) // at least
	switch {
	case ahead > maxSkew:
		return fmt.Errorf("this machine's clock is %s ahead of the database server's: run NTP on both, since reservations and ends of licenses go by them", ahead.Round(time.Millisecond))
	case behind > maxSkew:
		return fmt.Errorf("this machine's clock is %s behind the database server's: run NTP on both, since reservations and ends of licenses go by them", behind.Round(time.Millisecond))
	}
	return nil
}
