// Package mailboxtest starts real IMAP servers for tests: private Dovecots, on
// free loopback ports, in temporary folders, that end with the tests.
package mailboxtest

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"net"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

// A Server is a private Dovecot.
type Server struct {
	Addr    string         // clear text, STARTTLS and any log-in
	TLSAddr string         // TLS from the first byte
	Roots   *x509.CertPool // with the server's certificate

	folder   string
	uid, gid int // of the mail
	cmd      *exec.Cmd
	exited   chan struct{}
	log      bytes.Buffer // to be read when it has exited

	accounts atomic.Int64
}

var (
	once   sync.Once
	shared *Server
	failed error
)

// Stop ends the server that a package's tests shared. It is for TestMain.
func Stop() {
	if shared != nil {
		shared.Stop()
	}
}

// Dovecot is the server that a package's tests share. Where Dovecot is missing
// the test is left out, or fails if nothing may be left out.
func Dovecot(t testing.TB) *Server {
	t.Helper()
	once.Do(func() { shared, failed = Start("") })
	skip(t, failed)
	return shared
}

// New is a server of the test's own with further lines in its config.
func New(t testing.TB, config string) *Server {
	t.Helper()
	s, err := Start(config)
	skip(t, err)
	t.Cleanup(s.Stop)
	return s
}

func skip(t testing.TB, err error) {
	t.Helper()
	switch {
	case err == nil:
	case errors.Is(err, exec.ErrNotFound):
		leaveOut(t, "Dovecot is missing: make test installs it")
	case errors.Is(err, errNotRoot):
		leaveOut(t, err.Error())
	default:
		t.Fatal(err)
	}
}

// leaveOut skips the rest of a test, or fails it where nothing may be left out.
func leaveOut(t testing.TB, why string) {
	t.Helper()
	if os.Getenv("KEYPOST_TEST_REQUIRE") == "all" {
		t.Fatal(why)
	}
	t.Skip("left out: " + why)
}

var errNotRoot = errors.New("as root alone Dovecot can keep mail for another user")

// Start starts a server in a temporary folder, with further lines in its
// config, and waits until it answers.
func Start(config string) (*Server, error) {
	if _, err := exec.LookPath("dovecot"); err != nil {
		return nil, err
	}
	if os.Getuid() != 0 {
		return nil, errNotRoot
	}
	nobody, err := user.Lookup("nobody")
	if err != nil {
		return nil, err
	}
	folder, err := os.MkdirTemp("", "keypost-dovecot-")
	if err != nil {
		return nil, err
	}
	s := &Server{folder: folder}
	s.uid, _ = strconv.Atoi(nobody.Uid)
	s.gid, _ = strconv.Atoi(nobody.Gid)
	for _, step := range []func() error{func() error { return s.prepare(config) }, s.run, s.answers} {
		if err := step(); err != nil {
			s.Stop()
			return nil, err
		}
	}
	return s, nil
}

func (s *Server) prepare(config string) error {
	if err := errors.Join(os.Chmod(s.folder, 0o755), os.Mkdir(s.path("mail"), 0o755), os.Chown(s.path("mail"), s.uid, s.gid),
		os.WriteFile(s.path("users"), users(), 0o644), s.certify()); err != nil {
		return err
	}
	plain, err := freePort()
	if err != nil {
		return err
	}
	secure, err := freePort()
	if err != nil {
		return err
	}
	s.Addr, s.TLSAddr = fmt.Sprintf("127.0.0.1:%d", plain), fmt.Sprintf("127.0.0.1:%d", secure)
	text := fmt.Sprintf(`protocols = imap
listen = 127.0.0.1
base_dir = %[1]s/run
state_dir = %[1]s/state
log_path = /dev/stderr
ssl = yes
ssl_cert = <%[1]s/cert.pem
ssl_key = <%[1]s/key.pem
disable_plaintext_auth = no
mail_location = maildir:~/Maildir
mail_max_userip_connections = 100
mailbox_idle_check_interval = 1s
auth_failure_delay = 0
first_valid_uid = 1
passdb {
  driver = passwd-file
  args = scheme=PLAIN username_format=%%u %[1]s/users
}
userdb {
  driver = static
  args = uid=%[2]d gid=%[3]d home=%[1]s/mail/%%u
}
service anvil {
  unix_listener anvil-auth-penalty {
    mode = 0
  }
}
service imap-login {
  inet_listener imap {
    port = %[4]d
  }
  inet_listener imaps {
    port = %[5]d
    ssl = yes
  }
}
%[6]s
`, s.folder, s.uid, s.gid, plain, secure, config)
	return os.WriteFile(s.path("dovecot.conf"), []byte(text), 0o644)
}

func (s *Server) path(name string) string { return filepath.Join(s.folder, name) }

// CertFile is the server's certificate in PEM.
func (s *Server) CertFile() string { return s.path("cert.pem") }

// certify makes a certificate for the loopback address.
func (s *Server) certify() error {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return err
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1),
		Subject:      pkix.Name{CommonName: "mail.example.com"},
		NotBefore:    time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, DNSNames: []string{"localhost"},
		IsCA: true, BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		return err
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return err
	}
	cert := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
	s.Roots = x509.NewCertPool()
	s.Roots.AppendCertsFromPEM(cert)
	return errors.Join(os.WriteFile(s.path("cert.pem"), cert, 0o644),
		os.WriteFile(s.path("key.pem"), pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: private}), 0o600))
}

func (s *Server) run() error {
	s.cmd = exec.Command("dovecot", "-F", "-c", s.path("dovecot.conf"))
	s.cmd.Stderr, s.cmd.Stdout = &s.log, &s.log
	s.exited = make(chan struct{})
	if err := s.cmd.Start(); err != nil {
		s.cmd = nil
		return err
	}
	go func() { _ = s.cmd.Wait(); close(s.exited) }()
	return nil
}

// answers waits for the greeting.
func (s *Server) answers() error {
	give := time.Now().Add(time.Minute)
	for time.Now().Before(give) {
		select {
		case <-s.exited:
			return fmt.Errorf("dovecot ended:\n%s", s.log.String())
		default:
		}
		if conn, err := tls.Dial("tcp", s.TLSAddr, &tls.Config{RootCAs: s.Roots}); err == nil {
			_ = conn.SetDeadline(give)
			n, err := conn.Read(make([]byte, 4))
			_ = conn.Close()
			if n > 0 && err == nil {
				return nil
			}
		}
		time.Sleep(10 * time.Millisecond) // a new process's port: nothing tells of it
	}
	return errors.New("dovecot does not answer")
}

// Stop ends the server and removes its mail.
func (s *Server) Stop() {
	if s.cmd != nil {
		_ = s.cmd.Process.Signal(syscall.SIGTERM)
		select {
		case <-s.exited:
		case <-time.After(10 * time.Second):
			_ = s.cmd.Process.Kill()
			<-s.exited
		}
	}
	_ = os.RemoveAll(s.folder)
}

func freePort() (int, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return 0, err
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port, nil
}
