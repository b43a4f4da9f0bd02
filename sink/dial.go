package sink

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"time"
)

// Dead paths are found by HTTP/2 pings: after 2 s of silence a ping goes out,
// and 1 s later the connection and all that is on it fail. A busy connection
// never pings.
const (
	pingAfter = 2 * time.Second
	pingWait  = 1 * time.Second

	dialTimeout = 5 * time.Second
	keepAlive   = 15 * time.Second
	idleTimeout = 90 * time.Second
)

// newTransport makes the factory of connections. It is never asked for a round
// trip itself: it would dial once for each of many requests that find no
// connection, and send some of them a second time on its own account.
func newTransport(cfg Config, scheme string) (*http.Transport, error) {
	dial := cfg.Dial
	if dial == nil {
		dial = (&net.Dialer{KeepAlive: keepAlive}).DialContext
	}
	t := &http.Transport{
		DialContext: func(ctx context.Context, network, address string) (net.Conn, error) {
			c, err := dial(ctx, network, address)
			if err != nil {
				return nil, err
			}
			return quickAck(c), nil
		},
		IdleConnTimeout:     idleTimeout,
		TLSHandshakeTimeout: dialTimeout,
		DisableCompression:  true, // or net/http asks for gzip by itself
		Protocols:           new(http.Protocols),
		HTTP2:               &http.HTTP2Config{SendPingTimeout: pingAfter, PingTimeout: pingWait},
	}
	if scheme == "http" {
		t.Protocols.SetUnencryptedHTTP2(true)
		return t, nil
	}
	// Without SetHTTP2, a Transport with a TLS configuration of its own falls
	// back to HTTP/1.1: one connection a session.
	t.Protocols.SetHTTP2(true)
	if cfg.Dial == nil {
		t.Proxy = http.ProxyFromEnvironment
	}
	var err error
	t.TLSClientConfig, err = cfg.TLS.config()
	return t, err
}

func (t TLS) config() (*tls.Config, error) {
	cfg := &tls.Config{
		MinVersion:         tls.VersionTLS12,
		ServerName:         t.ServerName,
		InsecureSkipVerify: t.InsecureSkipVerify, //nolint:gosec // the operator's word, off by default
	}
	if t.CAFile != "" {
		pem, err := os.ReadFile(t.CAFile)
		if err != nil {
			return nil, fmt.Errorf("tls.ca_file: %w", err)
		}
		cfg.RootCAs = x509.NewCertPool()
		if !cfg.RootCAs.AppendCertsFromPEM(pem) {
			return nil, errors.New("tls.ca_file: no certificate in it")
		}
	}
	if t.CertFile != "" {
		load := func(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
			pair, err := tls.LoadX509KeyPair(t.CertFile, t.KeyFile)
			if err != nil {
				return nil, fmt.Errorf("client certificate: %w", err)
			}
			return &pair, nil
		}
		if _, err := load(nil); err != nil {
			return nil, err
		}
		cfg.GetClientCertificate = load
	}
	return cfg, nil
}
