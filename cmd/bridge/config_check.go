package main

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net/url"
	"regexp"
	"strings"
)

// check looks at what the keys hold, each by itself and then together, and adds
// a problem for each thing that cannot be.
func (l *loader) check() {
	for _, k := range l.keys {
		if l.refused[k.name] || k.check == nil || isOverride(k.name) && !l.given[k.name] {
			continue
		}
		for _, f := range k.check() {
			switch {
			case f.text == "" && !l.given[k.name]:
				f.text = "must be set: " + k.want
			case f.text == "":
				f.text = "must be " + k.want
			}
			l.refuseItem(k, f.at, f.text)
		}
	}
	l.checkTopics()
	l.checkSASL()
	l.checkTLS()
	l.checkToken()
	l.checkPolicies()
	if l.cfg.S2.MaxInflightBytes > l.cfg.Memory.Budget {
		l.refuse(l.byName["s2.max_inflight_bytes"], "must not be above memory.budget, which it is taken from")
	}
}

func (l *loader) checkTopics() {
	k := l.cfg.Kafka
	if len(k.Topics) == 0 && len(k.TopicsRegex) == 0 && !l.refused["kafka.topics_regex"] {
		l.refuse(l.byName["kafka.topics"], "must be set, or kafka.topics_regex: which topics to bridge")
	}
	for e, pattern := range k.TopicsExclude {
		exclude, err := regexp.Compile(`^(?:` + pattern + `)$`)
		if err != nil {
			continue // reported with its key
		}
		for t, topic := range k.Topics {
			if exclude.MatchString(topic) {
				l.refuseItem(l.byName["kafka.topics"], index(t), "is excluded by kafka.topics_exclude"+index(e)+": take one of them out")
			}
		}
	}
}

func (l *loader) checkSASL() {
	s := l.cfg.Kafka.SASL
	if s.Mechanism == "" {
		if s.Username != "" || s.Password != "" || s.PasswordFile != "" {
			l.refuse(l.byName["kafka.sasl.mechanism"], `must say how to log in, such as "SCRAM-SHA-256", as a username or password is set`)
		}
		return
	}
	if s.Username == "" {
		l.refuse(l.byName["kafka.sasl.username"], "must be set, as kafka.sasl.mechanism is")
	}
	if s.Password == "" {
		l.refuse(l.byName["kafka.sasl.password"], "must be set, as kafka.sasl.mechanism is: here, in kafka.sasl.password_file or in BRIDGE_KAFKA__SASL__PASSWORD")
	}
}

func (l *loader) checkToken() {
	if s := l.cfg.S2; s.AccessToken == "" && s.Endpoint == "" {
		l.refuse(l.byName["s2.access_token"], "must be set for S2's cloud: in s2.access_token_file, here or in S2_ACCESS_TOKEN (for a server of your own set s2.endpoint)")
	}
}

func (l *loader) checkTLS() {
	kafka, s2 := l.cfg.Kafka.TLS, l.cfg.S2.TLS
	if !kafka.Enabled && kafka != (TLSConfig{}) {
		l.refuse(l.byName["kafka.tls.enabled"], "must be true for the other keys of kafka.tls to mean anything")
	}
	if s2 != (TLSConfig{}) && strings.HasPrefix(strings.ToLower(l.cfg.S2.Endpoint), "http://") {
		l.refuse(l.byName["s2.endpoint"], "must begin with https:// for the keys of s2.tls to mean anything")
	}
	for _, side := range []struct {
		table string
		tls   TLSConfig
	}{{"kafka.tls.", kafka}, {"s2.tls.", s2}} {
		_, faults := side.tls.build()
		for _, f := range faults {
			l.refuse(l.byName[side.table+f.at], f.text)
		}
	}
}

// Config reads the files and returns what crypto/tls wants, or what is wrong
// with the first key that is.
func (t TLSConfig) Config() (*tls.Config, error) {
	cfg, faults := t.build()
	if len(faults) > 0 {
		return nil, fmt.Errorf("%s %s", faults[0].at, faults[0].text)
	}
	return cfg, nil
}

// build is Config with all that is wrong. The faults' at is the last word of the
// key.
func (t TLSConfig) build() (*tls.Config, []fault) {
	var faults []fault
	cfg := &tls.Config{
		MinVersion:         tls.VersionTLS12,
		ServerName:         t.ServerName,
		InsecureSkipVerify: t.InsecureSkipVerify, //nolint:gosec // the operator's word, off by default, and its key warns
	}
	if t.CAFile != "" {
		pem, err := readFile(t.CAFile, maxConfigFile)
		cfg.RootCAs = x509.NewCertPool()
		if err != nil {
			faults = append(faults, fault{"ca_file", "must be the path of a file with PEM certificates: " + err.Error()})
		} else if !cfg.RootCAs.AppendCertsFromPEM(pem) {
			faults = append(faults, fault{"ca_file", "names a file without a PEM certificate"})
		}
	}
	switch {
	case t.CertFile == "" && t.KeyFile == "":
	case t.CertFile == "":
		faults = append(faults, fault{"cert_file", "must be set, as key_file is"})
	case t.KeyFile == "":
		faults = append(faults, fault{"key_file", "must be set, as cert_file is"})
	default:
		cert, err := readFile(t.CertFile, maxConfigFile)
		if err != nil {
			faults = append(faults, fault{"cert_file", "must be the path of a file with a PEM certificate: " + err.Error()})
		}
		private, err2 := readFile(t.KeyFile, maxConfigFile)
		if err2 != nil {
			faults = append(faults, fault{"key_file", "must be the path of a file with a PEM private key: " + err2.Error()})
		}
		if err != nil || err2 != nil {
			break
		}
		pair, err := tls.X509KeyPair(cert, private)
		if err != nil {
			faults = append(faults, fault{"cert_file", "and key_file must hold one PEM certificate and its private key"})
		}
		cfg.Certificates = []tls.Certificate{pair}
	}
	return cfg, faults
}

// isEndpoint: one URL serves account and basin, and the path is S2's.
func isEndpoint(s string) bool {
	u, err := url.Parse(s)
	if err != nil || u.Host == "" || u.Hostname() == "" || u.User != nil || strings.Trim(u.Path, "/") != "" || u.RawQuery != "" || u.Fragment != "" {
		return false
	}
	if u.Port() != "" && !isPort(u.Port(), 1) {
		return false
	}
	return u.Scheme == "http" || u.Scheme == "https"
}
