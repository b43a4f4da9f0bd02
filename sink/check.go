package sink

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"syscall"
)

// CheckError is a setting that does not work, in a sentence for an operator.
type CheckError struct {
	// Sentence says what is wrong and what to do.
	Sentence string
	cause    error
}

func (e *CheckError) Error() string { return e.Sentence }

// Unwrap returns the *Error behind it.
func (e *CheckError) Unwrap() error { return e.cause }

// Check asks S2 for the first stream of the basin and so proves that endpoint,
// certificates, token and basin work. A failure is a *CheckError.
func (c *Client) Check(ctx context.Context) error {
	u := c.url("streams")
	u.RawQuery = "limit=1"
	nameless := &Stream{client: c, path: c.paths[0]}
	_, _, err := c.do(ctx, call{op: opList, stream: nameless, method: http.MethodGet, url: u})
	if err == nil {
		return nil
	}
	return &CheckError{Sentence: c.sentence(err), cause: err}
}

func (c *Client) sentence(err error) string {
	var (
		e    *Error
		ca   x509.UnknownAuthorityError
		name x509.HostnameError
		cert *tls.CertificateVerificationError
		op   *net.OpError
		dns  *net.DNSError
	)
	where, basin := c.base.Redacted(), c.cfg.Basin
	if !errors.As(err, &e) {
		return c.quote(err.Error())
	}
	said := e.text
	if e.Status != 0 {
		said = fmt.Sprintf("it answered %d", e.Status)
		if e.Code != "" {
			said += " " + e.Code
		}
		if e.Message != "" {
			said += ": " + e.Message
		}
	}
	switch {
	case errors.Is(err, context.Canceled):
		return "the check of S2 was interrupted"
	case c.spoke.Load() && (errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF)):
		return fmt.Sprintf("S2 at %s closed the connection (%s): it is tried again; check that S2 runs if it stays so", where, said)
	case otherProtocol(err, said):
		return fmt.Sprintf("%s does not speak HTTP/2 as the endpoint promises (%s): "+
			"check http:// against https:// and the port, and that a proxy in between passes HTTP/2", where, said)
	case errors.Is(err, syscall.ECONNRESET), errors.Is(err, syscall.EPIPE), strings.Contains(said, "could not be established"):
		return fmt.Sprintf("%s took the connection and closed it at once (%s): "+
			"check http:// against https:// and the port, and whether S2 wants a client certificate (tls.cert_file)", where, said)
	case errors.As(err, &ca), errors.As(err, &name), errors.As(err, &cert):
		return fmt.Sprintf("the certificate of %s is not trusted (%s): "+
			"give the authority's certificate as tls.ca_file, or correct the host name in the endpoint", where, said)
	case errors.As(err, &op) && op.Op == "remote error":
		return fmt.Sprintf("%s refused the TLS handshake (%s): check the client certificate (tls.cert_file)", where, said)
	case errors.As(err, &dns):
		return fmt.Sprintf("cannot connect to S2 at %s (%s): check the host name of the endpoint, the basin's name and the DNS", where, said)
	case e.Status == 0:
		return fmt.Sprintf("cannot connect to S2 at %s (%s): check the endpoint, and that S2 runs and a firewall lets the connection pass", where, said)
	case e.Status == http.StatusUnauthorized, e.Status == http.StatusForbidden:
		return fmt.Sprintf("S2 at %s refused the access token (%s): give a valid one as access_token or access_token_file; "+
			"for basin %q it needs the operations list-streams, create-stream, check-tail, read, append and fence", where, said, basin)
	case e.Code == codeBasinNotFound:
		return fmt.Sprintf("the basin %q does not exist at %s: create it (s2 create-basin %s) or correct the setting", basin, where, basin)
	case e.Status == http.StatusNotFound:
		return fmt.Sprintf("%s is not an S2 endpoint (%s): check the URL and its path, which is /v1 unless given", where, said)
	default:
		return fmt.Sprintf("S2 at %s does not work (%s): try again, and see the status page of S2 if it stays so", where, said)
	}
}

// otherProtocol guesses that the other side speaks HTTP/1.1, TLS instead of
// plain text or the other way round. The errors that net/http and crypto/tls
// have for it are known by their texts only.
func otherProtocol(err error, said string) bool {
	var rec tls.RecordHeaderError
	return errors.Is(err, errHTTP1) || errors.As(err, &rec) ||
		errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) ||
		strings.Contains(said, "no application protocol") ||
		strings.Contains(said, "looked like an HTTP/1.1 header")
}
