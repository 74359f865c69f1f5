package store

import (
	"errors"
	"fmt"
	"net"
	"net/url"
	"slices"
	"strconv"
	"strings"
)

// A mysqlURL is what a database's URL says.
type mysqlURL struct {
	user     *url.Userinfo
	hosts    []string // host:port, in the order of the URL, none twice
	database string
}

// errMySQLURL shows nothing of the URL: a password may be anywhere in one that is
// mistyped.
var errMySQLURL = errors.New("it must be mysql://user:password@host:port/database, or mysql://user:password@host1:port,host2:port,host3:port/database for the nodes of a cluster")

// readMySQLURL reads a URL after its scheme: //user:password@hosts/database.
func readMySQLURL(where string) (u mysqlURL, err error) {
	rest, slashes := strings.CutPrefix(where, "//")
	authority, name, slash := strings.Cut(rest, "/")
	at := strings.LastIndex(authority, "@")
	if !slashes || !slash || at < 0 {
		return u, errMySQLURL
	}
	parsed, err := url.Parse("mysql://" + authority[:at] + "@host/" + name)
	if err != nil || parsed.Host != "host" || parsed.User == nil || len(parsed.Path) < 2 || strings.Contains(parsed.Path[1:], "/") {
		return u, errMySQLURL
	}
	u.user, u.database = parsed.User, parsed.Path[1:]
	for host := range strings.SplitSeq(authority[at+1:], ",") {
		addr, err := readHost(host)
		if err != nil {
			return u, err
		}
		if slices.Contains(u.hosts, addr) {
			return u, fmt.Errorf("%s is in it twice", addr)
		}
		u.hosts = append(u.hosts, addr)
	}
	return u, nil
}

// readHost reads host, host:port, [IPv6] or [IPv6]:port.
func readHost(host string) (addr string, err error) {
	u, err := url.Parse("mysql://" + host)
	if err != nil || u.Host != host || u.Hostname() == "" || !strings.HasPrefix(host, "[") && strings.Count(host, ":") > 1 {
		return "", fmt.Errorf("%q is no host:port; an IPv6 address stands in brackets: [2001:db8::1]:3306", host)
	}
	port := u.Port()
	if port == "" {
		port = "3306"
	}
	if n, err := strconv.Atoi(port); err != nil || n < 1 || n > 65535 {
		return "", fmt.Errorf("%q has no port from 1 to 65535", host)
	}
	return net.JoinHostPort(u.Hostname(), port), nil
}

// redacted is the URL without its password.
func (u mysqlURL) redacted() string {
	out := url.URL{Scheme: "mysql", User: u.user, Host: strings.Join(u.hosts, ","), Path: "/" + u.database}
	return out.Redacted()
}

// only is the URL of one of the hosts.
func (u mysqlURL) only(host string) string {
	out := url.URL{Scheme: "mysql", User: u.user, Host: host, Path: "/" + u.database}
	return out.String()
}
