package sink

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/url"
	"strings"
	"time"

	"github.com/hashicorp/go-multierror"
)

// Defaults of Config.
const (
	DefaultConnections    = 4
	DefaultRequestTimeout = 10 * time.Second

	maxConnections = 64
)

// Config says where S2 is and how to use it.
type Config struct {
	// Endpoint is the URL of S2, http:// (HTTP/2 in plain text, as s2-lite
	// speaks it) or https://. Without a path, /v1 is used. Empty means S2's
	// cloud: https://{basin}.b.s2.dev/v1. For https the environment's
	// HTTPS_PROXY and NO_PROXY count.
	Endpoint string `koanf:"endpoint"`
	// Basin holds the streams. 8 to 48 characters a-z, 0-9 and hyphen.
	Basin string `koanf:"basin"`
	// AccessToken is sent with every request; empty sends none, which only an
	// own endpoint such as s2-lite accepts. AccessTokenFile names a file with
	// the token instead, which is read again when S2 refuses the token, so a
	// token can be rotated while the bridge runs.
	AccessToken     string `koanf:"access_token"`
	AccessTokenFile string `koanf:"access_token_file"`
	// TLS is for https endpoints.
	TLS TLS `koanf:"tls"`
	// Connections is the number of paths that streams are spread over, each
	// with a connection of its own (more when S2's limit of requests on one is
	// reached). 1 to 64; 0 is DefaultConnections.
	Connections int `koanf:"connections"`
	// RequestTimeout bounds every request but append sessions, which last as
	// long as their owner wants. 0 is DefaultRequestTimeout.
	RequestTimeout time.Duration `koanf:"request_timeout"`
	// BatchesPerSecond is the limit of append batches that Reserve spreads
	// over all streams; 0 is no limit.
	BatchesPerSecond float64 `koanf:"batches_per_second"`

	// Dial opens connections instead of the operating system; for tests.
	Dial func(ctx context.Context, network, address string) (net.Conn, error) `koanf:"-"`
	// Logger gets a few lines about connections and tokens; nil is silent.
	Logger *slog.Logger `koanf:"-"`
	// Metrics counts requests; nil counts for nobody.
	Metrics *Metrics `koanf:"-"`
	// UserAgent is sent with every request.
	UserAgent string `koanf:"-"`
}

// TLS is for an https endpoint; files are PEM. All is optional.
type TLS struct {
	// CAFile names the authorities to trust, instead of the system's.
	CAFile string `koanf:"ca_file"`
	// CertFile and KeyFile are the client's certificate. They are read again
	// for every new connection.
	CertFile string `koanf:"cert_file"`
	KeyFile  string `koanf:"key_file"`
	// ServerName is the name in the server's certificate, if it is not the host
	// of the endpoint. InsecureSkipVerify takes any certificate.
	ServerName         string `koanf:"server_name"`
	InsecureSkipVerify bool   `koanf:"insecure_skip_verify"`
}

// Defaults is the configuration that needs only a basin and a token.
func Defaults() Config {
	return Config{Connections: DefaultConnections, RequestTimeout: DefaultRequestTimeout}
}

func (c Config) withDefaults() Config {
	d := Defaults()
	if c.Connections == 0 {
		c.Connections = d.Connections
	}
	if c.RequestTimeout == 0 {
		c.RequestTimeout = d.RequestTimeout
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	if c.Metrics == nil {
		c.Metrics = NewMetrics(nil)
	}
	if c.UserAgent == "" {
		c.UserAgent = "kafka-s2-bridge"
	}
	return c
}

// Validate says everything that is wrong with c at once. It opens no file and
// no connection, and its text never has a secret in it.
func (c Config) Validate() error {
	var all *multierror.Error
	wrong := func(field, why string) {
		all = multierror.Append(all, fmt.Errorf("%s: %s", field, why))
	}
	if _, err := c.endpoint(); err != nil {
		wrong("endpoint", err.Error())
	}
	if err := validBasin(c.Basin); err != nil {
		wrong("basin", err.Error())
	}
	switch {
	case c.AccessToken != "" && c.AccessTokenFile != "":
		wrong("access_token", "set it or access_token_file, not both")
	case c.AccessToken == "" && c.AccessTokenFile == "" && c.Endpoint == "":
		wrong("access_token", "S2's cloud needs one; set it or access_token_file")
	}
	if err := validToken(c.AccessToken); err != nil {
		wrong("access_token", err.Error())
	}
	if (c.TLS.CertFile == "") != (c.TLS.KeyFile == "") {
		wrong("tls", "cert_file and key_file go together")
	}
	if c.TLS != (TLS{}) && strings.HasPrefix(c.Endpoint, "http://") {
		wrong("tls", "the endpoint is http://, which uses no certificates")
	}
	if c.Connections < 0 || c.Connections > maxConnections {
		wrong("connections", fmt.Sprintf("%d is not within 1 and %d", c.Connections, maxConnections))
	}
	if c.RequestTimeout < 0 {
		wrong("request_timeout", "is negative")
	}
	if !(c.BatchesPerSecond >= 0) || c.BatchesPerSecond > 1e9 {
		wrong("batches_per_second", "is not a number from 0 (no limit) on")
	}
	return all.ErrorOrNil()
}

// endpoint is the URL that every request begins with, without a slash at its
// end. Errors do not repeat the URL: it may hold what should not be there.
func (c Config) endpoint() (*url.URL, error) {
	text := c.Endpoint
	if text == "" {
		text = "https://" + c.Basin + ".b.s2.dev/v1"
	}
	u, err := url.Parse(text)
	switch {
	case err != nil:
		return nil, errors.New("is not a URL")
	case u.Scheme != "http" && u.Scheme != "https":
		return nil, errors.New("must begin with http:// or https://")
	case u.Hostname() == "":
		return nil, errors.New("names no host")
	case u.User != nil, u.RawQuery != "", u.Fragment != "":
		return nil, errors.New("must not have a user, a query or a fragment")
	}
	u.Path = strings.TrimRight(u.Path, "/")
	u.RawPath = ""
	if u.Path == "" {
		u.Path = "/v1"
	}
	return u, nil
}

func validBasin(name string) error {
	if len(name) < 8 || len(name) > 48 {
		return fmt.Errorf("%q does not have 8 to 48 characters", name)
	}
	for i := range len(name) {
		b := name[i]
		switch edge := i == 0 || i == len(name)-1; {
		case b >= 'a' && b <= 'z', b >= '0' && b <= '9':
		case b == '-' && !edge:
		default:
			return fmt.Errorf("%q may have a-z, 0-9 and, within, hyphens", name)
		}
	}
	return nil
}

func validToken(token string) error {
	for i := range len(token) {
		if token[i] <= ' ' || token[i] > '~' {
			return errors.New("has a character that cannot be in a token")
		}
	}
	return nil
}
