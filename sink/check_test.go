package sink

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"kafka-s2-bridge/tests/s2mem"
)

// authority signs certificates for a test.
type authority struct {
	t    *testing.T
	dir  string
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
	file string // its certificate, PEM
}

func newAuthority(t *testing.T) *authority {
	a := &authority{t: t, dir: t.TempDir()}
	a.file, _ = a.issue("ca", nil)
	return a
}

// issue writes a certificate and its key and returns the files' names. The
// first one is the authority's own.
func (a *authority) issue(name string, hosts []string) (certFile, keyFile string) {
	a.t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		a.t.Fatal(err)
	}
	c := &x509.Certificate{
		SerialNumber: big.NewInt(time.Now().UnixNano()), Subject: pkix.Name{CommonName: name},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IsCA: a.cert == nil, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}
	for _, h := range hosts {
		if ip := net.ParseIP(h); ip != nil {
			c.IPAddresses = append(c.IPAddresses, ip)
		} else {
			c.DNSNames = append(c.DNSNames, h)
		}
	}
	parent, signer := a.cert, a.key
	if parent == nil {
		parent, signer = c, key
	}
	der, err := x509.CreateCertificate(rand.Reader, c, parent, &key.PublicKey, signer)
	if err != nil {
		a.t.Fatal(err)
	}
	if a.cert == nil {
		a.key = key
		a.cert, _ = x509.ParseCertificate(der)
	}
	secret, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		a.t.Fatal(err)
	}
	write := func(suffix, kind string, der []byte) string {
		file := filepath.Join(a.dir, name+suffix)
		if err := os.WriteFile(file, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o600); err != nil {
			a.t.Fatal(err)
		}
		return file
	}
	return write(".crt", "CERTIFICATE", der), write(".key", "PRIVATE KEY", secret)
}

func (a *authority) pair(certFile, keyFile string) tls.Certificate {
	a.t.Helper()
	pair, err := tls.LoadX509KeyPair(certFile, keyFile)
	if err != nil {
		a.t.Fatal(err)
	}
	return pair
}

// Over TLS it is HTTP/2 as well, with an own authority and a client certificate.
func TestTLS(t *testing.T) {
	a := newAuthority(t)
	pool := x509.NewCertPool()
	pool.AddCert(a.cert)
	cert, key := a.issue("client", nil)
	var seen tls.ConnectionState
	srv := s2mem.New(s2mem.Options{Basin: testBasin, TLS: &tls.Config{
		Certificates: []tls.Certificate{a.pair(a.issue("server", []string{"127.0.0.1"}))},
		ClientAuth:   tls.RequireAndVerifyClientCert, ClientCAs: pool,
		VerifyConnection: func(cs tls.ConnectionState) error { seen = cs; return nil },
	}})
	t.Cleanup(srv.Close)
	if err := srv.Listen("127.0.0.1:0"); err != nil {
		t.Fatal(err)
	}
	c := newClient(t, Config{Endpoint: srv.URL(), AccessToken: "x", TLS: TLS{CAFile: a.file, CertFile: cert, KeyFile: key}, Connections: 1})
	ctx := deadline(t)
	if err := c.Check(ctx); err != nil {
		t.Fatal(err)
	}
	if seen.NegotiatedProtocol != "h2" || seen.PeerCertificates[0].Subject.CommonName != "client" {
		t.Errorf("the server saw %q of %v", seen.NegotiatedProtocol, seen.PeerCertificates)
	}
	s, next := fenced(t, c, "orders/0")
	ss, r := open(ctx, s)
	for i := range 50 {
		ss.Send(batch(t, i, 1, 50_000), next+uint64(i), "t")
	}
	ss.Finish()
	if err := r.awaitEnd(t, ctx); err != nil {
		t.Error(err)
	}
	r.wantAcks(t, next, 50, 1)
	if n := srv.Connections(); n != 1 {
		t.Errorf("%d connections", n)
	}

	// Without the client's certificate, and without the authority.
	for name, with := range map[string]TLS{"certificate": {CAFile: a.file}, "authority": {}} {
		c := newClient(t, Config{Endpoint: srv.URL(), TLS: with})
		var e *CheckError
		if err := c.Check(ctx); !errors.As(err, &e) {
			t.Errorf("without %s: %v", name, err)
		} else if want := map[string]string{"certificate": "client certificate (tls.cert_file)", "authority": "is not trusted"}[name]; !strings.Contains(err.Error(), want) {
			t.Errorf("without %s: %v", name, err)
		}
	}
}

func TestTLSFilesAreReadAtStart(t *testing.T) {
	a := newAuthority(t)
	cert, key := a.issue("client", nil)
	for name, with := range map[string]TLS{
		"no authority": {CAFile: "/does/not/exist"}, "key as authority": {CAFile: key},
		"no certificate": {CertFile: "/does/not/exist", KeyFile: key}, "no key": {CertFile: cert, KeyFile: "/does/not/exist"},
	} {
		if _, err := New(Config{Endpoint: "https://127.0.0.1:1", Basin: testBasin, TLS: with}); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}

// A server that went away in the middle of an answer is not one of another kind.
func TestCheckOfAServerThatGoesAway(t *testing.T) {
	answers := 0
	c := newClient(t, Config{Endpoint: serve(t, func(w http.ResponseWriter, _ *http.Request) {
		if answers++; answers == 1 {
			http.Error(w, "not yet", http.StatusServiceUnavailable)
			return
		}
		w.Header().Set("content-length", "100")
		w.WriteHeader(http.StatusOK)
	})})
	if err := c.Check(deadline(t)); err == nil || !strings.Contains(err.Error(), "503") {
		t.Fatal(err)
	}
	if err := c.Check(deadline(t)); err == nil || !strings.Contains(err.Error(), "closed the connection") || strings.Contains(err.Error(), "HTTP/2") {
		t.Error(err)
	}
}

// Every way of being set up wrongly gets a sentence that says what to do.
func TestCheckSentences(t *testing.T) {
	a := newAuthority(t)
	mem := func(o s2mem.Options) string {
		o.Basin = testBasin
		srv := s2mem.Start(t, o)
		if o.TLS != nil {
			_, port, _ := net.SplitHostPort(strings.TrimPrefix(srv.URL(), "https://"))
			return "https://127.0.0.1:" + port
		}
		return srv.URL()
	}
	secure := func(host string, protos ...string) *tls.Config {
		return &tls.Config{Certificates: []tls.Certificate{a.pair(a.issue(host, []string{host}))}, NextProtos: protos}
	}
	open := mem(s2mem.Options{})
	old := httptest.NewServer(http.NotFoundHandler())
	defer old.Close()
	for _, c := range []struct {
		name string
		cfg  Config
		want []string
	}{
		{"all is well", Config{Endpoint: open}, nil},
		{"token", Config{Endpoint: mem(s2mem.Options{AccessTokens: []string{"a"}}), AccessToken: "planted"},
			[]string{"refused the access token", "401 authn", "access_token_file", "list-streams"}},
		{"permission", Config{Endpoint: mem(s2mem.Options{DeniedTokens: []string{"planted"}}), AccessToken: "planted"},
			[]string{"refused the access token", "403 permission_denied"}},
		{"basin", Config{Endpoint: open, Basin: "another-basin"}, []string{`the basin "another-basin" does not exist`, "s2 create-basin another-basin"}},
		{"nobody listens", Config{Endpoint: "http://127.0.0.1:1"}, []string{"cannot connect to S2 at http://127.0.0.1:1/v1", "connection refused", "check the endpoint"}},
		{"no such host", Config{Endpoint: "http://no-such-host.invalid"}, []string{"cannot connect", "check the host name"}},
		{"not S2", Config{Endpoint: serve(t, http.NotFound)}, []string{"is not an S2 endpoint", "404 page not found", "/v1"}},
		{"broken", Config{Endpoint: serve(t, func(w http.ResponseWriter, r *http.Request) { http.Error(w, "no", 500) })}, []string{"does not work", "500"}},
		{"http for https", Config{Endpoint: strings.Replace(mem(s2mem.Options{TLS: secure("127.0.0.1")}), "https:", "http:", 1)}, []string{"http:// against https://"}},
		{"https for http", Config{Endpoint: strings.Replace(open, "http:", "https:", 1)}, []string{"http:// against https://"}},
		{"unknown authority", Config{Endpoint: mem(s2mem.Options{TLS: secure("127.0.0.1")})}, []string{"is not trusted", "tls.ca_file"}},
		{"other host's certificate", Config{Endpoint: mem(s2mem.Options{TLS: secure("127.0.0.2")}), TLS: TLS{CAFile: a.file}}, []string{"is not trusted", "127.0.0.2"}},
		{"other host's certificate, told so", Config{Endpoint: mem(s2mem.Options{TLS: secure("127.0.0.2")}), TLS: TLS{CAFile: a.file, ServerName: "127.0.0.2"}}, nil},
		{"certificate not looked at", Config{Endpoint: mem(s2mem.Options{TLS: secure("127.0.0.2")}), TLS: TLS{InsecureSkipVerify: true}}, nil},
		{"HTTP/1.1 only, plain", Config{Endpoint: old.URL}, []string{"check http:// against https://"}},
		{"HTTP/1.1 only, TLS", Config{Endpoint: mem(s2mem.Options{TLS: secure("127.0.0.1", "http/1.1")}), TLS: TLS{CAFile: a.file}}, []string{"does not speak HTTP/2"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			err := newClient(t, c.cfg).Check(deadline(t))
			if c.want == nil {
				if err != nil {
					t.Fatal(err)
				}
				return
			}
			var e *CheckError
			if !errors.As(err, &e) {
				t.Fatalf("got %v (%T)", err, err)
			}
			for _, part := range c.want {
				if !strings.Contains(err.Error(), part) {
					t.Errorf("%q is not in: %s", part, err)
				}
			}
			if strings.Contains(err.Error(), "planted") || strings.Contains(err.Error(), "\n") {
				t.Errorf("the sentence is: %s", err)
			}
			asError(t, err)
			t.Log(err)
		})
	}
}
