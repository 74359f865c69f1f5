package store

import (
	"context"
	"database/sql/driver"
	"fmt"
	"strings"
	"sync"
	"time"
)

// A NodeReport is what [CheckNodes] found about one host of a database's URL.
type NodeReport struct {
	Addr   string // host:port
	Detail string // how it is
	Lags   bool   // it is used where no other is better
	Err    error  // why it cannot be used
}

// checkFor bounds the look at one host.
const checkFor = 10 * time.Second

// CheckNodes looks at each host of a URL that names several, beside [DB.Check],
// which looks at the one in use; nil where there are none. All must be nodes of
// one cluster: two databases that are used in turn would each sell the same codes.
func CheckNodes(ctx context.Context, source string) []NodeReport {
	where, ok := strings.CutPrefix(source, "mysql:")
	u, err := readMySQLURL(where)
	if !ok || err != nil || len(u.hosts) < 2 {
		return nil
	}
	list, states := make([]NodeReport, len(u.hosts)), make([]nodeState, len(u.hosts))
	var all sync.WaitGroup
	for i, host := range u.hosts {
		list[i].Addr = host
		all.Go(func() {
			ctx, cancel := context.WithTimeout(ctx, checkFor)
			defer cancel()
			states[i], list[i].Err = checkNode(ctx, u.only(host))
		})
	}
	all.Wait()
	cluster := ""
	for i, s := range states {
		r := &list[i]
		g, why := s.grade()
		switch {
		case r.Err != nil:
		case g <= gradeReads:
			r.Err = fmt.Errorf("%s", why)
		case !s.clustered:
			r.Err = fmt.Errorf("it is no node of a Galera cluster: what is committed there is not on the others")
		case cluster != "" && s.cluster != cluster:
			r.Err = fmt.Errorf("it is of another cluster than the hosts before it")
		default:
			cluster = s.cluster
			r.Lags, r.Detail = g == gradePoor, why+", in a cluster of "+s.members
		}
	}
	return list
}

func checkNode(ctx context.Context, source string) (s nodeState, err error) {
	db, err := connect(source, opening{}, nil)
	if err != nil {
		return s, err
	}
	defer db.Close()
	conn, err := db.writer.Conn(ctx)
	if err != nil {
		return s, err
	}
	defer conn.Close()
	err = conn.Raw(func(c any) (err error) {
		s, err = stateOf(ctx, c.(driver.Conn))
		return err
	})
	if err == nil {
		err = db.dialect.check(ctx, db)
	}
	return s, err
}
