package source

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"strings"
	"sync"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
)

// Check connects once, without joining the group, and says in plain words what
// is wrong. All brokers are asked at once, and one that answers is enough: the
// client itself would wait for a silent one, whatever ctx says.
func Check(ctx context.Context, c Config) error {
	c.Logger = slog.New(slog.DiscardHandler) // the error says it all
	var asking sync.WaitGroup
	defer asking.Wait()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	answers := make(chan error, len(c.Brokers))
	for _, broker := range c.Brokers {
		one := c
		one.Brokers = []string{broker}
		asking.Go(func() { answers <- one.ask(ctx) })
	}
	var wrong error
	for range c.Brokers {
		err := <-answers
		if err == nil {
			return nil
		}
		if wrong == nil || errors.Is(wrong, context.DeadlineExceeded) {
			wrong = err // silence tells least
		}
	}
	return c.explain(wrong)
}

// ask ends with ctx, which a request of the client does not while it connects.
func (c Config) ask(ctx context.Context) error {
	opts, err := c.connectionOptions()
	if err != nil {
		return err
	}
	client, err := kgo.NewClient(opts...)
	if err != nil {
		return fmt.Errorf("kafka client: %w", err)
	}
	closed := make(chan struct{})
	stop := context.AfterFunc(ctx, func() {
		defer close(closed)
		client.Close()
	})
	err = client.Ping(ctx)
	if stop() {
		client.Close()
		return err
	}
	<-closed
	return ctx.Err()
}

// explain puts what the client says into a sentence for an operator: what is
// wrong, where, and what to do about it. The client's own words come last.
func (c Config) explain(err error) error {
	where := "kafka at " + strings.Join(c.Brokers, ", ")
	var (
		first  *kgo.ErrFirstReadEOF
		cert   *tls.CertificateVerificationError
		record tls.RecordHeaderError
		op     *net.OpError
		secret *passwordError
	)
	switch {
	case errors.As(err, &secret):
		return fmt.Errorf("the password for %s cannot be read: check kafka.sasl.password_file: %w", where, secret.err)
	case errors.Is(err, context.Canceled):
		return fmt.Errorf("the look at %s was interrupted", where)
	case errors.Is(err, kerr.SaslAuthenticationFailed), errors.Is(err, kerr.UnsupportedSaslMechanism), errors.Is(err, kerr.IllegalSaslState):
		return fmt.Errorf("%s refused the login: check kafka.sasl.mechanism, kafka.sasl.username and the password: %w", where, err)
	case errors.As(err, &cert):
		return fmt.Errorf("the certificate of %s is not trusted: give its authority as kafka.tls.ca_file, or the name in it as kafka.tls.server_name: %w", where, err)
	case errors.As(err, &op) && op.Op == "remote error":
		return fmt.Errorf("%s refused the TLS handshake: check the client certificate (kafka.tls.cert_file): %w", where, err)
	case c.TLS != nil && (errors.As(err, &record) || errors.As(err, &first)):
		return fmt.Errorf("%s does not speak TLS: check kafka.tls.enabled, and the port in kafka.brokers: %w", where, err)
	case c.TLS == nil && (errors.As(err, &first) || strings.Contains(err.Error(), "tls alert")): // known by its text only
		return fmt.Errorf("%s closed the connection at once: does it want TLS (kafka.tls.enabled) or a login (kafka.sasl)? %w", where, err)
	case c.SASL != nil && errors.Is(err, io.EOF): // so do brokers that do not give reasons
		return fmt.Errorf("%s closed the connection instead of accepting the login: check kafka.sasl.mechanism, kafka.sasl.username and the password: %w", where, err)
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, os.ErrDeadlineExceeded):
		return fmt.Errorf("%s does not answer: check kafka.brokers and kafka.tls.enabled, that the broker runs, and that a firewall lets the connection pass", where)
	}
	return fmt.Errorf("%s cannot be reached: check kafka.brokers, and that the broker runs: %w", where, err)
}
