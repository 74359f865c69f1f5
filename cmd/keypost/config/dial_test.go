package config

import (
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"
)

func TestPublic(t *testing.T) {
	check := func(want bool, addresses ...string) {
		t.Helper()
		for _, a := range addresses {
			if got := public(netip.MustParseAddr(a)); got != want {
				t.Errorf("%s: public %v, want %v", a, got, want)
			}
		}
	}
	check(true, "8.8.8.8", "9.255.255.255", "100.63.255.255", "100.128.0.1", "172.15.0.1", "172.32.0.1", "192.167.0.1", "223.255.255.255")
	check(true, "2606:4700:4700::1111", "2a00::1", "::ffff:8.8.8.8", "64:ff9b::8.8.8.8", "2001:200::1")
	check(false, "127.0.0.1", "127.255.255.255", "0.0.0.0", "0.1.2.3", "10.0.0.1", "10.255.255.255", "172.16.0.1", "172.31.255.255",
		"192.168.0.1", "169.254.169.254", "100.64.0.1", "100.127.255.255", "192.0.0.8", "198.18.0.1", "198.19.255.255",
		"224.0.0.1", "239.255.255.255", "240.0.0.1", "255.255.255.255", "192.0.2.1", "198.51.100.1", "203.0.113.1")
	check(false, "::", "::1", "::127.0.0.1", "::8.8.8.8", "fe80::1", "fe80::1%lo", "2606:4700::1%lo", "fec0::1", "fc00::1", "fd00:ec2::254", "ff02::1",
		"100::1", "2001:db8::1", "2001::1", "2001:0:7f00:1::", "3fff::1", "64:ff9b:1::8.8.8.8")
	// IPv4 in other clothes.
	for _, a := range []string{"127.0.0.1", "10.0.0.1", "169.254.169.254", "100.64.0.1", "0.0.0.0", "192.168.1.1"} {
		check(false, "::ffff:"+a, "64:ff9b::"+a, "::"+a, "::ffff:0:"+a)
	}
	check(false, "2002:7f00:1::", "2002:a00:1::", "2002:808:808::") // 6to4
}

// The address that is dialled counts, not the name.
func TestCallers(t *testing.T) {
	r := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		http.Redirect(w, req, "/elsewhere", http.StatusFound)
	}))
	defer r.Close()
	_, port, _ := strings.Cut(strings.TrimPrefix(r.URL, "http://"), ":")
	t.Setenv("HTTP_PROXY", r.URL)
	for _, host := range []string{"127.0.0.1", "localhost", "[::ffff:127.0.0.1]", "0.0.0.0"} {
		resp, err := publicCaller.Get("http://" + host + ":" + port)
		if err == nil {
			resp.Body.Close()
		}
		if err == nil || !strings.Contains(err.Error(), "is not a public address: private = true allows it") {
			t.Errorf("%s: %v", host, err)
		}
	}
	resp, err := privateCaller.Get(r.URL)
	if err != nil || resp.StatusCode != http.StatusFound {
		t.Fatalf("%v, %v: a redirect is not followed", resp, err)
	}
	resp.Body.Close()
	for _, c := range []*http.Client{publicCaller, privateCaller} {
		if c.Transport.(*http.Transport).Proxy != nil {
			t.Error("a proxy of the environment counts")
		}
	}
	secure := httptest.NewTLSServer(http.NotFoundHandler())
	secure.Config.ErrorLog = log.New(io.Discard, "", 0)
	defer secure.Close()
	if _, err := privateCaller.Get(secure.URL); err == nil || !strings.Contains(err.Error(), "certificate") {
		t.Errorf("a certificate of nobody: %v", err)
	}
}
