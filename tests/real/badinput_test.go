//go:build real

package real_test

import (
	"context"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"kafka-s2-bridge/tests/oracle"
	"kafka-s2-bridge/tests/oracle/s2read"
	"kafka-s2-bridge/tests/real/bridge"
	"kafka-s2-bridge/tests/real/kafka"
	"kafka-s2-bridge/tests/real/proc"
	"kafka-s2-bridge/tests/real/s2lite"
	"kafka-s2-bridge/tests/s2mem"
)

const (
	copyUser     = "copier"
	goodPassword = "correct-horse-battery-staple"
	badPassword  = "wrong-password-of-the-operator"
	promptly     = 10 * time.Second // within which a trouble is named
)

// guarded is a world whose Kafka has, besides the open listener of the harness, one that wants a login and one that speaks TLS.
type guarded struct {
	*world
	login, tls string // their addresses
}

func newGuarded(ctx context.Context, t *testing.T) *guarded {
	t.Helper()
	var ports [4]int
	for i := range ports {
		var err error
		if ports[i], err = proc.FreePort(); err != nil {
			t.Fatal(err)
		}
	}
	g := &guarded{login: "127.0.0.1:" + strconv.Itoa(ports[2]), tls: "127.0.0.1:" + strconv.Itoa(ports[3])}
	chain, key := certificate(t)
	outside := fmt.Sprintf("PLAINTEXT://127.0.0.1:%d,LOGIN://%s,TLS://%s", ports[0], g.login, g.tls)
	g.world = &world{topics: []string{"orders", "later"}}
	g.kafka = kafka.Run(t, kafka.Options{Port: ports[0], Properties: map[string]string{
		"listeners":                      fmt.Sprintf("%s,CONTROLLER://127.0.0.1:%d", outside, ports[1]),
		"advertised.listeners":           outside,
		"controller.quorum.voters":       fmt.Sprintf("1@127.0.0.1:%d", ports[1]),
		"inter.broker.listener.name":     "PLAINTEXT",
		"listener.security.protocol.map": "CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT,LOGIN:SASL_PLAINTEXT,TLS:SSL",

		"listener.name.login.sasl.enabled.mechanisms":             "PLAIN,SCRAM-SHA-256",
		"listener.name.login.plain.sasl.jaas.config":              `org.apache.kafka.common.security.plain.PlainLoginModule required user_` + copyUser + `="` + goodPassword + `";`,
		"listener.name.login.scram-sha-256.sasl.jaas.config":      `org.apache.kafka.common.security.scram.ScramLoginModule required;`,
		"listener.name.tls.ssl.keystore.type":                     "PEM",
		"listener.name.tls.ssl.keystore.certificate.chain":        chain,
		"listener.name.tls.ssl.keystore.key":                      key,
		"connection.failed.authentication.delay.ms":               "100",
		"listener.name.tls.ssl.endpoint.identification.algorithm": "",
	}})
	g.s2 = s2lite.Run(t, s2lite.Options{LocalRoot: filepath.Join(t.TempDir(), "root"), Basin: "real-badinput"})
	g.setPassword(ctx, t, goodPassword)
	return g
}

// certificate is one of its own authority for 127.0.0.1, and its key, as values of Java properties.
func certificate(t *testing.T) (chain, key string) {
	t.Helper()
	server, _, err := s2mem.SelfSigned()
	if err != nil {
		t.Fatal(err)
	}
	private, err := x509.MarshalPKCS8PrivateKey(server.Certificates[0].PrivateKey)
	if err != nil {
		t.Fatal(err)
	}
	property := func(kind string, der []byte) string {
		return strings.ReplaceAll(strings.TrimSpace(string(pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}))), "\n", `\n`)
	}
	return property("CERTIFICATE", server.Certificates[0].Certificate[0]), property("PRIVATE KEY", private)
}

func (g *guarded) setPassword(ctx context.Context, t *testing.T, password string) {
	t.Helper()
	cl, err := g.kafka.Client()
	if err != nil {
		t.Fatal(err)
	}
	defer cl.Close()
	done, err := kadm.NewClient(cl).AlterUserSCRAMs(ctx, nil, []kadm.UpsertSCRAM{{User: copyUser, Mechanism: kadm.ScramSha256, Iterations: 4096, Password: password}})
	if err == nil {
		err = done.Error()
	}
	if err != nil {
		t.Fatal(err)
	}
}

func (g *guarded) loginWith(mechanism, password string) bridge.Settings {
	return bridge.Settings{"kafka.brokers": []string{g.login}, "kafka.sasl.mechanism": mechanism, "kafka.sasl.username": copyUser, "kafka.sasl.password": password}
}

// What Apache Kafka and s2-lite themselves answer to wrong settings ends a start with code 1 and a sentence.
// While the bridge runs, they go and come back, and the password changes and changes back: /readyz says so, and nothing is lost.
func TestBadInput(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	defer cancel()
	g := newGuarded(ctx, t)
	dir := t.TempDir()
	bin, err := bridge.Build(ctx, dir)
	if err != nil {
		t.Fatal(err)
	}
	for i, c := range []struct {
		settings bridge.Settings
		words    []string
	}{
		{g.loginWith("PLAIN", badPassword), []string{g.login, "refused the login", "password"}},
		{g.loginWith("SCRAM-SHA-256", badPassword), []string{g.login, "refused the login", "password"}},
		{g.loginWith("SCRAM-SHA-512", goodPassword), []string{g.login, "refused the login", "kafka.sasl.mechanism"}},
		{bridge.Settings{"kafka.brokers": []string{g.login}}, []string{g.login, "kafka.sasl"}},
		{bridge.Settings{"kafka.brokers": []string{g.tls}}, []string{g.tls, "kafka.tls.enabled"}},
		{bridge.Settings{"kafka.brokers": []string{g.tls}, "kafka.tls.enabled": true}, []string{g.tls, "certificate", "kafka.tls.ca_file"}},
		{bridge.Settings{"kafka.tls.enabled": true}, []string{g.kafka.Addr(), "kafka.tls.enabled"}},
		{bridge.Settings{"s2.basin": "not-the-basin"}, []string{`"not-the-basin"`, "does not exist", "create it"}},
		{bridge.Settings{"s2.endpoint": strings.Replace(g.s2.URL(), "http:", "https:", 1)}, []string{"check http:// against https://"}},
	} {
		b := g.bridge(t, bin, dir, "start"+strconv.Itoa(i), c.settings)
		said := endsPromptly(t, b)
		t.Log(said)
		for _, word := range c.words {
			if !strings.Contains(said, word) {
				t.Errorf("it does not say %q", word)
			}
		}
	}

	if err := g.kafka.CreateTopic(ctx, "orders", 4, nil); err != nil {
		t.Fatal(err)
	}
	b := g.bridge(t, bin, dir, "run", g.loginWith("SCRAM-SHA-256", goodPassword))
	isRed(ctx, t, b, "topic later does not exist")
	g.fill(ctx, t, "orders", 4)
	if err := g.kafka.CreateTopic(ctx, "later", 2, nil); err != nil {
		t.Fatal(err)
	}
	g.fill(ctx, t, "later", 2)
	isGreen(ctx, t, b)

	if err := g.s2.Kill(); err != nil {
		t.Fatal(err)
	}
	g.fill(ctx, t, "orders", 4)
	isRed(ctx, t, b, "orders/0", "orders/3", strings.TrimPrefix(g.s2.URL(), "http://"))
	if err := g.s2.Restart(ctx); err != nil {
		t.Fatal(err)
	}
	isGreen(ctx, t, b)

	g.setPassword(ctx, t, badPassword)
	if err := g.kafka.Kill(); err != nil { // logins that stand do not end with the password
		t.Fatal(err)
	}
	isRed(ctx, t, b, "kafka at "+g.login, "cannot be reached")
	if err := g.kafka.Restart(ctx); err != nil {
		t.Fatal(err)
	}
	isRed(ctx, t, b, "kafka at "+g.login, "refused the login")
	g.fill(ctx, t, "orders", 4)
	g.setPassword(ctx, t, goodPassword)
	isGreen(ctx, t, b)
	g.fill(ctx, t, "later", 2)
	g.waitForLag(ctx, t, time.Minute, []*bridge.Process{b})
	if err := b.Stop(15 * time.Second); err != nil {
		t.Error(err)
	}
	if said := printed(t, b); strings.Count(said, "\n") > 150 {
		t.Errorf("the log has %d lines", strings.Count(said, "\n"))
	}
	g.exact(ctx, t)
}

func (g *guarded) fill(ctx context.Context, t *testing.T, topic string, parts int32) {
	t.Helper()
	cl, err := g.kafka.Client(kgo.RecordPartitioner(kgo.ManualPartitioner()))
	if err != nil {
		t.Fatal(err)
	}
	defer cl.Close()
	var recs []*kgo.Record
	for i := range 100 * int(parts) {
		recs = append(recs, &kgo.Record{Topic: topic, Partition: int32(i) % parts, Value: fmt.Appendf(nil, "%s %d", topic, i)})
	}
	if err := cl.ProduceSync(ctx, recs...).FirstErr(); err != nil {
		t.Fatal(err)
	}
}

// exact compares all streams with Kafka.
func (g *guarded) exact(ctx context.Context, t *testing.T) {
	t.Helper()
	truth, err := oracle.ReadKafka(ctx, g.topics, g.brokers())
	if err != nil {
		t.Fatal(err)
	}
	reports, err := s2read.New(g.s2.URL(), g.s2.Basin(), "").CheckAll(ctx, truth, nil, func(*oracle.Served) oracle.Expect { return oracle.Expect{Group: group} })
	if err != nil {
		t.Fatal(err)
	}
	if sum := oracle.Sum(reports); !sum.OK() || sum.Records != 1600 {
		t.Errorf("the streams are not what Kafka serves: %v", sum)
	}
}

// printed is all that a bridge said. A secret in it fails the test.
func printed(t *testing.T, b *bridge.Process) string {
	t.Helper()
	text, err := os.ReadFile(b.Log())
	if err != nil {
		t.Fatal(err)
	}
	for _, secret := range []string{goodPassword, badPassword} {
		if strings.Contains(string(text), secret) {
			t.Errorf("bridge %s printed a password", b.Name())
		}
	}
	return string(text)
}

func endsPromptly(t *testing.T, b *bridge.Process) string {
	t.Helper()
	select {
	case <-b.Child().Done():
	case <-time.After(promptly):
		t.Fatalf("bridge %s still runs after %s", b.Name(), promptly)
	}
	if code := b.Child().State().ExitCode(); code != 1 {
		t.Errorf("bridge %s ended with %s", b.Name(), b.Child().State())
	}
	return printed(t, b)
}

func isGreen(ctx context.Context, t *testing.T, b *bridge.Process) {
	t.Helper()
	ctx, cancel := context.WithTimeoutCause(ctx, 45*time.Second, errors.New("/readyz is not green"))
	defer cancel()
	if err := b.WaitReady(ctx); err != nil {
		t.Fatal(err)
	}
}

func isRed(ctx context.Context, t *testing.T, b *bridge.Process, words ...string) {
	t.Helper()
	ctx, cancel := context.WithTimeoutCause(ctx, promptly, fmt.Errorf("/readyz is not red with %q", words))
	defer cancel()
	if err := proc.Poll(ctx, 50*time.Millisecond, func(ctx context.Context) error {
		if !b.Child().Running() {
			return proc.Final(fmt.Errorf("bridge %s ended by itself: %w", b.Name(), b.Child().Err()))
		}
		code, body, err := b.Get(ctx, "/readyz")
		if err == nil && code != http.StatusServiceUnavailable {
			err = errors.New("it is green")
		}
		for _, word := range words {
			if err == nil && !strings.Contains(body, word) {
				err = fmt.Errorf("it does not say %q: %s", word, body)
			}
		}
		if err == nil {
			t.Logf("/readyz: %s", body)
		}
		return err
	}); err != nil {
		t.Fatal(err)
	}
}
