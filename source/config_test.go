package source

import (
	"context"
	"errors"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"

	"kafka-s2-bridge/handoff"
)

func TestCheckSaysWhatIsWrong(t *testing.T) {
	secured, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.EnableSASL(), kfake.Superuser("SCRAM-SHA-256", "bridge", "right"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(secured.Close)
	gone, err := kfake.NewCluster(kfake.NumBrokers(1))
	if err != nil {
		t.Fatal(err)
	}
	nobody := gone.ListenAddrs()
	gone.Close()
	for name, c := range map[string]struct {
		cfg  Config
		want string // in the error; empty: none
	}{
		"right":          {Config{Brokers: secured.ListenAddrs(), SASL: &SASL{Mechanism: "SCRAM-SHA-256", User: "bridge", Password: "right"}}, ""},
		"wrong password": {Config{Brokers: secured.ListenAddrs(), SASL: &SASL{Mechanism: "SCRAM-SHA-256", User: "bridge", Password: "wrong-secret"}}, "check kafka.sasl.mechanism, kafka.sasl.username and the password"},
		"mechanism":      {Config{Brokers: secured.ListenAddrs(), SASL: &SASL{Mechanism: "GSSAPI", User: "bridge", Password: "right"}}, "must be PLAIN, SCRAM-SHA-256 or SCRAM-SHA-512"},
		"password file":  {Config{Brokers: secured.ListenAddrs(), SASL: &SASL{Mechanism: "SCRAM-SHA-256", User: "bridge", PasswordFrom: func() (string, error) { return "", errNoFile }}}, "cannot be read: check kafka.sasl.password_file"},
		"nobody there":   {Config{Brokers: nobody}, "kafka.brokers"},
	} {
		t.Run(name, func(t *testing.T) {
			ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
			defer cancel()
			c.cfg.Logger = slog.New(slog.DiscardHandler)
			err := Check(ctx, c.cfg)
			switch {
			case c.want == "" && err != nil:
				t.Errorf("%v", err)
			case c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)):
				t.Errorf("%v does not say %q", err, c.want)
			case err != nil && strings.Contains(err.Error(), "wrong-secret"):
				t.Errorf("%v tells the password", err)
			}
		})
	}
}

var errNoFile = errors.New("no such file")

// A password that was changed while the bridge runs is the one for the next
// connection.
func TestThePasswordIsReadAtEachLogin(t *testing.T) {
	for _, mechanism := range []string{"PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"} {
		cluster, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.EnableSASL(), kfake.Superuser(mechanism, "bridge", "second"))
		if err != nil {
			t.Fatal(err)
		}
		password := "first"
		cfg := Config{Brokers: cluster.ListenAddrs(), SASL: &SASL{Mechanism: mechanism, User: "bridge", Password: "neither", PasswordFrom: func() (string, error) { return password, nil }}}
		ctx, cancel := context.WithTimeout(t.Context(), patient)
		if err := Check(ctx, cfg); err == nil {
			t.Errorf("%s: the first password was accepted", mechanism)
		}
		password = "second"
		if err := Check(ctx, cfg); err != nil {
			t.Errorf("%s: %v", mechanism, err)
		}
		cancel()
		cluster.Close()
	}
}

func TestAMechanismThatDoesNotExistIsRefused(t *testing.T) {
	cfg := Config{Brokers: []string{"127.0.0.1:1"}, SASL: &SASL{Mechanism: "OAUTHBEARER"}, Logger: slog.New(slog.DiscardHandler)}
	if _, err := New(t.Context(), cfg, NewMetrics(prometheus.NewRegistry()), nil); err == nil {
		t.Error("accepted")
	}
}

func TestRetentionOfATopic(t *testing.T) {
	w := newWorld(t)
	for name, c := range map[string]struct {
		configs map[string]string
		want    time.Duration
	}{
		"a-day":     {map[string]string{"retention.ms": "86400000"}, 24 * time.Hour},
		"for-ever":  {map[string]string{"retention.ms": "-1"}, 0},
		"longest":   {map[string]string{"retention.ms": "9223372036854775807"}, 0},
		"short":     {map[string]string{"retention.ms": "10"}, time.Second},
		"odd":       {map[string]string{"retention.ms": "2500"}, 2 * time.Second},
		"compacted": {map[string]string{"cleanup.policy": "compact,delete", "retention.ms": "1000"}, 0},
		"default":   {nil, 7 * 24 * time.Hour},
	} {
		if err := w.kafka.CreateTopic(name, 1, c.configs); err != nil {
			t.Fatal(err)
		}
		m := w.members
		if len(m) == 0 {
			m = append(m, w.join(w.config("nothing")))
		}
		if got, err := m[0].TopicRetention(t.Context(), name); err != nil || got != c.want {
			t.Errorf("%s: %v, %v; want %v", name, got, err, c.want)
		}
	}
	if _, err := w.members[0].TopicRetention(t.Context(), "missing"); err == nil {
		t.Error("a missing topic has a retention")
	}
}

// A partition for which there is no stream name, say, stops nobody else.
func TestAPartitionWithoutAnOwnerIsShown(t *testing.T) {
	w := newWorld(t)
	w.topic("bad", 1)
	w.topic("good", 1)
	w.produce("bad", 0, 3, 10)
	w.produce("good", 0, 3, 10)
	w.refuse = "bad"
	m := w.join(w.config("bad", "good"))
	w.wantCommitted("good", 0, 3)
	fetches := w.fetchedFrom("bad")
	w.produce("good", 0, 3, 10)
	w.wantCopied("good", 0, 0, 6)
	if ok, why := m.Ready(); ok || !contains(why, "bad/0 cannot be fetched: no name for its stream") {
		t.Errorf("ready %v: %v", ok, why)
	}
	if !fetches.none() {
		t.Error("it is fetched")
	}
}

var errNoName = errors.New("no name for its stream")

func (w *world) refused(a handoff.Assignment) bool { return a.Identity.Topic == w.refuse }

// The largest values that config.example.toml allows are values that the client
// takes.
func TestTheClientTakesTheLargestSettings(t *testing.T) {
	c := Config{Brokers: []string{"127.0.0.1:1"}, Group: "g", Topics: []string{"orders"}, Budget: 1 << 40, MaxRecordBytes: 512 << 20,
		SessionTimeout: 30 * time.Minute, MetadataAge: time.Minute, Drain: 50 * time.Second, Logger: slog.New(slog.DiscardHandler)}
	opts, err := c.connectionOptions()
	if err != nil {
		t.Fatal(err)
	}
	if err := kgo.ValidateOpts(append(opts, c.groupOptions()...)...); err != nil {
		t.Error(err)
	}
}
