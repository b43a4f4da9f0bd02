package main

import (
	"errors"
	"net"
	"regexp"
	"regexp/syntax"
	"slices"
	"strconv"
	"strings"
	"time"

	"kafka-s2-bridge/mapping"
)

// key is one setting: its name, what a right value is (for people: it ends the
// sentence "must be ..."), where it goes, and which values of its type are right.
//
// No message about a key repeats the value that was found (but for stream.name):
// secrets end up in the wrong key often enough, and the name says where to look.
type key struct {
	name string
	want string
	value
	check func() []fault // nil: whatever its type takes
}

// fault is one thing wrong with a key's value. Empty fields: the value as a
// whole is not what key.want says.
type fault struct {
	at   string // which part, such as "[2]" of a list
	text string // what to do about it
}

// keys is the table of all settings, bound to c: set writes into it, check
// looks at it. A test compares it with the fields of Config.
func (c *Config) keys() []key {
	k, s := &c.Kafka, &c.S2
	return slices.Concat([]key{
		{"kafka.brokers", `a list of host:port, such as ["localhost:9092"]`, texts(&k.Brokers),
			all(required(&k.Brokers), each(&k.Brokers, isHostPort, `must be host:port, such as "localhost:9092"`))},
		{"kafka.group", `a group name of your own, such as "orders-to-s2"`, word(&k.Group), is(func() bool { return k.Group != "" })},
		{"kafka.topics", `a list of topic names, such as ["orders", "payments"]`, texts(&k.Topics),
			all(each(&k.Topics, isTopic, `must be a topic's name: letters, digits, ".", "_", "-"; at most 249`), unique(&k.Topics))},
		{"kafka.topics_regex", `a list of regular expressions (RE2), such as ["orders[.].*"]`, texts(&k.TopicsRegex), regexes(&k.TopicsRegex)},
		{"kafka.topics_exclude", `a list of regular expressions (RE2), such as [".*[.]internal"]`, texts(&k.TopicsExclude), regexes(&k.TopicsExclude)},
		{"kafka.isolation", `"read_committed" or "read_uncommitted"`, word(&k.Isolation), oneOf(&k.Isolation, isolationCommitted, isolationUncommitted)},
		{"kafka.instance_id", `empty, or a name that no other member has (letters, digits, ".", "_", "-"; at most 249)`, word(&k.InstanceID),
			is(func() bool { return k.InstanceID == "" || isTopic(k.InstanceID) })},
		{"kafka.session_timeout", `a duration from "6s" to "30m"`, span(&k.SessionTimeout), between(&k.SessionTimeout, 6*time.Second, 30*time.Minute)},
		{"kafka.max_record_bytes", `a size from "1MiB" to "512MiB"`, size(&k.MaxRecordBytes), between(&k.MaxRecordBytes, 1<<20, 512<<20)},
		{"kafka.tls.enabled", "true or false", flag(&k.TLS.Enabled), nil},
		{"kafka.tls.ca_file", "the path of a file with PEM certificates", word(&k.TLS.CAFile), nil},
		{"kafka.tls.cert_file", "the path of a file with a PEM certificate", word(&k.TLS.CertFile), nil},
		{"kafka.tls.key_file", "the path of a file with a PEM private key", word(&k.TLS.KeyFile), nil},
		{"kafka.tls.server_name", "text: the name in the brokers' certificates", word(&k.TLS.ServerName), nil},
		{"kafka.tls.insecure_skip_verify", "true or false", flag(&k.TLS.InsecureSkipVerify), nil},
		{"kafka.sasl.mechanism", `empty, "PLAIN", "SCRAM-SHA-256" or "SCRAM-SHA-512"`, word(&k.SASL.Mechanism),
			oneOf(&k.SASL.Mechanism, "", "PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512")},
		{"kafka.sasl.username", "text in quotes", word(&k.SASL.Username), nil},
		{"kafka.sasl.password", "text in quotes", word(&k.SASL.Password), nil},
		{"kafka.sasl.password_file", "the path of a file that holds the password", word(&k.SASL.PasswordFile), nil},

		{"s2.endpoint", `empty (S2's cloud) or a URL without path, such as "http://localhost:8080"`, word(&s.Endpoint),
			is(func() bool { return s.Endpoint == "" || isEndpoint(s.Endpoint) })},
		{"s2.basin", "the name of a basin (8 to 48 of a-z, 0-9 and -, neither beginning nor ending with -)", word(&s.Basin),
			is(func() bool { return basinName.MatchString(s.Basin) })},
		{"s2.access_token", "text in quotes: one line without spaces", word(&s.AccessToken), is(func() bool { return isToken(s.AccessToken) })},
		{"s2.access_token_file", "the path of a file that holds the token", word(&s.AccessTokenFile), nil},
		{"s2.tls.ca_file", "the path of a file with PEM certificates", word(&s.TLS.CAFile), nil},
		{"s2.tls.cert_file", "the path of a file with a PEM certificate", word(&s.TLS.CertFile), nil},
		{"s2.tls.key_file", "the path of a file with a PEM private key", word(&s.TLS.KeyFile), nil},
		{"s2.tls.server_name", "text: the name in the server's certificate", word(&s.TLS.ServerName), nil},
		{"s2.tls.insecure_skip_verify", "true or false", flag(&s.TLS.InsecureSkipVerify), nil},
		{"s2.connections", "a whole number from 1 to 256", whole(&s.Connections), between(&s.Connections, 1, 256)},
		{"s2.batches_per_second", "a number from 0.1 to 1000000, or 0 for no limit", number(&s.BatchesPerSecond),
			is(func() bool { return s.BatchesPerSecond == 0 || s.BatchesPerSecond >= 0.1 && s.BatchesPerSecond <= 1e6 })},
		{"s2.max_inflight_bytes", `a size from "1MiB" to "1GiB"`, size(&s.MaxInflightBytes), between(&s.MaxInflightBytes, 1<<20, 1<<30)},
		{"s2.max_inflight_batches", "a whole number from 1 to 1000", whole(&s.MaxInflightBatches), between(&s.MaxInflightBatches, 1, 1000)},
		{"s2.linger", `a duration from "0s" to "1s"`, span(&s.Linger), between(&s.Linger, 0, time.Second)},
		{"s2.ack_timeout", `a duration from "1s" to "5m"`, span(&s.AckTimeout), between(&s.AckTimeout, time.Second, 5*time.Minute)},
		{"s2.request_timeout", `a duration from "1s" to "5m"`, span(&s.RequestTimeout), between(&s.RequestTimeout, time.Second, 5*time.Minute)},

		{"stream.name", `a template such as "{topic}/{partition}"`, word(&c.Stream.Name), func() []fault {
			if _, err := mapping.ParseTemplate(c.Stream.Name); err != nil {
				return []fault{{text: "cannot be used: " + err.Error()}}
			}
			return nil
		}},
		{"stream.retention", `"topic", "infinite" or a duration of whole seconds, such as "7d"`, retention(&c.Stream.Retention), nil},
		{"stream.storage_class", `"express" or "standard"`, word(&c.Stream.StorageClass), oneOf(&c.Stream.StorageClass, "express", "standard")},
	}, c.Policy.keys("policy."), []key{
		{"memory.budget", `a size from "32MiB" to "1TiB"`, size(&c.Memory.Budget), between(&c.Memory.Budget, 32<<20, 1<<40)},
		{"http.listen", `empty (no endpoint) or host:port, such as "127.0.0.1:9464"`, word(&c.HTTP.Listen),
			is(func() bool { return c.HTTP.Listen == "" || isListen(c.HTTP.Listen) })},
		{"log.level", `"debug", "info", "warn" or "error"`, word(&c.Log.Level), oneOf(&c.Log.Level, "debug", "info", "warn", "error")},
		{"log.format", `"text" or "json"`, word(&c.Log.Format), oneOf(&c.Log.Format, "text", "json")},
		{"drain.timeout", `a duration from "1s" to "50s"`, span(&c.Drain.Timeout), between(&c.Drain.Timeout, time.Second, 50*time.Second)},
	})
}

// The checks below look at the variable when they are called, not when the
// table is made.

func is(right func() bool) func() []fault {
	return func() []fault {
		if right() {
			return nil
		}
		return []fault{{}}
	}
}

func between[N int | int64 | time.Duration](v *N, least, most N) func() []fault {
	return is(func() bool { return *v >= least && *v <= most })
}

func oneOf(v *string, words ...string) func() []fault {
	return is(func() bool { return slices.Contains(words, *v) })
}

func required(list *[]string) func() []fault { return is(func() bool { return len(*list) > 0 }) }

func each(list *[]string, right func(item string) bool, text string) func() []fault {
	return func() []fault {
		var faults []fault
		for i, item := range *list {
			if !right(item) {
				faults = append(faults, fault{index(i), text})
			}
		}
		return faults
	}
}

// alternatives puts words into a sentence: "a", "b" or "c".
func alternatives(words []string) string {
	quoted := make([]string, len(words))
	for i, w := range words {
		quoted[i] = strconv.Quote(w)
	}
	last := len(quoted) - 1
	return strings.Join(quoted[:last], ", ") + " or " + quoted[last]
}

func regexes(list *[]string) func() []fault {
	return func() []fault {
		var faults []fault
		for i, item := range *list {
			if text := wrongRegex(item); text != "" {
				faults = append(faults, fault{index(i), text})
			}
		}
		return faults
	}
}

func regex(v *string) func() []fault {
	return func() []fault {
		if text := wrongRegex(*v); text != "" {
			return []fault{{text: text}}
		}
		return nil
	}
}

// wrongRegex says why an expression cannot be read, without the piece of it that
// regexp/syntax would quote; "" if it can.
func wrongRegex(expr string) string {
	if expr == "" {
		return "must not be empty"
	}
	_, err := syntax.Parse(expr, syntax.Perl)
	if err == nil { // as it is used: what is around it may be too much for one that is nested deeply
		_, err = regexp.Compile(wholeName(expr))
	}
	if wrong := (*syntax.Error)(nil); errors.As(err, &wrong) {
		return "must be a regular expression (RE2); this one has: " + wrong.Code.String()
	}
	return ""
}

func unique(list *[]string) func() []fault {
	return func() []fault {
		var faults []fault
		for i, item := range *list {
			if first := slices.Index(*list, item); first < i {
				faults = append(faults, fault{index(i), "is the same as " + index(first) + ": take one of them out"})
			}
		}
		return faults
	}
}

func all(checks ...func() []fault) func() []fault {
	return func() []fault {
		var faults []fault
		for _, check := range checks {
			faults = append(faults, check()...)
		}
		return faults
	}
}

func index(i int) string { return "[" + strconv.Itoa(i) + "]" }

var (
	topicName = regexp.MustCompile(`^[a-zA-Z0-9._-]{1,249}$`)
	basinName = regexp.MustCompile(`^[a-z0-9][a-z0-9-]{6,46}[a-z0-9]$`)
)

// isTopic: Kafka has one rule for the names of topics and of group members.
func isTopic(s string) bool { return topicName.MatchString(s) && s != "." && s != ".." }

func isPort(s string, least int) bool {
	n, err := strconv.Atoi(s)
	return err == nil && n >= least && n <= 65535
}

func isHostPort(s string) bool {
	host, port, err := net.SplitHostPort(s)
	return err == nil && host != "" && !strings.ContainsAny(host, "/@ ,") && isPort(port, 1)
}

// isListen also takes no host (all interfaces) and port 0 (any that is free).
func isListen(s string) bool {
	host, port, err := net.SplitHostPort(s)
	return err == nil && !strings.ContainsAny(host, "/@ ,") && isPort(port, 0)
}

// isToken: it becomes the value of an HTTP header.
func isToken(s Secret) bool {
	return !strings.ContainsFunc(string(s), func(r rune) bool { return r <= ' ' || r > '~' })
}
