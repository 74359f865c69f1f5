package store

import (
	"context"
	"database/sql/driver"
	"errors"
	"io"
)

// A nodeState is what a server says of itself; of one that is no node of a
// cluster all but readOnly is empty.
type nodeState struct {
	readOnly                bool
	clustered               bool
	ready, group            string // wsrep_ready: ON; wsrep_cluster_status: Primary
	state, cluster, members string // wsrep_local_state_comment: Synced; wsrep_cluster_state_uuid; wsrep_cluster_size
}

// grade tells how well a server is, and why no better.
func (s nodeState) grade() (g grade, why string) {
	switch {
	case s.clustered && s.group != "Primary":
		return gradeDown, "it has lost the other nodes"
	case s.clustered && s.ready != "ON":
		return gradeDown, "it is not ready (" + s.state + ")"
	case s.readOnly:
		return gradeReads, "it is read-only"
	case !s.clustered:
		return gradeGood, "it is well"
	case s.state != "Synced":
		return gradePoor, "it may lag (" + s.state + ")"
	}
	return gradeGood, "it is well"
}

// stateOf asks a server. Both statements are answered by a node that is not
// ready, too.
func stateOf(ctx context.Context, conn driver.Conn) (s nodeState, err error) {
	for _, query := range []string{
		"SHOW GLOBAL VARIABLES WHERE Variable_name IN ('read_only', 'wsrep_on', 'wsrep_provider')",
		"SHOW GLOBAL STATUS WHERE Variable_name IN ('wsrep_ready', 'wsrep_cluster_status', 'wsrep_local_state_comment', 'wsrep_cluster_state_uuid', 'wsrep_cluster_size')",
	} {
		values, err := pairs(ctx, conn, query)
		if err != nil {
			return s, err
		}
		if values["read_only"] != "" {
			s.readOnly = values["read_only"] != "OFF"
			s.clustered = values["wsrep_on"] == "ON" && values["wsrep_provider"] != "none"
			if !s.clustered {
				return s, nil
			}
		}
		s.ready, s.group, s.state = values["wsrep_ready"], values["wsrep_cluster_status"], values["wsrep_local_state_comment"]
		s.cluster, s.members = values["wsrep_cluster_state_uuid"], values["wsrep_cluster_size"]
	}
	return s, nil
}

// pairs are the names and values that a SHOW shows.
func pairs(ctx context.Context, conn driver.Conn, query string) (_ map[string]string, err error) {
	rows, err := conn.(driver.QueryerContext).QueryContext(ctx, query, nil)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	values := map[string]string{}
	for row := make([]driver.Value, 2); ; {
		if err := rows.Next(row); err == io.EOF {
			return values, nil
		} else if err != nil {
			return nil, err
		}
		name, _ := row[0].([]byte)
		value, _ := row[1].([]byte)
		values[string(name)] = string(value)
	}
}
