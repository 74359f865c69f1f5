// Package deliverytest starts real mail servers for tests: private ones, on
// free loopback ports, in temporary folders, that end with the tests.
package deliverytest

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"net"
	"net/mail"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/keypost/keypost/store/storetest"
)

// A Server is a private Exim. Whoever logs in may send mail to anybody, and it
// is kept in a folder. Some addresses do not exist: refused@ is refused
// (550), later@ is put off (451), and mail to gone@ is taken and bounces.
type Server struct {
	STARTTLS, TLS  string // host:port of the two listeners
	User, Password string
	CAFile         string // the certificate that it shows, which has signed itself

	folder string
	cmd    *exec.Cmd
	exited chan struct{}
	log    bytes.Buffer // to be read when it has exited
}

// The account of a [Server].
const (
	account  = "shop"
	password = "geheim-smtp"
)

// SMTP starts a server that ends with the test. Where Exim is missing the test
// is left out, or fails if nothing may be left out.
func SMTP(t testing.TB) *Server {
	t.Helper()
	s, err := Start()
	if errors.Is(err, exec.ErrNotFound) {
		storetest.LeaveOut(t, "Exim is missing: make test installs it")
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Stop)
	return s
}

// Start starts a server and waits until it answers.
func Start() (*Server, error) {
	if _, err := exec.LookPath("exim4"); err != nil {
		return nil, err
	}
	folder, err := os.MkdirTemp("", "keypost-exim-") // t.TempDir is for its owner's eyes, and Exim works as another
	if err != nil {
		return nil, err
	}
	s := &Server{User: account, Password: password, CAFile: filepath.Join(folder, "cert.pem"), folder: folder}
	for _, step := range []func() error{s.prepare, s.run, s.answers} {
		if err := step(); err != nil {
			s.Stop()
			return nil, err
		}
	}
	return s, nil
}

func (s *Server) run() error {
	s.cmd = exec.Command("exim4", "-C", s.path("exim.conf"), "-bdf", "-oX", dotted(s.STARTTLS)+" : "+dotted(s.TLS))
	s.cmd.Stdout, s.cmd.Stderr = &s.log, &s.log
	if err := s.cmd.Start(); err != nil {
		s.cmd = nil
		return err
	}
	s.exited = make(chan struct{})
	go func() { _ = s.cmd.Wait(); close(s.exited) }()
	return nil
}

// dotted is an address as Exim writes it, with a dot before the port.
func dotted(addr string) string {
	host, port, _ := strings.Cut(addr, ":")
	return host + "." + port
}

func (s *Server) answers() error {
	for end := time.Now().Add(time.Minute); ; {
		if c, err := net.Dial("tcp", s.TLS); err == nil {
			return c.Close()
		}
		select {
		case <-s.exited:
			return fmt.Errorf("exim ended:\n%s", s.log.String())
		case <-time.After(20 * time.Millisecond):
		}
		if time.Now().After(end) {
			return errors.New("exim does not answer")
		}
	}
}

// Stop ends the server and removes its mail.
func (s *Server) Stop() {
	if s.cmd != nil {
		_ = s.cmd.Process.Kill()
		<-s.exited
	}
	_ = os.RemoveAll(s.folder)
}

func (s *Server) path(name string) string { return filepath.Join(s.folder, name) }

// prepare makes what the server needs in its folder, for the user that it
// works as: root starts it, and it delivers nothing as root.
func (s *Server) prepare() error {
	u, err := worker()
	if err != nil {
		return err
	}
	g, err := user.LookupGroupId(u.Gid)
	if err != nil {
		return err
	}
	if err := errors.Join(os.Chmod(s.folder, 0o755), s.certificate()); err != nil {
		return err
	}
	for _, folder := range []string{"spool", "log", "mail"} {
		if err := os.Mkdir(s.path(folder), 0o755); err != nil {
			return err
		}
	}
	ports, err := freePorts(2)
	if err != nil {
		return err
	}
	s.STARTTLS, s.TLS = "127.0.0.1:"+ports[0], "127.0.0.1:"+ports[1]
	config := strings.NewReplacer("FOLDER", s.folder, "USER", u.Username, "GROUP", g.Name, "TLSPORT", ports[1], "NAME", account, "PASSWORD", password).Replace(eximConfig)
	if err := os.WriteFile(s.path("exim.conf"), []byte(config), 0o644); err != nil || os.Getuid() != 0 {
		return err
	}
	if err := exec.Command("chown", "-R", u.Username, s.folder).Run(); err != nil {
		return err
	}
	return os.Chown(s.path("exim.conf"), 0, 0) // Exim reads no config that others may write
}

// worker is the user that the server works as.
func worker() (*user.User, error) {
	if os.Getuid() == 0 {
		return user.Lookup("Debian-exim")
	}
	return user.Current()
}

// certificate makes a key and a certificate for 127.0.0.1.
func (s *Server) certificate() error {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return err
	}
	now := time.Now()
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "localhost"}, NotBefore: now.Add(-time.Hour), NotAfter: now.Add(24 * time.Hour),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, DNSNames: []string{"localhost"}, IsCA: true, BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		return err
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return err
	}
	if err := os.WriteFile(s.CAFile, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), 0o644); err != nil {
		return err
	}
	return os.WriteFile(s.path("key.pem"), pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: private}), 0o600)
}

// Await waits until n mails for an address are there, and returns them as they
// were delivered, oldest first. The server has a minute.
func (s *Server) Await(t testing.TB, address string, n int) []string {
	t.Helper()
	for end := time.Now().Add(time.Minute); ; {
		list := s.Mails(t, address)
		if len(list) >= n {
			return list
		}
		if time.Now().After(end) {
			t.Fatalf("%d mails for %s, want %d\n%s", len(list), address, n, s.Log(t))
		}
		<-time.After(20 * time.Millisecond)
	}
}

// Mails are those for an address that were delivered so far, oldest first.
func (s *Server) Mails(t testing.TB, address string) []string {
	t.Helper()
	list, err := s.Delivered(address)
	if err != nil {
		t.Fatal(err)
	}
	return list
}

// Delivered is Mails for programs that are no tests.
func (s *Server) Delivered(address string) (list []string, err error) {
	files, err := filepath.Glob(s.path("mail/new/*"))
	if err != nil {
		return nil, err
	}
	slices.SortFunc(files, func(a, b string) int { return modified(a).Compare(modified(b)) })
	for _, f := range files {
		b, err := os.ReadFile(f)
		if err != nil {
			return nil, err
		}
		m, err := mail.ReadMessage(bytes.NewReader(b))
		if err != nil {
			return nil, err
		}
		if m.Header.Get("Envelope-To") == address {
			list = append(list, string(b))
		}
	}
	return list, nil
}

// Log is the server's own log so far.
func (s *Server) Log(t testing.TB) string {
	t.Helper()
	log, err := os.ReadFile(s.path("log/mainlog"))
	if err != nil {
		t.Fatal(err)
	}
	return string(log)
}

func modified(file string) time.Time {
	info, err := os.Stat(file)
	if err != nil {
		return time.Time{}
	}
	return info.ModTime()
}

// freePorts asks the kernel for ports, as text.
func freePorts(n int) (ports []string, err error) {
	for range n {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return nil, err
		}
		defer l.Close()
		_, port, _ := net.SplitHostPort(l.Addr().String())
		ports = append(ports, port)
	}
	return ports, nil
}

const eximConfig = `
primary_hostname = mail.example.com
exim_path = /usr/sbin/exim4
spool_directory = FOLDER/spool
log_file_path = FOLDER/log/%slog
pid_file_path = FOLDER/pid
exim_user = USER
exim_group = GROUP
never_users =
keep_environment =
host_lookup =
rfc1413_hosts =
tls_advertise_hosts = *
tls_certificate = FOLDER/cert.pem
tls_privatekey = FOLDER/key.pem
tls_on_connect_ports = TLSPORT
acl_smtp_rcpt = rcpt
acl_smtp_data = data

begin acl
rcpt:
  deny !authenticated = *
       message = 5.7.0 log in first
  deny local_parts = refused
       message = 5.1.1 no such mailbox
  defer local_parts = later
       message = 4.2.0 come again
  accept
data:
  accept

begin routers
gone:
  driver = redirect
  local_parts = gone
  allow_fail
  data = :fail: no such person here
all:
  driver = accept
  transport = file

begin transports
file:
  driver = appendfile
  directory = FOLDER/mail
  maildir_format
  user = USER
  envelope_to_add
  return_path_add

begin authenticators
plain:
  driver = plaintext
  public_name = PLAIN
  server_prompts = :
  server_condition = ${if and{{eq{$auth2}{NAME}}{eq{$auth3}{PASSWORD}}}}
  server_set_id = $auth2
  server_advertise_condition = ${if def:tls_in_cipher}
`
