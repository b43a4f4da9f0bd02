package badinput

import (
	"crypto/tls"
	"net"
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
	saslplain "github.com/twmb/franz-go/pkg/sasl/plain"
	"github.com/twmb/franz-go/pkg/sasl/scram"

	"kafka-s2-bridge/tests/real/bridge"
	"kafka-s2-bridge/tests/s2mem"
)

const user = "copier"

// withPlain and withScram are worlds whose Kafka wants a login.
func withPlain() worldOptions {
	return worldOptions{
		kafka: []kfake.Opt{kfake.EnableSASL(), kfake.Superuser("PLAIN", user, password)},
		login: []kgo.Opt{kgo.SASL(saslplain.Auth{User: user, Pass: password}.AsMechanism())},
	}
}

func withScram() worldOptions {
	return worldOptions{
		kafka: []kfake.Opt{
			kfake.EnableSASL(), kfake.Superuser("SCRAM-SHA-256", user, password),
			kfake.Superuser("SCRAM-SHA-256", "admin", "admin"),
		},
		login: []kgo.Opt{kgo.SASL(scram.Auth{User: "admin", Pass: "admin"}.AsSha256Mechanism())},
	}
}

// withTLS has the Kafka of a certificate that only the file trusts.
func withTLS(t *testing.T) worldOptions {
	t.Helper()
	server, client, err := s2mem.SelfSigned()
	if err != nil {
		t.Fatal(err)
	}
	server.NextProtos = nil
	return worldOptions{tls: server, login: []kgo.Opt{kgo.DialTLSConfig(&tls.Config{RootCAs: client.RootCAs, ServerName: "localhost", MinVersion: tls.VersionTLS12})}}
}

// refuseLogins has the broker answer every login as Apache Kafka answers a wrong one.
func (w *world) refuseLogins() {
	w.kafka.ControlKey(int16(kmsg.SASLAuthenticate), func(req kmsg.Request) (kmsg.Response, error, bool) {
		w.kafka.KeepControl()
		resp := req.ResponseKind().(*kmsg.SASLAuthenticateResponse)
		resp.ErrorCode = kerr.SaslAuthenticationFailed.Code
		resp.ErrorMessage = kmsg.StringPtr("Authentication failed during authentication due to invalid credentials with SASL mechanism")
		return resp, nil, true
	})
}

func login(mechanism, secret string) bridge.Settings {
	return bridge.Settings{"kafka.sasl.mechanism": mechanism, "kafka.sasl.username": user, "kafka.sasl.password": secret}
}

// fault is a wrong setting or a wrong world: what it changes, and what must be said of it.
type fault struct {
	name  string
	world func(t *testing.T) worldOptions
	with  func(t *testing.T, w *world) bridge.Settings
	words []string
}

func TestKafkaWrongAtStart(t *testing.T) {
	t.Parallel()
	shut := func(_ *testing.T, w *world) bridge.Settings {
		w.kafkaDoor.shut()
		return nil
	}
	these := func(s bridge.Settings) func(*testing.T, *world) bridge.Settings {
		return func(*testing.T, *world) bridge.Settings { return s }
	}
	open := func(*testing.T) worldOptions { return worldOptions{} }
	for _, c := range []fault{
		{"nothing listens", open, shut, []string{"cannot be reached", "check kafka.brokers", "connection refused"}},
		{"a port that says nothing", open, func(t *testing.T, w *world) bridge.Settings {
			w.kafkaDoor = newMute(t).door
			return nil
		}, []string{"does not answer", "check kafka.brokers"}},
		{"a name that nobody has", open, these(bridge.Settings{"kafka.brokers": []string{"no-such-broker.invalid:9092"}}),
			[]string{"no-such-broker.invalid:9092", "check kafka.brokers"}},
		// kfake closes the connection; Apache Kafka says why before.
		{"wrong password, PLAIN", func(*testing.T) worldOptions { return withPlain() }, these(login("PLAIN", wrongPassword)),
			[]string{"instead of accepting the login", "kafka.sasl.username", "password"}},
		{"wrong password, SCRAM", func(*testing.T) worldOptions { return withScram() }, these(login("SCRAM-SHA-256", wrongPassword)),
			[]string{"instead of accepting the login", "kafka.sasl.username", "password"}},
		{"wrong password, PLAIN, with the reason", func(*testing.T) worldOptions { return withPlain() }, func(_ *testing.T, w *world) bridge.Settings {
			w.refuseLogins()
			return login("PLAIN", wrongPassword)
		}, []string{"refused the login", "kafka.sasl.username", "password", "SASL_AUTHENTICATION_FAILED"}},
		{"wrong password, SCRAM, with the reason", func(*testing.T) worldOptions { return withScram() }, func(_ *testing.T, w *world) bridge.Settings {
			w.refuseLogins()
			return login("SCRAM-SHA-256", wrongPassword)
		}, []string{"refused the login", "kafka.sasl.username", "password", "SASL_AUTHENTICATION_FAILED"}},
		{"wrong password in a file", func(*testing.T) worldOptions { return withScram() }, func(t *testing.T, _ *world) bridge.Settings {
			return bridge.Settings{"kafka.sasl.mechanism": "SCRAM-SHA-256", "kafka.sasl.username": user, "kafka.sasl.password_file": secretFile(t, wrongPassword)}
		}, []string{"instead of accepting the login", "password"}},
		{"another mechanism", func(*testing.T) worldOptions { return withScram() }, these(login("PLAIN", password)),
			[]string{"the login", "kafka.sasl.mechanism"}},
		{"no login where one is wanted", func(*testing.T) worldOptions { return withPlain() }, these(nil), []string{"kafka.sasl"}},
		{"the broker wants TLS", withTLS, these(nil), []string{"TLS", "kafka.tls.enabled"}},
		{"the broker has no TLS", open, these(bridge.Settings{"kafka.tls.enabled": true}), []string{"kafka.tls.enabled"}},
		{"a certificate of nobody", withTLS, these(bridge.Settings{"kafka.tls.enabled": true}), []string{"certificate", "kafka.tls.ca_file"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, c.world(t))
			more := c.with(t, w)
			words := append([]string{"kafka"}, c.words...)
			if more["kafka.brokers"] == nil {
				words = append(words, w.kafkaDoor.address())
			}
			said := start(t, w.settings(more, "orders")).exits(prompt, 1)
			oneLine(t, said, words)
		})
	}
}

func TestS2WrongAtStart(t *testing.T) {
	t.Parallel()
	open := func(*testing.T) worldOptions { return worldOptions{} }
	guarded := func(*testing.T) worldOptions {
		return worldOptions{s2: s2mem.Options{AccessTokens: []string{token}, DeniedTokens: []string{wrongToken}}}
	}
	for _, c := range []fault{
		{"nothing listens", open, func(_ *testing.T, w *world) bridge.Settings {
			w.s2Door.shut()
			return nil
		}, []string{"cannot connect", "check the endpoint", "connection refused"}},
		{"a port that says nothing", open, func(t *testing.T, w *world) bridge.Settings {
			w.s2Door = newMute(t).door
			return nil
		}, []string{"check the endpoint"}},
		{"missing basin", open, func(*testing.T, *world) bridge.Settings {
			return bridge.Settings{"s2.basin": "not-the-basin"}
		}, []string{`"not-the-basin"`, "does not exist", "create it"}},
		{"unknown token", guarded, func(*testing.T, *world) bridge.Settings {
			return bridge.Settings{"s2.access_token": nextToken}
		}, []string{"refused the access token", "401", "access_token_file"}},
		{"token without rights", guarded, func(*testing.T, *world) bridge.Settings {
			return bridge.Settings{"s2.access_token": wrongToken}
		}, []string{"refused the access token", "403", basin, "append"}},
		{"wrong token in a file", guarded, func(t *testing.T, _ *world) bridge.Settings {
			return bridge.Settings{"s2.access_token_file": secretFile(t, wrongToken)}
		}, []string{"refused the access token", "403"}},
		{"no token where one is wanted", guarded, func(*testing.T, *world) bridge.Settings { return nil },
			[]string{"refused the access token", "401"}},
		{"https where http is spoken", open, func(_ *testing.T, w *world) bridge.Settings {
			return bridge.Settings{"s2.endpoint": "https://" + w.s2Door.address()}
		}, []string{"check http:// against https://"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, c.world(t))
			w.topic("orders", 1)
			said := start(t, w.settings(c.with(t, w), "orders")).exits(prompt, 1)
			oneLine(t, said, append([]string{w.s2Door.address()}, c.words...))
		})
	}
}

// oneLine holds the end of a failed start against its form: one line that begins with "error: " and says all the words.
func oneLine(t *testing.T, said string, words []string) {
	t.Helper()
	t.Log(said)
	plain(t, said)
	if !strings.HasPrefix(said, "error: ") || strings.Count(said, "\n") != 1 {
		t.Error("that is not one line with the error")
	}
	if missing := hasAll(said, words); missing != "" {
		t.Errorf("it does not say %q", missing)
	}
}

// Whoever sets up both sides wrong hears of both at once.
func TestBothSidesWrongAtStart(t *testing.T) {
	t.Parallel()
	o := withScram()
	o.s2.AccessTokens = []string{token}
	w := newWorld(t, o)
	more := login("SCRAM-SHA-256", wrongPassword)
	more["s2.access_token"] = wrongToken
	said := start(t, w.settings(more, "orders")).exits(prompt, 1)
	t.Log(said)
	plain(t, said)
	if missing := hasAll(said, []string{"accepting the login", w.kafkaDoor.address(), "refused the access token", w.s2Door.address()}); missing != "" {
		t.Errorf("it does not say %q", missing)
	}
}

// One of several brokers is enough.
func TestOneBrokerIsEnough(t *testing.T) {
	t.Parallel()
	for name, dead := range map[string]func(t *testing.T) string{
		"nothing at the first":  func(t *testing.T) string { d := newDoor(t); d.shut(); return d.address() },
		"the first has no name": func(*testing.T) string { return "no-such-broker.invalid:9092" },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, worldOptions{})
			w.topic("orders", 2)
			w.produceAll("orders", 2, 10)
			r := start(t, w.settings(bridge.Settings{"kafka.brokers": []string{dead(t), w.kafkaDoor.address()}}, "orders"))
			r.green(patient)
			w.copied(patient, "orders", nil)
		})
	}
}

// A broker that says nothing does not keep the bridge from starting, if another one answers. (Where it stands among
// kafka.brokers, the Kafka client asks it again and again, and waits ten seconds each time: so nothing more is asked for here.)
func TestMuteBrokerBesideAnother(t *testing.T) {
	t.Parallel()
	w := newWorld(t, worldOptions{})
	r := start(t, w.settings(bridge.Settings{"kafka.brokers": []string{newMute(t).address(), w.kafkaDoor.address()}}, "orders"))
	r.awaitLine(prompt, "bridging")
}

func TestPortTakenAtStart(t *testing.T) {
	t.Parallel()
	w := newWorld(t, worldOptions{})
	taken, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = taken.Close() }()
	w.topic("orders", 1)
	said := start(t, w.settings(bridge.Settings{"http.listen": taken.Addr().String()}, "orders")).exits(prompt, 1)
	t.Log(said)
	plain(t, said)
	if missing := hasAll(said, []string{"error: ", "http.listen", "take a free port", taken.Addr().String(), "in use"}); missing != "" {
		t.Errorf("it does not say %q", missing)
	}
}

// A wrong configuration is told whole, and nobody is asked anything.
func TestWrongConfigurationContactsNobody(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		more  bridge.Settings
		words []string
	}{
		"many mistakes": {bridge.Settings{
			"kafka.sasl.mechanism": "PLAIN-" + password, "s2.access_token": token + " ", "kafka.isolation": "read_all", "memory.budget": "1KiB", "kafka.tpoics": "x",
		}, []string{"8 mistakes", "kafka.sasl.mechanism", "s2.access_token", "kafka.isolation", "memory.budget", "kafka.tpoics"}},
		"secret twice": {bridge.Settings{
			"kafka.sasl.mechanism": "PLAIN", "kafka.sasl.username": user, "kafka.sasl.password": password, "kafka.sasl.password_file": secretFile(t, password),
			"s2.access_token": token, "s2.access_token_file": secretFile(t, token),
		}, []string{"2 mistakes", "kafka.sasl.password_file are both set", "s2.access_token_file are both set"}},
		"secret as file": {bridge.Settings{
			"kafka.sasl.mechanism": "PLAIN", "kafka.sasl.username": user, "kafka.sasl.password_file": password, "s2.access_token_file": token,
		}, []string{"2 mistakes", "kafka.sasl.password_file must be the path", "s2.access_token_file must be the path", "no such file"}},
		"empty file": {bridge.Settings{"s2.access_token_file": secretFile(t, "")}, []string{"1 mistake", "s2.access_token_file", "empty"}},
		"a template": {bridge.Settings{"stream.name": "{topic}"}, []string{"1 mistake", "stream.name", "{partition}"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			kafka, s2 := newMute(t), newMute(t)
			settings := bridge.Settings{
				"kafka.brokers": []string{kafka.address()}, "kafka.group": group, "kafka.topics": []string{"orders"},
				"s2.endpoint": "http://" + s2.address(), "s2.basin": basin,
			}
			for k, v := range c.more {
				settings[k] = v
			}
			r := start(t, settings)
			said := r.exits(prompt, 2)
			t.Log(said)
			plain(t, said)
			if missing := hasAll(said, append(c.words, "error: ", "nothing was contacted")); missing != "" {
				t.Errorf("it does not say %q", missing)
			}
			kafka.untouched(t, "Kafka")
			s2.untouched(t, "S2")
		})
	}
}
